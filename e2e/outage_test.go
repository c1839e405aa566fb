//go:build unix

package e2e

import (
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/orderlane/orderlane/e2e/fleet"
)

// takeAway takes the database of ordering away, and returns what brings it back: the server of
// a real fleet is stopped, the file of an embedded one locked.
func takeAway(t *testing.T, f *fleet.Fleet) (bringBack func()) {
	t.Helper()
	if f.Kind == fleet.Real {
		f.Postgres.Stop()
		return f.Postgres.Start
	}
	conn, err := sqlite.OpenConn(f.LogFile("ordering"), sqlite.OpenReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	conn.SetBusyTimeout(fleet.Patience)
	if err := sqlitex.ExecuteTransient(conn, "BEGIN IMMEDIATE", nil); err != nil {
		t.Fatal(err)
	}
	back := false
	bringBack = func() {
		if back {
			return
		}
		back = true
		if err := conn.Close(); err != nil { // which rolls back
			t.Error(err)
		}
	}
	t.Cleanup(bringBack)
	return bringBack
}

func TestCommandsAreAcceptedWhileTheDatabaseIsDown(t *testing.T) {
	onBoth(t, fleet.Options{OwnDatabase: true}, func(t *testing.T, f *fleet.Fleet) {
		client := f.Client("")
		load := client.StartLoad(t, 2)
		load.Await(t, 50)
		bringBack := takeAway(t, f)
		load.Await(t, 100)
		a := client.Accept(t, http.StatusAccepted, http.MethodPost, orders, fleet.Order("c-1", fleet.LoadSKU, 1), "Prefer", "wait=1", "Consistency-Token", load.Token())
		if a.Status != "accepted" {
			t.Errorf("without a database an order is %s", a.Status)
		}
		// What waits for the database waits in Kafka, too: whoever holds it may die.
		deciders := distinct(f, fleet.OrderingA, fleet.OrderingB)
		for _, p := range deciders {
			p.Kill()
		}
		for _, p := range deciders {
			p.Launch()
		}
		bringBack()
		client.AwaitStatus(t, a.CommandID, "succeeded")
		load.Await(t, 50)
		sent := load.Stop(t)
		client.Check(t, sent)
		for _, name := range f.Names() {
			f.Process(name).WaitReady()
		}
	})
}

func TestABrokerThatIsStoppedOrKilledUnderLoadCostsNothing(t *testing.T) {
	slow(t)
	// The broker of an embedded fleet goes with its process: see the tests that kill and stop that.
	f := fleet.Start(t, fleet.Real, fleet.Options{})
	client := f.Client("")
	load := client.StartLoad(t, 2)
	for name, down := range map[string]func(){"stopped": f.Kafka.Stop, "killed": f.Kafka.Kill} {
		t.Run(name, func(t *testing.T) {
			load.Await(t, 50)
			down()
			fleet.Wait(t, "a command is answered 503", func() string {
				a, err := client.Try(t.Context(), http.MethodPost, orders, fleet.Order("c-1", "NO-SUCH", 1))
				switch {
				case err != nil:
					return err.Error()
				case a.Status != http.StatusServiceUnavailable || a.Code() != "broker_unavailable" || a.Header.Get("Retry-After") == "":
					return a.String()
				}
				return ""
			})
			for _, process := range f.Names() {
				fleet.Wait(t, process+" misses the broker", func() string {
					status, body, err := f.Process(process).Ready()
					if err != nil || status != http.StatusServiceUnavailable || !strings.Contains(body, "broker") {
						return body
					}
					return ""
				})
			}
			f.Kafka.Start()
			load.Await(t, 50)
			for _, process := range f.Names() {
				f.Process(process).WaitReady()
			}
		})
	}
	client.Check(t, load.Stop(t))
}

func TestAProcessThatIsAskedToStopFinishesWhatIsInFlight(t *testing.T) {
	onBoth(t, fleet.Options{}, func(t *testing.T, f *fleet.Fleet) {
		client := f.Client("")
		load := client.StartLoad(t, 2)
		for _, name := range f.Names() {
			load.Await(t, 20)
			p := f.Process(name)
			p.Stop() // within the drain deadline, or it exits with another code
			p.Start()
		}
		load.Await(t, 20)
		client.Check(t, load.Stop(t))
		f.Stop()
	})
}

func TestASecondSignalEndsAStopThatTakesLong(t *testing.T) {
	onBoth(t, fleet.Options{OwnDatabase: true, Env: []string{"ORDERLANE_DRAIN_DEADLINE=5m"}}, func(t *testing.T, f *fleet.Fleet) {
		client := f.Client("")
		token := client.Define(t, "TEA-001", 1299)
		a := client.Accept(t, http.StatusOK, http.MethodPost, orders, fleet.Order("c-1", "TEA-001", 1), "Prefer", wait, "Consistency-Token", token)
		bringBack := takeAway(t, f)
		// What is in flight now can't be finished, so the stop waits for it.
		stuck := client.Accept(t, http.StatusAccepted, http.MethodPost, orders, fleet.Order("c-1", "TEA-001", 1), "Prefer", "wait=1")
		draining := distinct(f, fleet.OrderingA, fleet.OrderingB) // one of them has it
		for _, p := range draining {
			p.Signal(syscall.SIGTERM)
			fleet.Wait(t, p.Name+" is stopping", func() string {
				if strings.Contains(p.Log(), `"msg":"stopping"`) {
					return ""
				}
				return "it does not say so"
			})
		}
		var codes []int
		for _, p := range draining {
			p.Signal(syscall.SIGTERM)
			codes = append(codes, p.Exited(fleet.Patience)) // the drain deadline is longer
		}
		// One that had nothing in flight may have ended by itself, or may be past listening for signals.
		ended := slices.DeleteFunc(slices.Clone(codes), func(code int) bool { return code == 0 || code == -1 })
		if len(ended) == 0 || slices.ContainsFunc(ended, func(code int) bool { return code != 143 }) {
			t.Errorf("after the second signal they exit with %v", codes)
		}
		bringBack()
		for _, p := range draining {
			p.Start()
		}
		client.AwaitStatus(t, stuck.CommandID, "succeeded")
		client.AwaitStatus(t, a.CommandID, "succeeded")
		client.Check(t, nil)
	})
}

// distinct returns the processes of the names: one, if the fleet is embedded.
func distinct(f *fleet.Fleet, names ...string) (processes []*fleet.Process) {
	for _, name := range names {
		if p := f.Process(name); !slices.Contains(processes, p) {
			processes = append(processes, p)
		}
	}
	return processes
}
