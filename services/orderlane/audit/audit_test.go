package audit

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/orderlane/orderlane/api"
	"github.com/orderlane/orderlane/api/fulfilment"
	"github.com/orderlane/orderlane/api/inventory"
	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/api/payments"
	"github.com/orderlane/orderlane/api/shipping"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/kafka/memkafka"
	"github.com/orderlane/orderlane/pkg/money"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

const orderID = "00000000-0000-5000-8000-000000000001"

// day is what is on the topics of a shop that has had one order, event by event. A test changes
// one of them, or leaves one out.
type day struct {
	t      testing.TB
	events []event
	shown  map[string]any // by path of the API
	extra  []kafka.Record
}

type event struct {
	service, stream, name string
	version               int64
	body                  any
}

func (d *day) add(service, stream, name string, body any) {
	version := int64(1)
	for _, e := range d.events {
		if e.stream == stream {
			version++
		}
	}
	d.events = append(d.events, event{service, stream, name, version, body})
}

// goodDay is an order of two units that was delivered and paid.
func goodDay(t testing.TB) *day {
	d := &day{t: t}
	line := inventory.Line{OrderID: orderID, Line: 1}
	parts := []inventory.Part{{Location: "main", Quantity: 2}}
	levels := func(onHand, reserved int64) inventory.Levels {
		return inventory.Levels{Locations: []inventory.Level{{Location: "main", OnHand: onHand, Reserved: reserved}}, Available: onHand - reserved}
	}
	d.add("inventory", "stock-TEA", "stock_received", &inventory.StockReceived{SKU: "TEA", Location: "main", Quantity: 10, Levels: levels(10, 0)})
	d.add("ordering", "order-"+orderID, "order_placed", &ordering.OrderPlaced{
		OrderID: orderID, Status: ordering.StatusPlaced, Currency: "EUR",
		Lines:  []ordering.Line{{Line: 1, SKU: "TEA", Quantity: 2, UnitPrice: 1000, Discount: 200, Tax: 300, Total: 1800}},
		Totals: ordering.Totals{Lines: 2000, Delivery: 400, Discount: 200, Tax: 367, DeliveryTax: 67, Total: 2200},
	})
	d.add("fulfilment", "fulfilment-"+orderID, "fulfilment_started", &fulfilment.Progress{OrderID: orderID, Step: "reserving", WaitingFor: "stock", Until: noon.Add(time.Hour), At: noon})
	d.add("inventory", "stock-TEA", "stock_reserved", &inventory.StockReserved{SKU: "TEA", Line: line, Quantity: 2, Parts: parts, ExpiresAt: noon.Add(-time.Hour), Levels: levels(10, 2)})
	paid := func(status payments.Status, captured int64, postings ...payments.Posting) payments.Progress {
		return payments.Progress{OrderID: orderID, Status: status, Currency: "EUR", Balance: payments.Balance{Authorized: 2200, Captured: captured}, Ledger: postings}
	}
	d.add("payments", "payment-"+orderID, "payment_authorized", &payments.PaymentAuthorized{
		Progress: paid(payments.StatusAuthorized, 0, payments.Posting{Account: payments.AccountHeld, Amount: 2200}, payments.Posting{Account: payments.AccountCustomer, Amount: -2200}),
		Amount:   money.Of(2200, "EUR"),
	})
	d.add("inventory", "stock-TEA", "stock_allocated", &inventory.StockAllocated{SKU: "TEA", Line: line, Quantity: 2, Parts: parts, Levels: levels(10, 2)})
	d.add("inventory", "stock-TEA", "stock_dispatched", &inventory.StockDispatched{SKU: "TEA", Line: line, Location: "main", Quantity: 2, Levels: levels(8, 0)})
	d.add("shipping", "shipment-s1", "shipment_dispatched", &shipping.ShipmentDispatched{ShipmentID: "s1", OrderID: orderID, Status: shipping.StatusDispatched})
	d.add("payments", "payment-"+orderID, "payment_captured", &payments.PaymentCaptured{
		Progress: paid(payments.StatusCaptured, 2200, payments.Posting{Account: payments.AccountHeld, Amount: -2200}, payments.Posting{Account: payments.AccountCaptured, Amount: 2200}),
		Amount:   money.Of(2200, "EUR"),
	})
	d.add("ordering", "order-"+orderID, "order_delivered", &ordering.OrderDelivered{Change: ordering.Change{OrderID: orderID, Status: ordering.StatusDelivered}})
	d.add("fulfilment", "fulfilment-"+orderID, "delivery_noted", &fulfilment.Progress{OrderID: orderID, Step: "done", Ended: true, At: noon})
	d.shown = map[string]any{"/v1/orders/" + orderID: map[string]any{
		"status": "delivered", "payment_status": "captured", "version": 2, "waiting_for": nil, "totals": d.events[1].body.(*ordering.OrderPlaced).Totals,
	}}
	return d
}

// audit publishes the day and audits it an hour later.
func (d *day) audit() *Report {
	d.t.Helper()
	topics := []kafka.TopicSpec{bus.Outcomes(1, 1)}
	for _, s := range api.Services {
		topics = append(topics, bus.ServiceTopics(s.Name, len(s.Personal) > 0, 2, 1)...)
	}
	broker := memkafka.New(func() time.Time { return noon }, topics...)
	var records []kafka.Record
	for i, e := range d.events {
		data, err := bus.Encode(e.body)
		if err != nil {
			d.t.Fatal(err)
		}
		envelope := bus.Envelope{
			ID: fmt.Sprintf("%s/%d", e.stream, e.version), Type: bus.TypeName(e.service, e.name), Source: bus.Source(e.service),
			Subject: e.stream, Time: noon, StreamVersion: e.version, Position: int64(i + 1), Epoch: "1-a",
		}
		records = append(records, envelope.Record(bus.EventsTopic(e.service), []byte(e.stream), data))
	}
	if err := broker.Producer().Publish(d.t.Context(), append(records, d.extra...)); err != nil {
		d.t.Fatal(err)
	}
	report, err := Run(d.t.Context(), Options{
		Source: broker, Views: 10, Grace: time.Minute, Now: noon.Add(30 * time.Minute), Tell: d.t.Logf,
		Get: func(_ context.Context, path string, answer any) (int, error) {
			shown, ok := d.shown[path]
			if !ok {
				return http.StatusNotFound, nil
			}
			data, err := bus.Encode(shown)
			if err != nil {
				return 0, err
			}
			return http.StatusOK, bus.Decode(data, answer)
		},
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return report
}

// of is the nth event of a name.
func of[E any](d *day, name string) *E {
	d.t.Helper()
	for _, e := range d.events {
		if body, ok := e.body.(*E); ok && e.name == name {
			return body
		}
	}
	d.t.Fatalf("there is no event %s", name)
	return nil
}

func TestADayWithNothingWrongIsFoundSo(t *testing.T) {
	r := goodDay(t).audit()
	if r.Broken != 0 || r.Orders != 1 || r.Judged != 1 || r.Compared != 1 {
		t.Errorf("got %+v", r)
	}
}

func TestEachBrokenPromiseIsFound(t *testing.T) {
	drop := func(names ...string) func(*day) {
		return func(d *day) {
			var kept []event
			for _, e := range d.events {
				if !strings.Contains(strings.Join(names, " "), e.name) {
					kept = append(kept, e)
				}
			}
			d.events = kept
		}
	}
	for rule, change := range map[string]func(*day){
		"versions of a stream are 1..n":        func(d *day) { d.events[len(d.events)-1].version = 3 },
		"an order adds up to its total":        func(d *day) { of[ordering.OrderPlaced](d, "order_placed").Lines[0].Tax++ },
		"every movement of money balances":     func(d *day) { of[payments.PaymentCaptured](d, "payment_captured").Ledger[0].Amount++ },
		"captured <= authorised":               func(d *day) { of[payments.PaymentCaptured](d, "payment_captured").Balance.Captured = 2201 },
		"refunded <= captured":                 func(d *day) { of[payments.PaymentCaptured](d, "payment_captured").Balance.Refunded = 2201 },
		"on hand = received + returned - disp": func(d *day) { of[inventory.StockDispatched](d, "stock_dispatched").Levels.Locations[0].OnHand = 9 },
		"0 <= reserved <= on hand": func(d *day) {
			of[inventory.StockReserved](d, "stock_reserved").Levels.Locations[0].Reserved = 11
		},
		"every order is seen to":           drop("fulfilment_started", "delivery_noted"),
		"every process goes on, in time":   func(d *day) { drop("delivery_noted")(d); of[fulfilment.Progress](d, "fulfilment_started").Until = noon },
		"a process ends with its order":    drop("order_delivered"),
		"nothing is held of an order that": func(d *day) { of[payments.PaymentCaptured](d, "payment_captured").Ledger = nil },
		"an order that came to nothing": func(d *day) {
			of[ordering.OrderDelivered](d, "order_delivered").Status = ordering.StatusCancelled
		},
		"in the end nobody owes anything": func(d *day) {
			postings := &of[payments.PaymentCaptured](d, "payment_captured").Ledger
			*postings = append(*postings, payments.Posting{Account: payments.AccountReceivable, Amount: 5}, payments.Posting{Account: payments.AccountRevenue, Amount: -5})
		},
		"what was delivered was paid":           func(d *day) { of[payments.PaymentCaptured](d, "payment_captured").Balance.Captured = 0 },
		"an order costs its total at the most":  func(d *day) { of[ordering.OrderPlaced](d, "order_placed").Totals.Total = 100 },
		"no reservation outlives its order":     drop("stock_dispatched"),
		"no reservation outlives its expiry":    drop("stock_dispatched", "stock_allocated", "delivery_noted", "order_delivered"),
		"what happens to an order happens to":   drop("order_placed"),
		"a view equals the fold of its topics":  func(d *day) { d.shown["/v1/orders/"+orderID].(map[string]any)["payment_status"] = "authorized" },
		"every accepted command has an outcome": func(d *day) { d.extra = append(d.extra, command(d.t, nil)) },
		"a command has one outcome": func(d *day) {
			d.extra = append(d.extra, command(d.t, nil), outcome(d.t, es.StatusSucceeded), outcome(d.t, es.StatusRefused))
		},
	} {
		t.Run(rule, func(t *testing.T) {
			d := goodDay(t)
			change(d)
			r := d.audit()
			for _, f := range r.Findings {
				if strings.HasPrefix(f.Rule, rule) {
					return
				}
			}
			t.Errorf("it is not among what was found: %+v", r.Findings)
		})
	}
}

var commandID = uuid.MustParse("7d8f3a52-9d0e-7a11-8000-00000000000a")

func command(t testing.TB, replyTo *int32) kafka.Record {
	t.Helper()
	e := bus.Envelope{
		ID: commandID.String(), Type: ordering.TypeRequestCancel, Source: bus.Source("commandapi"), Subject: "order-" + orderID, Time: noon, ReplyTo: replyTo,
	}
	return e.Record(bus.CommandsTopic("ordering"), []byte(e.Subject), []byte("{}"))
}

func outcome(t testing.TB, status es.Status) kafka.Record {
	t.Helper()
	e := bus.Envelope{ID: "outcome/" + commandID.String(), Type: bus.TypeOutcome, Source: bus.Source("ordering"), Subject: "order-" + orderID, Time: noon}
	r := e.Record(bus.OutcomesTopic, []byte(commandID.String()), []byte("{}"))
	r.Headers = append(r.Headers, kafka.Header{Key: bus.HeaderStatus, Value: []byte(status)})
	return r
}

func TestCommandsBetweenServicesAndParkedOnesAreNoBreach(t *testing.T) {
	none := bus.NoReply
	for what, extra := range map[string][]kafka.Record{
		"one between services": {command(t, &none)},
		"a parked one":         {command(t, nil), outcome(t, es.StatusParked)},
		"one that was decided": {command(t, nil), outcome(t, es.StatusRefused)},
	} {
		d := goodDay(t)
		d.extra = extra
		if r := d.audit(); r.Broken != 0 {
			t.Errorf("%s: %+v", what, r.Findings)
		}
	}
}

func TestARepeatIsNoBreachAndNotCountedTwice(t *testing.T) {
	d := goodDay(t)
	d.events = append(d.events, d.events...)
	if r := d.audit(); r.Broken != 0 {
		t.Errorf("got %+v", r.Findings)
	}
}
