package process

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/kafka"
)

// Times and bounds of an alarm.
const (
	// alarmPoll is how often the log is asked for timers: those of other instances, and those that
	// were set before this process started, are late by no more than that.
	alarmPoll = 250 * time.Millisecond
	// wakeAgain is how long a stream may take to answer its timer before it is woken again. The
	// repeat has the same id for a while (bus.WakeRecord), so it counts only if the first one was
	// lost or parked. The pauses grow (es.Log.DueTimers), so that one that is parked makes few
	// dead letters.
	wakeAgain = time.Minute
	// maxDue is how many timers are handed out at once.
	maxDue = 1000

	retryFrom = 50 * time.Millisecond
	retryUpTo = 2 * time.Second
)

// AlarmObserver sees what an alarm does, for metrics. Calls come from one goroutine.
type AlarmObserver interface {
	// Fired: so many streams were woken, the first of them that late.
	Fired(timers int, late time.Duration)
	// Failed: a step failed, and will be made again.
	Failed(err error)
}

// AlarmOptions are the settings of an alarm.
type AlarmOptions struct {
	Service  string
	Log      es.Log
	Producer kafka.Producer
	Clock    func() time.Time
	Observer AlarmObserver // optional
}

// Alarm wakes the streams of a service at their deadlines: it publishes a command for each timer
// of the log that is due. Any number of instances may run beside each other; each timer is
// handed out to one of them. Step is for one goroutine; Armed is safe for concurrent use.
type Alarm struct {
	opts   AlarmOptions
	unsent []es.Timer // handed out to us, and not published yet
	armed  chan struct{}

	mu   sync.Mutex
	next time.Time // the earliest deadline that this process has set; zero if none is ahead
}

// NewAlarm returns an alarm. It does nothing until it is driven.
func NewAlarm(opts AlarmOptions) *Alarm {
	if opts.Observer == nil {
		opts.Observer = blind{}
	}
	return &Alarm{opts: opts, armed: make(chan struct{}, 1)}
}

// Armed takes note of timers that were just set, so that those due soon are not late; use it as
// es.Options.OnTimers.
func (a *Alarm) Armed(timers []es.Timer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	sooner := false
	for _, t := range timers {
		if !t.Due.IsZero() && (a.next.IsZero() || t.Due.Before(a.next)) {
			a.next, sooner = t.Due, true
		}
	}
	if sooner {
		select {
		case a.armed <- struct{}{}:
		default:
		}
	}
}

// Step wakes the streams whose timers are due now, up to a bound, and says how many. After an
// error call it again: what it was about to send is sent first.
func (a *Alarm) Step(ctx context.Context) (int, error) {
	now := a.opts.Clock()
	a.mu.Lock()
	if !a.next.After(now) {
		a.next = time.Time{}
	}
	a.mu.Unlock()
	if len(a.unsent) == 0 {
		due, err := a.opts.Log.DueTimers(ctx, now, wakeAgain, maxDue)
		if err != nil {
			return 0, fmt.Errorf("process: ask the log of %s for timers: %w", a.opts.Service, err)
		}
		if len(due) == 0 {
			return 0, nil
		}
		a.unsent = due
	}
	return a.send(ctx, now)
}

// send wakes the streams that were handed out to us.
func (a *Alarm) send(ctx context.Context, now time.Time) (int, error) {
	records := make([]kafka.Record, len(a.unsent))
	for i, t := range a.unsent {
		var err error
		if records[i], err = bus.WakeRecord(a.opts.Service, t, now); err != nil {
			return 0, err
		}
	}
	if err := a.opts.Producer.Publish(ctx, records); err != nil {
		return 0, fmt.Errorf("process: wake %d streams of %s: %w", len(records), a.opts.Service, err)
	}
	a.opts.Observer.Fired(len(a.unsent), now.Sub(a.unsent[0].Due))
	n := len(a.unsent)
	a.unsent = nil
	return n, nil
}

// Run drives the alarm until ctx ends. What was handed out to it by then is sent, if the broker is
// there: nobody else would be handed it for a while.
func (a *Alarm) Run(ctx context.Context) error {
	pause := retryFrom
	for ctx.Err() == nil {
		n, err := a.Step(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			a.opts.Observer.Failed(err)
			a.wait(ctx, pause, nil)
			pause = min(2*pause, retryUpTo)
			continue
		case n < maxDue:
			a.sleep(ctx)
		}
		pause = retryFrom
	}
	if len(a.unsent) == 0 {
		return nil
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), retryUpTo)
	defer cancel()
	if _, err := a.send(last, a.opts.Clock()); err != nil {
		a.opts.Observer.Failed(err)
	}
	return nil
}

// sleep waits until the next look at the log, or for a timer of this process that is due sooner.
func (a *Alarm) sleep(ctx context.Context) {
	until := a.opts.Clock().Add(alarmPoll)
	for again := true; again; {
		a.mu.Lock()
		if !a.next.IsZero() && a.next.Before(until) {
			until = a.next
		}
		a.mu.Unlock()
		again = a.wait(ctx, until.Sub(a.opts.Clock()), a.armed)
	}
}

// wait reports whether it was sooner called by signal than d passed or ctx ended.
func (*Alarm) wait(ctx context.Context, d time.Duration, signal <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-signal:
		return true
	case <-t.C:
	case <-ctx.Done():
	}
	return false
}
