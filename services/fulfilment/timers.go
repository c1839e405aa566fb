package fulfilment

import "time"

// What the process does when nobody answers.

type (
	// AskedAgain says that nobody has answered in time, and that all questions are asked again.
	AskedAgain struct {
		Attempt int `json:"attempt"` // from 1
		Next
	}
	// GaveUp says that the order can't wait any longer.
	GaveUp struct{ Next }
	// ReturnsLapsed says that returns are not waited for any more.
	ReturnsLapsed struct{ Next }
)

func (e *AskedAgain) fact(p *Process) { p.Attempt = e.Attempt }

func (e *GaveUp) fact(p *Process) { p.TimedOut = true }

func (e *ReturnsLapsed) fact(p *Process) {
	for i := range p.Returns {
		p.Returns[i].Done = true
	}
}

// Wake tells that the time has come to do something about what is waited for.
type Wake struct{ At time.Time }

func (c Wake) decide(p Process) ([]Event, error) {
	if p.Order == "" || p.Until.IsZero() || c.At.Before(p.Until) {
		return nil, nil // what was told of an order before the order itself waits for that
	}
	w := waitsOf(&p)
	step := p.step(&w)
	switch attempt := p.Attempt + 1; {
	case step == StepReserving && attempt >= reserveTries, step == StepPaying && !w.action && attempt >= payTries:
		return p.record(c.At, &GaveUp{})
	case step == StepReturning && attempt > lapse:
		return p.record(c.At, &ReturnsLapsed{})
	default:
		return p.record(c.At, &AskedAgain{Attempt: attempt, Next: Next{Asks: p.outstanding(&w)}})
	}
}

// outstanding are all questions that were asked and not answered, or, if there are none, what
// shipping was told for people to do.
func (p *Process) outstanding(w *waits) Asks {
	var a Asks
	if !w.answers() {
		return p.forPeople()
	}
	p.outstandingStock(&a)
	a.Void = append(a.Void, p.Voids...)
	switch p.Payment.Stage {
	case PaymentAsked, PaymentAction:
		var lines []int
		for i := range p.Lines {
			if p.Lines[i].Billed {
				lines = append(lines, i+1)
			}
		}
		a.Pay = p.bill(lines)
	}
	switch p.Discount {
	case StageAsked:
		a.Redeem = p.Code
	case StageReleasing:
		a.GiveBack = p.Code
	}
	if w.rejecting {
		a.Fail = p.Failed
	}
	a.Confirm = w.confirming
	if w.cancelling {
		a.Cancel = &CancelDone{Lines: p.Cancels[0].Lines}
		if len(p.live()) == 0 {
			a.Cancel.Lines = nil
		}
	}
	if w.refusing {
		a.Refuse = reasonDispatched
	}
	for i := range p.Ships {
		if q := p.Ships[i].Stop; q != nil {
			a.Stop = append(a.Stop, p.stop(i+1, *q))
		}
		if p.Ships[i].Capture == StageAsked {
			a.Capture = append(a.Capture, p.parcel(i+1))
		}
	}
	for _, r := range p.Refunds {
		if r.Stage == StageAsked {
			a.Refund = append(a.Refund, Repayment{Reference: r.Reference, Items: r.Items})
		}
	}
	return a
}

func (p *Process) outstandingStock(a *Asks) {
	for i := range p.Lines {
		l := &p.Lines[i]
		g := Goods{Line: i + 1, SKU: l.SKU}
		switch l.Stock {
		case StockReserving:
			g.Quantity, g.Backorder = l.Quantity, l.Backorder
			a.Reserve = append(a.Reserve, g)
		case StockAllocating:
			g.Quantity = l.Quantity
			a.Allocate = append(a.Allocate, g)
		case StockReleasing:
			a.Release = append(a.Release, g)
		}
	}
}

// forPeople says again what shipping has for people to do, and asks for what was refused once.
func (p *Process) forPeople() Asks {
	var a Asks
	for i := range p.Lines {
		if l := &p.Lines[i]; l.Stock == StockRefused {
			a.Reserve = append(a.Reserve, Goods{Line: i + 1, SKU: l.SKU, Quantity: l.Quantity, Backorder: l.Backorder})
		}
	}
	for i := range p.Ships {
		if p.Ships[i].Stage == ShipmentPreparing {
			a.Ship = append(a.Ship, p.parcel(i+1))
		}
	}
	for i := range p.Returns {
		if !p.Returns[i].Done {
			a.Open = append(a.Open, p.returnParcel(i+1))
		}
	}
	return a
}
