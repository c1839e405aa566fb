package kafka

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/orderlane/orderlane/e2e/realparts"
	"github.com/orderlane/orderlane/pkg/turn"
)

// seen collects what handlers have done, in order, per key.
type seen struct {
	mu    sync.Mutex
	keys  map[string][]int
	count map[int]int
}

func newSeen() *seen { return &seen{keys: make(map[string][]int), count: make(map[int]int)} }

func (s *seen) add(m *message.Message) {
	d, ok := DeliveryFrom(m.Context())
	if !ok {
		panic("a message without a delivery")
	}
	i := number(m)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys[string(d.Key)] = append(s.keys[string(d.Key)], i)
	s.count[i]++
}

func (s *seen) distinct() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.count)
}

// inOrder fails unless the first occurrences of each key are in order, and all are there.
func (s *seen) inOrder(t *testing.T, want int) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.count) != want {
		t.Errorf("handled %d of %d messages", len(s.count), want)
	}
	for key, values := range s.keys {
		last := -1
		for _, v := range values {
			if s.count[v] > 1 && v <= last {
				continue // a repeat
			}
			if v < last {
				t.Fatalf("%s: %d after %d", key, v, last)
			}
			last = v
		}
	}
}

func number(m *message.Message) int {
	i, err := strconv.Atoi(string(m.Payload))
	if err != nil {
		panic(err)
	}
	return i
}

func subscriber(t *testing.T, cfg SubscriberConfig) *Subscriber {
	t.Helper()
	cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	s, err := NewSubscriber(cfg)
	check(t, err)
	t.Cleanup(func() { check(t, s.Close()) })
	return s
}

func subscribe(t *testing.T, s *Subscriber, topic string, handler func(*message.Message) error) *handling {
	t.Helper()
	messages, err := s.Subscribe(t.Context(), topic)
	check(t, err)
	return handle(messages, handler)
}

func TestByTurnKeepsTheOrderOfEachKeyWhileHandlersRace(t *testing.T) {
	eachBroker(t, func(t *testing.T, cfg Config) {
		const count = 5000
		topic := newTopic(t, cfg, 4)
		fill(t, cfg, topic, 50, count)
		s := subscriber(t, SubscriberConfig{Config: cfg, Group: topic, Window: 64})
		got := newSeen()
		h := subscribe(t, s, topic, func(m *message.Message) error {
			if number(m)%7 == 0 {
				<-time.After(time.Duration(rand.IntN(500)) * time.Microsecond)
			}
			turn.FromContext(m.Context()).Take(func() { got.add(m) })
			return nil
		})
		eventually(t, "all messages", func() bool { return got.distinct() == count })
		check(t, s.Close())
		h.wait()
		got.inOrder(t, count)
		total := int64(0)
		for p := range int32(4) {
			total += max(0, committed(t, cfg, topic, topic, p))
		}
		if total != count {
			t.Errorf("committed offsets add up to %d, not %d", total, count)
		}
	})
}

func TestByTurnHandsOutAWindowAndNoMore(t *testing.T) {
	_, cfg := fakeBroker(t)
	topic := newTopic(t, cfg, 1)
	fill(t, cfg, topic, 100, 300)
	s := subscriber(t, SubscriberConfig{Config: cfg, Group: topic, Window: 32})
	var running atomic.Int32
	let := make(chan struct{})
	h := subscribe(t, s, topic, func(m *message.Message) error {
		running.Add(1)
		<-let
		return nil
	})
	eventually(t, "a full window", func() bool { return running.Load() == 32 })
	if stats := s.Stats(); len(stats) != 1 || stats[0].InFlight > 33 || stats[0].Next != 0 || stats[0].End != 300 {
		t.Errorf("stats of a full window: %+v", stats)
	}
	if n := running.Load(); n != 32 {
		t.Errorf("%d handlers run with a window of 32", n)
	}
	close(let)
	eventually(t, "all messages", func() bool { return s.Stats()[0].Next == 300 })
	if stats := s.Stats()[0]; stats.InFlight != 0 || stats.Done != 300 {
		t.Errorf("stats at the end: %+v", stats)
	}
	check(t, s.Close())
	h.wait()
}

func TestByTurnCommitsUpToTheLowestMessageNotDone(t *testing.T) {
	eachBroker(t, func(t *testing.T, cfg Config) {
		topic := newTopic(t, cfg, 1)
		fill(t, cfg, topic, 100, 100)
		s := subscriber(t, SubscriberConfig{Config: cfg, Group: topic, Drain: 100 * time.Millisecond})
		got := newSeen()
		h := subscribe(t, s, topic, func(m *message.Message) error {
			if number(m) == 40 {
				<-m.Context().Done() // never done in this life
				return m.Context().Err()
			}
			got.add(m)
			return nil
		})
		eventually(t, "all messages but one", func() bool { return got.distinct() == 99 })
		check(t, s.Close())
		h.wait()
		if o := committed(t, cfg, topic, topic, 0); o != 40 {
			t.Errorf("committed %d, the lowest not done is 40", o)
		}

		s = subscriber(t, SubscriberConfig{Config: cfg, Group: topic})
		again := newSeen()
		h = subscribe(t, s, topic, func(m *message.Message) error { again.add(m); return nil })
		eventually(t, "the rest again", func() bool { return again.distinct() == 60 })
		check(t, s.Close())
		h.wait()
		if o := committed(t, cfg, topic, topic, 0); o != 100 {
			t.Errorf("committed %d after all is done", o)
		}
	})
}

func TestANackedMessageComesAgainWhileItsKeyWaitsAndOthersGoOn(t *testing.T) {
	for name, mode := range map[string]Mode{"by turn": ByTurn, "by key": ByKey} {
		t.Run(name, func(t *testing.T) {
			_, cfg := fakeBroker(t)
			topic := newTopic(t, cfg, 1)
			fill(t, cfg, topic, 10, 200)
			s := subscriber(t, SubscriberConfig{Config: cfg, Group: topic, Mode: mode, RetryMin: time.Millisecond})
			got := newSeen()
			var attempts atomic.Int32
			mend := make(chan struct{})
			h := subscribe(t, s, topic, func(m *message.Message) error {
				if number(m) == 23 && attempts.Add(1) <= 1000 {
					select {
					case <-mend:
					default:
						return errors.New("not yet")
					}
				}
				if mode == ByTurn {
					taken := make(chan struct{})
					turn.FromContext(m.Context()).Take(func() { got.add(m); close(taken) })
					<-taken // as Submit does
					return nil
				}
				got.add(m)
				return nil
			})
			// Key 3 has 3, 13, 23...: two are done; 180 of the other keys.
			eventually(t, "all other keys", func() bool { return got.distinct() == 182 })
			eventually(t, "several attempts", func() bool { return attempts.Load() >= 3 })
			if got.distinct() != 182 {
				t.Error("the key of a nacked message did not wait")
			}
			if next := s.Stats()[0].Next; next > 23 {
				t.Errorf("offset %d is past the nacked message", next)
			}
			close(mend)
			eventually(t, "all messages", func() bool { return got.distinct() == 200 && s.Stats()[0].Next == 200 })
			if s.Stats()[0].Redelivered < 2 {
				t.Error("redeliveries are not counted")
			}
			check(t, s.Close())
			h.wait()
			got.inOrder(t, 200)
		})
	}
}

func TestATurnThatWasNeverTakenIsReleasedWhenItsMessageIsDone(t *testing.T) {
	_, cfg := fakeBroker(t)
	topic := newTopic(t, cfg, 1)
	fill(t, cfg, topic, 2, 10)
	s := subscriber(t, SubscriberConfig{Config: cfg, Group: topic})
	got := newSeen()
	oldest := make(chan struct{})
	h := subscribe(t, s, topic, func(m *message.Message) error {
		switch number(m) {
		case 0: // the oldest of the partition takes its time
			<-oldest
		case 1: // does not get as far as its turn
			return nil
		}
		taken := make(chan struct{})
		turn.FromContext(m.Context()).Take(func() { got.add(m); close(taken) })
		<-taken
		return nil
	})
	eventually(t, "the key of the message without a turn", func() bool { return got.distinct() == 4 })
	close(oldest)
	eventually(t, "all messages", func() bool { return got.distinct() == 9 })
	check(t, s.Close())
	h.wait()
}

func TestByKeyHandsOutOneMessageOfAKeyAtATime(t *testing.T) {
	eachBroker(t, func(t *testing.T, cfg Config) {
		const count = 2000
		topic := newTopic(t, cfg, 2)
		fill(t, cfg, topic, 30, count)
		s := subscriber(t, SubscriberConfig{Config: cfg, Group: topic, Mode: ByKey, Lanes: 16, RetryMin: time.Millisecond})
		got := newSeen()
		var mu sync.Mutex
		busy := make(map[string]bool)
		var lanes, most atomic.Int32
		h := subscribe(t, s, topic, func(m *message.Message) error {
			d, _ := DeliveryFrom(m.Context())
			mu.Lock()
			if busy[string(d.Key)] {
				t.Errorf("two messages of %s at once", d.Key)
			}
			busy[string(d.Key)] = true
			mu.Unlock()
			if n := lanes.Add(1); n > most.Load() {
				most.Store(n)
			}
			defer func() {
				lanes.Add(-1)
				mu.Lock()
				busy[string(d.Key)] = false
				mu.Unlock()
			}()
			if rand.IntN(50) == 0 {
				return errors.New("by chance")
			}
			got.add(m)
			return nil
		})
		eventually(t, "all messages", func() bool { return got.distinct() == count })
		check(t, s.Close())
		h.wait()
		got.inOrder(t, count)
		if n := most.Load(); n > 17 { // a handler may still be returning when its lane is free
			t.Errorf("%d lanes at once, 16 are allowed", n)
		}
	})
}

func TestByKeyWaitsForAHundredSlowHandlersAtOnce(t *testing.T) {
	_, cfg := fakeBroker(t)
	topic := newTopic(t, cfg, 1)
	const count = 100
	fill(t, cfg, topic, count, count)
	s := subscriber(t, SubscriberConfig{Config: cfg, Group: topic, Mode: ByKey})
	var waiting atomic.Int32
	answer := make(chan struct{})
	h := subscribe(t, s, topic, func(m *message.Message) error {
		waiting.Add(1)
		<-answer
		return nil
	})
	eventually(t, "all handlers wait at once", func() bool { return waiting.Load() == count })
	close(answer)
	eventually(t, "all are done", func() bool { return s.Stats()[0].Next == count })
	check(t, s.Close())
	h.wait()
}

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
	case <-closed:
		t.Fatal("closed with messages in flight")
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

func TestASubscriberWaitsForItsTopic(t *testing.T) {
	_, cfg := fakeBroker(t)
	topic := realparts.Unique(t, "late")
	s := subscriber(t, SubscriberConfig{Config: cfg, Group: topic})
	got := newSeen()
	h := subscribe(t, s, topic, func(m *message.Message) error { got.add(m); return nil })
	makeTopic(t, cfg, topic, 1)
	fill(t, cfg, topic, 5, 10)
	eventually(t, "messages of a topic made later", func() bool { return got.distinct() == 10 })
	check(t, s.Close())
	h.wait()
}

func TestAMessageSaysWhereItCameFrom(t *testing.T) {
	_, cfg := fakeBroker(t)
	topic := newTopic(t, cfg, 1)
	p, err := NewProducer(cfg)
	check(t, err)
	check(t, p.Publish(t.Context(), []Record{
		{Topic: topic, Partition: AnyPartition, Key: []byte("k"), Value: []byte("v"), Time: testTime,
			Headers: []Header{{"ce_id", []byte("the-id")}, {"ce_type", []byte("a.type")}, {"other", []byte("o")}}},
		{Topic: topic, Partition: 0, Value: []byte("w"), Time: testTime},
	}))
	check(t, p.Close())
	s := subscriber(t, SubscriberConfig{Config: cfg, Group: topic})
	messages, err := s.Subscribe(t.Context(), topic)
	check(t, err)
	m := <-messages
	d, ok := DeliveryFrom(m.Context())
	if !ok || d.Topic != topic || d.Partition != 0 || d.Offset != 0 || string(d.Key) != "k" || !d.Time.Equal(testTime) {
		t.Errorf("delivery %+v", d)
	}
	if m.UUID != "the-id" || string(m.Payload) != "v" || m.Metadata["ce_type"] != "a.type" || m.Metadata["other"] != "o" || len(m.Metadata) != 3 {
		t.Errorf("message %+v", m)
	}
	m.Ack()
	m = <-messages
	if m.UUID != topic+"/0/1" || turn.FromContext(m.Context()) == nil {
		t.Errorf("message without headers and key: %+v", m)
	}
	m.Ack()
	check(t, s.Close())
	if _, ok := <-messages; ok {
		t.Error("a message after Close")
	}
	if _, err := s.Subscribe(t.Context(), topic); err == nil {
		t.Error("a closed subscriber subscribes")
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
