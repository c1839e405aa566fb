package inventory

import (
	"time"

	"github.com/orderlane/orderlane/pkg/fault"
)

// Command is an intention for a SKU's stock, and the decision on it, which leaves the stock
// as it is. A repeat of what is already so decides nothing and is no error. An answer that the
// fulfilment of an order waits for is an event, also if it is a refusal.
type Command interface {
	decide(*Stock) ([]Event, error)
}

// Receive takes goods in. What lines wait for is reserved for them, as by every command that
// makes more available: those reservations last for Hold from At on.
type Receive struct {
	Location string
	Quantity int64
	At       time.Time
	Hold     time.Duration
}

func (c Receive) decide(s *Stock) ([]Event, error) {
	if err := storable(s, c.Location, c.Quantity); err != nil {
		return nil, err
	}
	p := s.plan(c.At, c.Hold)
	p.add(Received{c.Location, c.Quantity, p.shelf.put(c.Location, c.Quantity)})
	p.serve(nil)
	return p.events, nil
}

// Adjust corrects a count by a difference, and says why. What is reserved at the location
// can't be taken away.
type Adjust struct {
	Location string
	Quantity int64
	Reason   string
	At       time.Time
	Hold     time.Duration
}

func (c Adjust) decide(s *Stock) ([]Event, error) {
	l := s.shelf.level(c.Location)
	switch {
	case c.Quantity == 0 || c.Quantity < -maxQuantity:
		return nil, fault.Invalid("quantity_out_of_range", "a difference is not 0, and %d at the most", maxQuantity)
	case c.Reason == "" || len(c.Reason) > maxReason:
		return nil, fault.Invalid("reason_missing", "a correction has a reason of 1 to %d bytes", maxReason)
	case l.OnHand+c.Quantity < 0:
		return nil, fault.Conflict("stock_would_be_negative", "there are %d at %s, which %+d can't be", l.OnHand, c.Location, c.Quantity)
	case l.OnHand+c.Quantity < l.Reserved:
		return nil, fault.Conflict("stock_is_reserved", "of the %d at %s, %d are reserved: at most %d can be taken away",
			l.OnHand, c.Location, l.Reserved, l.free())
	}
	if c.Quantity > 0 {
		if err := storable(s, c.Location, c.Quantity); err != nil {
			return nil, err
		}
	}
	p := s.plan(c.At, c.Hold)
	p.add(Adjusted{c.Location, c.Quantity, c.Reason, p.shelf.put(c.Location, c.Quantity)})
	p.serve(nil)
	return p.events, nil
}

// SetSafetyStock sets how much of what is on hand is never sold, at all locations together.
type SetSafetyStock struct {
	Quantity int64
	At       time.Time
	Hold     time.Duration
}

func (c SetSafetyStock) decide(s *Stock) ([]Event, error) {
	switch {
	case c.Quantity < 0 || c.Quantity > maxQuantity:
		return nil, fault.Invalid("quantity_out_of_range", "a safety stock is 0 to %d", maxQuantity)
	case c.Quantity == s.shelf.safety:
		return nil, nil
	}
	p := s.plan(c.At, c.Hold)
	p.shelf.safety = c.Quantity
	p.add(SafetyStockSet{c.Quantity, After{Available: p.shelf.available()}})
	p.serve(nil)
	return p.events, nil
}

// Dispatch takes allocated goods away from a location, all or a part; a shipment does so once
// for a line.
type Dispatch struct {
	Line
	Shipment string
	Location string
	Quantity int64
}

func (c Dispatch) decide(s *Stock) ([]Event, error) {
	if err := named(c.Line, c.Shipment); err != nil {
		return nil, err
	}
	k := s.lines[c.Line]
	switch {
	case k == nil && s.done.has(mark{Line: c.Line}), k != nil && k.tookPart(c.Shipment):
		return nil, nil
	case c.Quantity < 1 || c.Quantity > maxQuantity:
		return nil, fault.Invalid("quantity_out_of_range", "a quantity is 1 to %d", maxQuantity)
	case k == nil || !k.firm:
		return nil, fault.Conflict("not_allocated", "nothing is allocated for line %d of order %s", c.Number, c.Order)
	case c.Quantity > k.part(c.Location):
		return nil, fault.Conflict("more_than_allocated", "%d are allocated at %q for line %d of order %s, not %d",
			k.part(c.Location), c.Location, c.Number, c.Order, c.Quantity)
	}
	after := s.shelf.draft().ship(c.Location, c.Quantity)
	return []Event{Dispatched{c.Line, c.Shipment, c.Location, c.Quantity, after}}, nil
}

// TakeBack puts returned goods back into stock. The same reference does so once for a line.
type TakeBack struct {
	Line
	Return    string
	Reference string
	Location  string
	Quantity  int64
	At        time.Time
	Hold      time.Duration
}

func (c TakeBack) decide(s *Stock) ([]Event, error) {
	if err := named(c.Line, c.Return, c.Reference); err != nil {
		return nil, err
	}
	if s.back.has(mark{c.Line, c.Reference}) {
		return nil, nil
	}
	if err := storable(s, c.Location, c.Quantity); err != nil {
		return nil, err
	}
	p := s.plan(c.At, c.Hold)
	p.add(Returned{c.Line, c.Return, c.Reference, c.Location, c.Quantity, p.shelf.put(c.Location, c.Quantity)})
	p.serve(nil)
	return p.events, nil
}

// storable refuses what can't be put on a shelf.
func storable(s *Stock, location string, quantity int64) error {
	switch {
	case !isName(location):
		return fault.Invalid("bad_location", "a location is 1 to %d of A-Z a-z 0-9 and ._/:-", maxName)
	case quantity < 1 || quantity > maxQuantity:
		return fault.Invalid("quantity_out_of_range", "a quantity is 1 to %d", maxQuantity)
	case s.shelf.level(location).OnHand > maxOnHand-quantity:
		return fault.Conflict("stock_out_of_range", "a location holds at most %d", int64(maxOnHand))
	case !s.shelf.room(location):
		return fault.Conflict("too_many_locations", "a SKU is kept at %d locations at the most", maxLocations)
	}
	return nil
}

// named refuses a line or another name that no service would use. The state's stored form
// relies on them.
func named(line Line, names ...string) error {
	ok := isName(line.Order) && line.Number > 0
	for _, n := range names {
		ok = ok && isName(n)
	}
	if !ok {
		return fault.Invalid("bad_name", "an order and what else is named are 1 to %d of A-Z a-z 0-9 and ._/:-, and a line is 1 or more", maxName)
	}
	return nil
}

const maxName = 100

func isName(s string) bool {
	if s == "" || len(s) > maxName {
		return false
	}
	for i := range len(s) {
		switch b := s[i]; {
		case b >= 'a' && b <= 'z', b >= '0' && b <= '9', b >= 'A' && b <= 'Z':
		case b == '-', b == '.', b == '_', b == '/', b == ':':
		default:
			return false
		}
	}
	return true
}
