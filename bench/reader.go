package main

import (
	"context"
	"maps"
	"sync"

	"github.com/orderlane/orderlane/pkg/kafka"
)

// reader is a kafka.BatchHandler that passes on the records of topics from their start, each once.
type reader struct {
	take func(context.Context, []kafka.Record) error // called concurrently, for each partition by itself

	mu   sync.Mutex
	next map[kafka.Partition]int64
}

func newReader(take func(context.Context, []kafka.Record) error) *reader {
	return &reader{take: take, next: make(map[kafka.Partition]int64)}
}

// Assigned implements kafka.BatchHandler: after a lost connection it goes on where it was.
func (r *reader) Assigned(context.Context, kafka.Generation, []kafka.Partition) (map[kafka.Partition]int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.next), nil
}

// Revoked implements kafka.BatchHandler.
func (*reader) Revoked([]kafka.Partition) {}

// Deliver implements kafka.BatchHandler.
func (r *reader) Deliver(ctx context.Context, recs []kafka.Record) error {
	if err := r.take(ctx, recs); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	last := &recs[len(recs)-1]
	r.next[kafka.Partition{Topic: last.Topic, ID: last.Partition}] = last.Offset + 1
	return nil
}
