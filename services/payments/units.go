package payments

import (
	"slices"

	"github.com/orderlane/orderlane/pkg/money"
)

// Line is a line of the order, and what became of its units. Units are captured from the first on
// and cancelled from the last on, so that every unit has its own share of the line's total, and
// all shares add up to it, whatever happens in whichever order.
type Line struct {
	Line      int    `json:"line"`
	Quantity  int64  `json:"quantity"`
	Total     int64  `json:"total"`
	Tax       int64  `json:"tax"` // included in the total
	Taken     int64  `json:"taken,omitzero"`
	Cancelled int64  `json:"cancelled,omitzero"`
	Kept      []Span `json:"kept,omitzero"` // units that are paid for, and not given back
}

// Span is the units of a line after the first From, up to and including To.
type Span struct {
	From    int64 `json:"from"`
	To      int64 `json:"to"`
	Advance bool  `json:"advance,omitzero"` // paid for and never dispatched
}

// Part is a span of a line.
type Part struct {
	Line int `json:"line"`
	Span
}

// Units is a number of units of a line.
type Units struct {
	Line     int   `json:"line"`
	Quantity int64 `json:"quantity"`
}

// Worth is what units cost, in minor units.
type Worth struct {
	Total int64 `json:"total"`
	Tax   int64 `json:"tax,omitzero"` // included
}

func (w Worth) plus(o Worth) Worth { return Worth{w.Total + o.Total, w.Tax + o.Tax} }

// Fee is the delivery fee. It is captured with the first units.
type Fee struct {
	Worth
	State FeeState `json:"state,omitzero"`
}

// FeeState is what became of a fee.
type FeeState string

// The states of a fee.
const (
	feeOpen   FeeState = ""
	feeTaken  FeeState = "taken" // it is in a capture
	feePaid   FeeState = "paid"
	feeGone   FeeState = "gone"     // given up with the last units
	feeReturn FeeState = "refunded" // or it is being
)

// left is how many units were neither captured nor cancelled.
func (l *Line) left() int64 { return l.Quantity - l.Taken - l.Cancelled }

func (l *Line) worth(s Span) Worth {
	return Worth{money.Share(l.Total, l.Quantity, s.From, s.To), money.Share(l.Tax, l.Quantity, s.From, s.To)}
}

func (p *Payment) line(n int) *Line {
	i := slices.IndexFunc(p.Lines, func(l Line) bool { return l.Line == n })
	if i < 0 {
		return nil
	}
	return &p.Lines[i]
}

// worth is what units cost together.
func (p *Payment) worth(parts []Part) Worth {
	var w Worth
	for _, part := range parts {
		w = w.plus(p.line(part.Line).worth(part.Span))
	}
	return w
}

// untouched reports whether units are left that may still be captured.
func (p *Payment) untouched() bool {
	return slices.ContainsFunc(p.Lines, func(l Line) bool { return l.left() > 0 })
}

// wanted is what is still to be captured: of units that were not touched, with the fee, and by
// captures that are on their way. What the provider has refused to give is not part of it.
func (p *Payment) wanted() int64 {
	var sum int64
	for i := range p.Lines {
		l := &p.Lines[i]
		if l.left() > 0 {
			sum += l.worth(Span{From: l.Taken, To: l.Quantity - l.Cancelled}).Total
		}
	}
	if p.Delivery.State == feeOpen && p.untouched() {
		sum += p.Delivery.Total
	}
	for _, k := range p.Captures {
		if k.State == opWaiting || k.State == opAsked {
			sum += k.Worth.Total
		}
	}
	return sum
}

// owed is what an authorisation is asked for: what is wanted, and, where one capture takes everything, also
// what was refused before, since it is paid for by that capture then.
func (p *Payment) owed() int64 {
	sum := p.wanted()
	if !slices.ContainsFunc(p.Authorizations, func(a Authorization) bool { return a.OneCapture }) {
		return sum
	}
	for _, k := range p.Captures {
		if k.State == opFailed && !k.Silent {
			sum += k.Worth.Total
		}
	}
	return sum
}

// merged adds up the units of the same line, in the order of the lines.
func merged(units []Units) []Units {
	var all []Units
	for _, u := range units {
		if i := slices.IndexFunc(all, func(v Units) bool { return v.Line == u.Line }); i >= 0 {
			all[i].Quantity += u.Quantity
		} else {
			all = append(all, u)
		}
	}
	return all
}

// takeable returns the parts that units would be captured as, or the code of why they can't be.
func (p *Payment) takeable(units []Units) (parts []Part, code string) {
	for _, u := range merged(units) {
		l := p.line(u.Line)
		switch {
		case l == nil || u.Quantity < 1:
			return nil, CodeUnknownLine
		case u.Quantity > l.Quantity-l.Taken:
			return nil, CodeAboveAuthorized
		case u.Quantity > l.left():
			return nil, CodeVoided
		}
		parts = append(parts, Part{u.Line, Span{From: l.Taken, To: l.Taken + u.Quantity}})
	}
	if len(parts) == 0 {
		return nil, CodeUnknownLine
	}
	return parts, ""
}

// cancellable returns the parts that units would be cancelled as, as far as they are left; without
// units, of everything that is.
func (p *Payment) cancellable(units []Units) (parts []Part) {
	if len(units) == 0 {
		for _, l := range p.Lines {
			units = append(units, Units{l.Line, l.Quantity})
		}
	}
	for _, u := range merged(units) {
		l := p.line(u.Line)
		if l == nil {
			continue
		}
		if n := min(u.Quantity, l.left()); n > 0 {
			end := l.Quantity - l.Cancelled
			parts = append(parts, Part{u.Line, Span{From: end - n, To: end}})
		}
	}
	return parts
}

// returnable returns the parts that units would be given back as, or the code of why they can't be.
func (p *Payment) returnable(units []Units) (parts []Part, code string) {
	for _, u := range merged(units) {
		l := p.line(u.Line)
		if l == nil || u.Quantity < 1 {
			return nil, CodeUnknownLine
		}
		want := u.Quantity
		for _, s := range l.Kept {
			if n := min(want, s.To-s.From); n > 0 {
				parts = append(parts, Part{u.Line, Span{From: s.From, To: s.From + n, Advance: s.Advance}})
				want -= n
			}
		}
		if want > 0 {
			return nil, CodeAboveCaptured
		}
	}
	return parts, ""
}

// keep notes that units are paid for: in order, so that it does not matter in which they were.
func (l *Line) keep(s Span) {
	i := slices.IndexFunc(l.Kept, func(k Span) bool { return k.From > s.From })
	if i < 0 {
		i = len(l.Kept)
	}
	l.Kept = slices.Insert(l.Kept, i, s)
	for i = len(l.Kept) - 1; i > 0; i-- {
		if before, k := &l.Kept[i-1], l.Kept[i]; before.To == k.From && before.Advance == k.Advance {
			before.To = k.To
			l.Kept = slices.Delete(l.Kept, i, i+1)
		}
	}
}

// keeps returns the place of the span that is kept and that a span is of, or -1.
func (l *Line) keeps(s Span) int {
	return slices.IndexFunc(l.Kept, func(k Span) bool { return k.From <= s.From && s.To <= k.To && k.Advance == s.Advance })
}

// give notes that the units of a span are not kept any more; what is around them is.
func (l *Line) give(s Span) {
	i := l.keeps(s)
	if i < 0 {
		return
	}
	k := l.Kept[i]
	l.Kept = slices.Delete(l.Kept, i, i+1)
	for _, rest := range []Span{{s.To, k.To, k.Advance}, {k.From, s.From, k.Advance}} {
		if rest.From < rest.To {
			l.Kept = slices.Insert(l.Kept, i, rest)
		}
	}
}

// unitsOf counts the units of parts, a line once.
func unitsOf(parts []Part) []Units {
	units := make([]Units, len(parts))
	for i, part := range parts {
		units[i] = Units{part.Line, part.To - part.From}
	}
	return merged(units)
}
