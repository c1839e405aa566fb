package orderview

import (
	"fmt"
	"sync"
	"testing"

	"github.com/orderlane/orderlane/api/payments"
	"github.com/orderlane/orderlane/api/shipping"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/httpapi"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/service/servicetest"
)

// TestWhoAsksAtOnceGetsTheirOwnOrder: reads are put together, answers are not.
func TestWhoAsksAtOnceGetsTheirOwnOrder(t *testing.T) {
	const orders, callers = 40, 16
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			w := newWorldIn(t, open(t))
			for n := range orders {
				w.FoldAll(w.life(n)...)
			}
			eve := httpapi.Caller{ID: "c-eve", Role: httpapi.RoleCustomer}
			var wg sync.WaitGroup
			for c := range callers {
				wg.Go(func() {
					for n := range orders {
						n = (n + c) % orders
						if a := w.api.Get(eve, "/v1/orders/"+orderID(n)); a.Status != 404 {
							t.Errorf("another's order: %d %s", a.Status, a.Body)
						}
						if a := w.api.Get(staff, "/v1/orders/"+orderID(n+orders)); a.Status != 404 {
							t.Errorf("an order that is not there: %d %s", a.Status, a.Body)
						}
						var o Order
						w.api.Get(ada, "/v1/orders/"+orderID(n)).Into(&o)
						if o.ID != orderID(n) || o.Number != fmt.Sprint("N-", n) || o.Payment == nil || o.Payment.OrderID != o.ID ||
							len(o.Shipments) != 1 || o.Shipments[0].ID != shipmentID(n) || o.ShipTo == nil {
							t.Errorf("asked for %d, got %+v", n, o)
						}
					}
				})
			}
			wg.Wait()
		})
	}
}

// TestAnOrderHasAllItsShipmentsAndReturnsInOrder: they are read as one text each.
func TestAnOrderHasAllItsShipmentsAndReturnsInOrder(t *testing.T) {
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			w := newWorldIn(t, open(t))
			w.Fold(w.life(1)...)
			later := servicetest.Noon.Add(-1) // made before the one that life has
			items := []shipping.Item{{Line: 1, SKU: "TEA 001\n\"x\"", Quantity: 1}}
			for n := 2; n <= 4; n++ {
				w.Fold(w.of(shipping.Service, "shipment-"+shipmentID(n), 1, shipping.TypeShipmentCreated, shipping.ShipmentCreated{
					ShipmentID: shipmentID(n), Version: 1, OrderID: orderID(1), CustomerID: ada.ID, Status: shipping.StatusCreated, Items: items, At: later,
				}), w.of(shipping.Service, "return-"+shipmentID(n), 1, shipping.TypeReturnOpened, shipping.ReturnOpened{
					ReturnID: shipmentID(n), Version: 1, OrderID: orderID(1), CustomerID: ada.ID, Status: shipping.ReturnExpected, Items: items, At: later,
				}))
			}
			var o Order
			w.api.Get(ada, "/v1/orders/"+orderID(1)).Into(&o)
			var got []string
			for _, s := range o.Shipments {
				got = append(got, s.ID)
			}
			want := []string{shipmentID(2), shipmentID(3), shipmentID(4), shipmentID(1)}
			if fmt.Sprint(got) != fmt.Sprint(want) || o.Shipments[0].Items[0] != items[0] {
				t.Errorf("shipments are %v, want %v", o.Shipments, want)
			}
			if len(o.Returns) != 3 || o.Returns[2].ID != shipmentID(4) || o.Returns[0].Received == nil {
				t.Errorf("returns are %+v", o.Returns)
			}
		})
	}
}

func TestAnOrderSaysWhatToPayWithWhileThatIsAskedFor(t *testing.T) {
	w := newWorld(t)
	id := "payment-" + orderID(1)
	asked := func(version int64, status payments.Status) payments.Progress {
		return payments.Progress{OrderID: orderID(1), Version: version, Status: status, Currency: "EUR"}
	}
	secret := w.of(payments.Service, id, 1, payments.TypePersonal, payments.Personal{ClientSecret: "s3cret"})
	secret.Topic = bus.PersonalTopic(payments.Service)
	shown := func(records ...kafka.Record) string {
		w.Fold(records...)
		var o Order
		w.api.Get(ada, "/v1/orders/"+orderID(1)).Into(&o)
		return fmt.Sprint(o.PaymentStatus, " ", o.Payment.ClientSecret)
	}
	w.Fold(w.placed(1, ada.ID), w.personal(1, 1, "12 St James Square"), secret)
	got := shown(w.of(payments.Service, id, 1, payments.TypePaymentActionRequired, payments.PaymentActionRequired{Progress: asked(1, payments.StatusRequiresAction)}))
	if got != "requires_action s3cret" {
		t.Errorf("while it is asked for: %s", got)
	}
	got = shown(w.of(payments.Service, id, 2, payments.TypePaymentAuthorized, payments.PaymentAuthorized{Progress: asked(2, payments.StatusAuthorized)}))
	if got != "authorized " {
		t.Errorf("afterwards: %s", got)
	}
}
