package orderview

import (
	"fmt"

	"github.com/orderlane/orderlane/api/fulfilment"
	"github.com/orderlane/orderlane/api/ordering"
)

// The steps of fulfilment are how the shop works: what comes of them is told to the customer by
// the events of the other services, but for a line that has to wait.
var fulfilmentTold = map[string]telling{
	fulfilment.TypeFulfilmentStarted: plain(staffOnly, "Stock is asked for."),
	fulfilment.TypeLineReserved: tell(staffOnly, func(o *document, e *fulfilment.LineMoved) string {
		return "Stock is kept for " + o.name(e.Line) + "."
	}),
	fulfilment.TypeLineBackordered: tell(everyone, func(o *document, e *fulfilment.LineMoved) string {
		return upper(o.name(e.Line)) + " waits for stock."
	}),
	fulfilment.TypeLineRefused: tell(staffOnly, func(o *document, e *fulfilment.LineMoved) string {
		return "There is no stock for " + o.name(e.Line) + "."
	}),
	fulfilment.TypeLineExpired: tell(staffOnly, func(o *document, e *fulfilment.LineMoved) string {
		return "The stock for " + o.name(e.Line) + " was kept no longer, and could not be had again."
	}),
	fulfilment.TypeLineAllocated: tell(staffOnly, func(o *document, e *fulfilment.LineMoved) string {
		return "The stock for " + o.name(e.Line) + " is the order's for good."
	}),
	fulfilment.TypeLineReleased: tell(staffOnly, func(o *document, e *fulfilment.LineMoved) string {
		return "Nothing is kept for " + o.name(e.Line) + " any more."
	}),
	fulfilment.TypePaymentActionAwaited: plain(staffOnly, "The order waits for the customer to confirm the payment."),
	fulfilment.TypePaymentSecured:       plain(staffOnly, "The money is held."),
	fulfilment.TypePaymentRefused: tell(staffOnly, func(_ *document, e *fulfilment.PaymentMoved) string {
		return "The money is not held" + because(e.Code) + "."
	}),
	fulfilment.TypePaymentGivenUp:     plain(staffOnly, "Money that was held for the order is given up."),
	fulfilment.TypeDiscountSecured:    plain(staffOnly, "The discount code counts."),
	fulfilment.TypeDiscountRefused:    plain(staffOnly, "The discount code does not count after all."),
	fulfilment.TypeDiscountGivenBack:  plain(staffOnly, "The use of the discount code was given back."),
	fulfilment.TypeConfirmationNoted:  plain(staffOnly, "Shipments are asked for."),
	fulfilment.TypeRejectionNoted:     plain(staffOnly, "Fulfilment ends with the rejection of the order."),
	fulfilment.TypeCancellationNoted:  plain(staffOnly, "What was to be cancelled is given up."),
	fulfilment.TypeCancelRefusalNoted: plain(staffOnly, "It was too late to cancel; fulfilment goes on."),
	fulfilment.TypeReturnsLapsed:      plain(staffOnly, "Returns are not waited for any more."),
	fulfilment.TypeFulfilmentGivenUp:  plain(staffOnly, "Nobody has answered for too long: the order is given up."),
	fulfilment.TypeCancelTakenUp: tell(staffOnly, func(o *document, e *fulfilment.CancelTakenUp) string {
		return "Whether " + o.lines(e.Lines) + " can still be cancelled is found out."
	}),
	fulfilment.TypeShipmentKeptBack:    moved("was kept back, in part or whole"),
	fulfilment.TypeShipmentNotKeptBack: moved("had left before it could be kept back"),
	fulfilment.TypeDispatchNoted:       moved("has left: its money is asked for"),
	fulfilment.TypeDeliveryNoted:       moved("has arrived"),
	fulfilment.TypeCaptureDone: tell(staffOnly, func(_ *document, e *fulfilment.CaptureSettled) string {
		return "The money for shipment " + e.ShipmentID + " was taken."
	}),
	fulfilment.TypeCaptureRefused: tell(staffOnly, func(_ *document, e *fulfilment.CaptureSettled) string {
		return "The money for shipment " + e.ShipmentID + " was refused" + because(e.Code) + "."
	}),
	fulfilment.TypeReturnTakenUp: tell(staffOnly, func(o *document, e *fulfilment.ReturnMoved) string {
		return "A return of " + o.goods(handled(e.Lines)) + " is expected."
	}),
	fulfilment.TypeGoodsTakenBack: tell(staffOnly, func(o *document, e *fulfilment.ReturnMoved) string {
		return o.goods(handled(e.Lines)) + " came back: the money is given back."
	}),
	fulfilment.TypeRefundDone: plain(staffOnly, "A refund is done."),
	fulfilment.TypeRefundRefused: tell(staffOnly, func(_ *document, e *fulfilment.RefundSettled) string {
		return "A refund failed" + because(e.Code) + "."
	}),
	fulfilment.TypeAskedAgain: tell(staffOnly, func(_ *document, e *fulfilment.AskedAgain) string {
		return fmt.Sprintf("Nobody has answered in time: everything open was asked for again%s.", attempt(e.Attempt))
	}),
}

// moved tells how far a shipment has come.
func moved(how string) telling {
	return tell(staffOnly, func(_ *document, e *fulfilment.ShipmentMoved) string {
		return "Shipment " + e.ShipmentID + " " + how + "."
	})
}

// handled are units as ordering counts them.
func handled(units []fulfilment.Units) []ordering.Units {
	out := make([]ordering.Units, len(units))
	for i, u := range units {
		out[i] = ordering.Units(u)
	}
	return out
}
