package projection

import (
	"fmt"

	"github.com/orderlane/orderlane/pkg/failpoint"
)

// work is what a step commits: the records that it has taken, and the plan for them.
type work struct {
	view      View
	buffer    []Record           // the memory of pending
	pending   []Record           // taken from the queue, not committed yet
	condemned map[*Record]string // of pending: records that break their key, and why
	batch     batch
	planned   bool // batch and view are a plan for all of pending, made ahead
}

func newWork(v View) *work { return &work{view: v, condemned: make(map[*Record]string)} }

// take takes what waits in the queue.
func (w *work) take(q *queue, limit int) {
	w.buffer = q.take(limit, w.buffer[:0])
	w.pending = w.buffer
}

// done lets go of what was committed.
func (w *work) done() {
	w.view.Reset()
	clear(w.buffer)
	clear(w.condemned)
}

// batch is the plan of one transaction.
type batch struct {
	round   int64
	breaks  int64        // Projection.breaks when it was made
	claims  []course     // how checkpoints move
	marks   []BrokenKey  // keys that break
	letters []DeadLetter // of marks
	ids     map[brokenID]bool
	stepped Stepped
}

// leaves returns where the checkpoint of a claim stands after the batch.
func (b *batch) leaves(c *claim) checkpoint {
	if b != nil {
		for i := range b.claims {
			if b.claims[i].claim == c {
				return b.claims[i].trial
			}
		}
	}
	return c.at
}

// fold plans a transaction for records, which comes after another, or after what is
// committed: it passes those to the view that are new, and notes where the checkpoints go and
// which keys break. When a record fails, what the view collected of it may be half done: all
// are folded again without it.
func (p *Projection) fold(w *work, recs []Record, after *batch) {
	for p.foldOnce(w, recs, after) > 0 {
	}
}

// foldOnce returns how many records failed that did not before.
func (p *Projection) foldOnce(w *work, recs []Record, after *batch) (failed int) {
	b := &w.batch
	p.rounds++
	*b = batch{round: p.rounds, breaks: p.breaks, claims: b.claims[:0], marks: b.marks[:0], letters: b.letters[:0]}
	w.view.Reset()
	for i := range recs {
		r := &recs[i]
		c := r.claim
		if c.ended() {
			b.stepped.Lost++
			continue
		}
		if c.round != b.round {
			at := after.leaves(c)
			c.round, c.course = b.round, len(b.claims)
			b.claims = append(b.claims, course{c, at, at})
		}
		repeat := b.claims[c.course].trial.pass(r, c.log)
		id := brokenID{r.Topic, r.Key}
		switch {
		case repeat:
			b.stepped.Repeats++
		case p.isBroken(b, id):
			b.stepped.Skipped++
		case w.condemned[r] != "":
			p.breakKey(b, id, r, w.condemned[r])
		default:
			if err := foldRecord(w.view, r); err != nil {
				w.condemned[r] = reason(err)
				failed++
				p.breakKey(b, id, r, w.condemned[r])
				continue
			}
			b.stepped.Folded++
		}
	}
	return failed
}

// foldAhead takes and folds what comes after a work while that is written, if so much waits
// that the view is behind. It returns when that is done, or what to call for that.
func (p *Projection) foldAhead(w *work) (wait func()) {
	next, waiting := p.ahead, p.queue.len()
	if next == nil || w != p.now || len(next.pending) > 0 || len(w.batch.marks) > 0 ||
		waiting < len(w.pending) || waiting < min(smallStep, int(p.limit.Load())) {
		return func() {}
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		// A panic is met again when the batch has its turn, where it is found out whose it is.
		defer func() { _ = recover() }()
		next.take(p.queue, int(p.limit.Load()))
		if beginning(next.pending) < len(next.pending) {
			return // where an epoch begins, what comes behind has to wait
		}
		p.fold(next, next.pending, &w.batch)
		if v, ok := next.view.(preparer); ok {
			v.prepare()
		}
		next.planned = true
	}()
	return func() { <-ended }
}

// holds says whether a plan that was made ahead is what would be made now.
func (p *Projection) holds(w *work) bool {
	if !w.planned || w.batch.breaks != p.breaks {
		return false
	}
	for i := range w.batch.claims {
		if c := &w.batch.claims[i]; c.ended() || c.at != c.from {
			return false
		}
	}
	return true
}

// scratch returns the view for something else than the step at hand.
func (p *Projection) scratch() View {
	p.now.planned = false
	return p.now.view
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
