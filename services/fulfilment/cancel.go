package fulfilment

import (
	"fmt"
	"slices"
)

// cancel works on the oldest request to cancel. Shipping has the last word about what is
// prepared already; lines are given up all or none.
func (p *Process) cancel(do func(Asks)) {
	if len(p.Cancels) == 0 {
		return
	}
	c := &p.Cancels[0]
	if c.Stage == "" {
		lines := p.targets(c)
		switch stops := p.stops(c, lines); {
		case len(lines) == 0:
			do(Asks{Cancel: &CancelDone{Lines: c.Lines}}) // all of it is given up already
		case p.tooLate(c, lines):
			do(Asks{Refuse: reasonDispatched})
		case len(stops) > 0:
			do(Asks{Stop: stops})
		default:
			do(p.drop(lines, c.reference()))
		}
	} else if c.Stage == CancelStopping && !p.stopping() {
		if c.Late {
			do(Asks{Refuse: reasonDispatched}) // and what was kept back goes out after all
		} else {
			do(p.drop(p.targets(c), c.reference()))
		}
	}
	if c.Stage == CancelUndoing && p.undone(c) {
		done := &CancelDone{Lines: c.Lines}
		if len(p.live()) == 0 {
			done.Lines = nil
		}
		do(Asks{Cancel: done})
	}
}

// reference names the request in questions to others.
func (c *Cancel) reference() string { return fmt.Sprintf("cancel-%d", c.Version) }

// targets are the lines that a request is about and that are not given up already.
func (p *Process) targets(c *Cancel) []int {
	lines := p.live()
	if len(c.Lines) == 0 {
		return lines
	}
	return slices.DeleteFunc(lines, func(n int) bool { return !slices.Contains(c.Lines, n) })
}

// tooLate reports whether something of the lines, or (for a whole order) anything, is on its
// way or was delivered.
func (p *Process) tooLate(c *Cancel, lines []int) bool {
	return slices.ContainsFunc(p.Ships, func(s Shipment) bool {
		left := s.Stage == ShipmentDispatched || s.Stage == ShipmentDelivered
		return left && (len(c.Lines) == 0 || slices.ContainsFunc(lines, s.holds))
	})
}

// stops are the questions to ask shipping for a request.
func (p *Process) stops(c *Cancel, lines []int) []Stop {
	var stops []Stop
	for i := range p.Ships {
		s := &p.Ships[i]
		var held []int
		for _, n := range lines {
			if s.Stage == ShipmentPreparing && s.holds(n) {
				held = append(held, n)
			}
		}
		if len(held) > 0 {
			stops = append(stops, Stop{
				Number: i + 1, Shipment: shipmentID(p.Order, s.Location, i+1), Reference: c.reference(), Lines: held,
			})
		}
	}
	return stops
}

// stopping reports whether shipping still has to answer.
func (p *Process) stopping() bool {
	return slices.ContainsFunc(p.Ships, func(s Shipment) bool { return s.Stop != "" })
}

// undone reports whether nothing is held any more for a request's lines.
func (p *Process) undone(c *Cancel) bool {
	for _, n := range c.Lines {
		if p.line(n).Stock == StockReleasing {
			return false
		}
	}
	return p.Discount != StageReleasing &&
		!slices.ContainsFunc(p.Voids, func(v Void) bool { return v.Reference == c.reference() })
}

// answered ends the oldest request: ordering knows what became of it.
func (p *Process) answered() {
	p.Cancels = without(p.Cancels, 0)
	if len(p.live()) == 0 && p.Failed == nil {
		p.Closed = true
	}
}
