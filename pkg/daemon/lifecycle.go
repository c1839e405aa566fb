package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/pprof"
	"strings"
	"time"
)

// Stage is when a component starts: stages start one after the other in this order, and
// stop in the reverse one. So whoever has something in flight stops before whoever it
// needs to finish it: a client that waits gets its outcome, what a consumer wrote is
// relayed, and what was relayed gets into the views.
type Stage int

// The stages.
const (
	StageOperator  Stage = iota // the operator listener, which tells what the others wait for
	StageResources              // broker, databases, producers
	StageViews                  // projections
	StageRelays                 // log to topics
	StageEngines                // decide commands
	StageConsumers              // command topics to engines, gateways
	StageHTTP                   // the public listener
	StageReady                  // what needs a process that serves, such as sample data
	stages
)

// Component is a part of the process that is started and stopped. Any function may be nil.
type Component struct {
	Name string

	// Start returns when the component can do its work, and holds up what follows until
	// then. ctx ends when the process stops meanwhile. A component whose Start failed is
	// not stopped: what it opened by then it closes, or has announced with Opened.
	Start func(ctx context.Context) error

	// Run works until ctx ends, then finishes what is in flight, for which Grace(ctx) gives
	// the time, and returns nil. Returning sooner, with or without an error, means that the
	// component has failed for good, and stops the process.
	Run func(ctx context.Context) error

	// Stop closes what Start opened, after Run has returned, or did not within the drain
	// deadline. ctx ends with that deadline, but leaves it a second at the least.
	Stop func(ctx context.Context) error
}

// stopFloor is how long a stage, and each of its Stop functions, may take when the drain
// deadline has passed already: enough to close files and leave groups, so that a restart
// is quick and one part that hangs costs only its own work.
const stopFloor = time.Second

// Supervisor starts components in stages, watches them, and stops them in reverse. Its
// methods are for one goroutine: Add, then Run once, and Add and Opened again from Start
// functions, which Run calls.
type Supervisor struct {
	log    *slog.Logger
	health *Health
	drain  time.Duration

	stages [stages][]Component
	now    Stage              // that starts
	up     [stages][]*running // in the order they came up
	failed chan error         // the first failure of a running component
}

// NewSupervisor returns a supervisor that gives a stop no longer than drain.
func NewSupervisor(log *slog.Logger, health *Health, drain time.Duration) *Supervisor {
	return &Supervisor{log: log, health: health, drain: drain, failed: make(chan error, 1)}
}

// Add puts a component at the end of a stage. A Start function may add to its own stage
// and to later ones: what can only be built when a resource is open is added then.
func (s *Supervisor) Add(stage Stage, c Component) {
	if stage < s.now {
		panic(fmt.Sprintf("daemon: %s is added to a stage that has passed", c.Name))
	}
	s.stages[stage] = append(s.stages[stage], c)
}

// Opened is for a Start function that opens several things: each is closed when the present
// stage stops, the last one first, even if that Start fails after all.
func (s *Supervisor) Opened(name string, closeIt func(ctx context.Context) error) {
	s.launch(context.Background(), s.now, Component{Name: name, Stop: closeIt}, nil)
}

// running is a component between its start and its stop.
type running struct {
	Component
	cancel context.CancelFunc
	done   chan struct{} // closed when Run has returned
}

// Run starts every component and keeps the process up until ctx ends or a component
// fails for good; then it stops them all. The error is the failure, or says what did not
// stop within the drain deadline.
func (s *Supervisor) Run(ctx context.Context) error {
	ctx, abandon := context.WithCancel(ctx)
	defer abandon()
	grace, endGrace := context.WithCancel(context.Background())
	defer endGrace()

	err := s.start(ctx, grace, abandon)
	if err == nil {
		<-ctx.Done()
		s.log.Info("stopping", "deadline", s.drain)
	}
	s.health.Stopping()
	defer time.AfterFunc(s.drain, endGrace).Stop()
	if late := s.stop(grace); late != nil {
		err = errors.Join(err, fmt.Errorf("did not finish within the drain deadline of %s: %s", s.drain, strings.Join(late, ", ")))
	}
	select {
	case failure := <-s.failed:
		err = errors.Join(failure, err)
	default:
	}
	if err == nil {
		s.log.Info("stopped")
	}
	return err
}

// start brings the stages up; nil when ctx ends meanwhile.
func (s *Supervisor) start(ctx, grace context.Context, abandon func()) error {
	for s.now = range stages {
		for i := 0; i < len(s.stages[s.now]); i++ { // Start may add to the stage
			if ctx.Err() != nil {
				return nil
			}
			c := s.stages[s.now][i]
			if c.Start != nil {
				if err := labelled(c.Name, c.Start)(ctx); err != nil {
					if ctx.Err() != nil { // a signal or a failed component came first, and is the reason
						return nil
					}
					return fmt.Errorf("%s: %w", c.Name, err)
				}
			}
			s.launch(grace, s.now, c, abandon)
		}
		if s.now == StageHTTP && ctx.Err() == nil {
			s.health.Started()
			s.log.Info("started")
		}
	}
	return nil
}

// launch runs a component under a context of its own, which ends when its stage's turn to
// stop has come.
func (s *Supervisor) launch(grace context.Context, stage Stage, c Component, abandon func()) {
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), graceKey{}, grace))
	r := &running{Component: c, cancel: cancel, done: make(chan struct{})}
	s.up[stage] = append(s.up[stage], r)
	if c.Run == nil {
		close(r.done)
		return
	}
	go func() {
		defer close(r.done)
		err := labelled(c.Name, c.Run)(ctx)
		if ctx.Err() != nil {
			if err != nil && !errors.Is(err, context.Canceled) {
				s.log.Warn("ended with an error", "component", c.Name, "error", err)
			}
			return
		}
		if err == nil {
			err = errors.New("ended by itself")
		}
		select {
		case s.failed <- fmt.Errorf("%s: %w", c.Name, err):
		default: // another one failed first, and is the reason
		}
		abandon()
	}()
}

// ProfileLabel is the label that tells, in profiles of the process, which component the
// work was for. It holds the component's name. Work that is for no component, such as the garbage
// collector's, has none.
const ProfileLabel = "component"

// labelled returns a function that calls do, with the component's name on this goroutine and on all
// that it starts.
func labelled(name string, do func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) (err error) {
		pprof.Do(ctx, pprof.Labels(ProfileLabel, name), func(ctx context.Context) { err = do(ctx) })
		return err
	}
}

// stop ends the stages in reverse, each one's components at once, and names what did not
// finish in time.
func (s *Supervisor) stop(grace context.Context) (late []string) {
	for stage := len(s.up) - 1; stage >= 0; stage-- {
		up := s.up[stage]
		ctx, cancel := notBefore(grace)
		for _, r := range up {
			r.cancel()
		}
		for _, r := range up {
			if !wait(ctx, r.done) {
				late = append(late, r.Name)
			}
		}
		cancel()
		for i := len(up) - 1; i >= 0; i-- {
			if up[i].Stop != nil && !s.close(grace, up[i]) {
				late = append(late, up[i].Name)
			}
		}
	}
	return late
}

// close stops a component, and reports whether that came to an end. One that did not is
// left behind: the process is about to exit.
func (s *Supervisor) close(grace context.Context, r *running) bool {
	ctx, cancel := notBefore(grace)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := r.Stop(ctx); err != nil {
			s.log.Warn("did not close cleanly", "component", r.Name, "error", err)
		}
	}()
	return wait(ctx, done)
}

// notBefore returns a context that ends with grace, but not before stopFloor from now.
func notBefore(grace context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	floor := time.AfterFunc(stopFloor, func() { context.AfterFunc(grace, cancel) })
	return ctx, func() {
		floor.Stop()
		cancel()
	}
}

// wait waits for done until ctx ends, and reports whether it is.
func wait(ctx context.Context, done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	case <-ctx.Done():
	}
	select {
	case <-done: // both are: finished is finished
		return true
	default:
		return false
	}
}

type graceKey struct{}

// Grace returns the context under which a component's Run finishes what is in flight after
// its ctx has ended: it ends with the drain deadline. Outside a supervisor it is ctx.
func Grace(ctx context.Context) context.Context {
	if g, ok := ctx.Value(graceKey{}).(context.Context); ok {
		return g
	}
	return ctx
}
