package commandapi

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orderlane/orderlane/pkg/bus"
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
		for range cap(w.publishing) {
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
		if got := len(w.sent()); got != cap(w.publishing) {
			t.Errorf("%d commands were sent in the end", got)
		}
		if a := w.api.Do(ada, "POST", "/v1/orders", oneOrder); a.Status != 202 {
			t.Errorf("the broker is back: %d %s", a.Status, a.Body)
		}
	})
}
