package es_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/es/memlog"
)

// loan is an aggregate with a deadline: a book is lent until a time, and its reader is reminded.
type loan struct {
	Until    time.Time
	Reminded int
}

type (
	loanEvent   interface{ evolve(loan) loan }
	loanCommand interface {
		decide(loan) ([]loanEvent, error)
	}

	lent      struct{ Until time.Time }
	reminded  struct{ Until time.Time }
	givenBack struct{}

	lend     struct{ Until time.Time }
	remind   struct{ At time.Time }
	giveBack struct{}
	look     struct{}
)

func (e lent) evolve(l loan) loan     { l.Until = e.Until; return l }
func (e reminded) evolve(l loan) loan { l.Until = e.Until; l.Reminded++; return l }
func (givenBack) evolve(l loan) loan  { l.Until = time.Time{}; return l }

func (c lend) decide(loan) ([]loanEvent, error)     { return []loanEvent{lent(c)}, nil }
func (c remind) decide(loan) ([]loanEvent, error)   { return []loanEvent{reminded{c.At.Add(week)}}, nil }
func (c giveBack) decide(loan) ([]loanEvent, error) { return []loanEvent{givenBack(c)}, nil }
func (look) decide(loan) ([]loanEvent, error)       { return nil, nil }

const week = 7 * 24 * time.Hour

// never is a time at which Deadline panics.
var never = noon.AddDate(100, 0, 0)

// loans is the aggregate as of a release that reminds so much after the end of the loan.
func loans(grace time.Duration) *es.Aggregate[loan, loanEvent, loanCommand] {
	return &es.Aggregate[loan, loanEvent, loanCommand]{
		Decider: es.Decider[loan, loanEvent, loanCommand]{
			Category: "loan", StateVersion: 1,
			Initial: func() loan { return loan{} },
			Decide:  func(c loanCommand, l loan) ([]loanEvent, error) { return c.decide(l) },
			Evolve:  func(e loanEvent, l loan) loan { return e.evolve(l) },
			Deadline: func(l loan) time.Time {
				switch {
				case l.Until.Equal(never):
					panic("it never ends")
				case l.Until.IsZero():
					return l.Until
				}
				return l.Until.Add(grace)
			},
		},
		Codec: es.NewCodec[loanEvent](
			es.Stored[lent, loanEvent]("lent"), es.Stored[reminded, loanEvent]("reminded"), es.Stored[givenBack, loanEvent]("given_back"),
		),
	}
}

// timed is a rig whose log notes the timers that batches set.
type timed struct {
	*rig
	log *noting
	of  *es.Aggregate[loan, loanEvent, loanCommand]
	ids int
}

type noting struct {
	es.Log
	set   []es.Timer
	fault error // of the next append, which is written all the same
}

func (n *noting) Append(ctx context.Context, b es.Batch) (es.Head, error) {
	h, err := n.Log.Append(ctx, b)
	if err == nil {
		n.set = append(n.set, b.Timers...)
		err, n.fault = n.fault, nil
	}
	return h, err
}

func newTimed(t *testing.T) *timed {
	log := &noting{Log: newLog(t)}
	return &timed{rig: newRig(t, log), log: log, of: loans(0)}
}

// restart gives the log to another engine.
func (r *timed) restart() { r.rig = newRig(r.t, r.log) }

// on are commands for streams of one name, which may be wakes.
func (r *timed) on(stream string, bodies ...loanCommand) (commands []*es.Command) {
	for _, body := range bodies {
		r.ids++
		c := of(r.ids, "", nil)
		c.Type, c.Stream, c.Of, c.Body = "loan", "loan-"+stream, r.of, body
		if wake, ok := body.(remind); ok {
			c.Due = wake.At
		}
		commands = append(commands, c)
	}
	return commands
}

// sets does commands as one batch and fails the test unless it sets these timers.
func (r *timed) sets(commands []*es.Command, want ...es.Timer) []es.Answer {
	r.t.Helper()
	r.log.set = nil
	answers := r.do(commands...)
	if !slices.Equal(r.log.set, want) {
		r.t.Fatalf("set %+v, want %+v", r.log.set, want)
	}
	return answers
}

func loanTimer(stream string, version int64, due time.Time) es.Timer {
	return es.Timer{Stream: "loan-" + stream, Version: version, Due: due}
}

func TestAChangedDeadlineSetsTheTimerInTheSameAppend(t *testing.T) {
	r := newTimed(t)
	r.sets(r.on("a", lend{noon}), loanTimer("a", 1, noon))
	r.sets(r.on("a", look{}))
	r.sets(r.on("a", lend{noon}))
	r.sets(r.on("a", lend{noon.Add(week)}), loanTimer("a", 3, noon.Add(week)))
	r.sets(r.on("a", giveBack{}), loanTimer("a", 4, time.Time{}))
	r.sets(r.on("a", giveBack{}))
	due, err := r.log.DueTimers(t.Context(), noon.AddDate(1, 0, 0), time.Hour, 10)
	if err != nil || len(due) > 0 {
		t.Fatalf("%v, %v are due although the book was given back", due, err)
	}
}

func TestABatchSetsATimerForTheLastOfItsDeadlines(t *testing.T) {
	r := newTimed(t)
	r.sets(slices.Concat(r.on("a", lend{noon}, lend{noon.Add(week)}), r.on("b", lend{noon}), r.on("a", look{})),
		loanTimer("a", 2, noon.Add(week)), loanTimer("b", 1, noon))
	r.sets(r.on("b", giveBack{}, lend{noon}))
}

func TestADeadlineBetweenTwoMicrosecondsIsDueAtTheLater(t *testing.T) {
	r := newTimed(t)
	r.sets(r.on("a", lend{noon.Add(1)}), loanTimer("a", 1, noon.Add(time.Microsecond)))
	r.sets(r.on("a", lend{noon.Add(time.Microsecond)}))
}

func TestADeadlineThatHasPassedIsDueAsOfTheAppend(t *testing.T) {
	r := newTimed(t)
	past := time.Unix(0, 0)
	r.sets(r.on("a", lend{past}), loanTimer("a", 1, noon))
	r.sets(r.on("a", lend{past}))
	got := r.sets(r.on("a", remind{noon}), loanTimer("a", 3, noon.Add(week)))
	expect(t, got[0], es.StatusSucceeded, 3)
}

// TestAWakeThatDecidesNothingDoesNotWakeItsStreamAtOnceAgain: a decider that leaves its deadline as it
// is makes no endless loop.
func TestAWakeThatDecidesNothingDoesNotWakeItsStreamAtOnceAgain(t *testing.T) {
	r := newTimed(t)
	r.sets(r.on("a", lend{noon.Add(-week)}), loanTimer("a", 1, noon))
	for range 2 {
		idle := r.on("a", look{})
		idle[0].Due = noon
		r.sets(idle)
		r.restart()
	}
}

func TestAStreamFromTheLogSetsItsTimerWithItsFirstEvent(t *testing.T) {
	r := newTimed(t)
	r.sets(slices.Concat(r.on("a", lend{noon}), r.on("b", lend{noon}), r.on("c", giveBack{})), loanTimer("a", 1, noon), loanTimer("b", 1, noon))
	r.restart()
	r.sets(slices.Concat(r.on("a", look{}), r.on("b", giveBack{}), r.on("c", giveBack{})), loanTimer("b", 2, time.Time{}))
	r.sets(r.on("a", lend{noon}), loanTimer("a", 2, noon))
	r.sets(r.on("a", lend{noon}))
	r.sets(r.on("a", giveBack{}), loanTimer("a", 4, time.Time{}))
}

func TestAStreamGetsTheDeadlineOfANewReleaseWithItsNextEvent(t *testing.T) {
	for name, before := range map[string]func(*timed){
		"none before":    func(r *timed) { r.of.Deadline = nil },
		"a later before": func(r *timed) { r.of = loans(time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newTimed(t)
			before(r)
			r.do(r.on("a", lend{noon})...)
			r.of = loans(0)
			r.restart()
			r.sets(r.on("a", lend{noon}), loanTimer("a", 2, noon))
		})
	}
}

func TestATimerIsRightAfterAnAppendWhoseResultWasLost(t *testing.T) {
	r := newTimed(t)
	r.sets(r.on("a", lend{noon}), loanTimer("a", 1, noon))
	r.log.fault = errors.New("the connection broke")
	r.submit(r.on("a", lend{noon.Add(week)})...)
	if _, err := r.engine.Step(t.Context()); err == nil {
		t.Fatal("the append was to fail")
	}
	r.drive()
	r.sets(r.on("a", look{}))
	due, err := r.log.DueTimers(t.Context(), noon.AddDate(1, 0, 0), time.Hour, 10)
	if err != nil || !slices.Equal(due, []es.Timer{loanTimer("a", 2, noon.Add(week))}) {
		t.Fatalf("due are %v, %v", due, err)
	}
}

func TestAWakeIsDecidedOnceItsDeadlineHasPassed(t *testing.T) {
	r := newTimed(t)
	r.do(r.on("a", lend{noon})...)
	got := r.sets(r.on("a", remind{noon}), loanTimer("a", 2, noon.Add(week)))
	expect(t, got[0], es.StatusSucceeded, 2)
}

func TestAWakeThatComesTooLateDecidesNothing(t *testing.T) {
	r := newTimed(t)
	r.do(r.on("a", lend{noon})...)
	r.do(r.on("b", lend{noon}, giveBack{})...)
	// The deadline moves on while the wake is on its way: in the same batch, and before it.
	got := r.sets(append(r.on("a", lend{noon.Add(week)}), r.on("a", remind{noon})...), loanTimer("a", 2, noon.Add(week)))
	expect(t, got[1], es.StatusSucceeded, 2)
	r.restart()
	got = r.do(append(r.on("a", remind{noon}), r.on("b", remind{noon})...)...)
	expect(t, got[0], es.StatusSucceeded, 2)
	expect(t, got[1], es.StatusSucceeded, 2)
	got = r.do(r.on("a", remind{noon.Add(week)})...)
	expect(t, got[0], es.StatusSucceeded, 3)
}

// TestAStreamThatIsWokenTooLateInTheMiddleOfABatchIsWokenAgain has the deadline end as it was: the
// wake for it has come, and will count no more.
func TestAStreamThatIsWokenTooLateInTheMiddleOfABatchIsWokenAgain(t *testing.T) {
	r := newTimed(t)
	r.sets(r.on("a", lend{noon}), loanTimer("a", 1, noon))
	r.sets(r.on("a", giveBack{}, remind{noon}, lend{noon}), loanTimer("a", 3, noon))
}

func TestALateWakeSetsTheTimerOfItsStreamAnew(t *testing.T) {
	r := newTimed(t)
	r.sets(r.on("a", lend{noon.Add(week)}), loanTimer("a", 1, noon.Add(week)))
	r.sets(r.on("a", remind{noon}), loanTimer("a", 1, noon.Add(week))) // the log may have it at noon
	r.sets(r.on("a", look{}))
	r.restart()
	r.sets(r.on("a", giveBack{}), loanTimer("a", 2, time.Time{}))
	r.sets(r.on("a", remind{noon}), loanTimer("a", 2, time.Time{}))
}

func TestAWakeSetsTheTimerThatANewReleaseComputesDifferently(t *testing.T) {
	r := newTimed(t)
	r.sets(r.on("a", lend{noon}), loanTimer("a", 1, noon))
	r.of = loans(time.Hour) // from now on, books may be brought back an hour late
	r.restart()
	got := r.sets(r.on("a", remind{noon}), loanTimer("a", 1, noon.Add(time.Hour)))
	expect(t, got[0], es.StatusSucceeded, 1)
	r.sets(r.on("a", remind{noon.Add(time.Hour)}), loanTimer("a", 2, noon.Add(week+2*time.Hour)))
}

func TestAWakeOfAStreamThatNeverWasDeletesItsTimer(t *testing.T) {
	r := newTimed(t)
	got := r.sets(r.on("a", remind{noon}), loanTimer("a", 0, time.Time{}))
	expect(t, got[0], es.StatusSucceeded, 0)
}

func TestADeadlineThatPanicsParksTheCommandThatLedToIt(t *testing.T) {
	r := newTimed(t)
	got := r.sets(slices.Concat(r.on("a", lend{noon}, lend{never}), r.on("b", lend{noon})), loanTimer("a", 1, noon), loanTimer("b", 1, noon))
	expect(t, got[0], es.StatusSucceeded, 1)
	expect(t, got[1], es.StatusParked, 0)
	r.sets(r.on("a", giveBack{}), loanTimer("a", 2, time.Time{}))
}

func TestADeadlineThatNoLogCanKeepParksItsCommand(t *testing.T) {
	r := newTimed(t)
	got := r.do(r.on("a", lend{noon}, lend{noon.AddDate(9000, 0, 0)}, look{})...)
	expect(t, got[0], es.StatusSucceeded, 1)
	expect(t, got[1], es.StatusParked, 0)
	expect(t, got[2], es.StatusSucceeded, 1)
}

func TestWhoeverWaitsForTimersIsTold(t *testing.T) {
	var told []es.Timer
	r := newTimed(t)
	r.engine = es.NewEngine(es.Options{
		Log: memlog.New(memlog.Options{Clock: clock}), Clock: clock, Publish: func(context.Context, []es.Answer) error { return nil },
		OnTimers: func(set []es.Timer) { told = append(told, set...) },
	})
	r.do(r.on("a", lend{noon}, look{})...)
	r.do(r.on("a", look{})...)
	if want := []es.Timer{loanTimer("a", 1, noon)}; !slices.Equal(told, want) {
		t.Fatalf("told of %v, want %v", told, want)
	}
}

func TestAReleaseWithoutDeadlinesDeletesATimerWhenItFires(t *testing.T) {
	r := newTimed(t)
	r.sets(r.on("a", lend{noon}), loanTimer("a", 1, noon))
	r.of = loans(0)
	r.of.Deadline = nil
	r.restart()
	r.sets(r.on("a", lend{noon}))
	got := r.sets(r.on("a", remind{noon}), loanTimer("a", 2, time.Time{}))
	expect(t, got[0], es.StatusSucceeded, 2)
}
