package kafka

import (
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/orderlane/orderlane/e2e/realparts"
)

func TestATransactionRidesOutPassingErrorsOfItsCoordinator(t *testing.T) {
	c, cfg := fakeBroker(t)
	topic := newTopic(t, cfg, 2)
	p := producerOf(t, cfg, "transactional")
	count := 0
	publish := func(f kfake.Fault) {
		t.Helper()
		f.Count = 3
		h := c.Fault(f)
		check(t, p.Publish(t.Context(), numbered(topic, 10, count, count+50)))
		if h.Hits() != 3 {
			t.Errorf("%v of %v hit %d times", f.Err, f.Keys, h.Hits())
		}
		count += 50
	}
	for _, e := range []*kerr.Error{kerr.NotCoordinator, kerr.CoordinatorLoadInProgress, kerr.CoordinatorNotAvailable, kerr.ConcurrentTransactions} {
		publish(kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, TopLevel: true, Err: e})
		publish(kfake.Fault{Keys: []kmsg.Key{kmsg.AddPartitionsToTxn}, Topic: topic, Err: e})
	}
	once(t, cfg, topic, 2, count)
}

func TestATransactionWhoseEndIsUnknownMakesItsProducerUnusable(t *testing.T) {
	c, cfg := fakeBroker(t)
	topic, id := newTopic(t, cfg, 2), realparts.Unique(t, "txn")
	p, err := NewTransactionalProducer(cfg, id)
	check(t, err)
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, TopLevel: true, Err: kerr.InvalidTxnState})
	if err := p.Publish(t.Context(), numbered(topic, 10, 0, 10)); !errors.Is(err, ErrUnusable) {
		t.Fatalf("error %v", err)
	}
	if err := p.Publish(t.Context(), numbered(topic, 10, 0, 10)); !errors.Is(err, ErrUnusable) {
		t.Fatalf("error of the next %v", err)
	}
	check(t, p.Close())
	check(t, p.Close())

	p, err = NewTransactionalProducer(cfg, id) // aborts what was left open
	check(t, err)
	check(t, p.Publish(t.Context(), numbered(topic, 10, 0, 10)))
	check(t, p.Close())
	once(t, cfg, topic, 2, 10)
}

func TestAProducerFrozenInATransactionCannotFinishItAfterItsSuccessor(t *testing.T) {
	eachBroker(t, func(t *testing.T, cfg Config) {
		topic, id := newTopic(t, cfg, 1), realparts.Unique(t, "relay")
		made, err := NewTransactionalProducer(cfg, id)
		check(t, err)
		frozen := made.(*transactional)
		defer func() { check(t, frozen.Close()) }()
		check(t, frozen.Publish(t.Context(), numbered(topic, 1, 0, 10)))

		// It is stopped after it has sent its records, and before it commits.
		waves, err := frozen.sender.plan(t.Context(), numbered(topic, 1, 10, 20))
		check(t, err)
		check(t, frozen.begin(t.Context(), waves))
		check(t, frozen.sender.sendAll(t.Context(), waves))

		successor, err := NewTransactionalProducer(cfg, id)
		check(t, err)
		defer func() { check(t, successor.Close()) }()
		check(t, successor.Publish(t.Context(), numbered(topic, 1, 10, 30)))

		if err := frozen.end(t.Context(), true); !fenced(err) {
			t.Errorf("the frozen one commits: %v", err)
		}
		if err := frozen.Publish(t.Context(), numbered(topic, 1, 20, 30)); !errors.Is(err, ErrFenced) {
			t.Errorf("the frozen one goes on: %v", err)
		}
		once(t, cfg, topic, 1, 30)
	})
}

func TestAFencedProducerLearnsOfItAtOnce(t *testing.T) {
	_, cfg := fakeBroker(t)
	topic, id := newTopic(t, cfg, 1), realparts.Unique(t, "relay")
	old, err := NewTransactionalProducer(cfg, id)
	check(t, err)
	defer func() { check(t, old.Close()) }()
	successor, err := NewTransactionalProducer(cfg, id)
	check(t, err)
	defer func() { check(t, successor.Close()) }()
	start := time.Now()
	if err := old.Publish(t.Context(), numbered(topic, 1, 0, 1)); !errors.Is(err, ErrFenced) {
		t.Errorf("error %v", err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("it took %v to learn of it", took)
	}
}
