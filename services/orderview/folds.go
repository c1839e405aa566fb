package orderview

import (
	"fmt"

	"github.com/orderlane/orderlane/api/fulfilment"
	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/api/payments"
	"github.com/orderlane/orderlane/api/shipping"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/projection"
)

// The functions of this file say what each event changes in the document of its stream. They fold
// records as they arrive, and the stored history when somebody asks how an order stood, so both
// come to the same. A nil fold is that of an event of a later release: only the version moves.

// folding reads an event and returns what it changes.
func folding[E, T any](r *projection.Record, change func(*T, *E)) (func(*T) error, error) {
	var e E
	if err := bus.Decode(r.Value, &e); err != nil {
		return nil, fmt.Errorf("decode %s: %w", r.Type, err)
	}
	return func(d *T) error {
		change(d, &e)
		return nil
	}, nil
}

// orderFold is what an event of ordering changes in an order.
func orderFold(r *projection.Record) (func(*document) error, error) {
	switch r.Type {
	case ordering.TypeOrderPlaced:
		return folding(r, func(d *document, e *ordering.OrderPlaced) {
			*d = document{OrderFacts: OrderFacts{
				ID: e.OrderID, Number: e.Number, CustomerID: e.CustomerID, Status: e.Status,
				Currency: e.Currency, PlacedAt: e.PlacedAt, Delivery: e.Delivery, Lines: newLines(e.Lines), Totals: e.Totals,
			}}
			d.Kept.PersonalDue = e.Version
		})
	case ordering.TypeOrderAddressChanged:
		return folding(r, func(d *document, e *ordering.OrderAddressChanged) {
			d.Status, d.Kept.PersonalDue = e.Status, e.Version
		})
	case ordering.TypeOrderConfirmed, ordering.TypeOrderCancelRequested, ordering.TypeReturnRequested:
		return folding(r, func(d *document, e *ordering.Change) { d.Status = e.Status })
	case ordering.TypeOrderRejected:
		return folding(r, func(d *document, e *ordering.OrderRejected) { d.Status, d.Reason = e.Status, e.Reason })
	case ordering.TypeOrderCancelRefused:
		return folding(r, func(d *document, e *ordering.OrderCancelRefused) { d.Status, d.Reason = e.Status, e.Reason })
	case ordering.TypeOrderCancelled:
		return folding(r, func(d *document, e *ordering.OrderCancelled) {
			d.Status, d.Reason = e.Status, ""
			for _, line := range e.Lines {
				d.each(ordering.Units{Line: line}, func(l *Line) { l.Fulfilment.Cancelled = l.Quantity })
			}
		})
	case ordering.TypeOrderShipped:
		return folding(r, func(d *document, e *ordering.OrderShipped) {
			d.Status = e.Status
			for _, u := range e.Lines {
				d.each(u, func(l *Line) { l.Fulfilment.Dispatched += u.Quantity })
			}
		})
	case ordering.TypeOrderDelivered:
		return folding(r, func(d *document, e *ordering.OrderDelivered) {
			d.Status = e.Status
			for _, u := range e.Lines {
				d.each(u, func(l *Line) { l.Fulfilment.Delivered += u.Quantity })
			}
		})
	case ordering.TypeOrderReturned:
		return folding(r, func(d *document, e *ordering.OrderReturned) {
			d.Status = e.Status
			for _, u := range e.Lines {
				d.each(u, func(l *Line) { l.Fulfilment.Returned += u.Quantity })
			}
		})
	}
	return nil, nil
}

// paymentFold is what an event of payments changes in a payment.
func paymentFold(r *projection.Record) (func(*payment) error, error) {
	return folding(r, func(p *payment, e *paymentEvent) {
		p.OrderID, p.Status, p.Currency, p.Balance = e.OrderID, e.Status, e.Currency, e.Balance
		if e.Status != payments.StatusRequiresAction {
			p.Kept.PersonalDue = 0
		}
		for _, posting := range e.Ledger {
			if p.Staff.Ledger == nil {
				p.Staff.Ledger = make(map[payments.Account]int64)
			}
			p.Staff.Ledger[posting.Account] += posting.Amount
		}
		switch r.Type {
		case payments.TypePaymentRequested:
			p.Kept.CustomerID, p.Method, p.Staff.Provider, p.Staff.Failure = e.CustomerID, e.Method, e.Provider, ""
			if p.Amount == 0 {
				p.Amount = e.Amount.Amount
			}
		case payments.TypePaymentActionRequired:
			p.Kept.PersonalDue = e.Version
		case payments.TypePaymentAuthorized:
			p.Staff.ProviderRef, p.Staff.ExpiresAt, p.Staff.Failure = e.ProviderRef, e.ExpiresAt, ""
		case payments.TypePaymentCaptured, payments.TypePaymentRefunded:
			p.Staff.Failure = ""
		case payments.TypePaymentDeclined, payments.TypePaymentCaptureFailed, payments.TypePaymentRefundFailed:
			p.Staff.Failure = e.Code
		}
	})
}

// processFold is what an event of fulfilment changes in an order's process.
func processFold(r *projection.Record) (func(*process) error, error) {
	return folding(r, func(p *process, e *fulfilment.LineMoved) {
		stock := p.Kept.Stock
		*p = process{}
		if e.WaitingFor != "" {
			p.WaitingFor = &e.WaitingFor
		}
		p.WaitingUntil = e.Until
		to, moved := stockOf[r.Type]
		switch {
		case !moved:
		case to == "":
			delete(stock, e.Line)
		default:
			if stock == nil {
				stock = make(map[int]string)
			}
			stock[e.Line] = to
		}
		if e.Ended {
			stock = nil
		}
		p.Kept = processKept{OrderID: e.OrderID, Step: e.Step, Attention: e.Attention, Ended: e.Ended, Stock: stock}
	})
}

// shipmentFold is what an event of shipping changes in a shipment.
func shipmentFold(r *projection.Record) (func(*shipment) error, error) {
	switch r.Type {
	case shipping.TypeShipmentCreated:
		return folding(r, func(s *shipment, e *shipping.ShipmentCreated) {
			*s = shipment{ShipmentFacts: ShipmentFacts{
				ID: e.ShipmentID, OrderID: e.OrderID, Status: e.Status, Location: e.Location, Items: e.Items, CreatedAt: e.At, ChangedAt: e.At,
			}}
			s.Kept.CustomerID = e.CustomerID
		})
	case shipping.TypeShipmentDispatched:
		return folding(r, func(s *shipment, e *shipping.ShipmentDispatched) {
			s.Status, s.Items, s.Carrier, s.Tracking, s.ChangedAt = e.Status, e.Items, e.Carrier, e.Tracking, e.At
		})
	case shipping.TypeShipmentDelivered:
		return folding(r, func(s *shipment, e *shipping.ShipmentDelivered) { s.Status, s.ChangedAt = e.Status, e.At })
	case shipping.TypeShipmentCancelled:
		return folding(r, func(s *shipment, e *shipping.ShipmentCancelled) {
			s.ID, s.OrderID, s.Status, s.Items, s.ChangedAt = e.ShipmentID, e.OrderID, e.Status, e.Left, e.At
			if s.CreatedAt.IsZero() { // given up before it was made
				s.Kept.CustomerID, s.CreatedAt = e.CustomerID, e.At
			}
		})
	}
	return nil, nil
}

// returnFold is what an event of shipping changes in a return.
func returnFold(r *projection.Record) (func(*goodsBack) error, error) {
	switch r.Type {
	case shipping.TypeReturnOpened:
		return folding(r, func(b *goodsBack, e *shipping.ReturnOpened) {
			*b = goodsBack{ReturnFacts: ReturnFacts{
				ID: e.ReturnID, OrderID: e.OrderID, Status: e.Status, Location: e.Location, Items: e.Items, Received: []shipping.ReceivedItem{},
				CreatedAt: e.At, ChangedAt: e.At,
			}}
			b.Kept.CustomerID = e.CustomerID
		})
	case shipping.TypeReturnReceived:
		return folding(r, func(b *goodsBack, e *shipping.ReturnReceived) {
			b.Status, b.ChangedAt, b.Received = e.Status, e.At, append(b.Received, e.Items...)
		})
	}
	return nil, nil
}

// discountFold is what an event of ordering changes in a discount code.
func discountFold(r *projection.Record) (func(*discount) error, error) {
	switch r.Type {
	case ordering.TypeDiscountDefined:
		return folding(r, func(d *discount, e *ordering.DiscountDefined) { d.Code, d.Terms = e.Code, e.Terms })
	case ordering.TypeDiscountRedeemed:
		return folding(r, func(d *discount, e *ordering.DiscountRedeemed) { d.Code, d.Uses = e.Code, e.Uses })
	case ordering.TypeDiscountReleased:
		return folding(r, func(d *discount, e *ordering.DiscountReleased) { d.Code, d.Uses = e.Code, e.Uses })
	}
	return nil, nil
}
