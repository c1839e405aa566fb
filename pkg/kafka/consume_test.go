package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderlane/orderlane/e2e/realparts"
)

// ledger is a BatchHandler that keeps offsets as a projection would: shared by all owners,
// moved with each batch. It fails the test when the promises to a handler are broken.
type ledger struct {
	t *testing.T

	mu      sync.Mutex
	next    map[Partition]int64 // the checkpoints
	owner   map[Partition]*owner
	values  map[int]int // value -> how often it was delivered
	keys    map[string]int
	batches []int
}

func newLedger(t *testing.T) *ledger {
	return &ledger{t: t, next: map[Partition]int64{}, owner: map[Partition]*owner{}, values: map[int]int{}, keys: map[string]int{}}
}

func (l *ledger) delivered() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.values)
}

func (l *ledger) owned(o *owner) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, other := range l.owner {
		if other == o {
			n++
		}
	}
	return n
}

// owner is one member's handler over a shared ledger.
type owner struct {
	*ledger
	name        string
	slow        func(context.Context, []Record) error // runs in Deliver, before the ledger
	generations atomic.Int32
	inFlight    atomic.Int32
	generation  Generation
}

func (o *owner) Assigned(_ context.Context, g Generation, parts []Partition) (map[Partition]int64, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.generations.Add(1)
	o.generation = g
	for _, p := range parts {
		if other := o.ledger.owner[p]; other != nil {
			o.t.Errorf("%s is assigned %v, which %s still has", o.name, p, other.name)
		}
		o.ledger.owner[p] = o
	}
	return maps.Clone(o.next), nil
}

func (o *owner) Deliver(ctx context.Context, recs []Record) error {
	o.inFlight.Add(1)
	defer o.inFlight.Add(-1)
	if o.slow != nil {
		if err := o.slow(ctx, recs); err != nil {
			return err
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	p := Partition{recs[0].Topic, recs[0].Partition}
	if o.ledger.owner[p] != o {
		o.t.Errorf("%s is delivered %v, which it does not have", o.name, p)
	}
	o.batches = append(o.batches, len(recs))
	for _, r := range recs {
		if (Partition{r.Topic, r.Partition}) != p {
			o.t.Errorf("one batch holds records of %v and %s/%d", p, r.Topic, r.Partition)
		}
		if r.Offset < o.next[p] {
			o.t.Errorf("%s got offset %d of %v, whose checkpoint is %d", o.name, r.Offset, p, o.next[p])
		}
		o.next[p] = r.Offset + 1
		n, err := strconv.Atoi(string(r.Value))
		if err != nil {
			o.t.Error(err)
		}
		o.values[n]++
		if last, ok := o.keys[string(r.Key)]; ok && n <= last {
			o.t.Errorf("%d of key %s came after %d", n, r.Key, last)
		}
		o.keys[string(r.Key)] = n
	}
	o.generation.Mark(p, o.next[p])
	return nil
}

func (o *owner) Revoked(parts []Partition) {
	if n := o.inFlight.Load(); n != 0 {
		o.t.Errorf("%s is revoked while %d calls of Deliver run", o.name, n)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, p := range parts {
		delete(o.ledger.owner, p)
	}
}

// member runs a consumer until stop is called.
func runMember(t *testing.T, cfg GroupConfig, h BatchHandler, consume func(context.Context, GroupConfig, BatchHandler) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- consume(ctx, cfg, h) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func groupConfig(t *testing.T, cfg Config, topics ...string) GroupConfig {
	return GroupConfig{Config: cfg, Group: realparts.Unique(t, "group"), Topics: topics}
}

func TestEveryRecordIsDeliveredInOrderAndInBatches(t *testing.T) {
	for name, consume := range map[string]func(context.Context, GroupConfig, BatchHandler) error{"group": ConsumeGroup, "all": ConsumeAll} {
		t.Run(name, func(t *testing.T) {
			eachBroker(t, func(t *testing.T, cfg Config) {
				topic, other := newTopic(t, cfg, 4), newTopic(t, cfg, 2)
				fill(t, cfg, topic, 50, 5000)
				l := newLedger(t)
				stop := runMember(t, groupConfig(t, cfg, topic, other), &owner{ledger: l, name: "only"}, consume)
				eventually(t, "all records are delivered", func() bool { return l.delivered() == 5000 })
				stop()
				if len(l.batches) > 500 {
					t.Errorf("5000 records came in %d batches", len(l.batches))
				}
			})
		})
	}
}

func TestReadingStartsAtTheHandlersOffsetsForwardAndBackward(t *testing.T) {
	for name, consume := range map[string]func(context.Context, GroupConfig, BatchHandler) error{"group": ConsumeGroup, "all": ConsumeAll} {
		t.Run(name, func(t *testing.T) {
			eachBroker(t, func(t *testing.T, cfg Config) {
				topic := newTopic(t, cfg, 1)
				fill(t, cfg, topic, 1, 100)
				gc := groupConfig(t, cfg, topic)
				p := Partition{topic, 0}
				for _, from := range []int64{60, 0, 99, 10, 100} { // at first nothing is committed, then the end each time
					l := newLedger(t)
					l.next[p] = from
					stop := runMember(t, gc, &owner{ledger: l, name: fmt.Sprint("from ", from)}, consume)
					if from == 100 {
						fill(t, cfg, topic, 1, 1)
						eventually(t, "the new record is delivered", func() bool { return l.delivered() == 1 })
						stop()
						continue
					}
					eventually(t, fmt.Sprintf("all records from %d are delivered", from), func() bool { return l.delivered() == int(100-from) })
					stop()
				}
			})
		})
	}
}

func TestTheGroupKnowsHowFarTheOwnerHasCome(t *testing.T) {
	eachBroker(t, func(t *testing.T, cfg Config) {
		topic := newTopic(t, cfg, 2)
		fill(t, cfg, topic, 10, 100)
		gc := groupConfig(t, cfg, topic)
		l := newLedger(t)
		o := &owner{ledger: l, name: "only"}
		stop := runMember(t, gc, o, ConsumeGroup)
		eventually(t, "all records are delivered", func() bool { return l.delivered() == 100 })
		stop()
		o.generation.Mark(Partition{topic, 0}, 1) // after the end it does nothing, and does no harm
		for id := range int32(2) {
			if got, want := committed(t, cfg, gc.Group, topic, id), l.next[Partition{topic, id}]; got != want {
				t.Errorf("partition %d: committed %d, want %d", id, got, want)
			}
		}
	})
}

func TestAFailedDeliverIsTriedAgainFromTheCheckpoint(t *testing.T) {
	for name, consume := range map[string]func(context.Context, GroupConfig, BatchHandler) error{"group": ConsumeGroup, "all": ConsumeAll} {
		t.Run(name, func(t *testing.T) {
			_, cfg := fakeBroker(t)
			topic := newTopic(t, cfg, 3)
			fill(t, cfg, topic, 30, 300)
			l := newLedger(t)
			var calls atomic.Int32
			o := &owner{ledger: l, name: "only", slow: func(context.Context, []Record) error {
				if calls.Add(1)%2 == 1 {
					return errors.New("the database is away")
				}
				return nil
			}}
			gc := groupConfig(t, cfg, topic)
			gc.MaxBatch = 50
			stop := runMember(t, gc, o, consume)
			eventually(t, "all records are delivered", func() bool { return l.delivered() == 300 })
			stop()
			for v, n := range l.values {
				if n != 1 {
					t.Errorf("%d counted %d times", v, n)
				}
			}
		})
	}
}

func TestATopicThatComesLaterIsConsumed(t *testing.T) {
	_, cfg := fakeBroker(t)
	topic := realparts.Unique(t, "late")
	l := newLedger(t)
	stop := runMember(t, groupConfig(t, cfg, topic), &owner{ledger: l, name: "only"}, ConsumeGroup)
	makeTopic(t, cfg, topic, 2)
	fill(t, cfg, topic, 5, 50)
	eventually(t, "all records are delivered", func() bool { return l.delivered() == 50 })
	stop()
}

func TestABlockedDeliverEndsWithItsPartition(t *testing.T) {
	eachBroker(t, func(t *testing.T, cfg Config) {
		topic := newTopic(t, cfg, 2)
		fill(t, cfg, topic, 20, 100)
		blocked := make(chan struct{}, 100)
		o := &owner{ledger: newLedger(t), name: "only", slow: func(ctx context.Context, _ []Record) error {
			blocked <- struct{}{}
			<-ctx.Done()
			return ctx.Err()
		}}
		stop := runMember(t, groupConfig(t, cfg, topic), o, ConsumeGroup)
		<-blocked
		began := time.Now()
		stop()
		if took := time.Since(began); took > patience {
			t.Errorf("stopping took %v", took)
		}
	})
}

func TestSettingsThatCannotWorkAreRefused(t *testing.T) {
	ok := GroupConfig{Config: Config{Brokers: []string{"127.0.0.1:1"}}, Group: "g", Topics: []string{"t"}}
	for what, change := range map[string]func(*GroupConfig){
		"no brokers": func(c *GroupConfig) { c.Brokers = nil },
		"no group":   func(c *GroupConfig) { c.Group = "" },
		"no topics":  func(c *GroupConfig) { c.Topics = nil },
	} {
		c := ok
		change(&c)
		if err := ConsumeGroup(t.Context(), c, nil); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}

func TestAnUnreachableBrokerIsWaitedForUntilTheContextEnds(t *testing.T) {
	gc := GroupConfig{Config: Config{Brokers: []string{"127.0.0.1:1"}}, Group: "g", Topics: []string{"t"}}
	for _, consume := range []func(context.Context, GroupConfig, BatchHandler) error{ConsumeGroup, ConsumeAll} {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		if err := consume(ctx, gc, nil); err != nil {
			t.Error(err)
		}
		cancel()
	}
}
