package insights

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/orderlane/orderlane/api/catalog"
	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/api/payments"
	"github.com/orderlane/orderlane/e2e/realparts"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/httpapi"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/money"
	"github.com/orderlane/orderlane/pkg/service/servicetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(realparts.Wrap(m)) }

var (
	staff    = httpapi.Caller{ID: "s-1", Role: httpapi.RoleStaff}
	customer = httpapi.Caller{ID: "c-42", Role: httpapi.RoleCustomer}
)

// tester is a testing.TB or a *rapid.T.
type tester interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// publisher makes the events of orders, payments and products.
type publisher struct {
	t        tester
	epoch    string
	position int64
	versions map[string]int64
}

// record is the next event of a stream.
func (p *publisher) record(stream, eventType string, body any) kafka.Record {
	p.t.Helper()
	data, err := bus.Encode(body)
	if err != nil {
		p.t.Fatal(err)
	}
	p.position++
	p.versions[stream]++
	service := map[string]string{orderCategory: ordering.Service, payments.Category: payments.Service, productCategory: catalog.Service, ordering.CategoryDiscount: ordering.Service}
	e := bus.Envelope{
		ID: fmt.Sprintf("%s/%d", stream, p.versions[stream]), Type: eventType, Subject: stream, Time: servicetest.Noon,
		StreamVersion: p.versions[stream], Position: p.position, Epoch: p.epoch,
	}
	return e.Record(bus.EventsTopic(service[bus.ResourceOf(stream).Type]), []byte(stream), data)
}

func (p *publisher) defined(sku, category string) kafka.Record {
	return p.record("product-"+sku, catalog.TypeProductDefined, catalog.ProductDefined{SKU: sku, Details: catalog.Details{
		Name: "The " + sku, Category: category, Price: money.Of(100, "EUR"), TaxClass: catalog.TaxStandard,
	}})
}

// ordered is a line of some units at a price, with a fifth of tax.
func ordered(sku string, quantity, price int64) ordering.Line {
	return ordering.Line{SKU: sku, Quantity: quantity, UnitPrice: price, Total: quantity * price, Tax: quantity * price / 5}
}

// placed is a new order, with a delivery fee of 400.
func (p *publisher) placed(id, currency string, at time.Time, lines ...ordering.Line) kafka.Record {
	e := ordering.OrderPlaced{
		OrderID: id, Version: 1, CustomerID: "c-42", Status: ordering.StatusPlaced, Currency: currency, PlacedAt: at,
		Lines: lines, Totals: ordering.Totals{Delivery: 400},
	}
	for i := range lines {
		lines[i].Line = i + 1
		e.Totals.Lines += lines[i].Total
		e.Totals.Tax += lines[i].Tax
	}
	e.Totals.Total = e.Totals.Lines + e.Totals.Delivery
	return p.record("order-"+id, ordering.TypeOrderPlaced, e)
}

func change(id string, status ordering.Status, at time.Time) ordering.Change {
	return ordering.Change{OrderID: id, Status: status, CustomerID: "c-42", At: at}
}

func (p *publisher) confirmed(id string, at time.Time) kafka.Record {
	return p.record("order-"+id, ordering.TypeOrderConfirmed, ordering.OrderConfirmed{Change: change(id, ordering.StatusConfirmed, at)})
}

func (p *publisher) rejected(id, reason string, at time.Time) kafka.Record {
	return p.record("order-"+id, ordering.TypeOrderRejected, ordering.OrderRejected{Change: change(id, ordering.StatusRejected, at), Reason: reason})
}

// cancelled gives lines up, which leaves the order in a status: that which the other lines have it in, if there are others.
func (p *publisher) cancelled(id string, status ordering.Status, at time.Time, lines ...int) kafka.Record {
	return p.record("order-"+id, ordering.TypeOrderCancelled, ordering.OrderCancelled{
		Change: change(id, status, at), Lines: lines, Partial: status != ordering.StatusCancelled,
	})
}

func (p *publisher) shipped(id string, partial bool, at time.Time, units ...ordering.Units) kafka.Record {
	status := ordering.StatusShipped
	if partial {
		status = ordering.StatusPartiallyShipped
	}
	return p.record("order-"+id, ordering.TypeOrderShipped, ordering.OrderShipped{Change: change(id, status, at), Lines: units, Partial: partial})
}

func (p *publisher) delivered(id string, partial bool, at time.Time, units ...ordering.Units) kafka.Record {
	status := ordering.StatusDelivered
	if partial {
		status = ordering.StatusPartiallyShipped
	}
	return p.record("order-"+id, ordering.TypeOrderDelivered, ordering.OrderDelivered{Change: change(id, status, at), Lines: units, Partial: partial})
}

func (p *publisher) returned(id string, status ordering.Status, at time.Time, units ...ordering.Units) kafka.Record {
	return p.record("order-"+id, ordering.TypeOrderReturned, ordering.OrderReturned{
		Change: change(id, status, at), Lines: units, Partial: status != ordering.StatusReturned,
	})
}

// posted is an event of a payment with postings, as accounts and amounts by turns.
func (p *publisher) posted(id, eventType, currency string, status payments.Status, at time.Time, postings ...any) kafka.Record {
	progress := payments.Progress{OrderID: id, Status: status, Currency: currency, At: at}
	for pair := range slices.Chunk(postings, 2) {
		progress.Ledger = append(progress.Ledger, payments.Posting{Account: pair[0].(payments.Account), Amount: int64(pair[1].(int))})
	}
	return p.record("payment-"+id, eventType, progress)
}

// asked is a capture that was asked for, with a sixth of tax in it, and taken the money that came.
func (p *publisher) asked(id, currency string, at time.Time, amount int) kafka.Record {
	return p.posted(id, payments.TypePaymentCaptureRequested, currency, payments.StatusAuthorized, at,
		payments.AccountReceivable, amount, payments.AccountRevenue, amount/6-amount, payments.AccountTax, -amount/6)
}

func (p *publisher) taken(id, currency string, at time.Time, amount int) kafka.Record {
	return p.posted(id, payments.TypePaymentCaptured, currency, payments.StatusCaptured, at,
		payments.AccountCaptured, amount, payments.AccountHeld, -amount, payments.AccountCustomer, amount, payments.AccountReceivable, -amount)
}

func (p *publisher) refunded(id, currency string, at time.Time, amount int) kafka.Record {
	return p.posted(id, payments.TypePaymentRefunded, currency, payments.StatusPartiallyRefunded, at,
		payments.AccountRefunded, -amount, payments.AccountCustomer, amount)
}

// world is the insights at Noon, and what was published so far.
type world struct {
	*servicetest.View
	*publisher
	api *servicetest.API
	now time.Time
}

func newWorld(t testing.TB) *world {
	w := &world{
		View: servicetest.NewView(t, newView()), api: servicetest.NewAPI(t), now: servicetest.Noon,
		publisher: &publisher{t: t, epoch: "e1", versions: map[string]int64{}},
	}
	(&queries{w.Reader, func() time.Time { return w.now }}).register(w.api.API)
	return w
}

func (w *world) sales(query string, header ...string) SalesList {
	w.t.Helper()
	a := w.api.Get(staff, "/v1/insights/sales"+query, header...)
	if a.Status != 200 {
		w.t.Fatalf("%s: %d %s", query, a.Status, a.Body)
	}
	var list SalesList
	a.Into(&list)
	return list
}

func units(line int, quantity int64) ordering.Units {
	return ordering.Units{Line: line, Quantity: quantity}
}
