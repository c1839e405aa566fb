package process

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/es/memlog"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/kafka/memkafka"
)

// belfry is a log with timers, and alarms on it.
type belfry struct {
	t      *testing.T
	log    *memlog.Log
	broker *memkafka.Broker
	now    func() time.Time
	fired  int
	late   []time.Duration
	failed int
}

func newBelfry(t *testing.T, now func() time.Time) *belfry {
	return &belfry{
		t: t, now: now, log: memlog.New(memlog.Options{Clock: now}),
		broker: memkafka.New(now, kafka.TopicSpec{Name: "deal.commands.v1", Partitions: 1}),
	}
}

func (b *belfry) alarm() *Alarm {
	return NewAlarm(AlarmOptions{Service: "deal", Log: b.log, Producer: b.broker.Producer(), Clock: b.now, Observer: b})
}

// Fired implements AlarmObserver.
func (b *belfry) Fired(timers int, late time.Duration) {
	b.fired, b.late = b.fired+timers, append(b.late, late)
}

// Failed implements AlarmObserver.
func (b *belfry) Failed(error) { b.failed++ }

// set sets the timer of a new stream, and tells alarms.
func (b *belfry) set(stream string, due time.Time, tell ...*Alarm) {
	b.t.Helper()
	timers := []es.Timer{{Stream: stream, Version: 1, Due: due}}
	_, err := b.log.Append(b.t.Context(), es.Batch{
		Seen: -1, Streams: []es.StreamVersion{{Stream: stream}}, Timers: timers,
		Events: []es.Record{{
			Stream: stream, Version: 1, Type: "set", Schema: 1, Time: b.now(), Data: []byte("{}"),
			Meta: es.Metadata{Command: uuid.NewSHA1(uuid.NameSpaceOID, []byte(stream))},
		}},
	})
	if err != nil {
		b.t.Fatal(err)
	}
	for _, a := range tell {
		a.Armed(timers)
	}
}

// wakes are the streams that were woken, in order.
func (b *belfry) wakes() (streams []string) {
	for _, r := range b.broker.Records(kafka.Partition{Topic: "deal.commands.v1"}, 0, -1) {
		if r.Header(bus.HeaderType) != "orderlane.deal.wake.v1" || string(r.Key) != r.Header(bus.HeaderSubject) {
			b.t.Errorf("no wake: %+v", r)
		}
		streams = append(streams, string(r.Key))
	}
	return streams
}

func (b *belfry) woke(want ...string) {
	b.t.Helper()
	if got := b.wakes(); fmt.Sprint(got) != fmt.Sprint(want) {
		b.t.Errorf("woken are %v, want %v", got, want)
	}
}

func (b *belfry) step(a *Alarm, want int) {
	b.t.Helper()
	if n, err := a.Step(b.t.Context()); n != want || err != nil {
		b.t.Fatalf("woke %d, %v; want %d", n, err, want)
	}
}

func TestStreamsAreWokenAtTheirDeadlinesAndNotBefore(t *testing.T) {
	now := noon
	b := newBelfry(t, func() time.Time { return now })
	a := b.alarm()
	b.step(a, 0)
	b.set("deal-2", noon.Add(2*time.Second))
	b.set("deal-1", noon.Add(time.Second))
	b.step(a, 0)
	now = noon.Add(time.Second)
	b.step(a, 1)
	now = noon.Add(3 * time.Second)
	b.step(a, 1)
	b.step(a, 0)
	b.woke("deal-1", "deal-2")
	if b.fired != 2 || b.late[1] != time.Second {
		t.Errorf("told of %d, late %v", b.fired, b.late)
	}
}

func TestAStreamThatDoesNotAnswerIsWokenAgain(t *testing.T) {
	now := noon
	b := newBelfry(t, func() time.Time { return now })
	a, other := b.alarm(), b.alarm()
	b.set("deal-1", noon)
	b.step(a, 1)
	now = now.Add(wakeAgain - time.Millisecond)
	b.step(other, 0)
	now = now.Add(time.Millisecond)
	b.step(other, 1)
	b.step(a, 0)
	records := b.broker.Records(kafka.Partition{Topic: "deal.commands.v1"}, 0, -1)
	if len(records) != 2 || records[0].Header(bus.HeaderID) != records[1].Header(bus.HeaderID) {
		t.Errorf("two wakes for one timer: %+v", records)
	}
}

func TestWhatWasNotSentIsSentByTheNextStep(t *testing.T) {
	b := newBelfry(t, clock)
	a := b.alarm()
	b.set("deal-1", noon)
	b.broker.FailNext(errors.New("away"), 0)
	if n, err := a.Step(t.Context()); err == nil {
		t.Fatalf("woke %d with the broker away", n)
	}
	b.set("deal-2", noon)
	b.step(a, 1)
	b.step(a, 1)
	b.woke("deal-1", "deal-2")
}

func TestAnAlarmTellsOfALogThatIsAway(t *testing.T) {
	b := newBelfry(t, clock)
	a := b.alarm()
	_ = b.log.Close()
	if n, err := a.Step(t.Context()); !errors.Is(err, es.ErrClosed) {
		t.Fatalf("woke %d, %v", n, err)
	}
}

// running runs an alarm in a bubble, with the bubble's clock, for as long as the test does.
func running(t *testing.T, test func(b *belfry, a *Alarm)) {
	synctest.Test(t, func(t *testing.T) {
		b := newBelfry(t, time.Now)
		a := b.alarm()
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- a.Run(ctx) }()
		synctest.Wait()
		test(b, a)
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// wokenBy says when, from now, so many streams had been woken.
func (b *belfry) wokenBy(n int) time.Duration {
	started := b.now()
	for len(b.wakes()) < n {
		if b.now().Sub(started) > time.Minute {
			b.t.Fatalf("woken are %v", b.wakes())
		}
		<-time.After(time.Millisecond)
		synctest.Wait()
	}
	return b.now().Sub(started)
}

func TestARunningAlarmIsNotLaterThanItsPoll(t *testing.T) {
	running(t, func(b *belfry, _ *Alarm) {
		due := 10 * time.Second
		b.set("deal-1", b.now().Add(due))
		if took := b.wokenBy(1); took < due || took > due+alarmPoll+time.Millisecond {
			b.t.Errorf("due after %s, and woken after %s", due, took)
		}
	})
}

func TestATimerOfThisProcessThatIsDueSoonIsNotLate(t *testing.T) {
	running(t, func(b *belfry, a *Alarm) {
		due := alarmPoll / 3
		b.set("deal-2", b.now().Add(time.Hour), a)
		b.set("deal-1", b.now().Add(due), a)
		b.set("deal-3", b.now().Add(alarmPoll/2), a)
		if took := b.wokenBy(1); took < due || took > due+time.Millisecond {
			b.t.Errorf("due after %s, and woken after %s", due, took)
		}
		b.wokenBy(2)
		b.woke("deal-1", "deal-3")
	})
}

func TestARunningAlarmGoesOnAfterFailures(t *testing.T) {
	running(t, func(b *belfry, a *Alarm) {
		b.broker.FailNext(errors.New("away"), 0)
		b.set("deal-1", b.now(), a)
		b.wokenBy(1)
		if b.failed != 1 {
			b.t.Errorf("%d failures are told", b.failed)
		}
	})
}

// TestAnAlarmThatIsStoppedInTheMiddleSendsWhatItWasHanded has the process end while the log hands out
// a timer, which no other instance would be handed for a minute.
func TestAnAlarmThatIsStoppedInTheMiddleSendsWhatItWasHanded(t *testing.T) {
	b := newBelfry(t, clock)
	b.set("deal-1", noon)
	ctx, stop := context.WithCancel(t.Context())
	a := NewAlarm(AlarmOptions{
		Service: "deal", Log: b.log, Clock: b.now, Observer: b,
		Producer: producerFunc(func(ctx context.Context, records []kafka.Record) error {
			stop()
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return b.broker.Producer().Publish(ctx, records)
		}),
	})
	if err := a.Run(ctx); err != nil {
		t.Fatal(err)
	}
	b.woke("deal-1")
}

func TestAnAlarmDoesNotWaitForABrokerThatIsAwayWhenItStops(t *testing.T) {
	b := newBelfry(t, clock)
	b.set("deal-1", noon)
	ctx, stop := context.WithCancel(t.Context())
	a := NewAlarm(AlarmOptions{
		Service: "deal", Log: b.log, Clock: b.now, Observer: b,
		Producer: producerFunc(func(context.Context, []kafka.Record) error { stop(); return errors.New("away") }),
	})
	if err := a.Run(ctx); err != nil || b.failed != 1 {
		t.Fatalf("it ended with %v, and told of %d failures", err, b.failed)
	}
}

type producerFunc func(context.Context, []kafka.Record) error

func (f producerFunc) Publish(ctx context.Context, records []kafka.Record) error {
	return f(ctx, records)
}
func (producerFunc) Close() error { return nil }
