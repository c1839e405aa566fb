package mix

import (
	"fmt"
	"time"

	"github.com/orderlane/orderlane/api/catalog"
	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/api/payments"
	"github.com/orderlane/orderlane/pkg/bus"
)

// Order is an order as it stands in the end, for a store that keeps what is and not what happened. Amounts are
// in minor units of its currency.
type Order struct {
	ID            string
	Number        string
	CustomerID    string
	Status        ordering.Status
	Reason        string
	Confirmed     bool // at any time
	Delivered     bool // at any time
	Currency      string
	PlacedAt      time.Time
	Delivery      string
	PaymentMethod string
	Totals        ordering.Totals
	Lines         []Line
	Payment       payments.Status // empty: none was asked for
	Movements     []Movement
}

// Line is a line of an order, and what became of its units.
type Line struct {
	ordering.Line
	Cancelled, Dispatched, Delivered, Returned int64
}

// Movement is money that was taken or given back.
type Movement struct {
	Refund bool
	Amount int64
	At     time.Time
	step   int
}

// Product is a product as it stands in the end.
type Product struct {
	SKU, Name, Category, Currency string
	Price                         int64
}

// tellOrder notes how an order stands in the end.
func (l *learning) tellOrder() error {
	p, o := &l.placed, &l.life.order
	if p.OrderID == "" {
		return nil
	}
	*o = Order{
		Status: p.Status, Currency: p.Currency, PlacedAt: p.PlacedAt, Delivery: p.Delivery,
		PaymentMethod: p.PaymentMethod, Totals: p.Totals,
	}
	for _, line := range p.Lines {
		o.Lines = append(o.Lines, Line{Line: line})
	}
	for i := range l.told {
		t := &l.told[i]
		var err error
		switch t.Topic {
		case bus.EventsTopic(ordering.Service):
			err = o.tell(t)
		case bus.EventsTopic(payments.Service):
			err = o.pay(t, l.stepOf)
		}
		if err != nil {
			return fmt.Errorf("%s of %s: %w", t.kind, t.Key, err)
		}
	}
	return nil
}

// tell takes up an event of ordering.
func (o *Order) tell(t *told) error {
	var e struct { // what the events have in common
		Status ordering.Status `json:"status"`
		Reason string          `json:"reason"`
	}
	if err := bus.Decode(t.Value, &e); err != nil {
		return err
	}
	o.Confirmed = o.Confirmed || t.kind == ordering.TypeOrderConfirmed
	o.Delivered = o.Delivered || t.kind == ordering.TypeOrderDelivered
	if o.Status = e.Status; t.kind == ordering.TypeOrderRejected {
		o.Reason = e.Reason
	}
	if t.kind == ordering.TypeOrderCancelled {
		var e ordering.OrderCancelled
		if err := bus.Decode(t.Value, &e); err != nil {
			return err
		}
		for _, line := range e.Lines {
			o.Lines[line-1].Cancelled = o.Lines[line-1].Quantity
		}
		return nil
	}
	var units func(*Line) *int64
	switch t.kind {
	case ordering.TypeOrderShipped:
		units = func(l *Line) *int64 { return &l.Dispatched }
	case ordering.TypeOrderDelivered:
		units = func(l *Line) *int64 { return &l.Delivered }
	case ordering.TypeOrderReturned:
		units = func(l *Line) *int64 { return &l.Returned }
	default:
		return nil
	}
	var moved struct {
		Lines []ordering.Units `json:"lines"`
	}
	if err := bus.Decode(t.Value, &moved); err != nil {
		return err
	}
	for _, u := range moved.Lines {
		*units(&o.Lines[u.Line-1]) += u.Quantity
	}
	return nil
}

// pay takes up an event of payments.
func (o *Order) pay(t *told, stepOf func(time.Time) int) error {
	var e struct {
		payments.Progress
		Amount struct {
			Amount int64 `json:"amount"`
		} `json:"amount"`
	}
	if err := bus.Decode(t.Value, &e); err != nil {
		return err
	}
	o.Payment = e.Status
	if refund := t.kind == payments.TypePaymentRefunded; refund || t.kind == payments.TypePaymentCaptured {
		o.Movements = append(o.Movements, Movement{Refund: refund, Amount: e.Amount.Amount, At: e.At, step: stepOf(e.At)})
	}
	return nil
}

// tellProduct notes how a product stands in the end.
func (l *learning) tellProduct() error {
	for i := range l.told {
		t := &l.told[i]
		if t.kind != catalog.TypeProductDefined {
			continue
		}
		var e catalog.ProductDefined
		if err := bus.Decode(t.Value, &e); err != nil {
			return err
		}
		l.life.product = Product{SKU: e.SKU, Name: e.Name, Category: e.Category, Currency: e.Price.Currency, Price: e.Price.Amount}
	}
	return nil
}
