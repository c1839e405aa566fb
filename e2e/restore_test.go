//go:build unix

package e2e

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/orderlane/orderlane/api/catalog"
	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/e2e/fleet"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/es"
)

// TestADatabaseIsRestoredToAnEarlierPoint is a night in which the databases of ordering and
// catalog are put back to a backup: orders, a new address and a new price that the topics tell of
// have never happened then.
func TestADatabaseIsRestoredToAnEarlierPoint(t *testing.T) {
	slow(t)
	f := fleet.Start(t, fleet.Embedded, fleet.Options{})
	p, c := f.Process(fleet.All), f.Client("")
	services := []string{catalog.Service, ordering.Service}
	place := func(street string) *fleet.Accepted {
		t.Helper()
		o := fleet.Order("c-1", "TEA-001", 1)
		o.ShipTo = fleet.Address(street)
		return c.Accept(t, http.StatusOK, http.MethodPost, orders, o, "Prefer", wait)
	}
	move := func(o *fleet.Accepted, street string) *fleet.Accepted {
		t.Helper()
		return c.Accept(t, http.StatusOK, http.MethodPost, orders+"/"+o.Resource.ID+"/address",
			map[string]any{"ship_to": fleet.Address(street)}, "Prefer", wait)
	}

	c.Define(t, "TEA-001", 1299)
	kept := []*fleet.Accepted{place("Kept Street"), place("Kept Street"), place("Kept Street")}
	move(kept[0], "Second Street")
	p.Stop()
	backup := backUp(t, f, services)
	p.Start()

	lost := []*fleet.Accepted{place("Lost Street"), place("Lost Street")}
	for _, o := range append(lost, move(kept[0], "Lost Street"), move(kept[1], "Lost Street")) {
		getOrder(t, c, o.Resource.ID, o.ConsistencyToken) // all views have seen it
	}
	c.Define(t, "TEA-001", 9999)
	p.Stop()
	backup.restore(t)
	p.Start()

	for _, service := range services {
		command := "orderlane epochs begin " + service
		fleet.Wait(t, "readiness names the command "+command, func() string {
			_, body, err := p.Ready()
			switch {
			case err != nil:
				return err.Error()
			case !strings.Contains(body, command) || !strings.Contains(body, "restored to an earlier point"):
				return body
			}
			return ""
		})
		if !strings.Contains(p.Log(), command) {
			t.Errorf("the log does not name the command %s", command)
		}
	}
	before := len(f.Records(t, bus.EventsTopic(ordering.Service)))
	early := place("Early Street") // it is decided, and waits to be published
	moved := move(kept[1], "Third Street")
	if listed := f.Operate("epochs", "list"); strings.Count(listed, "restored to an earlier point") != len(services) {
		t.Errorf("the list of epochs does not say what is restored:\n%s", listed)
	}
	if after := len(f.Records(t, bus.EventsTopic(ordering.Service))); after != before {
		t.Errorf("%d events are published of a log that was restored", after-before)
	}

	for _, service := range services {
		if said := f.Operate("epochs", "begin", service); !strings.Contains(said, "the log of "+service) || !strings.Contains(said, " 2-") {
			t.Errorf("the beginning of an epoch says: %s", said)
		}
	}
	var late *fleet.Accepted
	fleet.Wait(t, "orders are priced as the catalogue's log says", func() string {
		late = place("Late Street")
		if o := getOrder(t, c, late.Resource.ID, late.ConsistencyToken); o.Totals.Lines != 1299 {
			return fmt.Sprint("an order costs ", o.Totals.Lines)
		}
		return ""
	})
	for _, o := range []*fleet.Accepted{early, moved} {
		getOrder(t, c, o.Resource.ID, o.ConsistencyToken)
	}
	check := func() {
		t.Helper()
		showsTheLog(t, f)
		for _, o := range lost {
			if a := c.Get(t, orders+"/"+o.Resource.ID); a.Status != http.StatusNotFound {
				t.Errorf("a lost order is answered %s", a)
			}
		}
		for o, street := range map[*fleet.Accepted]string{kept[0]: "Second Street", kept[1]: "Third Street", kept[2]: "Kept Street", late: "Late Street"} {
			shown := getOrder(t, c, o.Resource.ID, o.ConsistencyToken)
			if shown.ShipTo == nil || shown.ShipTo.Street != street || shown.Totals.Lines != 1299 || shown.Stale != nil {
				t.Errorf("the order that goes to %s is shown as %+v", street, shown)
			}
		}
		fleet.Wait(t, "the product is shown as the catalogue's log says", func() string {
			if a := c.Get(t, "/v1/products/TEA-001"); !strings.Contains(string(a.Body), "1299") {
				return a.String()
			}
			return ""
		})
	}
	check()
	if listed := f.Operate("epochs", "list"); strings.Contains(listed, "restored to an earlier point") {
		t.Errorf("after an epoch has begun the list says:\n%s", listed)
	}
	before = len(f.Records(t, bus.EventsTopic(ordering.Service)))
	p.Stop()
	p.Start()
	check()
	if after := len(f.Records(t, bus.EventsTopic(ordering.Service))); after != before {
		t.Errorf("%d events are published again after a restart", after-before)
	}
}

// copies are the log files of services as they were once, by name.
type copies map[string][]byte

// backUp copies the log files of services, which are closed.
func backUp(t *testing.T, f *fleet.Fleet, services []string) copies {
	t.Helper()
	all := make(copies)
	for _, service := range services {
		name := f.LogFile(service)
		if _, err := os.Stat(name + "-wal"); err == nil {
			t.Fatal("a log that is closed has left something beside its file")
		}
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = data
	}
	return all
}

func (c copies) restore(t *testing.T) {
	t.Helper()
	for name, data := range c {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// showsTheLog waits until the list of orders is what ordering's log holds, no more and no less.
func showsTheLog(t *testing.T, f *fleet.Fleet) {
	t.Helper()
	log, err := f.OpenLog(t.Context(), ordering.Service)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	events, err := log.Read(t.Context(), 0, es.MaxRead)
	if err != nil {
		t.Fatal(err)
	}
	want := make(map[string]int64)
	for _, e := range events {
		want[strings.TrimPrefix(e.Stream, "order-")] = e.Version
	}
	fleet.Wait(t, "the view shows what the log holds", func() string {
		listed, err := f.Client("").Orders(t.Context())
		if err != nil {
			return err.Error()
		}
		got := make(map[string]int64)
		for _, o := range listed {
			got[o.ID] = o.Version
		}
		if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
			return g + ", not " + w
		}
		return ""
	})
}
