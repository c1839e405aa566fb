package orderview

import "github.com/orderlane/orderlane/api/ordering"

// Line is a line of an order, and what became of its units.
type Line struct {
	ordering.Line
	Fulfilment Fulfilment `json:"fulfilment"`
}

// Fulfilment counts the units of a line by what became of them: what is returned was
// delivered, and what is delivered was dispatched. What is kept for the line is reserved until it
// is allocated for good, or waits for stock.
type Fulfilment struct {
	Waiting    int64 `json:"waiting,omitzero" required:"false" doc:"For stock"`
	Reserved   int64 `json:"reserved,omitzero" required:"false"`
	Allocated  int64 `json:"allocated,omitzero" required:"false"`
	Cancelled  int64 `json:"cancelled,omitzero" required:"false"`
	Dispatched int64 `json:"dispatched,omitzero" required:"false"`
	Delivered  int64 `json:"delivered,omitzero" required:"false"`
	Returned   int64 `json:"returned,omitzero" required:"false"`
}

func newLines(lines []ordering.Line) []Line {
	out := make([]Line, len(lines))
	for i, l := range lines {
		out[i].Line = l
	}
	return out
}

// keep says where the units of a line are that are still kept for it.
func (f *Fulfilment) keep(stock string, quantity int64) {
	left := quantity - f.Cancelled - f.Dispatched
	switch stock {
	case stockWaiting:
		f.Waiting = left
	case stockReserved:
		f.Reserved = left
	case stockAllocated:
		f.Allocated = left
	}
}

// each changes the line that units are of, if the order has it.
func (d *document) each(u ordering.Units, change func(*Line)) {
	if u.Line >= 1 && u.Line <= len(d.Lines) {
		change(&d.Lines[u.Line-1])
	}
}
