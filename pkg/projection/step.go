package projection

import (
	"context"
	"errors"
	"fmt"

	"github.com/orderlane/orderlane/pkg/failpoint"
)

// batch is the plan of one transaction.
type batch struct {
	round   int64
	claims  []*claim     // whose checkpoints move
	marks   []BrokenKey  // keys that break
	letters []DeadLetter // of marks
	ids     map[brokenID]bool
	stepped Stepped
}

// Step takes what waits in the queue, up to Options.Step records of all partitions, and commits
// it: in one transaction, unless a bad record must be looked for. After an error the same
// records are tried again by the next Step.
func (p *Projection) Step(ctx context.Context) (Stepped, error) {
	if err := p.lock(ctx); err != nil {
		return Stepped{}, err
	}
	defer p.unlock()
	if len(p.pending) == 0 {
		clear(p.buffer)
		clear(p.condemned)
		p.buffer = p.queue.take(p.o.Step, p.buffer[:0])
		p.pending = p.buffer
	}
	if len(p.pending) == 0 {
		return Stepped{}, nil
	}
	start := p.o.Clock()
	total := Stepped{Records: len(p.pending)}
	oldest := p.pending[0].Time
	for i := range p.pending {
		if t := p.pending[i].Time; t.Before(oldest) {
			oldest = t
		}
	}
	if err := p.settle(ctx, &p.pending, &total); err != nil {
		return total, err
	}
	now := p.o.Clock()
	total.Waiting, total.Duration, total.Age = p.queue.len(), now.Sub(start), max(0, now.Sub(oldest))
	p.o.Watch.Stepped(total)
	return total, nil
}

// settle commits records, and shortens the list by those that are committed.
func (p *Projection) settle(ctx context.Context, recs *[]Record, total *Stepped) error {
	size := len(*recs)
	for len(*recs) > 0 {
		part := (*recs)[:min(size, len(*recs))]
		s, err := p.commit(ctx, part)
		switch {
		case err == nil:
			*recs = (*recs)[len(part):]
			total.add(s)
			size *= 2
		case !isData(err):
			return err
		case len(part) > 1:
			// Somewhere in there is a record that cannot be written. What comes before it is
			// committed on the way to it, so that nothing is folded often.
			size = (len(part) + 1) / 2
		case p.condemned[&part[0]] != "":
			return fmt.Errorf("projection: the view fails with nothing to write: %w", err)
		default:
			p.condemned[&part[0]] = reason(err)
		}
	}
	return nil
}

// commit folds records and writes them with their checkpoints. A data error that is no
// certain record's is returned; then nothing was written.
func (p *Projection) commit(ctx context.Context, recs []Record) (Stepped, error) {
	for again := false; ; {
		if p.doubt || p.gaps {
			if err := p.sure(ctx); err != nil {
				return Stepped{}, err
			}
		}
		p.fold(recs)
		b := &p.batch
		if len(b.marks) > 0 && len(p.broken)+len(b.marks) > p.o.MaxBroken {
			return Stepped{}, fmt.Errorf("%w: %s", ErrTooManyBroken, b.marks[0].Reason)
		}
		if len(b.claims) == 0 {
			return b.stepped, nil // all have another owner
		}
		failpoint.Hit("projection.before_commit")
		err := p.o.Store.Update(ctx, func(tx Tx) error { return p.write(ctx, tx) })
		switch {
		case err == nil:
			failpoint.Hit("projection.after_commit")
			p.committed(ctx, recs)
			return b.stepped, nil
		case errors.Is(err, errMoved):
			if again {
				return Stepped{}, err
			}
			again, p.doubt = true, true
		case p.blame(err):
		case isData(err):
			return Stepped{}, err
		default:
			p.doubt = true
			return Stepped{}, err
		}
	}
}

// write is the transaction of a batch.
func (p *Projection) write(ctx context.Context, tx Tx) error {
	if err := p.advance(ctx, tx, p.batch.claims); err != nil {
		return err
	}
	if err := p.flush(ctx, tx); err != nil {
		return err
	}
	return p.writeBroken(ctx, tx, p.batch.marks)
}

// flush is View.Flush, with a panic as an error.
func (p *Projection) flush(ctx context.Context, tx Tx) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return p.o.View.Flush(ctx, tx)
}

// fold plans a transaction for records: it passes those to the view that are new, and
// notes where the checkpoints go and which keys break. When a record fails, what the view
// collected of it may be half done: all are folded again without it.
func (p *Projection) fold(recs []Record) {
	for p.foldOnce(recs) > 0 {
	}
}

// foldOnce returns how many records failed that did not before.
func (p *Projection) foldOnce(recs []Record) (failed int) {
	b := &p.batch
	*b = batch{round: b.round + 1, claims: b.claims[:0], marks: b.marks[:0], letters: b.letters[:0]}
	p.o.View.Reset()
	for i := range recs {
		r := &recs[i]
		c := r.claim
		if c.ended() {
			b.stepped.Lost++
			continue
		}
		if c.round != b.round {
			c.round, c.trial = b.round, c.at
			b.claims = append(b.claims, c)
		}
		repeat := c.trial.pass(r, c.log)
		id := brokenID{r.Topic, r.Key}
		switch {
		case repeat:
			b.stepped.Repeats++
		case p.isBroken(id):
			b.stepped.Skipped++
		case p.condemned[r] != "":
			p.breakKey(id, r, p.condemned[r])
		default:
			if err := foldRecord(p.o.View, r); err != nil {
				p.condemned[r] = reason(err)
				failed++
				p.breakKey(id, r, p.condemned[r])
				continue
			}
			b.stepped.Folded++
		}
	}
	return failed
}

// pass moves the checkpoint past a record and says whether the record is a repeat.
func (at *checkpoint) pass(r *Record, log bool) (repeat bool) {
	if log && r.Position > 0 && r.Epoch == at.epoch {
		// Within a log's life the position tells, also when the topic has lost its end and
		// was filled again with lower offsets. Positions of one partition increase, with gaps:
		// the others are in other partitions.
		repeat = r.Position <= at.position
	} else {
		repeat = r.Offset < at.next
	}
	if repeat {
		at.next = max(at.next, r.Offset+1)
		return true
	}
	at.next = r.Offset + 1
	if log && r.Position > 0 {
		at.epoch, at.position = r.Epoch, r.Position
	}
	return false
}

// foldRecord is View.Fold, with a panic as an error.
func foldRecord(v View, r *Record) (err error) {
	defer func() {
		if x := recover(); x != nil {
			err = fmt.Errorf("panic: %v", x)
		}
	}()
	failpoint.Panic("projection.fold", r.Key)
	return v.Fold(r)
}

// committed takes over what a transaction has written and tells those who wait for it.
func (p *Projection) committed(ctx context.Context, recs []Record) {
	b := &p.batch
	b.stepped.Commits = 1
	b.stepped.Broken = len(b.marks)
	for _, c := range b.claims {
		c.reached(c.trial)
		c.mark(c.at.next)
	}
	p.waits.tell(recs)
	if len(b.marks) == 0 {
		return
	}
	for i := range b.marks {
		m := &b.marks[i]
		p.broken[brokenID{m.Topic, m.Key}] = m.Partition
		p.o.Log.Error("key is broken", "view", p.name, "topic", m.Topic, "key", m.Key, "partition", m.Partition,
			"offset", m.Offset, "type", m.Type, "reason", m.Reason)
	}
	p.answers.forget()
	p.o.Watch.BrokenKeys(len(p.broken))
	if p.o.DeadLetter == nil {
		return
	}
	for _, l := range b.letters {
		if err := p.o.DeadLetter(ctx, l); err != nil {
			p.o.Log.Warn("dead letter was not sent", "view", p.name, "topic", l.Topic, "key", l.Key, "error", err)
		}
	}
}

// blame condemns the records that an error names; false if it names none.
func (p *Projection) blame(err error) bool {
	found := false
	var walk func(error)
	walk = func(err error) {
		var e *RecordError
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			for _, one := range joined.Unwrap() {
				walk(one)
			}
		} else if errors.As(err, &e) && p.condemned[e.Record] == "" {
			p.condemned[e.Record] = reason(e.Err)
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
