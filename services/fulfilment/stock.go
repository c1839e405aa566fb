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
	to, news := c.from(l.Stock)
	if !news {
		return nil, nil
	}
	e := &StockMoved{Line: c.Line, To: to, Seen: c.Version, Reason: c.Reason}
	if to == StockAllocated {
		e.Parts = c.Parts
	}
	if l.Stock == StockReleased {
		e.Asks.Release = []Goods{{Line: c.Line, SKU: l.SKU}}
	}
	return p.record(c.At, e)
}

// from returns where the stock stands after what is told, and whether that is news. What was asked
// for twice may be answered twice, so what inventory has said last counts, but for lines that are
// given up: those wait for their release, and for nothing else.
func (c MoveStock) from(now Stock) (to Stock, news bool) {
	switch now {
	case StockReserving, StockRefused, StockWaiting, StockAllocating, StockReserved:
	case StockReleasing:
		return c.To, c.To == StockReleased && !c.Lapsed
	case StockReleased:
		// A question that was parked until inventory had forgotten the line: it has to be released once more.
		return c.To, c.To == StockReserved || c.To == StockWaiting || c.To == StockAllocated
	default:
		return now, false
	}
	switch c.To {
	case StockAllocated:
		return c.To, true
	case StockReserved:
		return c.To, now != StockReserved && now != StockAllocating
	case StockWaiting:
		return c.To, now != StockReserved && now != StockWaiting
	case StockRefused:
		if now == StockAllocating {
			return StockExpired, true
		}
		return c.To, now == StockReserving || now == StockWaiting
	}
	return now, false // a reservation that lapses is found out, or made anew, when it is allocated
}
