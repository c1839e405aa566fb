package commandapi

import (
	"context"
	"sync"

	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/kafka"
)

// replies hands outcomes to the requests that wait for them. Each instance reads one
// partition of the outcomes topic, which its commands name as the place to reply to.
type replies struct {
	partition int32

	mu      sync.Mutex
	waiting map[string][]chan *bus.Outcome // by command id: a client may retry while it waits
}

func newReplies(partition int32) *replies {
	return &replies{partition: partition, waiting: make(map[string][]chan *bus.Outcome)}
}

// run reads the partition from its end on until ctx ends; standing is called when it stands
// there, so that no reply to a command published after that is missed.
func (r *replies) run(ctx context.Context, config kafka.Config, standing func()) error {
	p := kafka.Partition{Topic: bus.OutcomesTopic, ID: r.partition}
	return kafka.TailPartition(ctx, config, p, func(int64) { standing() }, r.take)
}

// expect returns where the answer to a command will come. forget ends the expectation.
func (r *replies) expect(id string) (answer <-chan *bus.Outcome, forget func()) {
	c := make(chan *bus.Outcome, 1)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting[id] = append(r.waiting[id], c)
	return c, func() { r.forget(id, c) }
}

func (r *replies) forget(id string, gone chan *bus.Outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	left := r.waiting[id][:0]
	for _, c := range r.waiting[id] {
		if c != gone {
			left = append(left, c)
		}
	}
	if len(left) == 0 {
		delete(r.waiting, id)
		return
	}
	r.waiting[id] = left
}

// take decodes a record only if someone waits for it.
func (r *replies) take(rec kafka.Record) {
	r.mu.Lock()
	waiting := r.waiting[string(rec.Key)]
	delete(r.waiting, string(rec.Key))
	r.mu.Unlock()
	if len(waiting) == 0 {
		return
	}
	var o bus.Outcome
	if bus.Decode(rec.Value, &o) != nil {
		return // those who wait get their 202
	}
	for _, c := range waiting {
		c <- &o
	}
}
