package fulfilment

import (
	"slices"
	"time"
)

// What ordering tells: the order, what became of it, and what customers want.

type (
	// Started is an order to fulfil.
	Started struct {
		Order    string    `json:"order"`
		Customer string    `json:"customer"`
		Currency string    `json:"currency"`
		Method   string    `json:"method"`
		Delivery Price     `json:"delivery,omitzero"`
		Code     string    `json:"code,omitzero"`
		Lines    []Ordered `json:"lines"`
		Next
	}
	// OrderMoved says that ordering has taken note of how the order goes on.
	OrderMoved struct {
		To      OrderStage `json:"to"`
		Version int64      `json:"v"` // of the order
		Next
	}
	// CancelTakenUp is a request to give up lines, or (none) the order.
	CancelTakenUp struct {
		Version int64 `json:"v"`
		Lines   []int `json:"lines,omitzero"`
		Next
	}
	// ReturnTakenUp is what a customer wants to send back.
	ReturnTakenUp struct {
		Return string `json:"return"`
		Items  []Item `json:"items"`
		Next
	}
)

// Ordered is a line as it was ordered.
type Ordered struct {
	SKU       string `json:"sku"`
	Quantity  int64  `json:"n"`
	Price     Price  `json:"price,omitzero"`
	Backorder bool   `json:"backorder,omitzero"`
}

// OrderStage is what ordering has taken note of.
type OrderStage string

// The stages of the order that the process waits for.
const (
	OrderConfirmed     OrderStage = "confirmed"
	OrderRejected      OrderStage = "rejected"
	OrderCancelled     OrderStage = "cancelled" // in whole or in part
	OrderCancelRefused OrderStage = "cancel_refused"
)

func (e *Started) fact(p *Process) {
	p.Order, p.Customer, p.Currency, p.Method, p.Delivery, p.Code = e.Order, e.Customer, e.Currency, e.Method, e.Delivery, e.Code
	p.Lines = make([]Line, len(e.Lines))
	for i, l := range e.Lines {
		p.Lines[i] = Line{SKU: l.SKU, Quantity: l.Quantity, Price: l.Price, Backorder: l.Backorder}
	}
	p.Returns = slices.DeleteFunc(p.Returns, func(r Return) bool { return !p.knows(r.Items) })
}

// knows reports whether items are of the order's lines, and at least one.
func (p *Process) knows(items []Item) bool {
	return len(items) > 0 && !slices.ContainsFunc(items, func(i Item) bool { return p.line(i.Line) == nil })
}

func (e *OrderMoved) fact(p *Process) {
	switch e.To {
	case OrderConfirmed:
		p.Confirm = StageDone
	case OrderRejected:
		p.Closed, p.Cancels = true, nil
	case OrderCancelled, OrderCancelRefused:
		if e.answers(p) {
			p.answered()
		}
		for i := range p.Cancels {
			if p.Cancels[i].Version < e.Version {
				p.Cancels[i].Over = true
			}
		}
	}
}

// answers reports whether ordering has taken note of what became of the oldest request to cancel:
// that comes after the request in the order's stream.
func (e *OrderMoved) answers(p *Process) bool {
	if len(p.Cancels) == 0 || e.Version <= p.Cancels[0].Version {
		return false
	}
	stage := p.Cancels[0].Stage
	return e.To == OrderCancelled && stage == CancelClosing || e.To == OrderCancelRefused && stage == CancelRefusing
}

func (e *CancelTakenUp) fact(p *Process) {
	p.Asked = e.Version
	p.Cancels = append(p.Cancels, Cancel{Version: e.Version, Lines: e.Lines})
	if p.Confirm == StageAsked {
		p.Confirm = "" // an order that is cancelling is not confirmed: it is asked for again after that
	}
}

func (e *ReturnTakenUp) fact(p *Process) {
	p.Returns = append(p.Returns, Return{ID: e.Return, Items: e.Items})
}

// Start tells of a new order.
type Start struct {
	Order    string
	Customer string
	Currency string
	Method   string
	Delivery Price
	Code     string
	Lines    []Ordered
	At       time.Time
}

func (c Start) decide(p Process) ([]Event, error) {
	if p.Order != "" {
		return nil, nil
	}
	return p.record(c.At, &Started{
		Order: c.Order, Customer: c.Customer, Currency: c.Currency, Method: c.Method, Delivery: c.Delivery, Code: c.Code, Lines: c.Lines,
	})
}

// MoveOrder tells what ordering has made of the order.
type MoveOrder struct {
	To      OrderStage
	Version int64 // of the order
	At      time.Time
}

func (c MoveOrder) decide(p Process) ([]Event, error) {
	e := &OrderMoved{To: c.To, Version: c.Version}
	if !e.awaited(&p) {
		return nil, nil
	}
	return p.record(c.At, e)
}

// awaited reports whether the process waits to be told. Ordering has one request to cancel at a
// time, so whatever ends one is also news of those that came before: an answer that was asked for
// twice may have hit the next request.
func (e *OrderMoved) awaited(p *Process) bool {
	switch e.To {
	case OrderConfirmed:
		return p.Confirm != StageDone && p.Failed == nil && len(p.live()) > 0 && p.Order != ""
	case OrderRejected:
		return p.Failed != nil && !p.Closed
	}
	if p.Failed != nil {
		return false // the rejection is the answer to all of them
	}
	return e.answers(p) || slices.ContainsFunc(p.Cancels, func(c Cancel) bool { return c.Version < e.Version && !c.Over })
}

// Cancelling tells that somebody wants to give up lines, or (none) the order.
type Cancelling struct {
	Version int64 // of the request in the order's stream
	Lines   []int
	At      time.Time
}

func (c Cancelling) decide(p Process) ([]Event, error) {
	// An order that is being rejected is given up anyway, and ordering takes the rejection for an answer.
	if c.Version <= p.Asked || p.Failed != nil || p.Closed {
		return nil, nil
	}
	return p.record(c.At, &CancelTakenUp{Version: c.Version, Lines: c.Lines})
}

// Returning tells that a customer wants to send goods back.
type Returning struct {
	Return string
	Items  []Item
	At     time.Time
}

func (c Returning) decide(p Process) ([]Event, error) {
	known := slices.ContainsFunc(p.Returns, func(r Return) bool { return r.ID == c.Return })
	if known || p.Order != "" && !p.knows(c.Items) {
		return nil, nil
	}
	return p.record(c.At, &ReturnTakenUp{Return: c.Return, Items: c.Items})
}
