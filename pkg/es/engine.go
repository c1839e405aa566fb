package es

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/orderlane/orderlane/pkg/turn"
)

// Bounds of an engine; each is a default of Options.
const (
	defaultCachedStreams  = 4096 // states in memory: up to twice as many
	defaultRecentOutcomes = 4096 // known command ids in memory: up to twice as many
	maxAnswers            = 4 * MaxBatchCommands
	retryFrom             = 10 * time.Millisecond // pause after an infrastructure error, doubled up to retryUpTo
	retryUpTo             = time.Second
	maxBehind             = 1024 // appends after which an engine that shares its log starts afresh
	// A state that has grown large is written once in largeStateEvery events for each largeState
	// bytes that it has, and after largeStateAtMost events at the latest.
	largeState       = 8 * 1024
	largeStateEvery  = 50
	largeStateAtMost = 5000
)

// ErrStopped is what Submit returns for a command that the engine has not answered
// before it stopped. The command may have been decided.
var ErrStopped = errors.New("es: engine stopped before the command was answered")

// AnyVersion as Command.IfVersion asks for a stream that exists.
const AnyVersion int64 = -1

// Command is one command on its way through an engine.
type Command struct {
	Type   string
	Stream string
	Meta   Metadata // Meta.Command is the command's id

	// Of and Body are the behaviour of the stream and the domain command. A command without
	// behaviour is put aside as Parked, for the reason given there.
	Of   Behaviour
	Body any

	// IfVersion refuses the command if the stream is at another version, or, with
	// AnyVersion, if it does not exist; nil: never.
	IfVersion *int64

	// Creates says that the stream is new if the command is: its state is not loaded and the
	// command's id not looked up before deciding. A wrong guess costs a second decision,
	// never correctness: the log refuses the append and the engine decides again on what is there.
	Creates bool

	// Due says that the command answers the stream's timer, and which one: that of this time. If
	// the stream's deadline is later by now, or there is none, the command succeeds and nothing
	// is decided. Where the deadline is not what the timer said, the timer is set anew.
	Due time.Time

	// Parked is what to keep if the command can't be handled for a fault of ours.
	Parked Parked

	// Final ends a parked command without deciding it (see Discard).
	Final *Outcome

	// Reply travels to the answer untouched.
	Reply any
}

// Answer is what became of a command. Parked commands are answered with StatusParked.
type Answer struct {
	Command *Command
	Outcome Outcome
	// Repeat says that the outcome was stored before: it is published again.
	Repeat bool
	// Private says that the answer is for this caller only and is not the command's
	// outcome: a reused idempotency key with another body.
	Private bool

	waiter *pending
}

// Observer sees what an engine does, for metrics. Calls come from the engine's loops, one
// at a time for each method.
type Observer interface {
	// Appended: commands of the batch, events written, and how long deciding and appending took.
	Appended(commands, events int, decide, write time.Duration)
	// Conflicted: a batch was decided again since other writers were first.
	Conflicted(streams, commands int)
	// Answered: one command was answered.
	Answered(commandType string, status Status, repeat bool)
	// Failed: a step failed for the infrastructure and will be tried again.
	Failed(err error)
}

// Options of an engine. The zero value of each optional field means its default.
type Options struct {
	Log Log
	// Clock gives the time of events and outcomes.
	Clock func() time.Time
	// Publish sends answers to their callers and to the status view. It is called with
	// whole batches, again until it succeeds, and commands are done only after it.
	Publish func(context.Context, []Answer) error
	// OnAppend is told of each batch that is in the log, in order, on the engine's loop; optional.
	OnAppend func(Head, []Record)
	// OnTimers is told of the timers that were set, on the engine's loop; optional.
	OnTimers func([]Timer)
	// Cursors lets others' cursors ride in the next append for nothing; optional.
	Cursors  func() []Cursor
	Observer Observer // optional

	CachedStreams  int
	RecentOutcomes int
}

// Engine decides the commands of one service: it drains what is waiting, decides it in
// order on the cached states of the streams, and writes everything in one append. A batch
// is whatever waited while the last one was written; there is no timer.
//
// Submit is safe for concurrent use. Step and Answer are each driven by one loop: Run, or
// a test.
type Engine struct {
	opts Options

	mu      sync.Mutex
	waiting []*pending // bounded by the windows of those who submit
	wake    chan struct{}
	stopped bool

	answers chan []Answer // decided, not yet published
	unsent  []Answer      // being published

	// Owned by Step.
	batch    []*pending
	epoch    string
	seen     int64 // cached states are current as of this position of the epoch; -1: not known
	behind   int   // appends since seen stayed behind the head
	alone    int   // commands to be decided one by one, since one of them makes batches that break the rules of the log
	certain  bool  // the batch's ids must all be looked up: a guess was wrong, or an append's result is unknown
	streams  *recent[string, *stream]
	outcomes *recent[uuid.UUID, Outcome]
}

// pending is a command and those who wait for it.
type pending struct {
	*Command
	done   chan struct{}
	err    error
	stream *stream
	park   string   // why it can't be handled, once known
	reused bool     // its id is that of another request, which is parked
	same   *pending // an earlier command of the batch with the same id
	answer Answer
}

// NewEngine returns an engine on a log. It does nothing until it is driven.
func NewEngine(opts Options) *Engine {
	if opts.CachedStreams == 0 {
		opts.CachedStreams = defaultCachedStreams
	}
	if opts.RecentOutcomes == 0 {
		opts.RecentOutcomes = defaultRecentOutcomes
	}
	if opts.Observer == nil {
		opts.Observer = blind{}
	}
	return &Engine{
		opts:     opts,
		wake:     make(chan struct{}, 1),
		answers:  make(chan []Answer, maxAnswers/MaxBatchCommands),
		seen:     -1,
		streams:  newRecent[string, *stream](opts.CachedStreams),
		outcomes: newRecent[uuid.UUID, Outcome](opts.RecentOutcomes),
	}
}

// Submit puts a command into its place in the engine's queue, which is that of its message
// among those of its key (package turn), and waits until its answer is published. It
// returns ErrStopped if the engine stops first, and ctx's error if that ends first; in both
// cases the command may have been decided and must be delivered again.
func (e *Engine) Submit(ctx context.Context, c *Command) (Outcome, error) {
	p := &pending{Command: c, done: make(chan struct{})}
	if t := turn.FromContext(ctx); t != nil {
		t.Take(func() { e.enqueue(p) })
	} else {
		e.enqueue(p)
	}
	select {
	case <-p.done:
		return p.answer.Outcome, p.err
	case <-ctx.Done():
		return Outcome{}, fmt.Errorf("es: wait for the outcome of %s: %w", c.Type, context.Cause(ctx))
	}
}

func (e *Engine) enqueue(p *pending) {
	e.mu.Lock()
	stopped := e.stopped
	if !stopped {
		e.waiting = append(e.waiting, p)
	}
	e.mu.Unlock()
	if stopped {
		p.err = ErrStopped
		close(p.done)
		return
	}
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// fill moves waiting commands into the batch, up to its bound.
func (e *Engine) fill() {
	e.mu.Lock()
	defer e.mu.Unlock()
	limit := MaxBatchCommands
	if e.alone > 0 {
		limit = 1
	}
	n := min(limit-len(e.batch), len(e.waiting))
	if n <= 0 {
		return
	}
	e.batch = append(e.batch, e.waiting[:n]...)
	rest := copy(e.waiting, e.waiting[n:])
	clear(e.waiting[rest:])
	e.waiting = e.waiting[:rest]
}

// Run drives the engine until ctx ends: one loop decides and appends, the other one
// publishes answers. Infrastructure errors are tried again for as long as it runs. What
// has been appended by then is answered before it returns, within the time that drain
// leaves; everything still waiting gets ErrStopped.
func (e *Engine) Run(ctx context.Context, drain time.Duration) error {
	answering, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		for e.answerNext(answering) {
		}
	}()
	e.decideUntil(ctx)
	close(e.answers)
	timer := time.AfterFunc(drain, stop)
	<-answered
	timer.Stop()
	for batch := range e.answers { // what the time to drain was too short for
		e.unsent = append(e.unsent, batch...)
	}
	e.release(ErrStopped)
	e.abandon()
	return nil
}

func (e *Engine) decideUntil(ctx context.Context) {
	pause := retryFrom
	for ctx.Err() == nil {
		stepped, err := e.Step(ctx)
		switch {
		case err != nil:
			if ctx.Err() != nil {
				return
			}
			e.opts.Observer.Failed(err)
			wait(ctx, pause)
			pause = min(2*pause, retryUpTo)
		case stepped.Commands == 0 && !stepped.Again:
			pause = retryFrom
			select {
			case <-e.wake:
			case <-ctx.Done():
				return
			}
			// Handlers that were released together submit together: let them.
			for range 4 {
				runtime.Gosched()
			}
		default:
			pause = retryFrom
		}
	}
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// abandon tells everyone who still waits that there will be no answer, now and later.
func (e *Engine) abandon() {
	e.mu.Lock()
	left := append(e.waiting, e.batch...)
	e.waiting, e.batch, e.stopped = nil, nil, true
	e.mu.Unlock()
	for _, p := range left {
		p.err = ErrStopped
		close(p.done)
	}
}

type blind struct{}

func (blind) Appended(int, int, time.Duration, time.Duration) {}
func (blind) Conflicted(int, int)                             {}
func (blind) Answered(string, Status, bool)                   {}
func (blind) Failed(error)                                    {}
