package fulfilment

import (
	"fmt"

	api "github.com/orderlane/orderlane/api/fulfilment"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/es"
)

// public translates a stored event of a process into its public one.
func public(r *es.Record) (name string, body any, err error) {
	event, err := Processes.Codec.Decode(r)
	if err != nil {
		return "", nil, err
	}
	n := event.next()
	p := api.Progress{
		OrderID: bus.ResourceOf(r.Stream).ID, Version: r.Version, Step: string(n.Step), WaitingFor: n.Waiting, Until: n.Until,
		Attention: n.Attention, Ended: n.Step.Ended(), At: r.Time,
	}
	switch e := event.(type) {
	case *Started:
		return "fulfilment_started", &p, nil
	case *StockMoved:
		return pick(lineNames, e.To), &api.LineMoved{Progress: p, Line: e.Line, Reason: e.Reason}, nil
	case *PaymentMoved:
		return pick(paymentNames, e.To), &api.PaymentMoved{Progress: p, Code: e.Code}, nil
	case *PaymentGivenUp:
		return "payment_given_up", &api.PaymentGivenUp{Progress: p, Reference: e.Reference}, nil
	case *CaptureSettled:
		return either(e.Code == "", "capture_done", "capture_refused"),
			&api.CaptureSettled{Progress: p, ShipmentID: e.Shipment, Code: e.Code}, nil
	case *RefundSettled:
		return either(e.Code == "", "refund_done", "refund_refused"),
			&api.RefundSettled{Progress: p, Reference: e.Reference, Code: e.Code}, nil
	case *DiscountMoved:
		return pick(discountNames, e.To), &p, nil
	case *OrderMoved:
		return pick(orderNames, e.To), &p, nil
	case *CancelTakenUp:
		return "cancel_taken_up", &api.CancelTakenUp{Progress: p, Lines: e.Lines}, nil
	case *ShipmentMoved:
		name := pick(shipmentNames, e.To)
		return either(e.Late, "shipment_not_kept_back", name), &api.ShipmentMoved{Progress: p, ShipmentID: e.Shipment}, nil
	case *ReturnTakenUp:
		return "return_taken_up", &api.ReturnMoved{Progress: p, ReturnID: e.Return, Lines: publicUnits(e.Items)}, nil
	case *GoodsReturned:
		return "goods_taken_back", &api.ReturnMoved{Progress: p, ReturnID: e.Asks.Back.Return, Lines: publicUnits(e.Items)}, nil
	case *ReturnsLapsed:
		return "returns_lapsed", &p, nil
	case *AskedAgain:
		return "asked_again", &api.AskedAgain{Progress: p, Attempt: e.Attempt}, nil
	case *GaveUp:
		return "fulfilment_given_up", &p, nil
	}
	return "", nil, fmt.Errorf("fulfilment: %T has no public event", event)
}

// The public names of what moved, by where it stands then.
var (
	lineNames = map[Stock]string{
		StockReserved: "line_reserved", StockWaiting: "line_backordered", StockRefused: "line_refused",
		StockExpired: "line_expired", StockAllocated: "line_allocated", StockReleased: "line_released",
	}
	paymentNames = map[PaymentStage]string{
		PaymentAction: "payment_action_awaited", PaymentAuthorized: "payment_secured", PaymentDeclined: "payment_refused",
	}
	discountNames = map[Stage]string{
		StageDone: "discount_secured", StageRefused: "discount_refused", StageReleased: "discount_given_back",
	}
	orderNames = map[OrderStage]string{
		OrderConfirmed: "confirmation_noted", OrderRejected: "rejection_noted",
		OrderCancelled: "cancellation_noted", OrderCancelRefused: "cancel_refusal_noted",
	}
	shipmentNames = map[ShipmentStage]string{
		ShipmentDispatched: "dispatch_noted", ShipmentDelivered: "delivery_noted",
		ShipmentPreparing: "shipment_kept_back", ShipmentCancelled: "shipment_kept_back",
	}
)

// pick returns the name of a stage. All that can be stored have one.
func pick[K ~string](names map[K]string, k K) string { return names[k] }

func either(first bool, a, b string) string {
	if first {
		return a
	}
	return b
}

func publicUnits(items []Item) []api.Units {
	all := make([]api.Units, len(items))
	for i, it := range items {
		all[i] = api.Units{Line: it.Line, Quantity: it.Quantity}
	}
	return all
}
