package shipping

import (
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	api "github.com/orderlane/orderlane/api/shipping"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/service"
	"github.com/orderlane/orderlane/pkg/service/servicetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestTheWayOutAndTheWayBack sends every command of shipments and returns.
func TestTheWayOutAndTheWayBack(t *testing.T) {
	w := servicetest.NewWriter(t, func(func() time.Time) service.Write { return Write() })
	goods := []api.Item{{Line: 1, SKU: "TEA", Quantity: 2}, {Line: 2, SKU: "CUP", Quantity: 1}}
	for _, c := range []struct {
		stream  string
		command bus.Typed
	}{
		{"shipment-s1", api.CreateShipment{ShipmentID: "s1", OrderID: "o-1", CustomerID: "c-1", Location: "main", Items: goods}},
		{"shipment-s1", api.CancelShipment{ShipmentID: "s1", OrderID: "o-1", Reference: "x-1", Lines: []int{2}}},
		{"shipment-s1", api.DispatchShipment{ShipmentID: "s1", Carrier: "DHL", Tracking: "0034"}},
		{"shipment-s1", api.CancelShipment{ShipmentID: "s1", OrderID: "o-1", Reference: "x-2"}},
		{"shipment-s1", api.DeliverShipment{ShipmentID: "s1"}},
		{"shipment-s2", api.CancelShipment{ShipmentID: "s2", OrderID: "o-1", Reference: "x-3"}},
		{"shipment-s2", api.CreateShipment{ShipmentID: "s2", OrderID: "o-1", CustomerID: "c-1", Location: "main", Items: goods}},
		{"return-r1", api.OpenReturn{ReturnID: "r1", OrderID: "o-1", CustomerID: "c-1", Location: "main", Items: goods[:1]}},
		{"return-r1", api.ReceiveReturn{ReturnID: "r1", Lines: []api.Received{{Line: 1, Quantity: 1, Restock: true}}}},
		{"return-r1", api.ReceiveReturn{ReturnID: "r1", Lines: []api.Received{{Line: 1, Quantity: 1}}}},
	} {
		if o := w.Send(c.stream, c.command); o.Status != es.StatusSucceeded {
			t.Fatalf("%+v: %+v", c, o)
		}
	}
	for code, c := range map[string]bus.Typed{
		"already_dispatched": api.DispatchShipment{ShipmentID: "s1", Carrier: "DHL"},
		"shipment_not_found": api.DeliverShipment{ShipmentID: "s3"},
		"more_than_expected": api.ReceiveReturn{ReturnID: "r1", Lines: []api.Received{{Line: 1, Quantity: 1}}},
	} {
		stream := map[string]string{"already_dispatched": "shipment-s1", "shipment_not_found": "shipment-s3", "more_than_expected": "return-r1"}[code]
		if o := w.Send(stream, c); o.Status != es.StatusRefused || o.Problem.Code != code {
			t.Errorf("%+v: %+v, want %s", c, o, code)
		}
	}
	want := []string{
		`shipment_created {"shipment_id":"s1","version":1,"order_id":"o-1","customer_id":"c-1","status":"created","location":"main","items":[{"line":1,"sku":"TEA","quantity":2},{"line":2,"sku":"CUP","quantity":1}],`,
		`shipment_cancelled {"shipment_id":"s1","version":2,"order_id":"o-1","customer_id":"c-1","reference":"x-1","status":"created","cancelled":[{"line":2,`,
		`shipment_dispatched {"shipment_id":"s1","version":3,"order_id":"o-1","customer_id":"c-1","status":"dispatched","location":"main","items":[{"line":1,"sku":"TEA","quantity":2}],"carrier":"DHL","tracking":"0034",`,
		`shipment_cancel_refused {"shipment_id":"s1","version":4,"order_id":"o-1","reference":"x-2","status":"dispatched","reason":"already_dispatched",`,
		`shipment_delivered {"shipment_id":"s1","version":5,"order_id":"o-1","customer_id":"c-1","status":"delivered","items":[{"line":1,`,
		`shipment_cancelled {"shipment_id":"s2","version":1,"order_id":"o-1","reference":"x-3","status":"cancelled","cancelled":[],"left":[],`,
		`return_opened {"return_id":"r1","version":1,"order_id":"o-1","customer_id":"c-1","status":"open","location":"main","items":[{"line":1,`,
		`return_received {"return_id":"r1","version":2,"order_id":"o-1","customer_id":"c-1","status":"partially_received","location":"main","items":[{"line":1,"sku":"TEA","quantity":1,"restock":true}],"expected":[{"line":1,"sku":"TEA","quantity":1}],`,
		`return_received {"return_id":"r1","version":3,"order_id":"o-1","customer_id":"c-1","status":"received","location":"main","items":[{"line":1,"sku":"TEA","quantity":1,"restock":false}],"expected":[],`,
	}
	if got := w.Published(); !slices.EqualFunc(got, want, strings.HasPrefix) {
		t.Errorf("published\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
