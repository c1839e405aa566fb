package orderview

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orderlane/orderlane/api/fulfilment"
	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/api/payments"
	"github.com/orderlane/orderlane/api/shipping"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/httpapi"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/money"
	"github.com/orderlane/orderlane/pkg/service/servicetest"
)

// of is an event of any stream of a service.
func (w *world) of(service, stream string, version int64, eventType string, body any) kafka.Record {
	w.t.Helper()
	data, err := bus.Encode(body)
	if err != nil {
		w.t.Fatal(err)
	}
	w.position++
	e := bus.Envelope{
		ID: fmt.Sprintf("%s/%d", stream, version), Type: eventType, Subject: stream, Time: servicetest.Noon,
		StreamVersion: version, Position: w.position, Epoch: "e1",
	}
	return e.Record(bus.EventsTopic(service), []byte(stream), data)
}

// life is an order that was placed, paid, shipped in part, and waits for the rest.
func (w *world) life(n int) []kafka.Record {
	id := orderID(n)
	change := func(version int64, status ordering.Status) ordering.Change {
		return ordering.Change{OrderID: id, Version: version, Status: status, CustomerID: ada.ID, At: servicetest.Noon}
	}
	paid := payments.Progress{
		OrderID: id, Version: 1, Status: payments.StatusAuthorized, Currency: "EUR", Balance: payments.Balance{Authorized: 2598},
		Ledger: []payments.Posting{{Account: payments.AccountHeld, Amount: 2598}, {Account: payments.AccountCustomer, Amount: -2598}},
	}
	items := []shipping.Item{{Line: 1, SKU: "TEA-001", Quantity: 1}}
	return []kafka.Record{
		w.placed(n, ada.ID), w.personal(n, 1, "12 St James Square"),
		w.event(n, 2, ordering.TypeOrderConfirmed, ordering.OrderConfirmed{Change: change(2, ordering.StatusConfirmed)}),
		w.event(n, 3, ordering.TypeOrderShipped, ordering.OrderShipped{
			Change: change(3, ordering.StatusPartiallyShipped), ShipmentID: shipmentID(n), Lines: []ordering.Units{{Line: 1, Quantity: 1}}, Partial: true,
		}),
		w.of(payments.Service, "payment-"+id, 1, payments.TypePaymentRequested, payments.PaymentRequested{
			Progress: paid, CustomerID: ada.ID, Provider: "sandbox", Method: "sandbox_approve", Amount: money.Of(2598, "EUR"),
		}),
		w.of(shipping.Service, "shipment-"+shipmentID(n), 1, shipping.TypeShipmentCreated, shipping.ShipmentCreated{
			ShipmentID: shipmentID(n), Version: 1, OrderID: id, CustomerID: ada.ID, Status: shipping.StatusCreated, Location: "main", Items: items, At: servicetest.Noon,
		}),
		w.of(shipping.Service, "shipment-"+shipmentID(n), 2, shipping.TypeShipmentDispatched, shipping.ShipmentDispatched{
			ShipmentID: shipmentID(n), Version: 2, OrderID: id, CustomerID: ada.ID, Status: shipping.StatusDispatched, Location: "main", Items: items, Carrier: "DHL", At: servicetest.Noon,
		}),
		w.of(fulfilment.Service, "fulfilment-"+id, 1, fulfilment.TypeLineReserved, fulfilment.LineMoved{Progress: fulfilment.Progress{OrderID: id}, Line: 1}),
		w.of(fulfilment.Service, "fulfilment-"+id, 2, fulfilment.TypeLineAllocated, fulfilment.LineMoved{Progress: fulfilment.Progress{OrderID: id}, Line: 1}),
		w.of(fulfilment.Service, "fulfilment-"+id, 3, fulfilment.TypeDispatchNoted, fulfilment.Progress{
			OrderID: id, Version: 3, Step: "shipping", WaitingFor: "1 unit to be dispatched", Until: servicetest.Noon.Add(time.Hour), Attention: "look at it",
		}),
	}
}

func shipmentID(n int) string { return fmt.Sprintf("00000000-0000-5000-8000-01%010d", n) }

func TestAnOrderIsShownWithAllThatBelongsToIt(t *testing.T) {
	w := newWorld(t)
	w.Fold(w.life(1)...)
	var o Order
	a := w.api.Get(ada, "/v1/orders/"+orderID(1))
	a.Into(&o)
	if o.Status != "partially_shipped" || o.PaymentStatus != "authorized" || o.Lines[0].Fulfilment != (Fulfilment{Allocated: 1, Dispatched: 1}) {
		t.Errorf("status %s, payment %s, lines %+v", o.Status, o.PaymentStatus, o.Lines)
	}
	if o.WaitingFor == nil || *o.WaitingFor != "1 unit to be dispatched" || o.WaitingUntil.IsZero() || o.Attention != "" {
		t.Errorf("waits for %v until %v, and staff has to %q", o.WaitingFor, o.WaitingUntil, o.Attention)
	}
	if len(o.Shipments) != 1 || o.Shipments[0].Carrier != "DHL" || o.Shipments[0].Status != "dispatched" {
		t.Errorf("shipments are %+v", o.Shipments)
	}
	etag := a.Header.Get("ETag")
	for _, token := range []string{"order-" + orderID(1) + "@3", "payment-" + orderID(1) + "@1", "fulfilment-" + orderID(1) + "@3", "shipment-" + shipmentID(1) + "@2"} {
		if !strings.Contains(etag, token) {
			t.Errorf("the ETag %s lacks %s", etag, token)
		}
	}
	w.api.Get(staff, "/v1/orders/"+orderID(1)).Into(&o)
	if o.Attention != "look at it" {
		t.Errorf("staff has to %q", o.Attention)
	}
}

func TestWhatBelongsToAnOrderIsShownToItsCustomerAndStaff(t *testing.T) {
	w := newWorld(t)
	w.Fold(w.life(1)...)
	for _, path := range []string{"/v1/payments/" + orderID(1), "/v1/shipments/" + shipmentID(1)} {
		if a, b, c := w.api.Get(ada, path), w.api.Get(bob, path), w.api.Get(staff, path); a.Status != 200 || b.Status != 404 || c.Status != 200 {
			t.Errorf("%s: %d to its customer, %d to another, %d to staff", path, a.Status, b.Status, c.Status)
		}
		etag := w.api.Get(ada, path).Header.Get("ETag")
		if a := w.api.Get(ada, path, "If-None-Match", etag); a.Status != 304 {
			t.Errorf("%s, unchanged: %d", path, a.Status)
		}
	}
	var hers, ours Payment
	w.api.Get(ada, "/v1/payments/"+orderID(1)).Into(&hers)
	w.api.Get(staff, "/v1/payments/"+orderID(1)).Into(&ours)
	if hers.Ledger != nil || hers.Amount != 2598 || ours.Ledger[payments.AccountHeld] != 2598 || ours.Provider != "sandbox" {
		t.Errorf("the customer sees %+v, staff %+v", hers, ours)
	}
}

func TestOnlyWhoPaysSeesWhatToPayWith(t *testing.T) {
	w := newWorld(t)
	id := "payment-" + orderID(1)
	progress := payments.Progress{OrderID: orderID(1), Version: 1, Status: payments.StatusPending, Currency: "EUR"}
	asked := payments.PaymentRequested{Progress: progress, CustomerID: ada.ID, Method: "sandbox_3ds", Amount: money.Of(2598, "EUR")}
	progress.Version, progress.Status = 2, payments.StatusRequiresAction
	w.Fold(
		w.of(payments.Service, id, 1, payments.TypePaymentRequested, asked),
		w.of(payments.Service, id, 2, payments.TypePaymentActionRequired, payments.PaymentActionRequired{Progress: progress}),
	)
	secret := w.of(payments.Service, id, 2, payments.TypePersonal, payments.Personal{ClientSecret: "s3cret"})
	secret.Topic = bus.PersonalTopic(payments.Service)
	w.Fold(secret)
	w.Fold(w.placed(1, ada.ID), w.personal(1, 1, "12 St James Square"))
	for _, path := range []string{"/v1/payments/", "/v1/orders/"} {
		for who, want := range map[httpapi.Caller]bool{
			ada: true, bob: false, staff: false, {ID: "svc", Role: httpapi.RoleService}: false,
			{ID: "local", Role: httpapi.RoleStaff}: true, // authentication is off
		} {
			a := w.api.Get(who, path+orderID(1))
			if got := strings.Contains(a.Body, `"client_secret":"s3cret"`); got != want || who != bob && !strings.Contains(a.Body, "requires_action") {
				t.Errorf("%s gets %s: %d %s", who.ID, path, a.Status, a.Body)
			}
		}
	}
}

// TestAPaymentIsAsNewAsWhatTheCustomerCompletesItWith: who polls by entity tags or with a token gets it.
func TestAPaymentIsAsNewAsWhatTheCustomerCompletesItWith(t *testing.T) {
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			w := newWorldIn(t, open(t))
			id := "payment-" + orderID(1)
			p := payments.Progress{OrderID: orderID(1), Version: 1, Status: payments.StatusPending, Currency: "EUR"}
			asked := w.of(payments.Service, id, 1, payments.TypePaymentRequested, payments.PaymentRequested{Progress: p, CustomerID: ada.ID, Method: "sandbox_3ds"})
			w.Fold(w.placed(1, ada.ID), w.personal(1, 1, "12 St James Square"), asked)
			paths := []string{"/v1/payments/" + orderID(1), "/v1/orders/" + orderID(1)}
			seen := make(map[string]string)
			changed := func(what string) {
				t.Helper()
				for _, path := range paths {
					a := w.api.Get(ada, path, "If-None-Match", seen[path])
					if a.Status != 200 {
						t.Errorf("%s, %s: %d", path, what, a.Status)
					}
					seen[path] = a.Header.Get("ETag")
				}
			}
			token := []string{"Consistency-Token", id + "@2", "Prefer", "wait=0"}
			changed("at first")
			p.Version, p.Status = 2, payments.StatusRequiresAction
			w.Fold(w.of(payments.Service, id, 2, payments.TypePaymentActionRequired, payments.PaymentActionRequired{Progress: p}))
			changed("when it waits for the customer")
			if a := w.api.Get(ada, paths[0], token...); a.Status != 503 {
				t.Errorf("with a token, before: %d %s", a.Status, a.Body)
			}
			secret := w.of(payments.Service, id, 2, payments.TypePersonal, payments.Personal{ClientSecret: "s3cret"})
			secret.Topic = bus.PersonalTopic(payments.Service)
			w.Fold(secret)
			changed("when it can be completed")
			if a := w.api.Get(ada, paths[0], token...); a.Status != 200 || !strings.Contains(a.Body, "s3cret") {
				t.Errorf("with a token, after: %d %s", a.Status, a.Body)
			}
			if want := `"` + id + `@2"`; seen[paths[0]] != want {
				t.Errorf("in the end its tag is %s, want %s", seen[paths[0]], want)
			}
			p.Version, p.Status = 3, payments.StatusAuthorized
			w.Fold(w.of(payments.Service, id, 3, payments.TypePaymentAuthorized, payments.PaymentAuthorized{Progress: p}))
			changed("when it is completed")
			token[1] = id + "@3"
			if a := w.api.Get(ada, paths[0], token...); a.Status != 200 || strings.Contains(a.Body, "s3cret") {
				t.Errorf("with a token, in the end: %d %s", a.Status, a.Body)
			}
		})
	}
}

func TestStaffSeesWhatIsToBeDone(t *testing.T) {
	w := newWorld(t)
	w.Fold(w.life(1)...)
	w.Fold(w.placed(2, ada.ID), w.personal(2, 1, "12 St James Square"))
	ids := func(path string) (found []string) {
		t.Helper()
		var list struct {
			Items []struct {
				ID string `json:"id"`
			} `json:"items"`
		}
		a := w.api.Get(staff, path)
		if a.Status != 200 {
			t.Fatalf("%s: %d %s", path, a.Status, a.Body)
		}
		a.Into(&list)
		for _, item := range list.Items {
			found = append(found, item.ID)
		}
		return found
	}
	for path, want := range map[string][]string{
		"/v1/orders?stuck=true":                                {orderID(1)},
		"/v1/orders?status=partially_shipped":                  {orderID(1)},
		"/v1/orders?status=placed":                             {orderID(2)},
		"/v1/shipments":                                        {shipmentID(1)},
		"/v1/shipments?status=dispatched&location=main":        {shipmentID(1)},
		"/v1/shipments?status=created":                         nil,
		"/v1/shipments?location=elsewhere":                     nil,
		"/v1/returns?status=open":                              nil,
		"/v1/orders?stuck=true&customer_id=" + bob.ID:          nil,
		"/v1/orders?stuck=true&status=partially_shipped":       {orderID(1)},
		"/v1/orders?stuck=true&placed_to=2020-01-01T00:00:00Z": nil,
	} {
		if got := ids(path); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", path, got, want)
		}
	}
	for _, path := range []string{"/v1/orders?stuck=true", "/v1/shipments", "/v1/returns"} {
		if a := w.api.Get(ada, path); a.Status != 403 {
			t.Errorf("%s is shown to customers: %d", path, a.Status)
		}
	}
}

func TestAWorkListGoesOnWhereItsCursorSays(t *testing.T) {
	w := newWorld(t)
	for n := 1; n <= 5; n++ {
		w.Fold(w.life(n)...)
	}
	var seen []string
	for path := "/v1/shipments?limit=2"; path != ""; {
		var list struct {
			Items      []Shipment `json:"items"`
			NextCursor string     `json:"next_cursor"`
		}
		w.api.Get(staff, path).Into(&list)
		for _, s := range list.Items {
			seen = append(seen, s.ID)
		}
		path = ""
		if list.NextCursor != "" {
			path = "/v1/shipments?limit=2&cursor=" + list.NextCursor
		}
	}
	if len(seen) != 5 || !slices.IsSorted(seen) {
		t.Errorf("went over %v", seen)
	}
	if a := w.api.Get(staff, "/v1/shipments?cursor=abc"); a.Status != 422 && a.Status != 400 {
		t.Errorf("a bad cursor is answered with %d", a.Status)
	}
}

func TestADiscountCodeIsShownToStaff(t *testing.T) {
	w := newWorld(t)
	w.Fold(
		w.of(ordering.Service, "discount-SPRING", 1, ordering.TypeDiscountDefined, ordering.DiscountDefined{Code: "SPRING", Version: 1, Terms: ordering.DiscountTerms{Percent: 10}}),
		w.of(ordering.Service, "discount-SPRING", 2, ordering.TypeDiscountRedeemed, ordering.DiscountRedeemed{Code: "SPRING", Version: 2, OrderID: orderID(1), Uses: 1}),
	)
	var d Discount
	w.api.Get(staff, "/v1/discounts/SPRING").Into(&d)
	if d.Uses != 1 || d.Terms.Percent != 10 || d.Version != 2 {
		t.Errorf("got %+v", d)
	}
	if a := w.api.Get(ada, "/v1/discounts/SPRING"); a.Status != 403 {
		t.Errorf("customers see it: %d", a.Status)
	}
	if a := w.api.Get(staff, "/v1/orders?limit=200"); !strings.Contains(a.Body, `"items":[]`) {
		t.Errorf("a discount code is listed as an order: %s", a.Body)
	}
}

func TestWhatServicesAskOfOneAnotherIsNoCommandToAskFor(t *testing.T) {
	w := newWorld(t)
	partition := bus.NoReply
	id := "7d8f3a52-9d0e-7a11-8000-00000000000a"
	e := bus.Envelope{
		ID: id, Type: ordering.TypeConfirmOrder, Source: bus.Source(fulfilment.Service), Subject: "order-" + orderID(1),
		Time: servicetest.Noon, ReplyTo: &partition,
	}
	w.Fold(e.Record(bus.CommandsTopic(ordering.Service), []byte(e.Subject), []byte("{}")))
	if a := w.api.Get(staff, "/v1/commands/"+id, "Prefer", "wait=0"); a.Status != 404 {
		t.Errorf("got %d %s", a.Status, a.Body)
	}
}
