package audit

import (
	"time"

	"github.com/orderlane/orderlane/api/inventory"
	"github.com/orderlane/orderlane/pkg/bus"
)

// stock is what the events of a product's stock come to, per location.
type stock struct{ locations map[string]*level }

type level struct{ onHand, reserved int64 }

// movement is what any of inventory's events may say.
type movement struct {
	inventory.Line
	Location  string            `json:"location"`
	Quantity  int64             `json:"quantity"`
	Parts     []inventory.Part  `json:"parts"`
	ExpiresAt time.Time         `json:"expires_at"`
	Levels    *inventory.Levels `json:"levels"`
}

func (p *part) foldStock(e *bus.Envelope, data []byte) error {
	var m movement
	if err := bus.Decode(data, &m); err != nil {
		return err
	}
	if m.OrderID != "" && p.mine(m.OrderID) {
		p.foldKept(e, &m)
	}
	if !p.mine(e.Subject) {
		return nil
	}
	s := p.stocks[e.Subject]
	if s == nil {
		s = &stock{locations: map[string]*level{}}
		p.stocks[e.Subject] = s
	}
	switch e.Type {
	case inventory.TypeStockReceived, inventory.TypeStockAdjusted, inventory.TypeStockReturned:
		s.at(m.Location).onHand += m.Quantity
	case inventory.TypeStockReserved:
		s.reserve(m.Parts, 1)
	case inventory.TypeStockReleased:
		s.reserve(m.Parts, -1)
	case inventory.TypeStockDispatched:
		s.at(m.Location).onHand -= m.Quantity
		s.at(m.Location).reserved -= m.Quantity
	}
	p.judgeLevels(e, s, m.Levels)
	return nil
}

func (s *stock) at(location string) *level {
	l := s.locations[location]
	if l == nil {
		l = &level{}
		s.locations[location] = l
	}
	return l
}

func (s *stock) reserve(parts []inventory.Part, sign int64) {
	for _, part := range parts {
		s.at(part.Location).reserved += sign * part.Quantity
	}
}

// judgeLevels holds that an event's levels are what the events until then come to, that stock
// is never negative, and that no more is reserved than there is.
func (p *part) judgeLevels(e *bus.Envelope, s *stock, told *inventory.Levels) {
	if told == nil {
		return
	}
	for _, l := range told.Locations {
		if got := s.at(l.Location); got.onHand != l.OnHand || got.reserved != l.Reserved {
			p.found(e.Time, "on hand = received + returned - dispatched +- adjusted", e.ID,
				"%s: %d on hand and %d reserved at %s, and the events come to %d and %d", e.Type, l.OnHand, l.Reserved, l.Location, got.onHand, got.reserved)
			got.onHand, got.reserved = l.OnHand, l.Reserved // and go on
		}
		if l.OnHand < 0 || l.Reserved < 0 || l.Reserved > l.OnHand {
			p.found(e.Time, "0 <= reserved <= on hand", e.ID, "%d on hand and %d reserved at %s", l.OnHand, l.Reserved, l.Location)
		}
	}
}

// foldKept folds what is kept for a line of an order.
func (p *part) foldKept(e *bus.Envelope, m *movement) {
	o := p.order(m.OrderID, e.Time)
	line := m.Line.Line
	switch e.Type {
	case inventory.TypeStockReserved:
		o.kept[line] += m.Quantity
		o.expires[line] = m.ExpiresAt
	case inventory.TypeStockAllocated:
		o.expires[line] = time.Time{}
	case inventory.TypeStockReleased, inventory.TypeStockDispatched:
		o.kept[line] -= m.Quantity
	}
}
