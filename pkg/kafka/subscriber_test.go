package kafka

import (
	"errors"
	"log/slog"
	"math/rand/v2"
	"strconv"
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
	eventually(t, "all messages", func() bool {
		stats := s.Stats()[0]
		return stats.Next == 300 && stats.InFlight == 0
	})
	if stats := s.Stats()[0]; stats.Done != 300 {
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
		{
			Topic: topic, Partition: AnyPartition, Key: []byte("k"), Value: []byte("v"), Time: testTime,
			Headers: []Header{{"ce_id", []byte("the-id")}, {"ce_type", []byte("a.type")}, {"other", []byte("o")}},
		},
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
