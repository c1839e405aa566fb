package projection

import (
	"context"
	"errors"
	"fmt"

	"github.com/orderlane/orderlane/pkg/failpoint"
)

// Step takes what waits in the queue, up to Options.Step records of all partitions, and commits
// it: in one transaction, unless a bad record must be looked for. After an error the same
// records are tried again by the next Step. While the transaction is under way, what the next
// Step will commit is folded, if the view is far behind and has a Twin.
func (p *Projection) Step(ctx context.Context) (Stepped, error) {
	if err := p.lock(ctx); err != nil {
		return Stepped{}, err
	}
	defer p.unlock()
	w := p.now
	if len(w.pending) == 0 {
		w.take(p.queue, int(p.limit.Load()))
	}
	if len(w.pending) == 0 {
		return Stepped{}, nil
	}
	start := p.o.Clock()
	total := Stepped{Records: len(w.pending)}
	oldest := w.pending[0].Time
	for i := range w.pending {
		if t := w.pending[i].Time; t.Before(oldest) {
			oldest = t
		}
	}
	if err := p.settle(ctx, w, &total); err != nil {
		return total, err
	}
	w.done()
	if p.ahead != nil && len(p.ahead.pending) > 0 {
		p.now, p.ahead = p.ahead, w
	}
	now := p.o.Clock()
	total.Waiting = p.queue.len() + len(p.now.pending)
	total.Duration, total.Age = now.Sub(start), max(0, now.Sub(oldest))
	p.o.Watch.Stepped(total)
	return total, nil
}

// settle commits the records of a work, and shortens the list by those that are committed.
func (p *Projection) settle(ctx context.Context, w *work, total *Stepped) error {
	size := len(w.pending)
	for len(w.pending) > 0 {
		next := beginning(w.pending)
		if next < len(w.pending) {
			w.planned = false // what comes behind it was not to be folded yet
		}
		if next == 0 {
			if err := p.turnOver(ctx, &w.pending[0]); err != nil {
				return err
			}
			w.pending = w.pending[1:]
			continue
		}
		part := w.pending[:min(size, next)]
		s, err := p.commit(ctx, w, part)
		switch {
		case err == nil:
			w.pending = w.pending[len(part):]
			total.add(s)
			size *= 2
		case !isData(err):
			return err
		case len(part) > 1:
			// Somewhere in there is a record that cannot be written. What comes before it is
			// committed on the way to it, so that nothing is folded often.
			size = (len(part) + 1) / 2
		case w.condemned[&part[0]] != "":
			return fmt.Errorf("projection: the view fails with nothing to write: %w", err)
		default:
			w.condemned[&part[0]] = reason(err)
		}
	}
	return nil
}

// commit folds records, unless that was done ahead, and writes them with their checkpoints. A
// data error that is no certain record's is returned; then nothing was written.
func (p *Projection) commit(ctx context.Context, w *work, recs []Record) (Stepped, error) {
	for again := false; ; {
		if p.doubt || p.gaps {
			if err := p.sure(ctx); err != nil {
				return Stepped{}, err
			}
		}
		if !p.holds(w) {
			p.fold(w, recs, nil)
		}
		w.planned = false
		b := &w.batch
		if len(b.marks) > 0 && len(p.broken)+len(b.marks) > p.o.MaxBroken {
			return Stepped{}, fmt.Errorf("%w: %s", ErrTooManyBroken, b.marks[0].Reason)
		}
		if len(b.claims) == 0 {
			return b.stepped, nil // all have another owner
		}
		failpoint.Hit("projection.before_commit")
		wait := p.foldAhead(w)
		err := p.o.Store.Update(ctx, func(tx Tx) error { return p.write(ctx, w, tx) })
		wait()
		switch {
		case err == nil:
			failpoint.Hit("projection.after_commit")
			p.committed(ctx, b, recs)
			return b.stepped, nil
		case errors.Is(err, errMoved):
			if again {
				return Stepped{}, err
			}
			again, p.doubt = true, true
		case blame(w.condemned, err):
		case isData(err):
			return Stepped{}, err
		default:
			p.doubt = true
			return Stepped{}, err
		}
	}
}

// write is the transaction of a batch.
func (p *Projection) write(ctx context.Context, w *work, tx Tx) error {
	if err := p.advance(ctx, tx, w.batch.claims); err != nil {
		return err
	}
	if err := flush(ctx, w.view, tx); err != nil {
		return err
	}
	if err := p.writeBroken(ctx, tx, w.batch.marks); err != nil {
		return err
	}
	return p.keep(ctx, tx, w.batch.stepped.Folded)
}

// flush is View.Flush, with a panic as an error.
func flush(ctx context.Context, v View, tx Tx) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return v.Flush(ctx, tx)
}

// committed takes over what a transaction has written and tells those who wait for it.
func (p *Projection) committed(ctx context.Context, b *batch, recs []Record) {
	b.stepped.Commits = 1
	b.stepped.Broken = len(b.marks)
	for _, c := range b.claims {
		c.reached(c.trial)
		c.mark(c.at.next)
	}
	p.Answers.waits.tell(recs)
	if len(b.marks) == 0 {
		return
	}
	p.noteBroken(b.marks)
	if p.o.DeadLetter == nil {
		return
	}
	for _, l := range b.letters {
		if err := p.o.DeadLetter(ctx, l); err != nil {
			p.o.Log.Warn("dead letter was not sent", "view", p.name, "topic", l.Topic, "key", l.Key, "error", err)
		}
	}
}

// noteBroken takes over which keys are broken now, and tells of those that have become so.
func (p *Projection) noteBroken(marks []BrokenKey) {
	for i := range marks {
		m := &marks[i]
		p.broken[brokenID{m.Topic, m.Key}] = m.Partition
		p.o.Log.Error("key is broken", "view", p.name, "topic", m.Topic, "key", m.Key, "partition", m.Partition,
			"offset", m.Offset, "type", m.Type, "reason", m.Reason)
	}
	p.breaks++
	p.Answers.broken.forget()
	p.o.Watch.BrokenKeys(len(p.broken))
}

// blame condemns the records that an error names; false if it names none.
func blame(condemned map[*Record]string, err error) bool {
	found := false
	var walk func(error)
	walk = func(err error) {
		var e *RecordError
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			for _, one := range joined.Unwrap() {
				walk(one)
			}
		} else if errors.As(err, &e) && condemned[e.Record] == "" {
			condemned[e.Record] = reason(e.Err)
			found = true
		}
	}
	walk(err)
	return found
}

// isData says that an error is the fault of a record or of the view, which the next try meets
// again, and not of the database.
func isData(err error) bool {
	var e *StoreError
	if errors.As(err, &e) {
		return e.Data
	}
	return !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) &&
		!errors.Is(err, errMoved) && !errors.Is(err, ErrTooManyBroken)
}

func (s *Stepped) add(o Stepped) {
	s.Folded += o.Folded
	s.Repeats += o.Repeats
	s.Skipped += o.Skipped
	s.Broken += o.Broken
	s.Lost += o.Lost
	s.Commits += o.Commits
}
