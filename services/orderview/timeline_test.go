package orderview

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/orderlane/orderlane/api/fulfilment"
	"github.com/orderlane/orderlane/api/notifications"
	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/api/payments"
	"github.com/orderlane/orderlane/api/shipping"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/httpapi"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/money"
	"github.com/orderlane/orderlane/pkg/projection"
	"github.com/orderlane/orderlane/pkg/service"
	"github.com/orderlane/orderlane/pkg/service/servicetest"
)

// caused says of an event who made it happen, n seconds after noon, and what for.
func caused(r kafka.Record, n int, caller, cause string) kafka.Record {
	e, err := bus.EnvelopeOf(&r)
	if err != nil {
		panic(err)
	}
	e.Time = servicetest.Noon.Add(time.Duration(n) * time.Second)
	e.Caller, e.Causation, e.Trigger = bus.Caller{ID: caller}, fmt.Sprintf("command-%d", n), cause
	return e.Record(r.Topic, r.Key, r.Value)
}

// story is the life of an order up to the first shipment, as services tell it: each event comes of
// one before it.
func (w *world) story(n int) []kafka.Record {
	id, shipment := orderID(n), shipmentID(n)
	order, payment, process, parcel := "order-"+id, "payment-"+id, "fulfilment-"+id, "shipment-"+shipment
	progress := func(version int64, status payments.Status) payments.Progress {
		return payments.Progress{
			OrderID: id, Version: version, Status: status, Currency: "EUR", Balance: payments.Balance{Authorized: 2598}, At: servicetest.Noon,
		}
	}
	step := func(version int64, name string) fulfilment.Progress {
		return fulfilment.Progress{OrderID: id, Version: version, Step: name, WaitingFor: name + " to end"}
	}
	items := []shipping.Item{{Line: 1, SKU: "TEA-001", Quantity: 1}}
	mail := notifications.Change{OrderID: id, Version: 1, Mail: 1, Send: 1, Kind: notifications.KindOrderConfirmed, At: servicetest.Noon}
	change := func(version int64, status ordering.Status) ordering.Change {
		return ordering.Change{OrderID: id, Version: version, Status: status, CustomerID: ada.ID, At: servicetest.Noon}
	}
	asked := caused(w.of(payments.Service, payment, 1, payments.TypePaymentRequested, payments.PaymentRequested{
		Progress: progress(1, payments.StatusPending), CustomerID: ada.ID, Provider: "sandbox", Method: "sandbox_approve", Amount: money.Of(2598, "EUR"),
	}), 3, "fulfilment", process+"/2")
	return []kafka.Record{
		caused(w.placed(n, ada.ID), 0, ada.ID, ""),
		caused(w.of(fulfilment.Service, process, 1, fulfilment.TypeFulfilmentStarted, step(1, "reserving")), 1, "fulfilment", order+"/1"),
		caused(w.of(fulfilment.Service, process, 2, fulfilment.TypeLineReserved, fulfilment.LineMoved{Progress: step(2, "paying"), Line: 1}), 2, "fulfilment", "stock-TEA-001/9"),
		asked,
		caused(w.of(payments.Service, payment, 2, payments.TypePaymentAuthorized, payments.PaymentAuthorized{
			Progress: progress(2, payments.StatusAuthorized), Amount: money.Of(2598, "EUR"), Provider: "sandbox", ProviderRef: "ref",
		}), 4, "payments", bus.AskID("payments", payment+"/1", servicetest.Noon.Add(3*time.Second), 0)),
		caused(w.of(fulfilment.Service, process, 3, fulfilment.TypePaymentSecured, fulfilment.PaymentMoved{Progress: step(3, "confirming")}), 5, "fulfilment", payment+"/2"),
		caused(w.of(fulfilment.Service, process, 4, fulfilment.TypeAskedAgain, fulfilment.AskedAgain{Progress: step(4, "confirming"), Attempt: 1}), 6, "fulfilment", process+"/3"),
		caused(w.event(n, 2, ordering.TypeOrderConfirmed, ordering.OrderConfirmed{Change: change(2, ordering.StatusConfirmed)}), 7, "fulfilment", process+"/3"),
		caused(w.of(notifications.Service, "mail-"+id, 1, notifications.TypeMailSent, notifications.MailSent{Change: mail}), 8, "notifications", order+"/2"),
		caused(w.of(shipping.Service, parcel, 1, shipping.TypeShipmentCreated, shipping.ShipmentCreated{
			ShipmentID: shipment, Version: 1, OrderID: id, CustomerID: ada.ID, Status: shipping.StatusCreated, Location: "main", Items: items, At: servicetest.Noon,
		}), 9, "fulfilment", process+"/4"),
		caused(w.of(shipping.Service, parcel, 2, shipping.TypeShipmentDispatched, shipping.ShipmentDispatched{
			ShipmentID: shipment, Version: 2, OrderID: id, CustomerID: ada.ID, Status: shipping.StatusDispatched, Location: "main", Items: items, Carrier: "DHL", At: servicetest.Noon,
		}), 10, staff.ID, ""),
		caused(w.of(payments.Service, payment, 3, payments.TypePaymentCaptured, payments.PaymentCaptured{
			Progress: progress(3, payments.StatusPartiallyCaptured), Reference: shipment, Lines: []payments.Units{{Line: 1, Quantity: 1}}, Amount: money.Of(1299, "EUR"),
		}), 11, "sandbox", ""),
		caused(w.event(n, 3, ordering.TypeOrderShipped, ordering.OrderShipped{
			Change: change(3, ordering.StatusPartiallyShipped), ShipmentID: shipment, Lines: []ordering.Units{{Line: 1, Quantity: 1}}, Partial: true,
		}), 12, "fulfilment", parcel+"/2"),
	}
}

// told is an order's timeline, a line an event.
func (w *world) told(a *servicetest.Answer) (lines []string) {
	w.t.Helper()
	var t Timeline
	if a.Status != 200 {
		w.t.Fatalf("%d %s", a.Status, a.Body)
	}
	a.Into(&t)
	for _, h := range t.Items {
		cause := "nothing"
		if c := h.Cause; c != nil {
			cause = strings.TrimSpace(c.Kind + " " + c.ID)
		}
		line := fmt.Sprintf("%d %s %s: %s (%s)", int(h.At.Sub(servicetest.Noon).Seconds()), h.Actor.Kind, h.Actor.ID, h.Text, cause)
		lines = append(lines, strings.NewReplacer(orderID(1), "1", shipmentID(1), "1", " :", ":").Replace(line))
	}
	return lines
}

func TestATimelineTellsStaffWhoDidWhatAndWhy(t *testing.T) {
	want := []string{
		"0 customer c-ada: Order N-1 was placed: 2 × TEA-001 for 25.98 EUR. (command command-0)",
		"1 service fulfilment: Stock is asked for. (event order-1/1)",
		"2 service fulfilment: Stock is kept for TEA-001. (event stock-TEA-001/9)",
		"3 service fulfilment: The provider sandbox was asked to authorise 25.98 EUR. (event fulfilment-1/2)",
		"4 service payments: Payment of 25.98 EUR was authorised. (event payment-1/1)",
		"5 service fulfilment: The money is held. (event payment-1/2)",
		"6 service fulfilment: Nobody has answered in time: everything open was asked for again. (deadline fulfilment-1/3)",
		"7 service fulfilment: The order was confirmed. (event fulfilment-1/3)",
		"8 service notifications: The mail saying that the order is confirmed was sent. (event order-1/2)",
		"9 service fulfilment: A shipment of 1 × TEA-001 is prepared at main. (event fulfilment-1/4)",
		"10 staff s-1: A shipment of 1 × TEA-001 was handed to DHL. (command command-10)",
		"11 provider sandbox: 12.99 EUR was taken for 1 × TEA-001. (callback)",
		"12 service fulfilment: 1 × TEA-001 left for the customer; the rest is still to come. (event shipment-1/2)",
	}
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			w := newWorldIn(t, open(t))
			w.Fold(w.story(1)...)
			if got := w.told(w.api.Get(staff, "/v1/orders/"+orderID(1)+"/timeline")); !slices.Equal(got, want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

// TestACustomerHearsWhatIsTheirsAndOfStaffOnlyThatItIsTheShop: steps in between are left out, so
// the cause of an event is the last one before it that the customer hears of.
func TestACustomerHearsWhatIsTheirsAndOfStaffOnlyThatItIsTheShop(t *testing.T) {
	w := newWorld(t)
	w.Fold(w.story(1)...)
	want := []string{
		"0 customer c-ada: Order N-1 was placed: 2 × TEA-001 for 25.98 EUR. (command command-0)",
		"4 shop: Payment of 25.98 EUR was authorised. (nothing)",
		"7 shop: The order was confirmed. (event payment-1/2)",
		"8 shop: The mail saying that the order is confirmed was sent. (event order-1/2)",
		"9 shop: A shipment of 1 × TEA-001 is prepared at main. (event payment-1/2)",
		"10 shop: A shipment of 1 × TEA-001 was handed to DHL. (nothing)",
		"11 shop: 12.99 EUR was taken for 1 × TEA-001. (callback)",
		"12 shop: 1 × TEA-001 left for the customer; the rest is still to come. (event shipment-1/2)",
	}
	a := w.api.Get(ada, "/v1/orders/"+orderID(1)+"/timeline")
	if got := w.told(a); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if strings.Contains(a.Body, staff.ID) || strings.Contains(a.Body, "fulfilment") {
		t.Errorf("the customer hears how the shop works: %s", a.Body)
	}
	if a := w.api.Get(bob, "/v1/orders/"+orderID(1)+"/timeline"); a.Status != 404 {
		t.Errorf("another customer gets %d %s", a.Status, a.Body)
	}
}

func TestATimelineIsPagedAndNotSentAgain(t *testing.T) {
	w := newWorld(t)
	if a := w.api.Get(staff, "/v1/orders/"+orderID(1)+"/timeline"); a.Status != 404 {
		t.Errorf("of an order that is not there: %d", a.Status)
	}
	w.Fold(w.story(1)...)
	w.Fold(w.placed(2, bob.ID))
	all := w.told(w.api.Get(staff, "/v1/orders/"+orderID(1)+"/timeline"))
	cursor := ""
	for _, limit := range []int{1, 2, 5, 12, 13, 200} {
		var got []string
		for path := "?limit=" + fmt.Sprint(limit); path != ""; {
			a := w.api.Get(staff, "/v1/orders/"+orderID(1)+"/timeline"+path)
			got = append(got, w.told(a)...)
			var page Timeline
			a.Into(&page)
			path = ""
			if page.NextCursor != "" {
				cursor = page.NextCursor
				path = "?limit=" + fmt.Sprint(limit) + "&cursor=" + url.QueryEscape(cursor)
			}
		}
		if !slices.Equal(got, all) {
			t.Errorf("in pages of %d: %q", limit, got)
		}
	}
	for what, path := range map[string]string{"another order's": orderID(2) + "/timeline?cursor=" + cursor, "no": orderID(1) + "/timeline?cursor=x"} {
		if a := w.api.Get(staff, "/v1/orders/"+path); a.Status != 400 || a.Code() != "bad_cursor" {
			t.Errorf("%s cursor: %d %s", what, a.Status, a.Body)
		}
	}
	etag := w.api.Get(ada, "/v1/orders/"+orderID(1)+"/timeline").Header.Get("ETag")
	if a := w.api.Get(ada, "/v1/orders/"+orderID(1)+"/timeline", "If-None-Match", etag); a.Status != 304 {
		t.Errorf("%s: %d", etag, a.Status)
	}
	id := orderID(1)
	w.Fold(caused(w.of(notifications.Service, "mail-"+id, 2, notifications.TypeMailRequested,
		notifications.MailRequested{Change: notifications.Change{OrderID: id, Version: 2, Kind: notifications.KindPaymentRefunded}}), 20, "notifications", ""))
	token := []string{"If-None-Match", etag, "Consistency-Token", "mail-" + id + "@2", "Prefer", "wait=0"}
	if a := w.api.Get(ada, "/v1/orders/"+id+"/timeline", token...); a.Status != 200 {
		t.Errorf("after a mail, which the view waits for: %d %s", a.Status, a.Body)
	}
	token[3] = "mail-" + id + "@3"
	if a := w.api.Get(ada, "/v1/orders/"+id+"/timeline", token...); a.Status != 503 {
		t.Errorf("before a mail: %d %s", a.Status, a.Body)
	}
}

// TestATimelineIsReadAnewIfMoreBecomesKnownOfItsPagesBefore: topics are not ordered relative to each other.
func TestATimelineIsReadAnewIfMoreBecomesKnownOfItsPagesBefore(t *testing.T) {
	w := newWorld(t)
	story := w.story(1)
	late := map[int]bool{4: true, 6: true, 11: true, 12: true} // payments, a step in between, and the end
	for i, r := range story {
		if !late[i] {
			w.Fold(r)
		}
	}
	path := "/v1/orders/" + orderID(1) + "/timeline"
	next := func(as httpapi.Caller, page string) (cursor string) {
		t.Helper()
		var one Timeline
		w.api.Get(as, path+page).Into(&one)
		return path + "?cursor=" + url.QueryEscape(one.NextCursor)
	}
	ours, hers := next(staff, "?limit=8"), next(ada, "?limit=3")
	status := func(what string, a *servicetest.Answer, want int) {
		t.Helper()
		if a.Status != want || want == 400 && a.Code() != "bad_cursor" {
			t.Errorf("%s: %d %s, want %d", what, a.Status, a.Body, want)
		}
	}
	w.Fold(story[12])
	status("more at the end", w.api.Get(staff, ours), 200)
	w.Fold(story[6])
	status("a step in between, to staff", w.api.Get(staff, ours), 400)
	status("a step in between, to the customer", w.api.Get(ada, hers), 200)
	w.Fold(story[4], story[11])
	status("an authorisation, to the customer", w.api.Get(ada, hers), 400)
	if got := w.told(w.api.Get(staff, path)); len(got) != len(story) {
		t.Errorf("read anew: %q", got)
	}
}

// closed is a store whose histories nobody reads.
type closed struct{ projection.Store }

func (c closed) Query(ctx context.Context, sql string, args []any, fn func(projection.Row) error) error {
	if strings.Contains(sql, historyTable) {
		return errors.New("a history is read")
	}
	return c.Store.Query(ctx, sql, args, fn)
}

func TestTheHistoryOfAnothersOrderIsNotEvenRead(t *testing.T) {
	w := newWorld(t)
	w.Fold(w.story(1)...)
	w.api = servicetest.NewAPI(t)
	newQueries(&service.Reader{Store: closed{w.Store}, Answers: w.Reader.Answers}, later).register(w.api.API)
	for _, path := range []string{"/timeline", "?as_of=@1"} {
		if a := w.api.Get(bob, "/v1/orders/"+orderID(1)+path); a.Status != 404 {
			t.Errorf("%s to another customer: %d %s", path, a.Status, a.Body)
		}
		if a := w.api.Get(ada, "/v1/orders/"+orderID(1)+path); a.Status != 500 {
			t.Errorf("%s to its customer: %d %s", path, a.Status, a.Body)
		}
	}
}

// TestATimelineHoldsEachEventOnceWhateverTheOrderOfArrival: events of a stream come in the order of
// their versions, and again; streams come in any order.
func TestATimelineHoldsEachEventOnceWhateverTheOrderOfArrival(t *testing.T) {
	first := newWorld(t)
	first.Fold(first.story(1)...)
	want := first.told(first.api.Get(staff, "/v1/orders/"+orderID(1)+"/timeline"))
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t)
		byTopic := make(map[string][]kafka.Record)
		var topics []string
		for _, r := range w.story(1) {
			if byTopic[r.Topic] == nil {
				topics = append(topics, r.Topic)
			}
			byTopic[r.Topic] = append(byTopic[r.Topic], r)
		}
		done := make(map[string][]kafka.Record)
		for len(topics) > 0 {
			i := rapid.IntRange(0, len(topics)-1).Draw(rt, "topic")
			topic := topics[i]
			if seen := done[topic]; len(seen) > 0 && rapid.IntRange(0, 3).Draw(rt, "again") == 0 {
				w.Fold(rapid.SampledFrom(seen).Draw(rt, "repeat"))
				continue
			}
			w.Fold(byTopic[topic][0])
			done[topic] = append(done[topic], byTopic[topic][0])
			if byTopic[topic] = byTopic[topic][1:]; len(byTopic[topic]) == 0 {
				topics = slices.Delete(topics, i, i+1)
			}
		}
		if got := w.told(w.api.Get(staff, "/v1/orders/"+orderID(1)+"/timeline")); !slices.Equal(got, want) {
			rt.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

// TestTheHistoryOfWhatCannotBeReadIsMended: neither does a document that is damaged keep a stream from being folded anew, nor is one
// unreadable that tells of a zero byte, which PostgreSQL has no JSON with.
func TestTheHistoryOfWhatCannotBeReadIsMended(t *testing.T) {
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			w := newWorldIn(t, open(t))
			w.Fold(w.story(1)...)
			w.Fold(w.of(payments.Service, payments.Category+"-"+orderID(2), 1, payments.TypePaymentDeclined, map[string]any{
				"order_id": orderID(2), "version": 1, "status": payments.StatusDeclined, "code": "odd \x00",
			}), w.placed(2, "c-ada"))
			read := func(n int) string {
				return strings.Join(w.told(w.api.Get(staff, "/v1/orders/"+orderID(n)+"/timeline")), "\n")
			}
			want := read(1)
			if got := read(2); strings.Count(got, "\n") != 1 {
				t.Errorf("of a payment with a zero byte: %s", got)
			}
			for table, stream := range map[string]string{ordersTable: orderCategory, paymentsTable: payments.Category} {
				stream += "-" + orderID(1)
				w.exec("UPDATE "+table+" SET doc = '{' WHERE key = $1", stream)
				if err := w.Projection.Repair(t.Context(), stream); err != nil {
					t.Error(err)
				}
			}
			if got := read(1); got != want {
				t.Errorf("folded anew:\n%s\nwant\n%s", got, want)
			}
		})
	}
}
