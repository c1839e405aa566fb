package memkafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/turn"
)

// Subscriber hands records to Watermill handlers as kafka.Subscriber does in its ByTurn mode: at
// once, in the partition's order, each with a turn of its key in its context; and it commits up
// to the lowest that is not done. It owns all partitions. Either a caller takes messages with
// Next and runs handlers itself, or it calls Subscribe, as a Watermill router does, and passes
// messages on with Step. Settle looks what has become of them. It is safe for concurrent use.
type Subscriber struct {
	broker *Broker
	window int

	mu     sync.Mutex
	closed bool
	claims map[kafka.Partition]*claim
	out    map[string]chan *message.Message
	ctx    context.Context
	cancel context.CancelFunc
}

// claim is one partition.
type claim struct {
	committed int64 // what is done without a gap
	next      int64 // to hand out
	line      *turn.Line
	flying    []*flying // not done, or done behind one that is not
}

type flying struct {
	record  kafka.Record
	message *message.Message
	turn    *turn.Turn
	failed  int // attempts that were nacked
	done    bool
}

// Subscriber returns a subscriber that has at most window messages of a partition in flight;
// kafka.DefaultWindow if 0.
func (b *Broker) Subscriber(window int) *Subscriber {
	if window <= 0 {
		window = kafka.DefaultWindow
	}
	s := &Subscriber{broker: b, window: window, claims: make(map[kafka.Partition]*claim), out: make(map[string]chan *message.Message)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

func (s *Subscriber) claim(p kafka.Partition) *claim {
	c := s.claims[p]
	if c == nil {
		c = &claim{line: turn.NewLine()}
		s.claims[p] = c
	}
	return c
}

// Next takes the next message of a partition; ok is false when none waits or the window is full.
func (s *Subscriber) Next(p kafka.Partition) (m *message.Message, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.take(p)
}

func (s *Subscriber) take(p kafka.Partition) (*message.Message, bool) {
	c := s.claim(p)
	recs := s.broker.Records(p, c.next, 1)
	if s.closed || len(c.flying) >= s.window || len(recs) == 0 {
		return nil, false
	}
	f := &flying{record: recs[0], turn: joinTurn(c.line, recs[0].Key)}
	f.message = s.attempt(f)
	c.flying = append(c.flying, f)
	c.next = f.record.Offset + 1
	return f.message, true
}

// joinTurn gives records without a key a turn that waits for nobody.
func joinTurn(line *turn.Line, key []byte) *turn.Turn {
	if key == nil {
		line = turn.NewLine()
	}
	return line.Join(string(key))
}

// attempt makes the message of one delivery.
func (s *Subscriber) attempt(f *flying) *message.Message {
	r := &f.record
	id := r.Header(headerID)
	if id == "" {
		id = r.Topic + "/" + strconv.Itoa(int(r.Partition)) + "/" + strconv.FormatInt(r.Offset, 10)
	}
	m := message.NewMessage(id, r.Value)
	for _, h := range r.Headers {
		m.Metadata[h.Key] = string(h.Value)
	}
	m.SetContext(turn.NewContext(kafka.NewDeliveryContext(s.ctx, kafka.Delivery{
		Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Key: r.Key, Time: r.Time, Attempt: 1 + f.failed,
	}), f.turn))
	return m
}

// Subscribe implements Watermill's message.Subscriber. The channel has room for all that may be
// in flight, so that Step never waits; it is closed by Close alone.
func (s *Subscriber) Subscribe(_ context.Context, name string) (<-chan *message.Message, error) {
	parts := s.broker.Partitions(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return nil, errors.New("memkafka: subscriber is closed")
	case len(parts) == 0:
		return nil, fmt.Errorf("memkafka: there is no topic %s", name)
	case s.out[name] != nil:
		return nil, fmt.Errorf("memkafka: %s is subscribed to already", name)
	}
	s.out[name] = make(chan *message.Message, s.window*len(parts))
	return s.out[name], nil
}

// Step passes the next message of a partition to the channel of its topic, and says whether there
// was one.
func (s *Subscriber) Step(p kafka.Partition) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.out[p.Topic]
	if out == nil {
		return false
	}
	m, ok := s.take(p)
	if ok {
		out <- m
	}
	return ok
}

// Settle looks at what is in flight: what was acked is done, ends its turn and lets the committed
// offset move; what was nacked is delivered again, in its turn: to the channel of its topic, or,
// if there is none, in what Settle returns.
func (s *Subscriber) Settle() (again []*message.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.broker.Partitions() {
		c := s.claims[p]
		if c == nil {
			continue
		}
		for _, f := range c.flying {
			again = append(again, s.settle(p, f)...)
		}
		for len(c.flying) > 0 && c.flying[0].done {
			c.committed = c.flying[0].record.Offset + 1
			c.flying = c.flying[1:]
		}
	}
	return again
}

func (s *Subscriber) settle(p kafka.Partition, f *flying) []*message.Message {
	if f.done {
		return nil
	}
	select {
	case <-f.message.Acked():
		f.done = true
		f.turn.Release()
		return nil
	case <-f.message.Nacked():
	default:
		return nil
	}
	if s.closed {
		return nil
	}
	f.failed++
	f.message = s.attempt(f)
	if out := s.out[p.Topic]; out != nil {
		out <- f.message // has room: the attempt before was taken out
		return nil
	}
	return []*message.Message{f.message}
}

// Committed is the offset up to which all is done, as of the last Settle.
func (s *Subscriber) Committed(p kafka.Partition) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.claim(p).committed
}

// InFlight is how many messages of a partition are handed out and hold up the committed offset,
// as of the last Settle.
func (s *Subscriber) InFlight(p kafka.Partition) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.claim(p).flying)
}

// Crash forgets what is in flight, and goes on from the committed offsets, as another process
// would. Contexts of messages that were handed out end.
func (s *Subscriber) Crash() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cancel()
	s.ctx, s.cancel = context.WithCancel(context.Background())
	for _, c := range s.claims {
		c.next, c.flying, c.line = c.committed, nil, turn.NewLine()
	}
	for _, out := range s.out {
		for len(out) > 0 {
			select {
			case <-out:
			default:
			}
		}
	}
}

// Close ends the contexts of messages and closes the channels.
func (s *Subscriber) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	s.cancel()
	for _, out := range s.out {
		close(out)
	}
	return nil
}
