package fulfilment

import (
	"fmt"
	"slices"
)

// cancel works on the oldest request to cancel. Shipping has the last word about what is
// prepared already; lines are given up all or none.
func (p *Process) cancel(do func(Asks)) {
	for len(p.Cancels) > 0 {
		c := &p.Cancels[0]
		refuse, late := Asks{Refuse: reasonDispatched}, false
		if c.Over {
			refuse = Asks{Forget: 1} // ordering has told the customer no already
		}
		switch {
		case c.Stage == "":
			lines := p.targets(c)
			stops := p.stops(c, lines)
			switch late = len(lines) == 0 || p.tooLate(c, lines); {
			case late:
				do(refuse)
			case len(stops) > 0:
				do(Asks{Stop: stops})
			default:
				do(p.drop(lines, c.reference()))
			}
		case c.Stage == CancelStopping && !p.stopping(c):
			if late = c.Late; late {
				do(refuse) // and what was kept back goes out after all
			} else {
				do(p.drop(p.targets(c), c.reference()))
			}
		}
		if late && refuse.Forget > 0 {
			continue // with the next one
		}
		if c.Stage == CancelUndoing && p.undone(c) {
			done := &CancelDone{Lines: c.Lines}
			if len(p.live()) == 0 {
				done.Lines = nil
			}
			do(Asks{Cancel: done})
		}
		return
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
			stops = append(stops, p.stop(i+1, Question{c.reference(), held}))
		}
	}
	return stops
}

func (p *Process) stop(number int, q Question) Stop {
	return Stop{Number: number, Shipment: shipmentID(p.Order, p.Ships[number-1].Location, number), Question: q}
}

// stopping reports whether shipping still has to answer for a request.
func (p *Process) stopping(c *Cancel) bool {
	return slices.ContainsFunc(p.Ships, func(s Shipment) bool { return s.asked(c) })
}

// asked reports whether shipping still has to answer about a shipment for a request.
func (s *Shipment) asked(c *Cancel) bool { return s.Stop != nil && s.Stop.Reference == c.reference() }

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
	if len(p.live()) == 0 {
		p.Closed = true
	}
}
