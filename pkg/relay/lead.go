package relay

import (
	"context"
	"fmt"
	"time"

	"github.com/orderlane/orderlane/pkg/es"
)

// lead takes or prolongs the lease, and prepares to publish when it has become ours.
func (r *Relay) lead(ctx context.Context) (bool, error) {
	now := r.opts.Clock()
	if r.producer != nil && now.Before(r.until.Add(-leaseTTL+renewFrom)) {
		return true, nil
	}
	ok, err := r.opts.Log.Lease(ctx, r.opts.Name, r.opts.Holder, leaseTTL)
	if err != nil {
		return false, fmt.Errorf("relay %s: take the lease: %w", r.opts.Name, err)
	}
	if !ok {
		r.stop()
		r.opts.Observer.Leading(false)
		return false, nil
	}
	r.until = now.Add(leaseTTL)
	if r.producer != nil {
		return true, r.goOn(ctx)
	}
	return true, r.start(ctx)
}

// goOn starts anew if a new epoch has begun, or if the log has lost what was published.
func (r *Relay) goOn(ctx context.Context) error {
	head, err := r.opts.Log.Head(ctx)
	if err != nil {
		return fmt.Errorf("relay %s: read the log's head: %w", r.opts.Name, err)
	}
	kept, err := r.kept(ctx)
	if err != nil {
		return err
	}
	if head.Epoch == r.head.Epoch && head.Position >= r.cursor && kept {
		return nil
	}
	return r.restart(ctx)
}

// mark tells an event from one that took its place in a log that went back.
type mark struct {
	id string
	at time.Time
}

func markOf(e *es.Record) mark { return mark{e.ID(), e.Time.UTC()} }

// atCursor returns the mark of the event at the cursor as the log has it now; none if it has none.
func (r *Relay) atCursor(ctx context.Context) (mark, error) {
	if r.cursor == 0 {
		return mark{}, nil
	}
	events, err := r.opts.Log.Read(ctx, r.cursor-1, 1)
	if err != nil {
		return mark{}, fmt.Errorf("relay %s: read the log at the cursor, %d: %w", r.opts.Name, r.cursor, err)
	}
	if len(events) == 0 {
		return mark{}, nil
	}
	return markOf(&events[0]), nil
}

// kept reports whether the log still holds the event at the cursor. A log that went back and has
// grown past the cursor since tells by nothing else.
func (r *Relay) kept(ctx context.Context) (bool, error) {
	now, err := r.atCursor(ctx)
	return now == r.last, err
}

func (r *Relay) restart(ctx context.Context) error {
	r.stop()
	return r.start(ctx)
}

// start fences the producer of the leader before, and only then reads how far that came.
func (r *Relay) start(ctx context.Context) error {
	producer, err := r.opts.Producer(ctx)
	if err != nil {
		return fmt.Errorf("relay %s: make the producer: %w", r.opts.Name, err)
	}
	r.producer = producer
	if err := r.resume(ctx); err != nil {
		r.stop()
		return fmt.Errorf("relay %s: %w", r.opts.Name, err)
	}
	r.opts.Observer.Leading(true)
	return nil
}

// resume finds out where to go on. What is on the topics must be in the log, or of an earlier epoch.
func (r *Relay) resume(ctx context.Context) (err error) {
	if memory, ok := r.opts.From.(interface{ Forget() }); ok {
		memory.Forget() // of a future that may be lost
	}
	if r.head, err = r.opts.Log.Head(ctx); err != nil {
		return fmt.Errorf("read the log's head: %w", err)
	}
	if r.cursor, err = r.opts.Log.Cursor(ctx, r.opts.Name); err != nil {
		return fmt.Errorf("read the cursor: %w", err)
	}
	if r.last, err = r.atCursor(ctx); err != nil {
		return err
	}
	r.saved = r.cursor
	r.published.Store(r.cursor)
	if r.opts.Resume == nil {
		return nil
	}
	for begun := false; ; begun = true {
		if r.resumed, err = r.opts.Resume(ctx); err != nil {
			return fmt.Errorf("read what is published: %w", err)
		}
		if err := r.resumed.Check(ctx, r.head); err != nil {
			return err
		}
		records, err := r.resumed.Begin(ctx, r.head, r.cursor, r.opts.Clock())
		if err != nil {
			return err
		}
		if len(records) == 0 || begun {
			return nil
		}
		if err := r.producer.Publish(ctx, records); err != nil {
			return fmt.Errorf("begin epoch %s: %w", r.head.Epoch, err)
		}
	}
}

// Flush saves the cursor, if it has moved, and unless the log has lost what the cursor stands for.
func (r *Relay) Flush(ctx context.Context) error {
	if r.cursor == r.saved {
		return nil
	}
	if kept, err := r.kept(ctx); err != nil || !kept {
		return err
	}
	if err := r.opts.Log.SaveCursor(ctx, es.Cursor{Name: r.opts.Name, Position: r.cursor}); err != nil {
		return fmt.Errorf("relay %s: save the cursor: %w", r.opts.Name, err)
	}
	r.saved = r.cursor
	return nil
}

func (r *Relay) stop() {
	if r.producer != nil {
		_ = r.producer.Close() // nothing of ours is in flight
	}
	r.producer, r.resumed, r.until = nil, nil, time.Time{}
}

// resign gives up the lead, so that the next step, here or elsewhere, starts from what is
// known for certain.
func (r *Relay) resign(ctx context.Context) {
	r.stop()
	r.opts.Observer.Leading(false)
	_ = r.opts.Log.Release(ctx, r.opts.Name, r.opts.Holder) // it expires anyway
}
