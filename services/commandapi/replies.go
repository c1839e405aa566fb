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
	waiting map[asked][]chan *bus.Outcome // a client may retry while it waits
}

// asked is a request as its answer names it. A key that is reused for another body while the
// first request still waits leads to the same command, and each gets its own answer.
type asked struct{ command, digest string }

func newReplies(partition int32) *replies {
	return &replies{partition: partition, waiting: make(map[asked][]chan *bus.Outcome)}
}

// run reads the partition from its end on until ctx ends; standing is called when it stands
// there, so that no reply to a command published after that is missed.
func (r *replies) run(ctx context.Context, config kafka.Config, standing func()) error {
	p := kafka.Partition{Topic: bus.OutcomesTopic, ID: r.partition}
	return kafka.TailPartition(ctx, config, p, func(int64) { standing() }, r.take)
}

// expect returns where the answer to a command will come. forget ends the expectation.
func (r *replies) expect(command, digest string) (answer <-chan *bus.Outcome, forget func()) {
	id, c := asked{command, digest}, make(chan *bus.Outcome, 1)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting[id] = append(r.waiting[id], c)
	return c, func() { r.forget(id, c) }
}

func (r *replies) forget(id asked, gone chan *bus.Outcome) {
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
	id := asked{string(rec.Key), rec.Header(bus.HeaderDigest)}
	r.mu.Lock()
	waiting := r.waiting[id]
	delete(r.waiting, id)
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
