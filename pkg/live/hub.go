package live

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Hub follows topics for the streams of one process. Its methods are safe for concurrent use.
type Hub struct {
	o       Options
	replays chan struct{} // one for each stream that catches up from topics
	wanted  chan struct{} // tells Run that there is somebody to follow the topics for

	// mu is over the tail, its rings, and what waits for streams. It is held for as long as it takes
	// to put an event into the queues of those that it is for.
	mu     sync.Mutex
	tail   *tail // nil while nobody listens
	opened int64 // streams so far
}

// New returns a hub, which does nothing before Run.
func New(o Options) *Hub {
	return &Hub{o: o.withDefaults(), replays: make(chan struct{}, replays), wanted: make(chan struct{}, 1)}
}

// Run follows the topics while there are streams, until ctx ends; then it returns nil. It returns an
// error only for settings that cannot work. It is called once.
func (h *Hub) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-h.wanted:
		}
		h.mu.Lock()
		t := h.tail
		h.mu.Unlock()
		if t == nil {
			continue
		}
		if err := h.follow(ctx, t); err != nil {
			return err
		}
	}
}

// follow reads the topics until nobody has listened for a while, or ctx ends.
func (h *Hub) follow(ctx context.Context, t *tail) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- h.o.Source.Consume(ctx, h.o.Topics, t) }()
	tick := time.NewTicker(h.o.Idle)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			h.drop(t, true)
			return err
		case <-tick.C:
			if h.drop(t, false) {
				h.o.Log.Debug("nobody listens: the topics are not followed any more")
				stop()
				return <-ended
			}
		}
	}
}

// drop gives up a tail that nobody has used since the last call, or in any case, and reports whether it has.
func (h *Hub) drop(t *tail, anyway bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !anyway && (t.used || t.streams() > 0) {
		t.used = false
		return false
	}
	if h.tail == t {
		h.tail = nil
	}
	return true
}

// join returns the tail, which stands in the topics, so that there is a place to begin at.
func (h *Hub) join(ctx context.Context) (*tail, error) {
	h.mu.Lock()
	t := h.tail
	if t == nil {
		t = newTail(h)
		h.tail = t
		select {
		case h.wanted <- struct{}{}:
		default:
		}
	}
	t.used = true
	wait := h.o.Standing
	if t.late {
		wait = 0
	}
	h.mu.Unlock()

	select {
	case <-t.standing:
		return t, nil
	default:
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-t.standing:
		return t, nil
	case <-timer.C:
		h.mu.Lock()
		t.late = true
		h.mu.Unlock()
		return nil, ErrNotStanding
	case <-ctx.Done():
		return nil, fmt.Errorf("live: wait for the topics: %w", ctx.Err())
	}
}
