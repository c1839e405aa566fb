package fulfilment

import (
	"fmt"
	"slices"
	"time"
)

// What shipping tells of shipments and returns.

type (
	// ShipmentMoved says how far a shipment has come.
	ShipmentMoved struct {
		Number   int           `json:"no"`
		Shipment string        `json:"id"`
		To       ShipmentStage `json:"to,omitzero"` // preparing: lines were taken out, or it is too late to
		Items    []Item        `json:"items,omitzero"`
		Late     bool          `json:"late,omitzero"` // it can't be kept back
		Next
	}
	// GoodsReturned says that a return came back, or a part of it.
	GoodsReturned struct {
		Return int    `json:"no"`
		Part   int64  `json:"part"`
		Items  []Item `json:"items"`
		Done   bool   `json:"done,omitzero"`
		Next
	}
)

func (e *ShipmentMoved) fact(p *Process) {
	s := &p.Ships[e.Number-1]
	// Whoever has left, or was asked and has answered, is not asked any more.
	if left := e.Late || e.To == ShipmentDispatched || e.To == ShipmentDelivered; left && len(p.Cancels) > 0 && s.asked(&p.Cancels[0]) {
		p.Cancels[0].Late = true
	}
	s.Stop, s.Stage = nil, e.To
	if !e.Late {
		s.Items = e.Items
	}
}

func (e *GoodsReturned) fact(p *Process) {
	r := &p.Returns[e.Return-1]
	r.Part, r.Done = e.Part, r.Done || e.Done
	p.Refunds = append(p.Refunds, Repayment{Reference: partOf(r.ID, e.Part), Items: e.Items})
}

// partOf names a part of a return that came back at once.
func partOf(id string, part int64) string { return fmt.Sprintf("%s/%d", id, part) }

// shipment returns the number of a shipment, or 0 if it is none of ours.
func (p *Process) shipment(id string) int {
	for i := range p.Ships {
		if shipmentID(p.Order, p.Ships[i].Location, i+1) == id {
			return i + 1
		}
	}
	return 0
}

// MoveShipment tells that a shipment was dispatched or delivered, with these items.
type MoveShipment struct {
	Shipment string // its id
	To       ShipmentStage
	Items    []Item
	At       time.Time
}

func (c MoveShipment) decide(p Process) ([]Event, error) {
	n := p.shipment(c.Shipment)
	if n == 0 {
		return nil, nil
	}
	switch from := p.Ships[n-1].Stage; {
	case from == ShipmentPreparing, from == ShipmentDispatched && c.To == ShipmentDelivered:
		return p.record(c.At, &ShipmentMoved{Number: n, Shipment: c.Shipment, To: c.To, Items: c.Items})
	}
	return nil, nil
}

// AnswerStop tells whether lines of a shipment were kept back, and what is left in it.
type AnswerStop struct {
	Shipment  string // its id
	Reference string
	Left      []Item
	Late      bool // nothing could be kept back
	At        time.Time
}

func (c AnswerStop) decide(p Process) ([]Event, error) {
	n := p.shipment(c.Shipment)
	if n == 0 || p.Ships[n-1].Stop == nil || p.Ships[n-1].Stop.Reference != c.Reference {
		return nil, nil
	}
	e := &ShipmentMoved{Number: n, Shipment: c.Shipment, Items: c.Left, Late: c.Late}
	if !c.Late && len(c.Left) == 0 {
		e.To = ShipmentCancelled
	}
	return p.record(c.At, e)
}

// ReturnGoods tells that a return came back, or a part of it.
type ReturnGoods struct {
	Return   string // its id
	Part     int64  // rising
	Location string
	Items    []Item
	Restock  []Item // of the items
	Done     bool   // nothing more is expected
	At       time.Time
}

func (c ReturnGoods) decide(p Process) ([]Event, error) {
	i := slices.IndexFunc(p.Returns, func(r Return) bool { return r.ID == c.Return })
	if i < 0 || p.Order == "" || c.Part <= p.Returns[i].Part || !p.knows(c.Items) {
		return nil, nil
	}
	e := &GoodsReturned{Return: i + 1, Part: c.Part, Items: c.Items, Done: c.Done}
	e.Asks.Back = &Back{Return: c.Return, Part: c.Part, Location: c.Location, Items: c.Items, Restock: p.goods(c.Restock)}
	return p.record(c.At, e)
}
