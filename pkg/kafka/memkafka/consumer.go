package memkafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/orderlane/orderlane/pkg/kafka"
)

// Consumer drives a kafka.BatchHandler by single steps. Its methods are for one goroutine; Marked
// is safe for concurrent use.
type Consumer struct {
	broker  *Broker
	handler kafka.BatchHandler
	current *generation
	turn    int // whose turn it is in StepAny

	mu     sync.Mutex
	marked map[kafka.Partition]int64
}

// generation is one assignment.
type generation struct {
	consumer *Consumer
	ctx      context.Context
	cancel   context.CancelFunc
	parts    []kafka.Partition
	next     map[kafka.Partition]int64
}

// Consumer returns a consumer with nothing assigned.
func (b *Broker) Consumer(h kafka.BatchHandler) *Consumer {
	return &Consumer{broker: b, handler: h, marked: make(map[kafka.Partition]int64)}
}

// Mark implements kafka.Generation.
func (g *generation) Mark(p kafka.Partition, next int64) {
	g.consumer.mu.Lock()
	defer g.consumer.mu.Unlock()
	if g.ctx.Err() == nil {
		g.consumer.marked[p] = max(next, g.consumer.marked[p])
	}
}

// Assign starts a generation that owns the partitions, and asks the handler where to go on.
// Contexts of the steps to come end with ctx, or with Revoke.
func (c *Consumer) Assign(ctx context.Context, parts ...kafka.Partition) error {
	if c.current != nil {
		return errors.New("memkafka: the consumer has partitions already")
	}
	g := &generation{consumer: c, parts: parts, next: make(map[kafka.Partition]int64)}
	g.ctx, g.cancel = context.WithCancel(ctx)
	next, err := c.handler.Assigned(g.ctx, g, slices.Clone(parts))
	if err != nil {
		g.cancel()
		return fmt.Errorf("memkafka: assign: %w", err)
	}
	maps.Copy(g.next, next)
	c.current = g
	return nil
}

// Revoke ends the generation, if there is one.
func (c *Consumer) Revoke() {
	if g := c.current; g != nil {
		c.current = nil
		g.cancel()
		c.handler.Revoked(slices.Clone(g.parts))
	}
}

// Step delivers up to limit waiting records of one partition, and says how many there were. If
// the handler fails it has had none of them: the next step delivers them again, unless there is a
// new generation before.
func (c *Consumer) Step(p kafka.Partition, limit int) (int, error) {
	g := c.current
	if g == nil || !slices.Contains(g.parts, p) {
		return 0, fmt.Errorf("memkafka: %s/%d is not assigned", p.Topic, p.ID)
	}
	recs := c.broker.Records(p, g.next[p], limit)
	if len(recs) == 0 {
		return 0, nil
	}
	if err := c.handler.Deliver(g.ctx, recs); err != nil {
		return 0, err
	}
	g.next[p] = recs[len(recs)-1].Offset + 1
	return len(recs), nil
}

// StepAny steps the first partition, in turn, that has something waiting.
func (c *Consumer) StepAny(limit int) (int, error) {
	if c.current == nil {
		return 0, nil
	}
	parts := c.current.parts
	for range parts {
		p := parts[c.turn%len(parts)]
		c.turn++
		if n, err := c.Step(p, limit); n > 0 || err != nil {
			return n, err
		}
	}
	return 0, nil
}

// Follow steps whatever waits, and again whenever more is told, until ctx ends or a step fails.
func (c *Consumer) Follow(ctx context.Context, more <-chan struct{}) error {
	for {
		n, err := c.StepAny(-1)
		if err != nil {
			return err
		}
		if n > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-more:
		}
	}
}

// Waiting is how many records wait to be delivered.
func (c *Consumer) Waiting(p kafka.Partition) int {
	if c.current == nil {
		return 0
	}
	return len(c.broker.Records(p, c.current.next[p], -1))
}

// Marked is how far the handler has said it has come with a partition, in any generation.
func (c *Consumer) Marked(p kafka.Partition) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.marked[p]
}
