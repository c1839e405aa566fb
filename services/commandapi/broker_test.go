package commandapi

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/httpapi"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/service/servicetest"
)

// publisher is Watermill's, by its shape: services do not import Watermill.
type publisher[M any] interface {
	Publish(topic string, messages ...*M) error
	Close() error
}

// gated publishes what its gate lets pass.
type gated[M any] struct {
	publisher[M]
	gate func() error
}

func (g gated[M]) Publish(topic string, messages ...*M) error {
	if err := g.gate(); err != nil {
		return err
	}
	return g.publisher.Publish(topic, messages...)
}

func through[M any](p publisher[M], gate func() error) gated[M] { return gated[M]{p, gate} }

// use makes the API publish what a gate lets pass.
func (w *world) use(gate func() error) {
	sender, err := bus.NewSender(through(w.broker.Publisher(), gate))
	if err != nil {
		w.t.Fatal(err)
	}
	w.sender = sender
}

func open() error { return nil }

func wantUnavailable(t *testing.T, a *servicetest.Answer) {
	t.Helper()
	if a.Status != 503 || a.Code() != "broker_unavailable" || a.Header.Get("Retry-After") == "" {
		t.Errorf("%d %s, retry after %q", a.Status, a.Body, a.Header.Get("Retry-After"))
	}
}

func TestWhileTheBrokerRefusesTheClientIsToldToTryAgain(t *testing.T) {
	w := newWorld(t)
	w.use(func() error { return errors.New("no leader") })
	wantUnavailable(t, w.api.Do(ada, "POST", "/v1/orders", oneOrder))
	wantUnavailable(t, w.api.Do(ada, "POST", "/v1/orders", oneOrder, "Prefer", "wait=5"))
	if len(w.replies.waiting) != 0 {
		t.Errorf("it remembers %v", w.replies.waiting)
	}
	w.use(open)
	if a := w.api.Do(ada, "POST", "/v1/orders", oneOrder); a.Status != 202 {
		t.Errorf("the broker is back: %d %s", a.Status, a.Body)
	}
}

// TestWhileTheBrokerIsSilentClientsAreNotKeptAndDoNotPileUp: a publish that hangs goes on, and
// may yet succeed; its client is told, and no more than the bound hang.
func TestWhileTheBrokerIsSilentClientsAreNotKeptAndDoNotPileUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		back := make(chan struct{})
		w.use(func() error { <-back; return nil })
		started := time.Now()
		var answers []func() *servicetest.Answer
		for range w.outlet.limit {
			answers = append(answers, w.later(ada, "POST", "/v1/orders", oneOrder))
		}
		wantUnavailable(t, w.api.Do(ada, "POST", "/v1/orders", oneOrder))
		if waited := time.Since(started); waited != 0 {
			t.Errorf("one too many was kept for %s", waited)
		}
		for _, answer := range answers {
			wantUnavailable(t, answer())
		}
		if waited := time.Since(started); waited != publishWait {
			t.Errorf("clients were kept for %s", waited)
		}
		wantUnavailable(t, w.api.Do(ada, "POST", "/v1/orders", oneOrder)) // those still hang
		close(back)
		synctest.Wait()
		if got := len(w.sent()); got != w.outlet.limit {
			t.Errorf("%d commands were sent in the end", got)
		}
		if a := w.api.Do(ada, "POST", "/v1/orders", oneOrder); a.Status != 202 {
			t.Errorf("the broker is back: %d %s", a.Status, a.Body)
		}
	})
}

// TestACommandThatCannotBeSentTellsNothingOfTheBroker: its own client is told, and others go on, as
// they do when it was the one that tried the way.
func TestACommandThatCannotBeSentTellsNothingOfTheBroker(t *testing.T) {
	for code, cause := range map[string]error{"413 message_too_large": kafka.ErrTooLarge, "500 internal": bus.ErrUnencodable} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			refuse := func() {
				t.Helper()
				w.use(func() error { return fmt.Errorf("publish: %w", cause) })
				if a := w.api.Do(ada, "POST", "/v1/orders", oneOrder); fmt.Sprint(a.Status, " ", a.Code()) != code {
					t.Errorf("%d %s, want %s", a.Status, a.Body, code)
				}
			}
			refuse()
			if w.outlet.back != nil {
				t.Fatal("the broker is taken for away")
			}
			w.use(func() error { return errors.New("no leader") })
			wantUnavailable(t, w.api.Do(ada, "POST", "/v1/orders", oneOrder))
			refuse()
			w.use(open)
			if a, took := w.timed(ada); a.Status != 202 || took != 0 {
				t.Errorf("%d %s after %s", a.Status, a.Body, took)
			}
		})
	}
}

// timed is an answer and how long it took.
func (w *world) timed(as httpapi.Caller) (*servicetest.Answer, time.Duration) {
	started := time.Now()
	a := w.api.Do(as, "POST", "/v1/orders", oneOrder)
	return a, time.Since(started)
}

func TestOnceTheBrokerIsKnownToBeAwayClientsAreToldAtOnceAndOneCommandASecondTriesTheWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.outlet.limit = 1000
		back := make(chan struct{})
		var tries atomic.Int64
		w.use(func() error { tries.Add(1); <-back; return nil })
		first := w.later(ada, "POST", "/v1/orders", oneOrder)
		<-time.After(suspectAfter)
		synctest.Wait()
		for range 100 {
			a, took := w.timed(ada)
			wantUnavailable(t, a)
			if took > awayWait {
				t.Fatalf("a client was kept for %s", took)
			}
		}
		if n := tries.Load(); n != 11 { // the first, and one in each of the ten seconds that this took
			t.Errorf("%d commands tried the way", n)
		}
		wantUnavailable(t, first())
		waiting := w.later(ada, "POST", "/v1/orders", oneOrder)
		close(back)
		if a := waiting(); a.Status != 202 {
			t.Errorf("the broker came back while it waited: %d %s", a.Status, a.Body)
		}
		if a, took := w.timed(ada); a.Status != 202 || took != 0 {
			t.Errorf("the broker is back: %d %s after %s", a.Status, a.Body, took)
		}
		synctest.Wait()
		if sent := len(w.sent()); sent != int(tries.Load()) {
			t.Errorf("%d commands arrived, of %d that were sent", sent, tries.Load())
		}
	})
}

func TestABrokerThatCameBackUnseenIsFoundByTheNextCommandsAllOfThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.outlet.limit = 1000
		w.use(func() error { return errors.New("no leader") })
		wantUnavailable(t, w.api.Do(ada, "POST", "/v1/orders", oneOrder))
		w.use(func() error { <-time.After(5 * time.Millisecond); return nil }) // as long as an answer takes
		var answers []func() *servicetest.Answer
		for range 50 {
			answers = append(answers, w.later(ada, "POST", "/v1/orders", oneOrder))
		}
		for _, answer := range answers {
			if a := answer(); a.Status != 202 {
				t.Fatalf("%d %s", a.Status, a.Body)
			}
		}
	})
}

func TestWhatHangsInOnePartitionClosesTheWayForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		back := make(chan struct{})
		var tries atomic.Int64
		w.use(func() error {
			if tries.Add(1) == 1 {
				<-back
			}
			return nil
		})
		hanging := w.later(ada, "POST", "/v1/orders", oneOrder)
		for range 30 {
			<-time.After(suspectAfter / 3)
			if a, took := w.timed(ada); a.Status != 202 || took != 0 {
				t.Fatalf("%d %s after %s", a.Status, a.Body, took)
			}
		}
		wantUnavailable(t, hanging())
		close(back)
	})
}

// TestWhenOneHangingCommandIsAllThereIsTheNextOneFindsOut: the broker is taken for away, since nothing
// says that it is there.
func TestWhenOneHangingCommandIsAllThereIsTheNextOneFindsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		back := make(chan struct{})
		w.use(func() error { <-back; return nil })
		hanging := w.later(ada, "POST", "/v1/orders", oneOrder)
		<-time.After(2 * suspectAfter)
		w.use(open)
		if a, took := w.timed(ada); a.Status != 202 || took != 0 {
			t.Fatalf("%d %s after %s", a.Status, a.Body, took)
		}
		close(back)
		if a := hanging(); a.Status != 202 {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	})
}
