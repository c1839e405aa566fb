package projection

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orderlane/orderlane/pkg/kafka"
)

// Errors of a projection.
var (
	// ErrNotOwner says that another instance owns the key's partitions: ask that one.
	ErrNotOwner = errors.New("projection: no owned partition has records of that key")
	// ErrFenced is returned by Deliver when the group must be joined again, since a partition
	// has another owner.
	ErrFenced = errors.New("projection: partitions must be assigned again")
	// ErrFrozen is returned by Assigned for a build that gives way to another one.
	ErrFrozen = errors.New("projection: the build gives way to another one")
	// ErrTooManyBroken is a step's error when Options.MaxBroken keys are broken already.
	ErrTooManyBroken = errors.New("projection: too many broken keys: the view is at fault, not the records")
)

const (
	// smallStep is how many records make a step worth its transaction: with fewer, Linger waits.
	smallStep = 256

	// lingerSteps is how many times as long as the last step took Linger waits at the most. Steps
	// take long where the processors are busy: there larger steps save work, and waiting costs
	// little beside what a record waits for anyway.
	lingerSteps = 3

	// minBackoff and maxBackoff bound the pause after a step that failed.
	minBackoff = 20 * time.Millisecond
	maxBackoff = 2 * time.Second

	// idleCheck is how often the checkpoints are looked at while the loop runs.
	idleCheck = 5 * time.Second
)

// Projection drives one view: it implements kafka.BatchHandler, and Run does the work. All
// methods are safe for concurrent use.
type Projection struct {
	*Answers

	o       Options
	name    string
	version int64
	id      string // of the build, in checkpoints and broken keys
	sources []Source
	queue   *queue
	stepper chan struct{} // holds a token while a step, a repair or an assignment is under way
	limit   atomic.Int64  // Options.Step, or less while a build is not the active one

	stale    atomic.Bool // a claim has ended that the group has not taken back
	claimsMu sync.Mutex
	claims   map[kafka.Partition]*claim

	// Of the step, under its lock.
	now    *work              // what the step at hand commits
	ahead  *work              // what the next one will, if the view has a twin
	rounds int64              // plans that were made
	broken map[brokenID]int32 // keys that are broken, with their partition
	breaks int64              // changes of broken
	doubt  bool               // whether the last transaction was committed is not known
	gaps   bool               // a claim has lost records that it had
	kept   time.Time          // when old rows were deleted last
	unkept int                // records since then
}

var _ kafka.BatchHandler = (*Projection)(nil)

// New returns the projection of a view, and makes its tables where they are missing.
func New(ctx context.Context, o Options) (*Projection, error) {
	if err := o.defaults(); err != nil {
		return nil, err
	}
	if o.answers == nil {
		id := buildID(o.View.Name(), o.Build)
		o.answers = newAnswers(o.View, o.Store, o.Clock, func() string { return id })
	}
	if o.Build > 0 {
		o.Store = newBuildStore(o.Store, o.View, o.Build)
	}
	p := &Projection{
		Answers: o.answers, o: o, name: o.View.Name(), version: int64(o.View.Version()), id: buildID(o.View.Name(), o.Build), sources: o.View.Sources(),
		queue: newQueue(o.Queue, o.QueueBytes), stepper: make(chan struct{}, 1), claims: make(map[kafka.Partition]*claim),
		now: newWork(o.View), broken: make(map[brokenID]int32),
	}
	if v, ok := o.View.(Twin); ok {
		p.ahead = newWork(v.Twin())
	}
	if err := o.Store.Migrate(ctx, "projection", schema); err != nil {
		return nil, err
	}
	p.limit.Store(int64(o.Step))
	if err := o.Store.Migrate(ctx, schemaName(p.name, int(p.version), o.Build), o.View.Schema(o.Store.Dialect())); err != nil {
		return nil, err
	}
	return p, nil
}

// Topics are the topics that the view is fed by, for the consumer.
func (p *Projection) Topics() []string { return topicsOf(p.sources) }

func topicsOf(sources []Source) []string {
	topics := make([]string, len(sources))
	for i, s := range sources {
		topics[i] = s.Topic
	}
	slices.Sort(topics)
	return slices.Compact(topics)
}

// lock waits for the step, repair or assignment under way.
func (p *Projection) lock(ctx context.Context) error {
	select {
	case p.stepper <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *Projection) unlock() { <-p.stepper }

// Run steps whenever records wait, until ctx ends; then it returns nil. A step that fails
// is tried again after a pause, while deliverers wait in the end, and with them the partitions.
func (p *Projection) Run(ctx context.Context) error {
	last, took, pause := smallStep, time.Duration(0), minBackoff
	idle := time.NewTicker(idleCheck)
	defer idle.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-idle.C:
			// A database that comes back may have lost its last transactions while nothing is
			// going on that would show it.
			err := p.check(ctx)
			if err == nil {
				err = p.keepIdle(ctx)
			}
			switch {
			case err == nil:
				p.o.Watch.Stepped(Stepped{}) // it has no records, and the database is there
			case ctx.Err() == nil:
				p.o.Watch.Failed(err)
			}
			continue
		case <-p.queue.ready:
		}
		for more := true; more; {
			if p.o.Linger > 0 && last < smallStep {
				p.linger(ctx, p.lingerFor(took))
			}
			s, err := p.Step(ctx)
			if ctx.Err() != nil {
				return nil
			}
			if err == nil {
				last, took, pause, more = s.Records, s.Duration, minBackoff, s.Waiting > 0
				continue
			}
			p.o.Watch.Failed(err)
			p.o.Log.Warn("step failed, will be tried again", "view", p.name, "pause", pause, "error", err)
			if !sleep(ctx, pause) {
				return nil
			}
			pause = min(2*pause, maxBackoff)
		}
	}
}

// lingerFor is how long to linger after a step that took so long.
func (p *Projection) lingerFor(took time.Duration) time.Duration {
	if took <= 0 { // a clock that stands still tells nothing
		return p.o.Linger
	}
	return min(p.o.Linger, lingerSteps*took)
}

// linger waits for enough records, for d at the most.
func (p *Projection) linger(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	for p.queue.len() < smallStep {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			return
		case <-p.queue.ready:
		}
	}
}

// sleep returns false if ctx ended before.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
