package kafka

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/orderlane/orderlane/e2e/realparts"
	"github.com/orderlane/orderlane/pkg/turn"
)

func TestNothingIsLostWhenMembersComeAndGo(t *testing.T) {
	for name, mode := range map[string]Mode{"by turn": ByTurn, "by key": ByKey} {
		t.Run(name, func(t *testing.T) {
			eachBroker(t, func(t *testing.T, cfg Config) {
				const batches, size = 40, 100
				topic := newTopic(t, cfg, 8)
				got := newSeen()
				handler := func(m *message.Message) error {
					if mode == ByTurn {
						turn.FromContext(m.Context()).Take(func() { got.add(m) })
						return nil
					}
					got.add(m)
					return nil
				}
				member := func() (*Subscriber, *handling) {
					s := subscriber(t, SubscriberConfig{Config: cfg, Group: topic, Mode: mode, Window: 64})
					return s, subscribe(t, s, topic, handler)
				}
				a, ha := member()
				p, err := NewOrderedProducer(cfg)
				check(t, err)
				defer func() { check(t, p.Close()) }()
				var b *Subscriber
				var hb *handling
				for i := range batches {
					check(t, p.Publish(context.Background(), numbered(topic, 97, i*size, (i+1)*size)))
					switch i {
					case 10: // a second member takes half of the partitions
						b, hb = member()
						eventually(t, "two members", func() bool { return len(b.Stats()) == 4 && len(a.Stats()) == 4 })
					case 20: // the first leaves
						check(t, a.Close())
						ha.wait()
						eventually(t, "one member", func() bool { return len(b.Stats()) == 8 })
					case 30: // all leave, and one comes back
						check(t, b.Close())
						hb.wait()
						b, hb = member()
					}
				}
				eventually(t, "all messages", func() bool { return got.distinct() == batches*size })
				check(t, b.Close())
				hb.wait()
				got.inOrder(t, batches*size)
				total := int64(0)
				for p := range int32(8) {
					total += max(0, committed(t, cfg, topic, topic, p))
				}
				if total != batches*size {
					t.Errorf("committed offsets add up to %d, not %d", total, batches*size)
				}
			})
		})
	}
}

func TestWorkInFlightEndsBeforeTheSubscriberCloses(t *testing.T) {
	_, cfg := fakeBroker(t)
	topic := newTopic(t, cfg, 1)
	fill(t, cfg, topic, 10, 20)
	cfg.RebalanceTimeout = patience // which bounds the drain time
	s := subscriber(t, SubscriberConfig{Config: cfg, Group: topic})
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), ctxKey{}, "kept"))
	messages, err := s.Subscribe(ctx, topic)
	check(t, err)
	var started, ended atomic.Int32
	let := make(chan struct{})
	h := handle(messages, func(m *message.Message) error {
		if m.Context().Value(ctxKey{}) != "kept" {
			t.Error("values of the subscribing context are lost")
		}
		started.Add(1)
		<-let
		if m.Context().Err() != nil {
			t.Error("the context of a message in flight has ended")
		}
		ended.Add(1)
		return nil
	})
	eventually(t, "20 in flight", func() bool { return started.Load() == 20 })
	cancel()
	closed := make(chan error)
	go func() { closed <- s.Close() }()
	select {
	case err := <-closed:
		t.Fatalf("closed with messages in flight (%v)", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(let)
	check(t, <-closed)
	h.wait()
	if ended.Load() != 20 {
		t.Errorf("%d of 20 ended", ended.Load())
	}
	if o := committed(t, cfg, topic, topic, 0); o != 20 {
		t.Errorf("committed %d of 20", o)
	}
}

type ctxKey struct{}

func TestClosingDoesNotWaitForTurnsThatWillNotCome(t *testing.T) {
	_, cfg := fakeBroker(t)
	topic := newTopic(t, cfg, 1)
	fill(t, cfg, topic, 1, 2)
	cfg.RebalanceTimeout = 10 * patience
	s := subscriber(t, SubscriberConfig{Config: cfg, Group: topic, Drain: 2 * patience, RetryMin: time.Hour, RetryMax: time.Hour})
	nacked, behind, left := make(chan struct{}), make(chan struct{}), make(chan struct{})
	h := subscribe(t, s, topic, func(m *message.Message) error {
		if number(m) == 0 {
			close(nacked)
			return errors.New("not now")
		}
		turn.FromContext(m.Context()).Take(func() { t.Error("the turn of a message behind one that is not done") })
		close(behind)
		<-m.Context().Done()
		close(left)
		return m.Context().Err()
	})
	<-nacked
	<-behind
	closed := make(chan error)
	go func() { closed <- s.Close() }()
	select {
	case err := <-closed:
		check(t, err)
	case <-time.After(patience):
		t.Fatal("still closing")
	}
	<-left
	h.wait()
	if o := committed(t, cfg, topic, topic, 0); o > 0 {
		t.Errorf("committed %d, nothing is done", o)
	}
}

func TestARebalanceDoesNotWaitLongerThanTheDrainTime(t *testing.T) {
	for name, mode := range map[string]Mode{"by turn": ByTurn, "by key": ByKey} {
		t.Run(name, func(t *testing.T) {
			_, cfg := fakeBroker(t)
			topic := newTopic(t, cfg, 2)
			fill(t, cfg, topic, 10, 100)
			stuck := subscriber(t, SubscriberConfig{Config: cfg, Group: topic, Mode: mode, Drain: 300 * time.Millisecond})
			var started, ended atomic.Int32
			h := subscribe(t, stuck, topic, func(m *message.Message) error {
				started.Add(1)
				<-m.Context().Done()
				ended.Add(1)
				return m.Context().Err()
			})
			eventually(t, "every key is stuck", func() bool { return started.Load() >= 10 })
			other := subscriber(t, SubscriberConfig{Config: cfg, Group: topic, Mode: mode})
			got := newSeen()
			h2 := subscribe(t, other, topic, func(m *message.Message) error { got.add(m); return nil })
			eventually(t, "one partition has moved", func() bool { return len(other.Stats()) == 1 && got.distinct() > 20 })
			if ended.Load() < 10 {
				t.Errorf("%d contexts of messages left behind have ended", ended.Load())
			}
			check(t, stuck.Close())
			h.wait()
			eventually(t, "the rest", func() bool { return got.distinct() == 100 })
			check(t, other.Close())
			h2.wait()
		})
	}
}

func TestConsumingGoesOnAfterABrokerRestart(t *testing.T) {
	broker := realparts.StartKafka(t)
	cfg := quick(broker.Brokers())
	topic := newTopic(t, cfg, 4)
	s := subscriber(t, SubscriberConfig{Config: cfg, Group: topic})
	got := newSeen()
	h := subscribe(t, s, topic, func(m *message.Message) error {
		turn.FromContext(m.Context()).Take(func() { got.add(m) })
		return nil
	})
	fill(t, cfg, topic, 50, 1000)
	eventually(t, "messages before", func() bool { return got.distinct() == 1000 })
	broker.Kill()
	broker.Start()
	p := producerOf(t, cfg, "ordered")
	check(t, p.Publish(t.Context(), numbered(topic, 50, 1000, 2000)))
	eventually(t, "messages after", func() bool { return got.distinct() == 2000 })
	check(t, s.Close())
	h.wait()
	got.inOrder(t, 2000)
}

func TestAStaticMemberComesBackToItsPartitionsWithoutARebalance(t *testing.T) {
	_, cfg := fakeBroker(t)
	topic := newTopic(t, cfg, 4)
	generation := func(log *logged) int { return strings.Count(log.String(), "partitions assigned") }
	member := func(instance string) (*Subscriber, *logged) {
		own := cfg
		own.InstanceID = instance
		own.SessionTimeout = time.Minute // nobody is to be given up while it is away
		log := new(logged)
		s, err := NewSubscriber(SubscriberConfig{Config: own, Group: topic, Logger: slog.New(slog.NewTextHandler(log, nil))})
		check(t, err)
		messages, err := s.Subscribe(t.Context(), topic)
		check(t, err)
		go func() {
			for m := range messages {
				m.Ack()
			}
		}()
		return s, log
	}
	a, logA := member("pod-0")
	b, _ := member("pod-1")
	eventually(t, "two members", func() bool { return len(a.Stats()) == 2 && len(b.Stats()) == 2 })
	before := generation(logA)
	held := b.Stats()
	check(t, b.Close())
	b, _ = member("pod-1")
	eventually(t, "the second is back", func() bool { return len(b.Stats()) == 2 })
	if now := b.Stats(); now[0].Partition != held[0].Partition || now[1].Partition != held[1].Partition {
		t.Errorf("it held %v, now %v", held, now)
	}
	if n := generation(logA); n != before {
		t.Errorf("the first member was rebalanced %d times", n-before)
	}
	check(t, a.Close())
	check(t, b.Close())
}
