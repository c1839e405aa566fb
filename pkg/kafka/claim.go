package kafka

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/orderlane/orderlane/pkg/turn"
)

// claim is one partition in one generation of the group. One goroutine reads it and admits
// messages to the flight; the flight says when they are done.
type claim struct {
	*subscription
	session sarama.ConsumerGroupSession
	source  sarama.ConsumerGroupClaim
	stop    <-chan struct{}    // closed when the generation ends
	ctx     context.Context    // what contexts of messages inherit; ends with the claim
	cancel  context.CancelFunc // ends ctx
	space   chan struct{}      // wakes the reader when the window has room again
	common  map[string]string  // header values that messages have in common; the reader's

	inFlight    atomic.Int64
	next        atomic.Int64 // offset to commit
	done        atomic.Int64
	redelivered atomic.Int64
}

// flight holds the messages of a claim that are not done.
type flight interface {
	// admit hands a message out, or puts it behind the earlier ones of its key. It reports
	// false when the claim ends first.
	admit(e *entry) bool
	// drain waits until what is in flight has ended, and at most for the drain time.
	drain()
}

// entry is a message in flight.
type entry struct {
	source *sarama.ConsumerMessage
	msg    *message.Message // the present attempt
	ctx    context.Context
	turn   *turn.Turn // ByTurn
	next   *entry     // ByKey: the one behind it of the same key
	failed int        // attempts that were nacked
	due    time.Time  // waiting: when to try again; zero until the first sweep
	state  state
}

type state uint8

const (
	flying  state = iota // with a handler, or on its way to one
	waiting              // nacked, to be delivered again
	done
)

func newClaim(s *subscription, session sarama.ConsumerGroupSession, source sarama.ConsumerGroupClaim) *claim {
	c := &claim{
		subscription: s, session: session, source: source,
		stop: session.Context().Done(), space: make(chan struct{}, 1), common: make(map[string]string),
	}
	c.ctx, c.cancel = context.WithCancel(s.values)
	c.next.Store(max(source.InitialOffset(), fromTheStart))
	return c
}

// fromTheStart stands for the offset of the first message there is, until it has been read.
const fromTheStart = -1

// consume reads the partition until the generation ends, and drains.
func (c *claim) consume() {
	defer c.cancel()
	var f flight
	line := (*turn.Line)(nil)
	if c.cfg.Mode == ByTurn {
		line, f = turn.NewLine(), newByTurn(c)
	} else {
		f = newByKey(c)
	}
	defer f.drain()
	window := int64(c.cfg.Window)
	for {
		select {
		case <-c.stop:
			return
		case m, ok := <-c.source.Messages():
			if !ok {
				return
			}
			for c.inFlight.Load() >= window {
				select {
				case <-c.space:
				case <-c.stop:
					return
				}
			}
			c.next.CompareAndSwap(fromTheStart, m.Offset)
			c.inFlight.Add(1)
			if !f.admit(c.entry(m, line)) {
				c.inFlight.Add(-1)
				return
			}
		}
	}
}

// finished says that n more messages are done and that all before next are.
func (c *claim) finished(n int, next int64) {
	c.session.MarkOffset(c.topic, c.source.Partition(), next, "")
	c.next.Store(next)
	c.done.Add(int64(n))
	c.inFlight.Add(-int64(n))
	select {
	case c.space <- struct{}{}:
	default:
	}
}

func (c *claim) entry(m *sarama.ConsumerMessage, line *turn.Line) *entry {
	e := &entry{source: m}
	ctx := &deliveryContext{Context: c.ctx, delivery: Delivery{
		Topic: m.Topic, Partition: m.Partition, Offset: m.Offset, Key: m.Key, Time: m.Timestamp, Attempt: 1,
	}}
	if line != nil {
		if m.Key == nil {
			line = turn.NewLine() // without a key there is no order to keep
		}
		e.turn = line.Join(string(m.Key))
		ctx.turn = e.turn
	}
	e.ctx = ctx
	e.attempt(c.common)
	return e
}

// attempt makes the message of one delivery: Watermill's can be acked or nacked once. Only the
// partition's reader has common values.
func (e *entry) attempt(common map[string]string) {
	m := e.source
	metadata := metadataOf(m.Headers, common)
	id := metadata[headerID]
	if id == "" {
		id = m.Topic + "/" + strconv.Itoa(int(m.Partition)) + "/" + strconv.FormatInt(m.Offset, 10)
	}
	e.msg = message.NewMessage(id, m.Value)
	e.msg.Metadata = metadata
	ctx := e.ctx
	if e.failed > 0 {
		d, _ := DeliveryFrom(ctx)
		d.Attempt += e.failed
		ctx = NewDeliveryContext(ctx, d)
	}
	e.msg.SetContext(ctx)
}

func (e *entry) acked() bool {
	select {
	case <-e.msg.Acked():
		return true
	default:
		return false
	}
}

func (e *entry) nacked() bool {
	select {
	case <-e.msg.Nacked():
		return true
	default:
		return false
	}
}

// ClaimStats is how far a Subscriber has come with a partition that it holds.
type ClaimStats struct {
	Partition
	InFlight    int   // messages handed out or waiting for their key, not done
	Done        int64 // since the partition was assigned
	Redelivered int64 // after a Nack, since the partition was assigned
	Next        int64 // the offset that is committed, or will be within a second; -1 before the first message ever
	End         int64 // the offset after the last message there is, as of the last fetch
}

// Stats returns the partitions that are held now, for metrics; it costs next to nothing.
func (s *Subscriber) Stats() []ClaimStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := make([]ClaimStats, 0, len(s.claims))
	for c := range s.claims {
		stats = append(stats, ClaimStats{
			Partition:   Partition{Topic: c.topic, ID: c.source.Partition()},
			InFlight:    int(c.inFlight.Load()),
			Done:        c.done.Load(),
			Redelivered: c.redelivered.Load(),
			Next:        c.next.Load(),
			End:         c.source.HighWaterMarkOffset(),
		})
	}
	slices.SortFunc(stats, func(a, b ClaimStats) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.ID, b.ID))
	})
	return stats
}
