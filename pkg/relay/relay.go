// Package relay publishes what a log holds: each stored event becomes one public event,
// in order, and nothing is published that is not committed. The log is the outbox.
//
// In the flow it stands between the event log and the event topics. One relay at a time
// leads a log, by an expiring lease. Its cursor is a lower bound: after a crash events may
// be published again, with the same ids.
//
// Where the topics hold what the log does not, its database was restored to an earlier point.
// Then nothing is published, until the log runs under a new epoch (es.Log.NewEpoch). The relay
// first tells each partition of that, and of what stays there, and goes on from that.
package relay

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/failpoint"
	"github.com/orderlane/orderlane/pkg/kafka"
)

// Bounds of a relay.
const (
	maxBatch  = 1000 // events of one publish: one transaction, on Kafka
	leaseTTL  = 6 * time.Second
	renewFrom = leaseTTL / 3
	retryFrom = 20 * time.Millisecond
	retryUpTo = time.Second
)

// Reader reads a log in order: the log itself, or the feed of the engine that appends to it.
type Reader interface {
	Read(ctx context.Context, after int64, limit int) ([]es.Record, error)
}

// Observer sees what a relay does, for metrics.
type Observer interface {
	Published(events int, lag int64, took time.Duration)
	Failed(err error)
	Leading(bool)
}

// Options of a relay.
type Options struct {
	Name   string // of its lease and cursor
	Holder string // names this process in the lease
	Log    es.Log
	From   Reader // what it reads; Log if nil
	Clock  func() time.Time
	// Translate returns the messages that publish one event. It must return the same ones
	// whenever it is asked; an error stops the relay at this event, since it never skips.
	Translate func(ctx context.Context, epoch string, r *es.Record) ([]kafka.Record, error)
	// Producer makes the producer of a leader: it is made anew with each leadership, so that
	// it can fence the one of the leader before. A Publish that fails has published nothing,
	// or nothing out of order.
	Producer func(context.Context) (kafka.Producer, error)
	// Resume reads what is on the topics already, so that little is repeated, and nothing is
	// published where they show a future that the log has lost; optional.
	Resume   func(context.Context) (Resumed, error)
	Observer Observer
}

// Resumed says what is on the topics already.
type Resumed interface {
	// Has reports whether the record of an event is published: its partition holds this
	// event or a later one of the same log epoch.
	Has(r *kafka.Record, epoch string, position int64) bool
	// Check returns an error that wraps es.ErrRestored if the topics hold what the log does not.
	Check(ctx context.Context, head es.Head) error
	// Begin returns what begins the epoch of head on the topics; nothing if it has begun there.
	// Events up to the cursor have been published, and stay.
	Begin(ctx context.Context, head es.Head, cursor int64, at time.Time) ([]kafka.Record, error)
}

// Relay is the relay of one log. Step is driven by one loop: Run, or a test.
type Relay struct {
	opts     Options
	producer kafka.Producer
	resumed  Resumed
	until    time.Time // the lease is ours until then
	head     es.Head
	cursor   int64 // published and acknowledged up to here
	last     mark  // of the event at the cursor
	saved    int64 // of cursor, in the log

	published atomic.Int64 // the cursor, for Cursors
	offered   int64        // owned by the caller of Cursors
}

// New returns a relay. It does nothing until it is driven.
func New(opts Options) *Relay {
	if opts.From == nil {
		opts.From = opts.Log
	}
	if opts.Observer == nil {
		opts.Observer = blind{}
	}
	return &Relay{opts: opts}
}

// Step publishes the next batch of events and returns how many; 0 if another relay leads,
// or if there are none. After an error the relay has given up its lead; step again.
func (r *Relay) Step(ctx context.Context) (int, error) {
	ok, err := r.lead(ctx)
	if err != nil {
		r.resign(ctx) // whoever can publish may
	}
	if err != nil || !ok {
		return 0, err
	}
	n, err := r.publish(ctx)
	if err != nil {
		_ = r.Flush(ctx) // spares the next lead repeats; it can do without
		r.resign(ctx)
	}
	return n, err
}

func (r *Relay) publish(ctx context.Context) (int, error) {
	started := r.opts.Clock()
	events, err := r.opts.From.Read(ctx, r.cursor, maxBatch)
	if err != nil {
		return 0, fmt.Errorf("relay %s: read the log after %d: %w", r.opts.Name, r.cursor, err)
	}
	if len(events) == 0 {
		return 0, nil
	}
	// After the read: what was read may follow a future that the log has lost, also in a feed.
	kept, err := r.kept(ctx)
	if err != nil {
		return 0, err
	}
	if !kept {
		return 0, r.restart(ctx)
	}
	full := len(events) == maxBatch
	records, n, err := r.messages(ctx, events)
	if err != nil {
		return 0, err
	}
	events, full = events[:n], full || n < len(events)
	failpoint.Hit("relay.before_publish")
	if len(records) > 0 {
		if err := r.producer.Publish(ctx, records); err != nil {
			return 0, fmt.Errorf("relay %s: publish %d messages: %w", r.opts.Name, len(records), err)
		}
	}
	failpoint.Hit("relay.after_publish")
	last := events[len(events)-1].Position
	r.cursor, r.last = last, markOf(&events[len(events)-1])
	r.published.Store(last)
	if last >= r.head.Position {
		r.resumed = nil // what was appended since cannot be there
	}
	lag, err := r.lag(ctx, full)
	if err != nil {
		return 0, err
	}
	r.opts.Observer.Published(len(events), lag, r.opts.Clock().Sub(started))
	return len(events), nil
}

// messages returns what publishes the first n events: all of them, or those before one that can't
// be translated, which the next step meets again as its first. What is published already is left out.
func (r *Relay) messages(ctx context.Context, events []es.Record) (records []kafka.Record, n int, err error) {
	records = make([]kafka.Record, 0, 2*len(events))
	passed := false
	for ; n < len(events); n++ {
		made, err := r.translate(ctx, &events[n], r.cursor+1+int64(n))
		if err != nil && n == 0 {
			return nil, 0, err
		}
		if err != nil {
			break
		}
		for i := range made {
			if r.resumed != nil && r.resumed.Has(&made[i], r.head.Epoch, events[n].Position) {
				passed = true
				continue
			}
			records = append(records, made[i])
		}
	}
	if passed { // the log may have gone back since it was compared, and these be others
		if err := r.resumed.Check(ctx, r.head); err != nil {
			return nil, 0, fmt.Errorf("relay %s: %w", r.opts.Name, err)
		}
	}
	return records, n, nil
}

// translate returns the messages of an event, which must be the one at position want.
func (r *Relay) translate(ctx context.Context, event *es.Record, want int64) ([]kafka.Record, error) {
	if event.Position != want {
		return nil, fmt.Errorf("relay %s: the log has a gap at position %d", r.opts.Name, want)
	}
	made, err := r.opts.Translate(ctx, r.head.Epoch, event)
	if err != nil {
		return nil, fmt.Errorf("relay %s: translate %s: %w", r.opts.Name, event.ID(), err)
	}
	return made, nil
}

// lag is how many events wait behind the last published one. Where a batch was not full
// there were none.
func (r *Relay) lag(ctx context.Context, full bool) (int64, error) {
	if !full {
		return 0, nil
	}
	head, err := r.opts.Log.Head(ctx)
	if err != nil {
		return 0, fmt.Errorf("relay %s: read the log's head: %w", r.opts.Name, err)
	}
	return head.Position - r.cursor, nil
}

// Cursors returns the cursor if it has moved since it was asked for last, so that it rides
// in an append of the engine for nothing. It is for one other goroutine, the engine's.
func (r *Relay) Cursors() []es.Cursor {
	p := r.published.Load()
	if p == r.offered {
		return nil
	}
	r.offered = p
	return []es.Cursor{{Name: r.opts.Name, Position: p}}
}

// Run drives the relay until ctx ends, then saves the cursor and releases the lease.
func (r *Relay) Run(ctx context.Context) error {
	pause := retryFrom
	for ctx.Err() == nil {
		n, err := r.Step(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			r.opts.Observer.Failed(err)
			if errors.Is(err, es.ErrRestored) {
				pause = renewFrom // until somebody begins a new epoch
			}
			wait(ctx, pause)
			pause = min(2*pause, retryUpTo)
			continue
		case n == 0 && r.producer == nil:
			wait(ctx, renewFrom) // another relay leads
		case n == 0:
			if err := r.idle(ctx); err != nil && ctx.Err() == nil {
				r.opts.Observer.Failed(err)
				wait(ctx, pause)
			}
		}
		pause = retryFrom
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), retryUpTo)
	defer cancel()
	err := r.Flush(last)
	r.resign(last)
	if errors.Is(err, es.ErrClosed) {
		return nil
	}
	return err
}

// idle waits for the next event. When none comes for a while it saves the cursor, which
// otherwise rides in the engine's appends, and returns to prolong the lease.
func (r *Relay) idle(ctx context.Context) error {
	short, cancel := context.WithTimeout(ctx, renewFrom)
	defer cancel()
	err := r.opts.Log.Wait(short, r.cursor)
	if err == nil || ctx.Err() != nil {
		return nil
	}
	if short.Err() != nil {
		return r.Flush(ctx)
	}
	return fmt.Errorf("relay %s: wait for events: %w", r.opts.Name, err)
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

type blind struct{}

func (blind) Published(int, int64, time.Duration) {}
func (blind) Failed(error)                        {}
func (blind) Leading(bool)                        {}
