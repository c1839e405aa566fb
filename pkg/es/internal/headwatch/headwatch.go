// Package headwatch lets callers wait for the head of a log to move. The logs share it:
// an append, or word of another instance's append, advances the watch and wakes them.
package headwatch

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/orderlane/orderlane/pkg/es"
)

// Watch is the highest head that this instance has heard of. Its methods are safe for
// concurrent use.
type Watch struct {
	mu     sync.Mutex
	epoch  string // of head, where See told of one
	head   int64
	moved  chan struct{} // closed at the next advance; nil while nobody waits
	closed chan struct{}
	once   sync.Once
}

// New returns a watch that stands at head.
func New(head int64) *Watch {
	return &Watch{head: head, closed: make(chan struct{})}
}

// Head returns the highest head heard of.
func (w *Watch) Head() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.head
}

// Advance moves the watch to head and wakes those who wait; a lower head changes nothing.
func (w *Watch) Advance(head int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if head <= w.head {
		return
	}
	w.head = head
	w.wake()
}

// See advances the watch to a head that was read from the log. Under a newer epoch than the
// last one seen the watch goes to where the log is, also back. A head of an older epoch changes
// nothing: it was read before another call saw the newer one.
func (w *Watch) See(head es.Head) {
	w.mu.Lock()
	defer w.mu.Unlock()
	known := w.epoch != ""
	switch {
	case known && es.Generation(head.Epoch) < es.Generation(w.epoch):
		return
	case known && w.epoch != head.Epoch:
		w.head = head.Position
		w.wake()
	case head.Position > w.head:
		w.head = head.Position
		w.wake()
	}
	w.epoch = head.Epoch
}

// Reset moves the watch to a head that may be lower than the one it stands at.
func (w *Watch) Reset(head es.Head) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.epoch, w.head = head.Epoch, head.Position
}

// wake wakes those who wait, to look at the head again.
func (w *Watch) wake() {
	if w.moved != nil {
		close(w.moved)
		w.moved = nil
	}
}

// Close ends all waits, now and later, with es.ErrClosed. It says whether this call was the
// first, whose it is to release things.
func (w *Watch) Close() (first bool) {
	w.once.Do(func() {
		close(w.closed)
		first = true
	})
	return first
}

// Closed is closed by Close.
func (w *Watch) Closed() <-chan struct{} { return w.closed }

// Err is es.ErrClosed once the watch is closed.
func (w *Watch) Err() error {
	select {
	case <-w.closed:
		return es.ErrClosed
	default:
		return nil
	}
}

// Wait returns when the head is past after. If poll is not nil, it is asked for the head every
// interval, for appends that nobody here has heard of; its errors are passing, as the next
// interval asks again.
func (w *Watch) Wait(ctx context.Context, after int64, interval time.Duration, poll func(context.Context) (int64, error)) error {
	var tick <-chan time.Time
	if poll != nil {
		t := time.NewTicker(interval)
		defer t.Stop()
		tick = t.C
	}
	for {
		if err := w.Err(); err != nil {
			return err
		}
		w.mu.Lock()
		if w.head > after {
			w.mu.Unlock()
			return nil
		}
		if w.moved == nil {
			w.moved = make(chan struct{})
		}
		moved := w.moved
		w.mu.Unlock()
		select {
		case <-moved:
		case <-w.closed:
			return es.ErrClosed
		case <-ctx.Done():
			return fmt.Errorf("wait for the log to pass %d: %w", after, context.Cause(ctx))
		case <-tick:
			if head, err := poll(ctx); err == nil {
				w.Advance(head)
			}
		}
	}
}
