package fulfilment

import (
	"strings"
	"time"

	api "github.com/orderlane/orderlane/api/fulfilment"
	inventory "github.com/orderlane/orderlane/api/inventory"
	ordering "github.com/orderlane/orderlane/api/ordering"
	payments "github.com/orderlane/orderlane/api/payments"
	shipping "github.com/orderlane/orderlane/api/shipping"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/process"
	"github.com/orderlane/orderlane/pkg/service"
)

// Add adds the fulfilment service to a process: it has events of the other services forwarded
// to fulfilment.commands.v1, consumes that, publishes fulfilment.events.v1 and sends commands to
// the other services.
func Add(p *service.Platform) {
	p.AddWrite(Write(p.Clock))
	p.AddForwarder(api.Service, Rules()...)
}

// Rules choose what is forwarded to the process: what it has asked for or reacts to, and
// nothing else, since every command costs.
func Rules() []process.Rule {
	var rules []process.Rule
	add := func(stream func(*kafka.Record) (string, error), types ...string) {
		for _, t := range types {
			rules = append(rules, process.Rule{Type: t, Stream: stream})
		}
	}
	add(byKey(categoryOrder), ordering.TypeOrderPlaced, ordering.TypeOrderConfirmed, ordering.TypeOrderRejected,
		ordering.TypeOrderCancelRequested, ordering.TypeOrderCancelled, ordering.TypeOrderCancelRefused, ordering.TypeReturnRequested)
	add(byKey(payments.Category), payments.TypePaymentActionRequired, payments.TypePaymentAuthorized, payments.TypePaymentDeclined,
		payments.TypePaymentCaptured, payments.TypePaymentCaptureFailed, payments.TypePaymentVoided,
		payments.TypePaymentRefunded, payments.TypePaymentRefundFailed)
	add(byOrder, ordering.TypeDiscountRedeemed, ordering.TypeDiscountRedemptionRefused, ordering.TypeDiscountReleased,
		inventory.TypeStockReserved, inventory.TypeStockBackordered, inventory.TypeStockReservationRefused,
		inventory.TypeStockAllocated, inventory.TypeStockReleased,
		shipping.TypeShipmentDispatched, shipping.TypeShipmentDelivered, shipping.TypeShipmentCancelled,
		shipping.TypeShipmentCancelRefused, shipping.TypeReturnReceived)
	return rules
}

// byKey is the process of an event whose stream is named after the order. It need not be decoded.
func byKey(category string) func(*kafka.Record) (string, error) {
	return func(r *kafka.Record) (string, error) {
		id, ok := strings.CutPrefix(string(r.Key), category+"-")
		if !ok {
			return "", nil
		}
		return Processes.Stream(id), nil
	}
}

// byOrder is the process of an event that names the order.
func byOrder(r *kafka.Record) (string, error) {
	var e struct {
		OrderID string `json:"order_id"`
	}
	if err := bus.Decode(r.Value, &e); err != nil || e.OrderID == "" {
		return "", err
	}
	return Processes.Stream(e.OrderID), nil
}

// Write is what the service decides, publishes and asks, for whoever drives its parts. The
// clock says when a fact is taken up: waiting starts then, however late it came, so that nobody is
// given up on who was not asked yet.
func Write(clock func() time.Time) service.Write {
	return service.Write{
		Name: api.Service, Public: public, Asks: asks,
		Handlers: func(engine *es.Engine) []bus.Handler {
			h := hearing{engine, clock}
			all := []bus.Handler{bus.HandleWakes(api.Service, bus.Waker(engine, Processes, func(_ string, due time.Time) Command {
				at := clock()
				if at.Before(due) {
					at = due
				}
				return Wake{At: at}
			}))}
			all = append(all, h.ordering()...)
			all = append(all, h.inventory()...)
			all = append(all, h.payments()...)
			return append(all, h.shipping()...)
		},
	}
}
