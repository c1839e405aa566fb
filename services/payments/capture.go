package payments

import (
	"slices"
	"time"
)

// CaptureState is the money for units that were dispatched.
type CaptureState struct {
	Op
	Reference     string  `json:"reference"`
	State         OpState `json:"state"`
	Parts         []Part  `json:"parts"`
	Delivery      bool    `json:"delivery,omitzero"`
	Worth         Worth   `json:"worth"`
	Amount        int64   `json:"amount,omitzero"` // asked for: more, where one capture takes everything
	Authorization int     `json:"authorization,omitzero"`
	Final         bool    `json:"final,omitzero"`
	Silent        bool    `json:"silent,omitzero"` // nobody answered: it may have been done
}

func (p *Payment) capture(reference string) *CaptureState {
	i := slices.IndexFunc(p.Captures, func(k CaptureState) bool { return k.Reference == reference })
	if i < 0 {
		return nil
	}
	return &p.Captures[i]
}

// capturing reports whether a capture is with the provider.
func (p *Payment) capturing() bool { return p.captureIn(opAsked) != nil }

func (p *Payment) waitingCapture() *CaptureState { return p.captureIn(opWaiting) }

func (p *Payment) captureIn(s OpState) *CaptureState {
	i := slices.IndexFunc(p.Captures, func(k CaptureState) bool { return k.State == s })
	if i < 0 {
		return nil
	}
	return &p.Captures[i]
}

// paidLater returns a capture that had failed before another one took everything.
func (p *Payment) paidLater() *CaptureState {
	i := slices.IndexFunc(p.Captures, func(k CaptureState) bool { return k.State == opFailed && p.paid(&k) })
	if i < 0 {
		return nil
	}
	return &p.Captures[i]
}

// paid reports whether the one capture that took everything has taken the money for another one. It has
// not for one that nobody has answered, of another authorisation: that money may have been taken there.
func (p *Payment) paid(k *CaptureState) bool {
	a := p.authorization(k.Authorization)
	return p.PaidAll && (!k.Silent || a != nil && a.Captured > 0)
}

func (e CaptureRequested) evolve(p Payment) Payment {
	p = e.post(p)
	k := p.capture(e.Reference)
	if k == nil {
		for _, part := range e.Parts {
			p.line(part.Line).Taken = part.To
		}
		if e.Delivery {
			p.Delivery.State = feeTaken
		}
		p.Captures = append(p.Captures, CaptureState{Reference: e.Reference, Parts: e.Parts, Delivery: e.Delivery, Worth: e.Worth})
		k = &p.Captures[len(p.Captures)-1]
	}
	k.State = opWaiting
	if e.Call != nil {
		p.called(e.Call)
		k.ask(e.Call, e.At)
	}
	return p
}

func (k *CaptureState) ask(c *Call, at time.Time) {
	k.asked(c, at)
	k.State, k.Amount, k.Authorization, k.Final, k.Silent = opAsked, c.Amount, c.Authorization, c.Final, false
}

func (e Captured) evolve(p Payment) Payment {
	p = e.post(p)
	k := p.capture(e.Reference)
	k.State = opDone
	for _, part := range k.Parts {
		p.line(part.Line).keep(part.Span)
	}
	if k.Delivery {
		p.Delivery.State = feePaid
	}
	if a := p.authorization(k.Authorization); a != nil && e.N != 0 {
		a.Captured += e.Amount
		a.Held -= e.Held
		p.PaidAll = p.PaidAll || e.All
		if k.Final && a.State == authLive {
			a.State = authOver
		}
	}
	return p
}

func (e CaptureFailed) evolve(p Payment) Payment {
	p = e.post(p)
	if k := p.capture(e.Reference); k != nil && k.State != opDone && k.State != opGivenUp {
		k.State, k.Silent = opFailed, e.N != 0 && e.Code == CodeSilent
	}
	return p
}

// Capture takes the money for units that were dispatched, once a reference. One that has
// failed is tried again.
type Capture struct {
	Reference string
	Units     []Units
	At        time.Time
}

func (r Capture) decide(p Payment) ([]Event, error) {
	c := p.change(r.At)
	if k := p.capture(r.Reference); k != nil {
		switch {
		case k.State == opGivenUp, k.State == opFailed && p.givenUp():
			c.add(CaptureFailed{Reference: k.Reference, Amount: k.Worth.Total, Code: CodeVoided}, nil)
		case k.State == opFailed:
			c.requestCapture(CaptureRequested{Reference: k.Reference, Parts: k.Parts, Delivery: k.Delivery, Worth: k.Worth}, nil)
		}
		return c.done()
	}
	parts, code := p.takeable(r.Units)
	switch {
	case p.givenUp():
		code = CodeVoided
	case !p.approved():
		code = CodeNotAuthorized
	case len(p.Captures) >= maxMovements:
		code = CodeTooManyMovements
	}
	if code != "" {
		c.add(CaptureFailed{Reference: r.Reference, Code: code}, nil)
		return c.done()
	}
	e := CaptureRequested{Reference: r.Reference, Parts: parts, Worth: p.worth(parts)}
	if p.Delivery.State == feeOpen {
		e.Delivery, e.Worth = true, e.Worth.plus(p.Delivery.Worth)
	}
	c.requestCapture(e, earning(e.Worth))
	return c.done()
}

// requestCapture asks the provider at once if nothing stands in the way.
func (c *change) requestCapture(e CaptureRequested, movement []Posting) {
	if !c.p.capturing() && c.p.waitingCapture() == nil {
		e.Call = c.captureCall(&e)
	}
	c.add(e, movement)
}

// captureCall is the call for a capture; nil if it has to wait, or nothing has to be taken. One that nobody
// has answered is asked for as it was: a new one could take the money twice.
func (c *change) captureCall(e *CaptureRequested) *Call {
	if k := c.p.capture(e.Reference); k != nil && k.Silent {
		call := c.repeat(k.Op, Capturing, k.Amount, c.p.authorization(k.Authorization))
		call.Final = k.Final
		return call
	}
	a := c.p.live()
	if c.p.PaidAll || e.Worth.Total == 0 || a == nil || a.Held < e.Worth.Total || a.runsOut(c.at) {
		return nil
	}
	amount := e.Worth.Total
	if a.OneCapture {
		amount = a.Held
	}
	call := c.call(Capturing, amount, a)
	call.Final = a.OneCapture || c.last(e)
	return call
}

func (a *Authorization) runsOut(at time.Time) bool {
	return !a.ExpiresAt.IsZero() && !at.Before(a.ExpiresAt)
}

// last reports whether nothing is left to be captured after a capture.
func (c *change) last(e *CaptureRequested) bool {
	taken := make(map[int]int64, len(e.Parts))
	if c.p.capture(e.Reference) == nil {
		for _, u := range unitsOf(e.Parts) {
			taken[u.Line] = u.Quantity
		}
	}
	for i := range c.p.Lines {
		if l := &c.p.Lines[i]; l.left() > taken[l.Line] {
			return false
		}
	}
	return !slices.ContainsFunc(c.p.Captures, func(k CaptureState) bool {
		return k.Reference != e.Reference && (k.State == opWaiting || k.State == opFailed)
	})
}

// startCapture begins a capture that has waited; true if something else may be begun then.
func (c *change) startCapture(k CaptureState) bool {
	p := &c.p
	if p.paid(&k) || k.Worth.Total == 0 {
		c.add(Captured{Reference: k.Reference, Parts: k.Parts}, nil)
		return true
	}
	call := c.captureCall(&CaptureRequested{Reference: k.Reference, Parts: k.Parts, Worth: k.Worth})
	switch {
	case call != nil:
		c.add(Asked{Reference: k.Reference, Parts: k.Parts, Amount: call.Amount, Call: call}, nil)
	case p.authorizing() != nil:
	case len(p.Authorizations) >= maxAuthorizations:
		c.add(CaptureFailed{Reference: k.Reference, Amount: k.Worth.Total, Code: CodeTooManyRenewals}, nil)
		return true
	default:
		c.renew()
	}
	return false
}

func (c *change) captureAnswered(r Report) {
	i := slices.IndexFunc(c.p.Captures, func(k CaptureState) bool { return k.N == r.N && k.Reference == r.Reference })
	if i < 0 || c.p.Captures[i].State == opDone {
		return
	}
	k := c.p.Captures[i]
	switch {
	case r.Result == ResultDone:
		a := c.p.authorization(k.Authorization)
		held := min(k.Amount, a.Held)
		c.add(Captured{
			Reference: k.Reference, N: k.N, Parts: k.Parts, Amount: k.Amount, All: a.OneCapture, Held: held,
		}, taking(k.Amount, held))
	case r.Result == ResultDeclined && (k.State == opAsked || k.Silent):
		c.add(CaptureFailed{Reference: k.Reference, N: k.N, Amount: k.Worth.Total, Code: r.codeOr("capture_declined")}, nil)
	}
}
