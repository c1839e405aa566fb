// Package sim drives the whole platform from one seed, on one goroutine: commands go over a
// broker in memory to the services' groups, engines and logs, over their relays to the event
// topics, and over projections into SQLite. Between any two steps a part may be killed, or
// frozen and woken up later, a publish or a commit may fail with or without effect, messages
// may come twice, and time passes only when a step says so. At the end the promises of the
// platform are checked.
//
// A failure prints the seed; `go test ./e2e/sim -rapid.seed=N` repeats it, and -rapid.checks
// says how many lives are tried.
package sim

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	orders "github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/services/catalog"
	"github.com/orderlane/orderlane/services/ordering"
)

// quickChecks keeps an ordinary run of the tests short; a soak asks for more.
const quickChecks = "40"

func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		if err := f.Value.Set(quickChecks); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
	}
	goleak.VerifyTestMain(m)
}

func TestThePromisesHoldWhateverHappensBetweenTwoSteps(t *testing.T) {
	dir := t.TempDir()
	life, seen := 0, map[string]int{}
	rapid.Check(t, func(rt *rapid.T) {
		life++
		bubble(t, func() {
			w := newWorld(rt, fmt.Sprintf("%s/%d", dir, life))
			defer w.close()
			for range rapid.IntRange(50, 400).Draw(rt, "steps") {
				turns[w.draw("turn", len(turns))](w)
			}
			w.calm()
			w.checkPromises()
			w.count(seen)
		})
	})
	for _, what := range []string{"order_placed.v1", "order_address_changed.v1", "succeeded", "refused", "parked", "reply"} {
		if seen[what] == 0 && life >= 40 && !t.Failed() {
			t.Errorf("in %d lives there was no %s: the simulation does not simulate much", life, what)
		}
	}
	t.Logf("seen: %v", seen)
}

// count adds up what has come about in a life.
func (w *world) count(seen map[string]int) {
	for _, r := range w.all(bus.EventsTopic(orders.Service)) {
		seen[strings.TrimPrefix(r.Header(bus.HeaderType), "orderlane.ordering.")]++
	}
	for _, r := range w.all(bus.OutcomesTopic) {
		if r.Header(bus.HeaderType) == bus.TypeReply {
			seen["reply"]++
		} else {
			seen[r.Header(bus.HeaderStatus)]++
		}
	}
}

// bubble runs one life in a bubble of testing/synctest, where a handler that waits is known to
// wait, and time is the bubble's. A failure leaves it as the panic that rapid makes of it.
func bubble(t *testing.T, run func()) {
	var failure any
	synctest.Test(t, func(*testing.T) {
		defer func() { failure = recover() }()
		run()
	})
	// rapid tells failures apart by where they come from, and must not take a shorter life that
	// has run out of numbers for the one that failed.
	if strings.Contains(fmt.Sprintf("%T", failure), "invalidData") {
		panic(failure)
	}
	if failure != nil {
		panic(failure)
	}
}

var errAway = errors.New("the simulation took it away")

// turns are what may happen next, each as often as it is likely to. rapid prefers small
// numbers, and smaller ones still when it makes a failure shorter: the rare ones come last.
var turns = []func(*world){
	(*world).client, takes, takes, decides, delivers, answers, relays, (*world).client, takes, decides, delivers, projects,
	answers, readsPrices, relays, (*world).client, takes, delivers, projects, passes, (*world).fate, (*world).crash, (*world).client,
	takes, takes, decides, answers, relays, delivers, projects, readsPrices, (*world).client, (*world).crash, passes, wakes, (*world).fate,
}

func takes(w *world)       { w.instance().take() }
func decides(w *world)     { w.instance().decide() }
func answers(w *world)     { w.instance().answer() }
func relays(w *world)      { w.instance().relayStep() }
func wakes(w *world)       { w.instance().wake() }
func readsPrices(w *world) { w.instance().readPrices(1 + w.draw("records", 5)) }
func delivers(w *world)    { w.view().deliver(1 + w.draw("records", 20)) }
func projects(w *world)    { w.view().project() }

func passes(w *world) {
	w.pass([]time.Duration{time.Millisecond, 500 * time.Millisecond, 2 * time.Second, 7 * time.Second}[w.draw("time", 4)])
}

// fate makes the next call of something fail, before or after it has had its effect.
func (w *world) fate() {
	switch w.draw("fate", 3) {
	case 0:
		w.broker.FailNext(errAway, w.draw("written", 5)-1)
	case 1:
		w.instance().service.fault = 1 + w.draw("fault of the log", 2)
	case 2:
		w.view().store.fault = 1 + w.draw("fault of the store", 2)
	}
}

// crash kills or freezes a process; another one takes its place.
func (w *world) crash() {
	frozen := w.draw("frozen", 2) == 1
	if n := w.draw("process", len(w.instances)+len(w.views)); n < len(w.instances) {
		w.instances[n].crash(frozen)
	} else {
		w.views[n-len(w.instances)].crash(frozen)
	}
}

// calm lets everything go on until nothing is left to do. Faults that were still to come do.
func (w *world) calm() {
	for quiet, round := 0, 0; quiet < 3; round++ {
		if round == 100 {
			w.rt.Fatal("the platform does not come to rest")
		}
		before := w.worked
		w.sendAgain()
		for _, i := range w.instances {
			i.readPrices(-1)
			for range 200 {
				i.take()
			}
			for range 5 {
				i.decide()
				i.answer()
			}
			i.relayStep()
			i.wake()
		}
		for _, v := range w.views {
			v.deliver(-1)
			v.project()
		}
		w.pass(7 * time.Second) // leases of the dead expire
		if quiet++; w.worked != before {
			quiet = 0
		}
	}
}

// services are the write side, as the binary puts it together.
func (w *world) addServices() {
	w.addService(func() (part, *ordering.PriceList) { return part{catalog.Write()}, nil })
	w.addService(func() (part, *ordering.PriceList) {
		prices := ordering.NewPriceList()
		return part{ordering.Write(prices, ordering.DefaultShop())}, prices
	})
}
