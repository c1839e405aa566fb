package commandapi

import (
	"log/slog"
	"testing"
	"time"

	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/embedded"
	"github.com/orderlane/orderlane/pkg/kafka"
)

// patience is how long the tests with a broker wait for what must happen.
const patience = time.Minute

// TestABrokerThatIsStoppedAndStartedAgain is the outlet before a broker with a port, and before
// the producer that services have.
func TestABrokerThatIsStoppedAndStartedAgain(t *testing.T) {
	w := newWorld(t)
	w.outlet = newOutlet(maxPublishing, slog.New(slog.DiscardHandler))
	options := embedded.Options{Dir: t.TempDir(), Topics: bus.ServiceTopics("ordering", true, 2, 1), Log: slog.New(slog.DiscardHandler)}
	broker, err := embedded.Start(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	options.Addr = broker.Addr()
	publisher, err := kafka.NewPublisher(kafka.Config{Brokers: []string{broker.Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	if w.sender, err = bus.NewSender(publisher); err != nil {
		t.Fatal(err)
	}
	if a, _ := w.timed(ada); a.Status != 202 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	if err := broker.Close(); err != nil {
		t.Fatal(err)
	}
	stopped := time.Now()
	first := make(chan int, 1)
	go func() {
		a, _ := w.timed(ada)
		first <- a.Status
	}()
	awaitAway(t, w.outlet)
	t.Logf("after %s the broker is known to be away", time.Since(stopped))
	var longest time.Duration
	for range 5 { // few: the first one is kept for publishWait, and the broker is to be back before
		a, took := w.timed(ada)
		wantUnavailable(t, a)
		longest = max(longest, took)
	}
	if longest > publishWait/2 { // awayWait, or more on a busy machine; not publishWait, as while the broker is there
		t.Errorf("a client was kept for %s", longest)
	}
	if broker, err = embedded.Start(t.Context(), options); err != nil {
		t.Fatal(err)
	}
	started := time.Now()
	for a, _ := w.timed(ada); a.Status != 202; a, _ = w.timed(ada) {
		if time.Since(started) > patience {
			t.Fatalf("the broker is back: %d %s", a.Status, a.Body)
		}
	}
	t.Logf("clients were kept for %s at most; %s after the broker's return a command was accepted, %s after it went", longest, time.Since(started), time.Since(stopped))
	if status := <-first; status != 202 {
		t.Errorf("the command that met the outage, and saw its end, was answered %d", status)
	}
	awaitEmpty(t, w.outlet)
	if err := publisher.Close(); err != nil {
		t.Error(err)
	}
	if err := broker.Close(); err != nil {
		t.Error(err)
	}
}

// awaitAway waits until the broker is taken for away.
func awaitAway(t *testing.T, o *outlet) {
	t.Helper()
	awaitOutlet(t, o, "the broker is known to be away", func() bool { return o.back != nil })
}

// awaitEmpty waits until the broker has answered all that was sent.
func awaitEmpty(t *testing.T, o *outlet) {
	t.Helper()
	awaitOutlet(t, o, "everything sent is answered", func() bool { return o.publishing == 0 })
}

func awaitOutlet(t *testing.T, o *outlet, what string, ok func() bool) {
	t.Helper()
	tick, deadline := time.NewTicker(time.Millisecond), time.After(patience)
	defer tick.Stop()
	for {
		o.mu.Lock()
		is := ok()
		o.mu.Unlock()
		if is {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}
