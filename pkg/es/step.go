package es

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/orderlane/orderlane/pkg/failpoint"
	"github.com/orderlane/orderlane/pkg/fault"
)

// Stepped says what one Step did.
type Stepped struct {
	Commands int  // decided and answered
	Events   int  // appended
	Again    bool // nothing was written since others were first; the next step decides again
}

// stream is the cached state of a stream, and what the log knows of it.
type stream struct {
	name    string
	of      Behaviour // that decided last
	state   any
	version int64
	stateAt int64     // version of the state row in the log
	size    int       // of the state's last encoding, in bytes
	broken  error     // why its events can't be folded
	guessed bool      // taken to be new, and not looked up
	due     time.Time // the deadline that the timer in the log is of; zero if there is none
	unsure  bool      // the log may have another timer: due is what this release makes of the state

	// Within the step:
	base  int64 // version before the batch
	batch bool  // decided on in this batch
	woken bool  // by its timer, in this batch
	moved bool  // the deadline had, when it was woken
}

// Step decides one batch and appends it, or does nothing if no command waits. On an error
// the batch is kept: call Step again, when the infrastructure may be back.
func (e *Engine) Step(ctx context.Context) (Stepped, error) {
	e.fill()
	if len(e.batch) == 0 {
		return Stepped{}, nil
	}
	if e.seen < 0 {
		head, err := e.opts.Log.Head(ctx)
		if err != nil {
			return Stepped{}, fmt.Errorf("es: read the log's head: %w", err)
		}
		e.epoch, e.seen = head.Epoch, head.Position
	}
	started := e.opts.Clock()
	// As precise as logs store it, so that what is published now and again from the log is the same.
	now := started.UTC().Truncate(time.Microsecond)
	todo, err := e.prepare(ctx, now)
	if err != nil {
		return Stepped{}, err
	}
	d, ok := e.decideBatch(todo, now)
	if !ok { // a command broke off half way; it is parked now, the others are decided again
		e.evict(d.streams)
		return Stepped{Again: true}, nil
	}
	decided := e.opts.Clock()
	if err := e.append(ctx, d); err != nil {
		var conflict *ConflictError
		if errors.As(err, &conflict) {
			e.opts.Observer.Conflicted(len(conflict.Streams), len(conflict.Commands))
			return Stepped{Again: true}, nil
		}
		if errors.Is(err, ErrEpochChanged) {
			e.outcomes.clear() // streams are forgotten already; both may be of a future that is lost
			return Stepped{Again: true}, nil
		}
		if errors.Is(err, ErrInvalidBatch) {
			if len(e.batch) == 1 && (e.batch[0].park != "" || e.batch[0].Final != nil) {
				return Stepped{}, err // it can't even be parked: pause, and tell
			}
			e.isolate(err)
			return Stepped{Again: true}, nil
		}
		return Stepped{}, err
	}
	e.alone = max(0, e.alone-len(e.batch))
	e.opts.Observer.Appended(len(e.batch), len(d.write.Events), decided.Sub(started), e.opts.Clock().Sub(decided))
	stepped := Stepped{Commands: len(e.batch), Events: len(d.write.Events)}
	return stepped, e.hand(ctx)
}

// append writes the batch. Unless all of it is known to be in the log, the states it was
// decided on are dropped: they have evolved by events that may not exist.
func (e *Engine) append(ctx context.Context, d *decision) error {
	if len(d.write.Outcomes) == 0 && len(d.write.Parked) == 0 {
		return nil // repeats only
	}
	if e.opts.Cursors != nil {
		d.write.Cursors = e.opts.Cursors()
	}
	d.write.Epoch = e.epoch
	failpoint.Hit("engine.before_commit")
	head, err := e.opts.Log.Append(ctx, d.write)
	if err != nil {
		e.evict(d.streams)
		e.certain = true
		if conflict := (*ConflictError)(nil); errors.As(err, &conflict) {
			for _, p := range d.decided {
				p.reused = p.reused || slices.Contains(conflict.Reused, p.Meta.Command)
			}
			return err
		}
		e.forget() // the commit may have happened, and others' too
		return fmt.Errorf("es: append: %w", err)
	}
	failpoint.Hit("engine.after_commit")
	e.certain = false
	e.settle(d, head)
	return nil
}

// isolate finds the command whose batch breaks the log's rules, a fault of ours, by deciding
// the commands of the batch one by one; alone, it is parked.
func (e *Engine) isolate(err error) {
	if len(e.batch) == 1 {
		e.batch[0].park = err.Error()
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.alone = len(e.batch)
	e.waiting = append(slices.Clone(e.batch[1:]), e.waiting...)
	e.batch = e.batch[:1]
}

// forget drops all that memory says of streams; the head is read again.
func (e *Engine) forget() {
	e.streams.clear()
	e.seen, e.behind = -1, 0
}

// settle brings memory up to what is in the log now.
func (e *Engine) settle(d *decision, head Head) {
	first := head.Position - int64(len(d.write.Events)) + 1
	for i := range d.write.Events {
		d.write.Events[i].Position = first + int64(i)
	}
	for _, p := range d.decided {
		if o := &p.answer.Outcome; o.Position > 0 {
			o.Position += first - 1 // was the event's place in the batch
		}
		if p.answer.Outcome.Status != StatusParked {
			e.outcomes.put(p.Meta.Command, p.answer.Outcome)
		}
	}
	for _, s := range d.write.States {
		d.byName[s.Stream].stateAt = s.Version
	}
	for _, s := range d.streams {
		s.batch, s.guessed, s.woken, s.moved = false, false, false, false
		e.streams.put(s.name, s)
	}
	// Cached states are known to be current as of seen only. Where others have written, seen
	// stays, and the log compares the streams' versions instead, until all is read afresh.
	if first == e.seen+1 {
		e.seen = head.Position
	} else if e.behind++; e.behind == maxBehind {
		e.forget()
	}
	if e.opts.OnTimers != nil && len(d.write.Timers) > 0 {
		e.opts.OnTimers(d.write.Timers)
	}
	if e.opts.OnAppend != nil && len(d.write.Events) > 0 {
		e.opts.OnAppend(head, d.write.Events)
	}
}

// hand passes the batch's answers on to be published.
func (e *Engine) hand(ctx context.Context) error {
	answers := make([]Answer, len(e.batch))
	for i, p := range e.batch {
		if p.same != nil {
			p.repeat(p.same.answer.Outcome)
		}
		p.answer.Command, p.answer.waiter = p.Command, p
		answers[i] = p.answer
	}
	select {
	case e.answers <- answers:
		e.batch = nil
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// prepare answers the commands whose outcome is known, loads the states that the others
// need, and returns the others.
func (e *Engine) prepare(ctx context.Context, now time.Time) ([]*pending, error) {
	var ask []uuid.UUID
	for _, p := range e.batch {
		p.same, p.stream, p.answer = nil, nil, Answer{}
		if p.reused {
			p.refuseReuse(Outcome{Command: p.Meta.Command, Type: p.Type, Stream: p.Stream, Time: now})
		} else if o, ok := e.outcomes.get(p.Meta.Command); ok {
			p.repeat(o)
		} else if e.certain || !p.Creates {
			ask = append(ask, p.Meta.Command)
		}
	}
	known := map[uuid.UUID]Outcome{}
	if len(ask) > 0 {
		var err error
		if known, err = e.opts.Log.Outcomes(ctx, ask); err != nil {
			return nil, fmt.Errorf("es: look up %d commands: %w", len(ask), err)
		}
	}
	first := make(map[uuid.UUID]*pending, len(e.batch))
	todo := make([]*pending, 0, len(e.batch))
	for _, p := range e.batch {
		if p.answer.Repeat {
			continue
		}
		if o, ok := known[p.Meta.Command]; ok {
			e.outcomes.put(o.Command, o)
			p.repeat(o)
		} else if f := first[p.Meta.Command]; f != nil {
			p.same = f
		} else {
			first[p.Meta.Command] = p
			todo = append(todo, p)
		}
	}
	return todo, e.load(ctx, todo)
}

// load gives each command the state of its stream, from memory or from the log.
func (e *Engine) load(ctx context.Context, todo []*pending) error {
	var ask []StreamQuery
	var of []Behaviour
	found := make(map[string]*stream, len(todo))
	for _, p := range todo {
		if p.Of == nil || p.park != "" || found[p.Stream] != nil {
			continue
		}
		s, ok := e.streams.get(p.Stream)
		switch {
		case ok:
		case p.Creates && !e.certain:
			s = &stream{name: p.Stream, guessed: true}
			s.fold(p.Of, StreamState{Stream: p.Stream})
		default:
			s = &stream{name: p.Stream}
			ask, of = append(ask, StreamQuery{Stream: p.Stream, StateVersion: p.Of.stateVersion()}), append(of, p.Of)
		}
		s.base, s.batch, s.woken, s.moved = s.version, false, false, false // of an earlier batch
		found[p.Stream] = s
	}
	if len(ask) > 0 {
		stored, err := e.opts.Log.Load(ctx, ask)
		if err != nil {
			return fmt.Errorf("es: load %d streams: %w", len(ask), err)
		}
		for i, st := range stored {
			found[ask[i].Stream].fold(of[i], st)
		}
	}
	for _, p := range todo {
		p.stream = found[p.Stream]
		if p.stream != nil && p.stream.broken != nil {
			p.park = p.stream.broken.Error()
		}
	}
	return nil
}

// fold takes over what the log holds of the stream. What can't be folded is a fault of
// ours in one stream: its commands are parked.
func (s *stream) fold(of Behaviour, st StreamState) {
	s.of, s.version, s.base, s.stateAt, s.size = of, st.Version, st.Version, st.StateAt, len(st.State)
	s.broken = safely(func() (err error) {
		if s.state, err = of.fold(st); err == nil && s.version > 0 {
			s.due = of.deadline(s.state)
			s.unsure = !s.due.IsZero()
		}
		return err
	})
}

// safely turns a panic into an error with its stack.
func safely(do func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	return do()
}

func (e *Engine) evict(streams []*stream) {
	for _, s := range streams {
		e.streams.drop(s.name)
	}
}

// repeat answers p with an outcome that is stored already, unless p is another request
// that reuses the key of the first.
func (p *pending) repeat(o Outcome) {
	p.answer = Answer{Outcome: o, Repeat: true}
	if !SameRequest(p.Meta.Digest, o.Digest) {
		p.refuseReuse(o)
	}
}

// refuseReuse answers p alone: its id is that of another request, whose outcome, or whose place
// among the parked commands, stays.
func (p *pending) refuseReuse(o Outcome) {
	o.Status = StatusRefused
	o.Fault = fault.Invalid("idempotency_key_reused",
		"the idempotency key was used before for a request with another body; use a new key")
	p.answer = Answer{Outcome: o, Repeat: true, Private: true}
}

func parkedFault(reason string) *fault.Fault {
	return &fault.Fault{Kind: fault.KindInternal, Code: "parked", Detail: reason}
}
