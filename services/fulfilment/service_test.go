package fulfilment

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	inventory "github.com/orderlane/orderlane/api/inventory"
	ordering "github.com/orderlane/orderlane/api/ordering"
	payments "github.com/orderlane/orderlane/api/payments"
	shipping "github.com/orderlane/orderlane/api/shipping"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/kafka/memkafka"
	"github.com/orderlane/orderlane/pkg/process"
	"github.com/orderlane/orderlane/pkg/service"
	"github.com/orderlane/orderlane/pkg/service/servicetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// platform drives the service with events of the others, as they are forwarded.
type platform struct {
	*servicetest.Writer
	t *testing.T
}

func newPlatform(t *testing.T) platform {
	return platform{servicetest.NewWriter(t, func(clock func() time.Time) service.Write { return Write(clock) }), t}
}

func (p platform) tell(events ...bus.Typed) {
	p.t.Helper()
	for _, e := range events {
		if o := p.Send("fulfilment-o-1", e); o.Status != "" && o.Status != "succeeded" {
			p.t.Fatalf("%T: %+v", e, o)
		}
	}
}

// said are the names and the steps of what was published.
func (p platform) said() []string {
	p.t.Helper()
	published := p.Published()
	for i, text := range published {
		name, body, _ := strings.Cut(text, " ")
		var said struct {
			Step string `json:"step"`
		}
		if err := bus.Decode([]byte(body), &said); err != nil {
			p.t.Fatal(err)
		}
		published[i] = name + ": " + said.Step
	}
	return published
}

// asked are the streams and the types of what was asked, without what all of them have in common.
func (p platform) asked() []string {
	p.t.Helper()
	var all []string
	for _, a := range p.Asked() {
		name := strings.TrimSuffix(a.Body.MessageType()[len("orderlane."):], ".v1")
		all = append(all, fmt.Sprintf("%s %s", name, strings.Split(a.Stream, "-")[0]))
	}
	return all
}

func changed(version int64) ordering.Change {
	return ordering.Change{OrderID: "o-1", Version: version, CustomerID: "c-1"}
}

var (
	stockLine = inventory.Line{OrderID: "o-1", Line: 1}
	progress  = func(version int64) payments.Progress { return payments.Progress{OrderID: "o-1", Version: version} }
	placed    = ordering.OrderPlaced{
		OrderID: "o-1", Version: 1, CustomerID: "c-1", Currency: "EUR", PaymentMethod: "sandbox_approve", DiscountCode: "TEA10",
		Lines:  []ordering.Line{{Line: 1, SKU: "TEA", Quantity: 2, Total: 2000, Tax: 319}},
		Totals: ordering.Totals{Lines: 2000, Delivery: 400, Total: 2400, DeliveryTax: 64},
	}
	shipment = shipmentID("o-1", "main", 1)
	packed   = []shipping.Item{{Line: 1, SKU: "TEA", Quantity: 2}}
)

func TestForwardedEventsTakeAnOrderFromPlacedToReturned(t *testing.T) {
	p := newPlatform(t)
	p.tell(placed, placed,
		inventory.StockBackordered{SKU: "TEA", Version: 4, Line: stockLine, Quantity: 2},
		inventory.StockReserved{SKU: "TEA", Version: 5, Line: stockLine, Quantity: 2},
		payments.PaymentActionRequired{Progress: progress(1)},
		payments.PaymentAuthorized{Progress: progress(2)},
		ordering.DiscountRedeemed{Code: "TEA10", OrderID: "o-1"},
		inventory.StockAllocated{SKU: "TEA", Version: 6, Line: stockLine, Quantity: 2, Parts: []inventory.Part{{Location: "main", Quantity: 2}}},
		ordering.OrderConfirmed{Change: changed(2)},
		shipping.ShipmentDispatched{ShipmentID: shipment, OrderID: "o-1", Location: "main", Items: packed},
		payments.PaymentCaptureFailed{Progress: progress(3), Reference: shipment},
		shipping.ShipmentDelivered{ShipmentID: shipment, OrderID: "o-1", Items: packed},
		payments.PaymentCaptured{Progress: progress(4), Reference: shipment},
		ordering.ReturnRequested{Change: changed(5), ReturnID: "r-1", Lines: []ordering.Units{{Line: 1, Quantity: 1}, {Line: 1, Quantity: 1}}},
		shipping.ReturnReceived{ReturnID: "r-1", Version: 2, OrderID: "o-1", Location: "main", Items: []shipping.ReceivedItem{
			{Item: shipping.Item{Line: 1, SKU: "TEA", Quantity: 1}, Restock: true}, {Item: shipping.Item{Line: 1, SKU: "TEA", Quantity: 1}},
		}},
		payments.PaymentRefundFailed{Progress: progress(5), Reference: "r-1/2"},
		payments.PaymentRefunded{Progress: progress(6), Reference: "r-1/2", Partial: true}, // not all of it
		payments.PaymentRefunded{Progress: progress(7), Reference: "r-1/2"},
	)
	want := []string{
		"fulfilment_started: reserving", "line_backordered: paying", "line_reserved: paying", "payment_action_awaited: paying",
		"payment_secured: paying", "discount_secured: allocating", "line_allocated: confirming", "confirmation_noted: dispatching",
		"dispatch_noted: delivering", "capture_refused: delivering", "delivery_noted: capturing", "capture_done: completed",
		"return_taken_up: returning", "goods_taken_back: refunding", "refund_refused: completed", "refund_done: completed",
	}
	if got := p.said(); !slices.Equal(got, want) {
		t.Errorf("it says\n%q, want\n%q", got, want)
	}
	want = []string{
		"inventory.reserve_stock stock", "ordering.redeem_discount discount", "payments.request_payment payment",
		"inventory.allocate_stock stock", "ordering.confirm_order order", "shipping.create_shipment shipment",
		"ordering.mark_shipped order", "inventory.dispatch_stock stock", "payments.capture_payment payment",
		"ordering.mark_delivered order", "payments.capture_payment payment", "shipping.open_return return",
		"ordering.mark_returned order", "inventory.take_back_stock stock", "payments.refund_payment payment",
	}
	if got := p.asked(); !slices.Equal(got, want) {
		t.Errorf("it asks\n%q, want\n%q", got, want)
	}
}

func TestForwardedEventsUndoAnOrder(t *testing.T) {
	released := inventory.StockReleased{SKU: "TEA", Version: 9, Line: stockLine, Reason: "cancelled"}
	reserved := inventory.StockReserved{SKU: "TEA", Version: 5, Line: stockLine, Quantity: 2}
	allocated := inventory.StockAllocated{SKU: "TEA", Version: 6, Line: stockLine, Parts: []inventory.Part{{Location: "main", Quantity: 2}}}
	ready := []bus.Typed{
		placed, reserved,
		payments.PaymentAuthorized{Progress: progress(2)},
		ordering.DiscountRedeemed{OrderID: "o-1"},
		allocated,
		ordering.OrderConfirmed{Change: changed(2)},
		ordering.OrderCancelRequested{Change: changed(3), Lines: []int{1}},
	}
	for name, c := range map[string]struct {
		told []bus.Typed
		last string
	}{
		"no stock": {[]bus.Typed{
			placed,
			inventory.StockReservationRefused{SKU: "TEA", Version: 5, Line: stockLine, Reason: "out_of_stock"},
			released,
			ordering.OrderRejected{Change: changed(2)},
		}, "rejection_noted: rejected"},
		"no money": {[]bus.Typed{
			placed, reserved,
			payments.PaymentDeclined{Progress: progress(2), Code: "card_declined"},
			ordering.OrderRejected{Change: changed(2)},
			ordering.DiscountReleased{OrderID: "o-1"},
			released,
		}, "line_released: rejected"},
		"no discount": {[]bus.Typed{
			placed, reserved,
			ordering.DiscountRedemptionRefused{OrderID: "o-1"},
			ordering.OrderRejected{Change: changed(2)},
			released,
			payments.PaymentVoided{Progress: progress(2), Reference: "rejected"},
		}, "payment_given_up: rejected"},
		"kept back": {append(slices.Clone(ready),
			shipping.ShipmentCancelled{ShipmentID: shipment, OrderID: "o-1", Reference: "cancel-3"},
			inventory.StockReleased{SKU: "TEA", Version: 8, Line: stockLine, Reason: inventory.ReasonExpired}, // not the answer
			payments.PaymentVoided{Progress: progress(3), Reference: "cancel-3"}, released,
			ordering.DiscountReleased{OrderID: "o-1"}, ordering.OrderCancelled{Change: changed(4)},
		), "cancellation_noted: cancelled"},
		"too late": {append(slices.Clone(ready),
			shipping.ShipmentCancelRefused{ShipmentID: shipment, OrderID: "o-1", Reference: "cancel-3"},
			shipping.ShipmentDispatched{ShipmentID: shipment, OrderID: "o-1", Items: packed},
			ordering.OrderCancelRefused{Change: changed(4)},
		), "cancel_refusal_noted: delivering"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlatform(t)
			p.tell(c.told...)
			if said := p.said(); said[len(said)-1] != c.last {
				t.Errorf("it says %q, want %s last", said, c.last)
			}
		})
	}
}

func TestATimerAsksAgainAndCountsFromWhenItIsTakenUp(t *testing.T) {
	p := newPlatform(t)
	p.tell(placed)
	p.Now = p.Now.Add(59 * time.Second)
	if p.Wake() != 0 {
		t.Error("it is woken before its time")
	}
	p.Now = p.Now.Add(time.Hour) // nothing ran for a while: nobody could answer
	for _, want := range []string{"asked_again: reserving", "asked_again: reserving", "fulfilment_given_up: rejecting"} {
		if n := p.Wake(); n != 1 {
			t.Fatalf("%d streams are woken", n)
		}
		if said := p.said(); said[len(said)-1] != want {
			t.Fatalf("it says %q, want %q last", said, want)
		}
		if p.Wake() != 0 {
			t.Error("it is woken again at once")
		}
		p.Now = p.Now.Add(time.Minute)
	}
}

// Everything that the process handles is forwarded to it, from whatever key its stream has.
func TestEveryEventThatIsHandledIsForwarded(t *testing.T) {
	clock := func() time.Time { return servicetest.Noon }
	broker := memkafka.New(clock, kafka.TopicSpec{Name: bus.CommandsTopic("fulfilment"), Partitions: 1})
	f := process.NewForwarder(process.ForwarderOptions{
		Process: "fulfilment", Rules: Rules(), Producer: broker.Producer(), Clock: clock,
		Committed: func(context.Context, []kafka.Partition) (map[kafka.Partition]int64, error) { return nil, nil },
	})
	topics := []string{"inventory.events.v1", "ordering.events.v1", "payments.events.v1", "shipping.events.v1"}
	if got := slices.Sorted(slices.Values(f.Topics())); !slices.Equal(got, topics) {
		t.Errorf("it reads %q, want %q", got, topics)
	}
	var handled []string
	for _, h := range Write(clock).Handlers(nil) {
		if name := h.HandlerName(); !strings.HasSuffix(name, ".wake.v1") {
			handled = append(handled, name)
		}
	}
	var forwarded []string
	for _, r := range Rules() {
		forwarded = append(forwarded, r.Type)
		for key, value := range map[string]string{"order-o-1": "", "payment-o-1": "", "stock-TEA": `{"order_id":"o-1"}`} {
			stream, err := r.Stream(&kafka.Record{Key: []byte(key), Value: []byte(value)})
			if value == "" && err != nil {
				continue // an event whose key does not name the order has a body that does
			}
			if stream != "" && stream != "fulfilment-o-1" {
				t.Errorf("%s of %s is for %s", r.Type, key, stream)
			}
		}
	}
	slices.Sort(handled)
	slices.Sort(forwarded)
	if !slices.Equal(handled, forwarded) {
		t.Errorf("it handles\n%q, and is told of\n%q", handled, forwarded)
	}
}

func TestAnEventWithoutAnOrderIsNotForwarded(t *testing.T) {
	for _, r := range Rules() {
		if stream, err := r.Stream(&kafka.Record{Key: []byte("basket-1"), Value: []byte(`{}`)}); stream != "" || err != nil {
			t.Errorf("%s is forwarded to %q (%v)", r.Type, stream, err)
		}
	}
}
