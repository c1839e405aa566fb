// Package mixtest has small data sets for tests.
package mixtest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/orderlane/orderlane/api/catalog"
	"github.com/orderlane/orderlane/api/inventory"
	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/api/payments"
	"github.com/orderlane/orderlane/api/shipping"
	"github.com/orderlane/orderlane/bench/mix"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/money"
)

// Began is when it all happened.
var Began = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// topics are what a platform has published.
type topics struct {
	t         testing.TB
	records   []kafka.Record
	now       time.Time
	positions map[string]int64
	versions  map[string]int64
}

// say publishes an event; body is called with its version.
func (w *topics) say(service, kind, stream string, body func(version int64) any) {
	w.t.Helper()
	w.positions[service]++
	w.versions[stream]++
	w.now = w.now.Add(1234567 * time.Nanosecond)
	w.record(bus.EventsTopic(service), service, kind, stream, body(w.versions[stream]))
}

func (w *topics) record(topic, service, kind, stream string, body any) {
	data, err := bus.Encode(body)
	if err != nil {
		w.t.Fatal(err)
	}
	command := fmt.Sprintf("00000000-0000-4000-8000-%06d%06d", w.positions[service], len(w.records))
	e := bus.Envelope{
		ID: fmt.Sprintf("%s/%d", stream, w.versions[stream]), Type: kind, Source: bus.Source(service), Subject: stream, Time: w.now,
		Correlation: command, Causation: command, Traceparent: "00-aa-bb-00",
		StreamVersion: w.versions[stream], Position: w.positions[service], Epoch: "e1",
	}
	w.records = append(w.records, e.Record(topic, []byte(stream), data))
}

// order has an order placed, and delivered unless it is rejected.
func (w *topics) order(id, number string, delivered bool) {
	order, shipment := "order-"+id, "shipment-"+strings.Replace(id, "01a2", "05b3", 1)
	lines := []ordering.Line{
		{Line: 1, SKU: "TEA-001", Name: "Assam tea, 250 g", Quantity: 2, UnitPrice: 1299, Total: 2598},
		{Line: 2, SKU: "CUP-001", Name: "Porcelain cup", Quantity: 1, UnitPrice: 990, Total: 990},
	}
	w.say("ordering", ordering.TypeOrderPlaced, order, func(v int64) any {
		return ordering.OrderPlaced{
			OrderID: id, Version: v, Number: number, CustomerID: "c-ada", Status: ordering.StatusPlaced, PaymentStatus: "pending", Currency: "EUR",
			PlacedAt: w.now, Lines: lines, Totals: ordering.Totals{Lines: 3588, Total: 3588},
		}
	})
	w.record(bus.PersonalTopic("ordering"), "ordering", ordering.TypePersonal, order, ordering.Personal{Email: "ada@example.com"})
	for i, l := range lines {
		w.say("inventory", inventory.TypeStockReserved, "stock-"+l.SKU, func(v int64) any {
			return inventory.StockReserved{SKU: l.SKU, Version: v, Line: inventory.Line{OrderID: id, Line: i + 1}, Quantity: l.Quantity}
		})
	}
	changed := func(v int64, status ordering.Status) ordering.Change {
		return ordering.Change{OrderID: id, Version: v, Status: status, CustomerID: "c-ada", At: w.now}
	}
	if !delivered {
		w.say("ordering", ordering.TypeOrderRejected, order, func(v int64) any {
			return ordering.OrderRejected{Change: changed(v, ordering.StatusRejected), Reason: "payment_declined"}
		})
		return
	}
	progress := func(v int64, status payments.Status) payments.Progress {
		return payments.Progress{OrderID: id, Version: v, Status: status, Currency: "EUR", At: w.now}
	}
	w.say("payments", payments.TypePaymentRequested, "payment-"+id, func(v int64) any {
		return payments.PaymentRequested{Progress: progress(v, payments.StatusPending), CustomerID: "c-ada"}
	})
	w.say("ordering", ordering.TypeOrderConfirmed, order, func(v int64) any {
		return ordering.OrderConfirmed{Change: changed(v, ordering.StatusConfirmed)}
	})
	units := []ordering.Units{{Line: 1, Quantity: 2}, {Line: 2, Quantity: 1}}
	w.say("shipping", shipping.TypeShipmentCreated, shipment, func(v int64) any {
		return shipping.ShipmentCreated{ShipmentID: shipment[9:], Version: v, OrderID: id, CustomerID: "c-ada", At: w.now}
	})
	w.say("shipping", shipping.TypeShipmentDispatched, shipment, func(v int64) any {
		return shipping.ShipmentDispatched{ShipmentID: shipment[9:], Version: v, OrderID: id, CustomerID: "c-ada", At: w.now}
	})
	w.say("payments", payments.TypePaymentCaptured, "payment-"+id, func(v int64) any {
		p := progress(v, payments.StatusCaptured)
		p.At = p.At.Add(-2 * time.Millisecond) // the provider's clock says that it was before the goods went out
		return payments.PaymentCaptured{Progress: p, Amount: money.Amount{Amount: 3588, Currency: "EUR"}}
	})
	w.say("ordering", ordering.TypeOrderShipped, order, func(v int64) any {
		return ordering.OrderShipped{Change: changed(v, ordering.StatusShipped), Lines: units}
	})
	w.say("ordering", ordering.TypeOrderDelivered, order, func(v int64) any {
		return ordering.OrderDelivered{Change: changed(v, ordering.StatusDelivered), Lines: units}
	})
}

// Learn returns the lives of two orders of two lines, one that is delivered and one that is rejected, and the messages
// that they are learned from.
func Learn(t testing.TB) (*mix.Lives, []kafka.Record) {
	t.Helper()
	w := &topics{t: t, now: Began, positions: make(map[string]int64), versions: make(map[string]int64)}
	for _, sku := range []string{"TEA-001", "CUP-001"} {
		w.say("catalog", catalog.TypeProductDefined, "product-"+sku, func(v int64) any {
			return catalog.ProductDefined{SKU: sku, Version: v, Details: catalog.Details{Name: "Something", Category: "tea", Price: money.Amount{Amount: 1299, Currency: "EUR"}}}
		})
		w.say("inventory", inventory.TypeStockReceived, "stock-"+sku, func(v int64) any {
			return inventory.StockReceived{SKU: sku, Version: v, Location: "main", Quantity: 1000}
		})
	}
	w.order("01a209e7-e933-7f05-b9b9-e92228217d66", "RZEM-VZR6", true)
	w.order("01a209e7-e934-7f05-b9b9-e92228217d67", "4F7K-9QXM", false)
	lives, err := mix.Learn(w.records)
	if err != nil {
		t.Fatal(err)
	}
	return lives, w.records
}
