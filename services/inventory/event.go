package inventory

import "time"

// Event is a fact about a SKU's stock, and how it changes the stock in place.
type Event interface{ evolve(*Stock) }

type (
	// Received is goods that came in.
	Received struct {
		Location string `json:"location"`
		Quantity int64  `json:"quantity"`
		After
	}
	// Adjusted is a count that was corrected by a difference.
	Adjusted struct {
		Location string `json:"location"`
		Quantity int64  `json:"quantity"`
		Reason   string `json:"reason"`
		After
	}
	// SafetyStockSet is another quantity that is never sold.
	SafetyStockSet struct {
		Quantity int64 `json:"quantity"`
		After
	}
	// Reserved keeps a line's whole quantity for it until a time. Woken is the time of the
	// wake that did it, if one did.
	Reserved struct {
		Line
		Quantity int64     `json:"quantity"`
		Parts    []Part    `json:"parts"`
		Expires  time.Time `json:"expires"`
		Woken    time.Time `json:"woken,omitzero"`
		After
	}
	// Backordered is a line that waits for stock.
	Backordered struct {
		Line
		Quantity  int64 `json:"quantity"`
		Available int64 `json:"available"`
	}
	// ReservationRefused is a line that nothing is kept for.
	ReservationRefused struct {
		Line
		Quantity  int64  `json:"quantity"`
		Available int64  `json:"available"`
		Reason    string `json:"reason"`
	}
	// Allocated makes a reservation firm.
	Allocated struct {
		Line
		Quantity int64  `json:"quantity"`
		Parts    []Part `json:"parts"`
		After
	}
	// Released gives free what was kept for a line, if anything was: since it was given up, or,
	// on a wake, since it has expired.
	Released struct {
		Line
		Quantity int64     `json:"quantity"`
		Parts    []Part    `json:"parts,omitzero"`
		Reason   string    `json:"reason"`
		Expired  bool      `json:"expired,omitzero"`
		At       time.Time `json:"at"`
		After
	}
	// Dispatched is goods that left for a customer.
	Dispatched struct {
		Line
		Shipment string `json:"shipment"`
		Location string `json:"location"`
		Quantity int64  `json:"quantity"`
		After
	}
	// Returned is goods that came back into stock. Reference tells one time from another.
	Returned struct {
		Line
		Return    string `json:"return"`
		Reference string `json:"reference"`
		Location  string `json:"location"`
		Quantity  int64  `json:"quantity"`
		After
	}
)

func (e Received) evolve(s *Stock) { s.shelf.apply(e.After) }

func (e Adjusted) evolve(s *Stock) { s.shelf.apply(e.After) }

func (e SafetyStockSet) evolve(s *Stock) { s.shelf.safety = e.Quantity }

func (e Reserved) evolve(s *Stock) {
	s.drop(e.Line) // it waited
	c := &claim{line: e.Line, parts: e.Parts, expires: e.Expires}
	s.lines[e.Line] = c
	s.expiring.add(c)
	s.shelf.apply(e.After)
	s.wokenAt(e.Woken)
}

func (e Backordered) evolve(s *Stock) {
	if s.lines[e.Line] != nil {
		return // it was told once more
	}
	c := &claim{line: e.Line, wants: e.Quantity}
	s.lines[e.Line] = c
	s.queue.add(c)
}

func (ReservationRefused) evolve(*Stock) {}

func (e Allocated) evolve(s *Stock) {
	c := s.lines[e.Line]
	s.leave(c)
	c.firm, c.expires = true, time.Time{}
	s.firm.add(c)
}

func (e Released) evolve(s *Stock) {
	s.drop(e.Line)
	s.shelf.apply(e.After)
	if e.Expired {
		s.ended(e.Line, e.Quantity, e.At)
		s.wokenAt(e.At)
		return
	}
	s.ended(e.Line, 0, e.At)
}

func (e Dispatched) evolve(s *Stock) {
	s.shelf.apply(e.After)
	c := s.lines[e.Line]
	c.parts = c.without(e.Location, e.Quantity)
	c.shipped = append(c.shipped, e.Shipment)
	if len(c.parts) == 0 {
		s.drop(e.Line)
		s.done.put(mark{Line: e.Line}, past{})
	}
}

func (e Returned) evolve(s *Stock) {
	s.shelf.apply(e.After)
	s.back.put(mark{e.Line, e.Reference}, past{})
}

func (s *Stock) wokenAt(at time.Time) {
	if at.After(s.woken) {
		s.woken = at
	}
}
