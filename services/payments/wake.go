package payments

import "time"

// Wake is the passing of a deadline: a provider has not answered, a customer has not completed
// a payment, or an authorisation runs out.
type Wake struct{ At time.Time }

func (r Wake) decide(p Payment) ([]Event, error) {
	c := p.change(r.At)
	for _, a := range p.Authorizations {
		c.wakeAuthorization(a)
	}
	for _, k := range p.Captures {
		if k.State == opAsked && c.due(k.again()) {
			c.captureSilent(k)
		}
	}
	for _, v := range p.Voids {
		switch {
		case v.State != opAsked || !c.due(v.again()):
		case v.Attempt >= maxAttempts:
			c.voidDone(v, true)
		default:
			call := c.repeat(v.Op, Voiding, v.Amount, c.p.authorization(v.Authorization))
			c.add(Asked{Reference: v.Reference, Reason: v.Reason, Parts: v.Parts, Amount: v.Amount, Call: call}, nil)
		}
	}
	for _, k := range p.Refunds {
		if k.State == opAsked && c.due(k.again()) {
			c.refundSilent(k)
		}
	}
	return c.done()
}

func (c *change) due(at time.Time) bool { return !at.IsZero() && !c.at.Before(at) }

func (c *change) wakeAuthorization(a Authorization) {
	switch {
	case a.open() && c.due(a.GiveUpAt):
		c.giveUp(a)
	case a.open() && c.due(a.again()):
		call := c.repeat(a.Op, Authorizing, a.Amount, &a)
		call.Authorization = a.N
		c.add(Asked{Customer: c.p.Customer, Amount: a.Amount, Call: call}, nil)
	case a.State != authLive || c.p.busy():
	case c.p.wanted() > 0 && len(c.p.Authorizations) < maxAuthorizations:
		if c.due(a.RenewAt) {
			c.renew()
		}
	case c.due(a.ExpiresAt):
		c.add(Voided{Reason: "authorization_expired", Authorization: a.N, Amount: a.Held, Lapsed: true}, releasing(a.Held))
	}
}

func (c *change) captureSilent(k CaptureState) {
	if k.Attempt >= maxAttempts {
		c.add(CaptureFailed{Reference: k.Reference, N: k.N, Amount: k.Worth.Total, Code: CodeSilent}, nil)
		return
	}
	call := c.repeat(k.Op, Capturing, k.Amount, c.p.authorization(k.Authorization))
	call.Final = k.Final
	c.add(Asked{Reference: k.Reference, Parts: k.Parts, Amount: k.Amount, Call: call}, nil)
}

// busy reports whether captures or voids are under way, which an authorisation is not renewed under.
func (p *Payment) busy() bool {
	return p.capturing() || p.waitingCapture() != nil || p.waitingVoid() != nil
}

// deadline is when the first thing is due that Wake does something about.
func (p Payment) deadline() time.Time {
	var first time.Time
	add := func(at time.Time) {
		if !at.IsZero() && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	for i := range p.Authorizations {
		switch a := &p.Authorizations[i]; {
		case a.open():
			add(a.again())
			add(a.GiveUpAt)
		case a.State != authLive || p.busy():
		case p.wanted() > 0 && len(p.Authorizations) < maxAuthorizations:
			add(a.RenewAt)
		default:
			add(a.ExpiresAt)
		}
	}
	for i := range p.Captures {
		if k := &p.Captures[i]; k.State == opAsked {
			add(k.again())
		}
	}
	for i := range p.Voids {
		if v := &p.Voids[i]; v.State == opAsked {
			add(v.again())
		}
	}
	for i := range p.Refunds {
		if r := &p.Refunds[i]; r.State == opAsked {
			add(r.again())
		}
	}
	return first
}
