package orderview

import (
	"fmt"
	"strings"
	"testing"

	"github.com/orderlane/orderlane/api/fulfilment"
	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/api/payments"
	"github.com/orderlane/orderlane/api/shipping"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/httpapi"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/service/servicetest"
)

// settled is what ends an order after its life: with texts that could be taken for what they are not.
func (w *world) settled(n int) []kafka.Record {
	id := orderID(n)
	tricky := `,"kept":{"stock":{ ,"staff":{"failure": \ <&>` + "\u2028\n"
	change := func(version int64, status ordering.Status) ordering.Change {
		return ordering.Change{OrderID: id, Version: version, Status: status, CustomerID: ada.ID, At: servicetest.Noon}
	}
	items := []shipping.Item{{Line: 1, SKU: tricky, Quantity: 1}}
	return []kafka.Record{
		w.of(payments.Service, "payment-"+id, 2, payments.TypePaymentCaptureFailed, payments.PaymentCaptureFailed{
			Progress: payments.Progress{OrderID: id, Version: 2, Status: payments.StatusAuthorized, Currency: "EUR"}, Code: tricky,
		}),
		w.of(fulfilment.Service, "fulfilment-"+id, 4, fulfilment.TypeDispatchNoted, fulfilment.Progress{
			OrderID: id, Version: 4, Step: "done", WaitingFor: tricky, Attention: tricky, Ended: true,
		}),
		w.event(n, 4, ordering.TypeOrderCancelRefused, ordering.OrderCancelRefused{Change: change(4, ordering.StatusShipped), Reason: tricky}),
		w.of(payments.Service, "payment-"+id, 3, payments.TypePaymentCaptured, payments.PaymentCaptured{
			Progress: payments.Progress{OrderID: id, Version: 3, Status: payments.StatusCaptured, Currency: "EUR"},
		}),
		w.of(fulfilment.Service, "fulfilment-"+id, 5, fulfilment.TypeDispatchNoted, fulfilment.Progress{OrderID: id, Version: 5, Step: "done", Ended: true}),
		w.of(shipping.Service, "return-"+shipmentID(n), 1, shipping.TypeReturnOpened, shipping.ReturnOpened{
			ReturnID: shipmentID(n), Version: 1, OrderID: id, CustomerID: ada.ID, Status: shipping.ReturnExpected, Items: items, At: servicetest.Noon,
		}),
		w.of(shipping.Service, "shipment-"+shipmentID(n+1000), 1, shipping.TypeShipmentCancelled, shipping.ShipmentCancelled{
			ShipmentID: shipmentID(n + 1000), Version: 1, OrderID: id, CustomerID: ada.ID, Status: shipping.StatusCancelled, At: servicetest.Noon,
		}),
		w.addressChanged(n, 5),
		w.personal(n, 5, ""),
		w.of(payments.Service, "payment-"+id, 4, payments.TypePaymentActionRequired, payments.PaymentActionRequired{
			Progress: payments.Progress{OrderID: id, Version: 4, Status: payments.StatusRequiresAction, Currency: "EUR"},
		}),
		w.of(payments.Service, "payment-"+id, 5, payments.TypePaymentAuthorized, payments.PaymentAuthorized{
			Progress: payments.Progress{OrderID: id, Version: 5, Status: payments.StatusAuthorized, Currency: "EUR"}, ProviderRef: "auth-1", ExpiresAt: servicetest.Noon,
		}),
	}
}

// TestAnAnswerOfTextsIsWhatTheOrderIsEncodedTo: byte for byte, after each event of an order's life.
func TestAnAnswerOfTextsIsWhatTheOrderIsEncodedTo(t *testing.T) {
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			w := newWorldIn(t, open(t))
			story := append(w.life(1), w.settled(1)...)
			how := map[httpapi.Role]string{}
			for i := range story {
				w.Fold(story[i])
				found, err := readRaw(t.Context(), w.Store, w.Store.Dialect(), []string{orderID(1)})
				if err != nil {
					t.Fatal(err)
				}
				r := found[orderID(1)]
				for _, as := range []httpapi.Caller{ada, staff} {
					o, err := r.show(as)
					if err != nil {
						t.Fatal(err)
					}
					want, err := bus.Encode(o)
					if err != nil {
						t.Fatal(err)
					}
					got := r.appendOrder([]byte("before "), as)
					switch string(got) {
					case "before ":
						how[as.Role] += "-"
					case "before " + string(want):
						how[as.Role] += "+"
					default:
						t.Errorf("after event %d %s is answered with\n%s\nwant\n%s", i, as.ID, got, want)
					}
				}
			}
			// While stock is kept for it, while its customer is told less of a failure than staff, and while the customer
			// has to complete the payment, it is decoded.
			if got, want := fmt.Sprint(how), "map[customer:+++++++------++++++-+ staff:+++++++----++++++++-+]"; got != want {
				t.Errorf("answers were put together like this: %s, want %s", got, want)
			}
		})
	}
}

// TestAListOfTextsIsOfTheOrders: what belongs to an order is not in lists, and is told in the same words.
func TestAListOfTextsIsOfTheOrders(t *testing.T) {
	w := newWorld(t)
	w.Fold(w.life(1)...)
	w.Fold(w.life(2)...)
	w.Fold(w.settled(2)...)
	w.Fold(w.placed(3, ada.ID), w.personal(3, 1, "12 St James Square"))
	for _, as := range []httpapi.Caller{ada, staff} {
		var orders []string
		for _, n := range []int{3, 2, 1} {
			orders = append(orders, but(t, w.api.Get(as, "/v1/orders/"+orderID(n)), "payment", "shipments", "returns", "ship_to"))
		}
		var list struct {
			Items []any `json:"items"`
		}
		a := w.api.Get(as, "/v1/orders")
		a.Into(&list)
		for i := range list.Items {
			got, err := bus.Encode(list.Items[i])
			if err != nil || i >= len(orders) || string(got) != orders[i] {
				t.Errorf("%s sees in a list\n%s\nwant\n%s", as.ID, got, orders[i])
			}
		}
		if len(list.Items) != 3 || strings.Contains(a.Body, "next_cursor") {
			t.Errorf("%s is listed %d orders: %s", as.ID, len(list.Items), a.Body)
		}
	}
}
