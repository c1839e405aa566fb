package fulfilment

import "time"

// What inventory tells of a line's stock.

// StockMoved says where a line's stock stands now.
type StockMoved struct {
	Line   int    `json:"line"`
	To     Stock  `json:"to"`
	Seen   int64  `json:"seen"` // version of the SKU's stock
	Parts  []Part `json:"parts,omitzero"`
	Reason string `json:"reason,omitzero"`
	Next
}

func (e *StockMoved) fact(p *Process) {
	l := p.line(e.Line)
	l.Stock, l.Seen = e.To, e.Seen
	if len(e.Parts) > 0 {
		l.Parts = e.Parts
	}
}

// MoveStock tells what became of a line's stock: reserved, waiting, refused, allocated or
// released.
type MoveStock struct {
	Line    int
	To      Stock
	Version int64 // of the SKU's stock
	Parts   []Part
	Reason  string
	Lapsed  bool // nobody asked for the release
	At      time.Time
}

func (c MoveStock) decide(p Process) ([]Event, error) {
	l := p.line(c.Line)
	if l == nil || c.Version <= l.Seen {
		return nil, nil
	}
	to := c.To
	switch l.Stock {
	case StockReserving, StockRefused:
		if to != StockReserved && to != StockWaiting && (to != StockRefused || l.Stock == StockRefused) {
			return nil, nil
		}
	case StockWaiting:
		if to != StockReserved && to != StockRefused {
			return nil, nil
		}
	case StockAllocating:
		if to == StockRefused {
			to = StockExpired
		} else if to != StockAllocated && to != StockWaiting {
			return nil, nil
		}
	case StockReleasing:
		if to != StockReleased || c.Lapsed {
			return nil, nil
		}
	default:
		return nil, nil // a reservation that lapses unused is found out, or made anew, when it is allocated
	}
	e := &StockMoved{Line: c.Line, To: to, Seen: c.Version, Reason: c.Reason}
	if to == StockAllocated {
		e.Parts = c.Parts
	}
	return p.record(c.At, e)
}
