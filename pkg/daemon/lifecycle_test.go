package daemon_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orderlane/orderlane/pkg/daemon"
)

// journal records what happens, in order.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Join(j.lines, " ")
}

// component is one that writes its life into the journal.
func (j *journal) component(name string) daemon.Component {
	return daemon.Component{
		Name:  name,
		Start: func(context.Context) error { j.add("start:" + name); return nil },
		Run:   func(ctx context.Context) error { <-ctx.Done(); j.add("drain:" + name); return nil },
		Stop:  func(context.Context) error { j.add("stop:" + name); return nil },
	}
}

func supervisor(drain time.Duration) (*daemon.Supervisor, *daemon.Health) {
	log := slog.New(slog.DiscardHandler)
	health := daemon.NewHealth(log, time.Now)
	return daemon.NewSupervisor(log, health, drain), health
}

func TestStagesStartInOrderAndStopInReverse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		sup, health := supervisor(time.Second)
		sup.Add(daemon.StageHTTP, j.component("http"))
		sup.Add(daemon.StageConsumers, j.component("orders"))
		sup.Add(daemon.StageRelays, j.component("relay"))
		sup.Add(daemon.StageViews, j.component("view"))
		sup.Add(daemon.StageResources, j.component("broker"))
		sup.Add(daemon.StageResources, daemon.Component{Name: "notes", Stop: func(context.Context) error { j.add("stop:notes"); return nil }})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- sup.Run(ctx) }()
		synctest.Wait()
		if got, want := j.String(), "start:broker start:view start:relay start:orders start:http"; got != want {
			t.Errorf("started as %q, want %q", got, want)
		}
		if r := health.Report(); r.Status != "ready" {
			t.Errorf("a process that has started is %s", r.Status)
		}
		j.lines = nil
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		want := "drain:http stop:http drain:orders stop:orders drain:relay stop:relay drain:view stop:view drain:broker stop:notes stop:broker"
		if got := j.String(); got != want {
			t.Errorf("stopped as\n%q, want\n%q", got, want)
		}
	})
}

func TestAProcessIsNotReadyBeforeItsListenerStartsNorOnceItStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sup, health := supervisor(time.Second)
		var before, during string
		sup.Add(daemon.StageHTTP, daemon.Component{
			Name:  "http",
			Start: func(context.Context) error { before = health.Report().Status; return nil },
			Run:   func(ctx context.Context) error { <-ctx.Done(); during = health.Report().Status; return nil },
		})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- sup.Run(ctx) }()
		synctest.Wait()
		cancel()
		<-ended //nolint:errcheck // only the order matters here
		if before != "starting" || during != "stopping" {
			t.Errorf("it was %q before and %q while it stopped", before, during)
		}
	})
}

func TestWorkInFlightIsFinishedWithinTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		sup, _ := supervisor(10 * time.Second)
		sup.Add(daemon.StageResources, j.component("database"))
		sup.Add(daemon.StageConsumers, daemon.Component{Name: "orders", Run: func(ctx context.Context) error {
			<-ctx.Done()
			select {
			case <-time.After(9 * time.Second):
				j.add("finished")
			case <-daemon.Grace(ctx).Done():
				j.add("cut off")
			}
			return nil
		}})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- sup.Run(ctx) }()
		synctest.Wait()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if want := "start:database finished drain:database stop:database"; j.String() != want {
			t.Errorf("got %q, want %q", j, want)
		}
	})
}

func TestWhatDoesNotFinishInTimeIsNamedAndTheRestIsStillClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		sup, _ := supervisor(10 * time.Second)
		release := make(chan struct{})
		sup.Add(daemon.StageResources, j.component("broker"))
		sup.Add(daemon.StageResources, daemon.Component{Name: "lock", Stop: func(ctx context.Context) error {
			if ctx.Err() != nil {
				t.Error("no time is left to close things")
			}
			j.add("stop:lock")
			return nil
		}})
		sup.Add(daemon.StageConsumers, daemon.Component{Name: "stuck", Run: func(ctx context.Context) error {
			<-release
			return nil
		}})
		sup.Add(daemon.StageViews, daemon.Component{Name: "hangs", Stop: func(context.Context) error { <-release; return nil }})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- sup.Run(ctx) }()
		synctest.Wait()
		started := time.Now()
		cancel()
		err := <-ended
		if took := time.Since(started); took > 14*time.Second {
			t.Errorf("the stop took %s", took)
		}
		if err == nil || !strings.Contains(err.Error(), "stuck") || !strings.Contains(err.Error(), "hangs") {
			t.Errorf("the error is %v", err)
		}
		close(release)
		if !strings.HasSuffix(j.String(), "stop:broker") {
			t.Errorf("the broker was not closed: %q", j)
		}
	})
}

func TestAComponentThatFailsForGoodStopsTheProcessWithItsError(t *testing.T) {
	broken := errors.New("the disk is full")
	for name, tc := range map[string]struct {
		c    daemon.Component
		want string
	}{
		"while starting":        {daemon.Component{Name: "log", Start: func(context.Context) error { return broken }}, "log: the disk is full"},
		"while running":         {daemon.Component{Name: "log", Run: func(context.Context) error { return broken }}, "log: the disk is full"},
		"returns without error": {daemon.Component{Name: "log", Run: func(context.Context) error { return nil }}, "log: ended by itself"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				j := &journal{}
				sup, health := supervisor(time.Second)
				sup.Add(daemon.StageResources, j.component("broker"))
				sup.Add(daemon.StageConsumers, tc.c)
				err := sup.Run(t.Context())
				if err == nil || err.Error() != tc.want {
					t.Errorf("the error is %v", err)
				}
				if !strings.HasSuffix(j.String(), "stop:broker") {
					t.Errorf("the broker was left open: %q", j)
				}
				if health.Report().Ready() {
					t.Error("a failed process is ready")
				}
			})
		})
	}
}

func TestAFailureWhileALaterComponentStartsIsTheReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sup, _ := supervisor(time.Second)
		fail := make(chan struct{})
		sup.Add(daemon.StageResources, daemon.Component{Name: "broker", Run: func(context.Context) error {
			<-fail
			return errors.New("died")
		}})
		sup.Add(daemon.StageHTTP, daemon.Component{Name: "http", Start: func(ctx context.Context) error {
			close(fail)
			<-ctx.Done()
			return ctx.Err()
		}})
		if err := sup.Run(t.Context()); err == nil || err.Error() != "broker: died" {
			t.Errorf("the error is %v", err)
		}
	})
}

func TestAStopDuringTheStartClosesWhatIsOpenAndIsNoError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		sup, _ := supervisor(time.Second)
		sup.Add(daemon.StageResources, j.component("broker"))
		sup.Add(daemon.StageResources, daemon.Component{Name: "database", Start: func(ctx context.Context) error {
			<-ctx.Done() // it is away
			return ctx.Err()
		}})
		sup.Add(daemon.StageHTTP, j.component("http"))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- sup.Run(ctx) }()
		synctest.Wait()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if want := "start:broker drain:broker stop:broker"; j.String() != want {
			t.Errorf("got %q, want %q", j, want)
		}
	})
}

func TestAStartMayAddLaterPartsAndWhatItOpenedIsClosedEvenIfItFails(t *testing.T) {
	for _, fails := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			j := &journal{}
			sup, _ := supervisor(time.Second)
			sup.Add(daemon.StageResources, daemon.Component{Name: "wiring", Start: func(context.Context) error {
				for _, name := range []string{"broker", "log"} {
					sup.Opened(name, func(context.Context) error { j.add("close:" + name); return nil })
				}
				sup.Add(daemon.StageResources, j.component("topics"))
				sup.Add(daemon.StageConsumers, j.component("orders"))
				if fails {
					return errors.New("no view")
				}
				return nil
			}})
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- sup.Run(ctx) }()
			synctest.Wait()
			cancel()
			err := <-ended
			want := "start:topics start:orders drain:orders stop:orders drain:topics stop:topics close:log close:broker"
			if fails {
				want = "close:log close:broker"
			}
			if j.String() != want || (err != nil) != fails {
				t.Errorf("got %q and error %v, want %q", j, err, want)
			}
		})
	}
}

func TestAddingToAStageThatHasPassedIsABug(t *testing.T) {
	sup, _ := supervisor(time.Second)
	sup.Add(daemon.StageHTTP, daemon.Component{Name: "late", Start: func(context.Context) error {
		defer func() {
			if recover() == nil {
				t.Error("nobody would ever start it")
			}
		}()
		sup.Add(daemon.StageResources, daemon.Component{})
		return nil
	}})
	sup.Add(daemon.StageReady, daemon.Component{Start: func(context.Context) error { return errors.New("enough") }})
	_ = sup.Run(t.Context())
}
