package inventory

import (
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	api "github.com/orderlane/orderlane/api/inventory"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/service"
	"github.com/orderlane/orderlane/pkg/service/servicetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestTheLifeOfALineInStock sends every command once, and a line's reservation expires meanwhile.
func TestTheLifeOfALineInStock(t *testing.T) {
	w := servicetest.NewWriter(t, func(clock func() time.Time) service.Write { return Write(hold, clock) })
	first, second := api.Line{OrderID: "o-1", Line: 1}, api.Line{OrderID: "o-2", Line: 3}
	for _, c := range []bus.Typed{
		api.ReceiveStock{SKU: "TEA", Location: "main", Quantity: 10},
		api.AdjustStock{SKU: "TEA", Location: "main", Quantity: -1, Reason: "breakage"},
		api.SetSafetyStock{SKU: "TEA", Quantity: 1},
		api.ReserveStock{SKU: "TEA", Line: first, Quantity: 5},
		api.AllocateStock{SKU: "TEA", Line: first},
		api.ReserveStock{SKU: "TEA", Line: second, Quantity: 2},
		api.ReserveStock{SKU: "TEA", Line: api.Line{OrderID: "o-3", Line: 1}, Quantity: 2, Backorder: true},
		api.DispatchStock{SKU: "TEA", Line: first, ShipmentID: "s-1", Location: "main", Quantity: 5},
	} {
		if o := w.Send("stock-TEA", c); o.Status != es.StatusSucceeded {
			t.Fatalf("%+v: %+v", c, o)
		}
	}
	if n := w.Wake(); n != 0 {
		t.Fatalf("%d timers are due at once", n)
	}
	w.Now = w.Now.Add(hold + time.Minute)
	if n := w.Wake(); n != 1 {
		t.Fatalf("%d timers are due when the reservation has expired", n)
	}
	for _, c := range []bus.Typed{
		api.AllocateStock{SKU: "TEA", Line: second, Quantity: 2},
		api.ReleaseStock{SKU: "TEA", Line: second, Reason: "declined"},
		api.TakeBackStock{SKU: "TEA", Line: first, ReturnID: "r-1", Location: "north", Quantity: 4},
		api.TakeBackStock{SKU: "TEA", Line: first, ReturnID: "r-1", Reference: "r-1/2", Location: "north", Quantity: 1},
	} {
		if o := w.Send("stock-TEA", c); o.Status != es.StatusSucceeded {
			t.Fatalf("%+v: %+v", c, o)
		}
	}
	o := w.Send("stock-TEA", api.AdjustStock{SKU: "TEA", Location: "main", Quantity: -5, Reason: "theft"})
	if o.Status != es.StatusRefused || o.Problem.Code != "stock_would_be_negative" {
		t.Errorf("%+v", o)
	}
	want := []string{
		`stock_received {"sku":"TEA","version":1,"location":"main","quantity":10,`,
		`stock_adjusted {"sku":"TEA","version":2,"location":"main","quantity":-1,"reason":"breakage",`,
		`safety_stock_set {"sku":"TEA","version":3,"quantity":1,`,
		`stock_reserved {"sku":"TEA","version":4,"order_id":"o-1","line":1,"quantity":5,"parts":[{"location":"main","quantity":5}],"expires_at":"2026-11-23T12:30:00Z",`,
		`stock_allocated {"sku":"TEA","version":5,"order_id":"o-1","line":1,"quantity":5,`,
		`stock_reserved {"sku":"TEA","version":6,"order_id":"o-2","line":3,"quantity":2,`,
		`stock_backordered {"sku":"TEA","version":7,"order_id":"o-3","line":1,"quantity":2,"available":1}`,
		`stock_dispatched {"sku":"TEA","version":8,"order_id":"o-1","line":1,"shipment_id":"s-1","location":"main","quantity":5,`,
		`stock_released {"sku":"TEA","version":9,"order_id":"o-2","line":3,"quantity":2,"parts":[{"location":"main","quantity":2}],"reason":"expired",`,
		`stock_reserved {"sku":"TEA","version":10,"order_id":"o-3","line":1,"quantity":2,"parts":[{"location":"main","quantity":2}],"expires_at":"2026-11-23T13:01:00Z",`,
		`stock_reservation_refused {"sku":"TEA","version":11,"order_id":"o-2","line":3,"quantity":2,"available":1,"reason":"expired"}`,
		`stock_released {"sku":"TEA","version":12,"order_id":"o-2","line":3,"quantity":0,"parts":[],"reason":"declined",`,
		`stock_returned {"sku":"TEA","version":13,"order_id":"o-1","line":1,"return_id":"r-1","reference":"r-1","location":"north","quantity":4,`,
		`stock_returned {"sku":"TEA","version":14,"order_id":"o-1","line":1,"return_id":"r-1","reference":"r-1/2","location":"north","quantity":1,`,
	}
	if got := w.Published(); !slices.EqualFunc(got, want, strings.HasPrefix) {
		t.Errorf("published\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestAWakeReleasesWhatItIsForWhereTheClockLagsBehind(t *testing.T) {
	behind := func() time.Time { return servicetest.Noon }
	w := servicetest.NewWriter(t, func(func() time.Time) service.Write { return Write(hold, behind) })
	w.Send("stock-TEA", api.ReceiveStock{SKU: "TEA", Location: "main", Quantity: 1})
	w.Send("stock-TEA", api.ReserveStock{SKU: "TEA", Line: api.Line{OrderID: "o-1", Line: 1}, Quantity: 1})
	w.Now = w.Now.Add(hold)
	if n := w.Wake(); n != 1 {
		t.Fatalf("%d timers are due", n)
	}
	if got := w.Published(); len(got) != 3 || !strings.HasPrefix(got[2], "stock_released ") {
		t.Errorf("published\n%s", strings.Join(got, "\n"))
	}
}
