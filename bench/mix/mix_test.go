package mix_test

import (
	"fmt"
	"regexp"
	"strconv"
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
	"github.com/orderlane/orderlane/pkg/projection"
	"github.com/orderlane/orderlane/pkg/service/servicetest"
	"github.com/orderlane/orderlane/services/insights"
	"github.com/orderlane/orderlane/services/orderview"
	"github.com/orderlane/orderlane/services/storefront"
)

var began = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

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
		return payments.PaymentCaptured{Progress: progress(v, payments.StatusCaptured), Amount: money.Amount{Amount: 3588, Currency: "EUR"}}
	})
	w.say("ordering", ordering.TypeOrderShipped, order, func(v int64) any {
		return ordering.OrderShipped{Change: changed(v, ordering.StatusShipped), Lines: units}
	})
	w.say("ordering", ordering.TypeOrderDelivered, order, func(v int64) any {
		return ordering.OrderDelivered{Change: changed(v, ordering.StatusDelivered), Lines: units}
	})
}

func learned(t testing.TB) (*mix.Lives, []kafka.Record) {
	t.Helper()
	w := &topics{t: t, now: began, positions: make(map[string]int64), versions: make(map[string]int64)}
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

func data(t testing.TB, seed uint64, orders int) *mix.Data {
	lives, _ := learned(t)
	return lives.Data(mix.Options{Seed: seed, Orders: orders, Begins: began.AddDate(1, 0, 0)})
}

func messages(d *mix.Data) (all []kafka.Record) {
	for m := d.Messages(); ; {
		r, ok := m.Next()
		if !ok {
			return all
		}
		all = append(all, r)
	}
}

func number(t testing.TB, r *kafka.Record, header string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(r.Header(header), 10, 64)
	if err != nil {
		t.Fatalf("%s of %s: %v", header, r.Key, err)
	}
	return n
}

func TestEveryStreamHasVersionsFromOneOnAndEveryLogPositions(t *testing.T) {
	const orders = 300
	versions, positions, times := make(map[string]int64), make(map[string]int64), make(map[string]time.Time)
	for _, r := range messages(data(t, 1, orders)) {
		version, position := number(t, &r, bus.HeaderStreamVersion), number(t, &r, bus.HeaderPosition)
		service, _, _ := strings.Cut(r.Topic, ".")
		if id := fmt.Sprintf("%s/%d", r.Key, version); r.Header(bus.HeaderID) != id || r.Header(bus.HeaderSubject) != string(r.Key) {
			t.Fatalf("%s says it is %s of %s", id, r.Header(bus.HeaderID), r.Header(bus.HeaderSubject))
		}
		if r.Topic == bus.PersonalTopic("ordering") {
			if versions[string(r.Key)] != version || positions[service] != position {
				t.Fatalf("what is personal of %s/%d is not that of its event", r.Key, version)
			}
			continue
		}
		if versions[string(r.Key)]++; versions[string(r.Key)] != version {
			t.Fatalf("%s has version %d after %d", r.Key, version, versions[string(r.Key)]-1)
		}
		if positions[service]++; positions[service] != position {
			t.Fatalf("%s has position %d after %d", service, position, positions[service]-1)
		}
		var body struct {
			Version int64 `json:"version"`
		}
		if err := bus.Decode(r.Value, &body); err != nil || body.Version != version {
			t.Fatalf("%s/%d: %s, %v", r.Key, version, r.Value, err)
		}
		if late := times[service].Sub(r.Time); late > time.Second { // what happens at one go, for one order, stays together
			t.Fatalf("%s/%d happened %v before what %s published last", r.Key, version, late, service)
		}
		times[service] = r.Time
	}
}

var uuids = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

func text(r *kafka.Record) string {
	s := string(r.Key) + " " + string(r.Value)
	for _, h := range r.Headers {
		s += " " + string(h.Value)
	}
	return s
}

func TestNothingOfAnOrderIsAnothers(t *testing.T) {
	lives, learnedFrom := learned(t)
	old := make(map[string]bool)
	for i := range learnedFrom {
		for _, id := range uuids.FindAllString(text(&learnedFrom[i]), -1) {
			old[id] = true
		}
	}
	d := lives.Data(mix.Options{Seed: 1, Orders: 300, Begins: began.AddDate(1, 0, 0)})
	ids, numbers := make(map[string]bool), make(map[string]bool)
	for i := range 300 {
		o := d.Order(i)
		if ids[o.ID] || numbers[o.Number] || old[o.ID] || o.ID[14] != '7' {
			t.Fatalf("order %d is %s, %s", i, o.ID, o.Number)
		}
		ids[o.ID], numbers[o.Number] = true, true
	}
	owner := make(map[string]string)
	for _, r := range messages(d) {
		order := ""
		of := uuids.FindAllString(text(&r), -1)
		for _, id := range of {
			if old[id] {
				t.Fatalf("%s names %s, of the order that it was learned from", r.Key, id)
			}
			if ids[id] {
				order = id
			}
		}
		for _, id := range of {
			if order != "" && owner[id] != "" && owner[id] != order {
				t.Fatalf("%s is named by %s and %s", id, owner[id], order)
			}
			owner[id] = order
		}
		for _, word := range []string{"c-ada", `"RZEM-VZR6"`, `"TEA-001"`, "2026-03-01T12:00:00.0", "\x00"} {
			if strings.Contains(text(&r), word) {
				t.Fatalf("%s still says %q: %s", r.Key, word, text(&r))
			}
		}
	}
	if len(owner) < 300*3 {
		t.Fatalf("%d ids in all", len(owner))
	}
}

func TestADataSetIsTheSameForTheSameSeed(t *testing.T) {
	a, b, other := messages(data(t, 1, 50)), messages(data(t, 1, 50)), messages(data(t, 2, 50))
	if len(a) != len(b) {
		t.Fatalf("%d messages, then %d", len(a), len(b))
	}
	for i := range a {
		if text(&a[i]) != text(&b[i]) {
			t.Fatalf("message %d: %s, then %s", i, text(&a[i]), text(&b[i]))
		}
	}
	if text(&other[len(other)-1]) == text(&a[len(a)-1]) {
		t.Error("another seed makes the same messages")
	}
}

func TestOrdersArePlacedOverNinetyDaysAndDeliveredDaysLater(t *testing.T) {
	placed := make(map[string]time.Time)
	var first, last time.Time
	for _, r := range messages(data(t, 1, 400)) {
		switch at := r.Time; r.Header(bus.HeaderType) {
		case ordering.TypeOrderPlaced:
			placed[string(r.Key)] = at
			if first.IsZero() {
				first = at
			}
			last = at
		case ordering.TypeOrderShipped:
			if took := at.Sub(placed[string(r.Key)]); took < 4*time.Hour || took > 31*time.Hour {
				t.Fatalf("%s was shipped %v after it was placed", r.Key, took)
			}
		}
	}
	if days := last.Sub(first).Hours() / 24; days < 89 || days > 91 {
		t.Errorf("the last order was placed %.1f days after the first", days)
	}
}

func TestMessagesOfTwoDataSetsFollowEachOther(t *testing.T) {
	lives, _ := learned(t)
	first := lives.Data(mix.Options{Seed: 1, Orders: 20, Begins: began})
	m := first.Messages()
	versions, positions := make(map[string]int64), make(map[string]int64)
	take := func(m *mix.Messages) (n int) {
		for {
			r, ok := m.Next()
			if !ok {
				return n
			}
			n++
			if strings.Contains(r.Topic, "personal") {
				continue
			}
			service, _, _ := strings.Cut(r.Topic, ".")
			versions[string(r.Key)]++
			positions[service]++
			if number(t, &r, bus.HeaderStreamVersion) != versions[string(r.Key)] || number(t, &r, bus.HeaderPosition) != positions[service] {
				t.Fatalf("%s comes with version %s at %s", r.Key, r.Header(bus.HeaderStreamVersion), r.Header(bus.HeaderPosition))
			}
		}
	}
	take(m)
	if n := take(lives.Data(mix.Options{Seed: 2, Orders: 20, Begins: began}).After(m)); n < 20*5 {
		t.Errorf("%d messages follow", n)
	}
}

// TestTheViewsTakeUpADataSet holds that no view has trouble with it, and that an order stands as it should.
func TestTheViewsTakeUpADataSet(t *testing.T) {
	d := data(t, 1, 40)
	all := messages(d)
	for _, view := range []projection.View{orderview.NewView(), insights.NewView(), storefront.NewView()} {
		v := servicetest.NewView(t, view)
		topics := make(map[string]bool)
		for _, s := range view.Sources() {
			topics[s.Topic] = true
		}
		folded := 0
		for i := range all {
			if topics[all[i].Topic] {
				v.Fold(all[i])
				folded++
			}
		}
		if broken, err := v.Projection.AllBroken(t.Context(), "", 10); len(broken) > 0 || err != nil || folded == 0 {
			t.Fatalf("%s, after %d messages: %+v, %v", view.Name(), folded, broken, err)
		}
		if view.Name() != orderview.Service {
			continue
		}
		statuses := make(map[string]string)
		err := v.Store.Query(t.Context(), "SELECT key, status FROM "+projection.TableName(view.Name(), view.Version(), "orders"), nil, func(row projection.Row) error {
			statuses[row.Text(0)] = row.Text(1)
			return nil
		})
		if err != nil || len(statuses) != 40 {
			t.Fatalf("%d orders, %v", len(statuses), err)
		}
		for i := range 40 {
			if o := d.Order(i); statuses["order-"+o.ID] != string(o.Status) {
				t.Errorf("order %s is %q, and should be %q", o.ID, statuses["order-"+o.ID], o.Status)
			}
		}
	}
}
