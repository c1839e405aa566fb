package payments

import (
	"slices"
	"time"
)

// VoidState is units, or a whole authorisation, that were given up.
type VoidState struct {
	Op
	Reference     string  `json:"reference,omitzero"`
	Reason        string  `json:"reason,omitzero"`
	State         OpState `json:"state"`
	Parts         []Part  `json:"parts,omitzero"`
	All           bool    `json:"all,omitzero"`
	Authorization int     `json:"authorization,omitzero"` // that holds the money for the units
	Amount        int64   `json:"amount,omitzero"`        // held until the provider has let go of it
}

func (p *Payment) void(reference string) *VoidState {
	return p.findVoid(func(v *VoidState) bool { return reference != "" && v.Reference == reference })
}

func (p *Payment) voidOf(n int) *VoidState {
	return p.findVoid(func(v *VoidState) bool { return n != 0 && v.N == n })
}

func (p *Payment) waitingVoid() *VoidState {
	return p.findVoid(func(v *VoidState) bool { return v.State == opWaiting })
}

func (p *Payment) findVoid(is func(*VoidState) bool) *VoidState {
	for i := range p.Voids {
		if is(&p.Voids[i]) {
			return &p.Voids[i]
		}
	}
	return nil
}

// givenUp reports whether the payment as a whole was given up, or is being.
func (p *Payment) givenUp() bool {
	return p.Closed || p.findVoid(func(v *VoidState) bool { return v.All }) != nil
}

// cancel notes that units will not be captured; with the last ones the fee is given up.
func (p *Payment) cancel(parts []Part) {
	for _, part := range parts {
		l := p.line(part.Line)
		l.Cancelled = l.Quantity - part.From
	}
	if !p.untouched() && p.Delivery.State == feeOpen {
		p.Delivery.State = feeGone
	}
}

func (e VoidRequested) evolve(p Payment) Payment {
	p = e.post(p)
	p.cancel(e.Parts)
	v := VoidState{
		Reference: e.Reference, Reason: e.Reason, State: opWaiting, Parts: e.Parts, All: e.All,
		Authorization: e.Authorization, Amount: e.Amount,
	}
	if e.Call != nil {
		p.called(e.Call)
		v.asked(e.Call, e.At)
		v.State = opAsked
		a := p.authorization(e.Authorization)
		a.voiding()
		if e.Late {
			a.Approved, a.Late, a.Held = true, true, e.Amount
			if e.Ref != "" {
				a.Ref = e.Ref
			}
		}
	}
	p.Voids = append(p.Voids, v)
	return p
}

func (e Voided) evolve(p Payment) Payment {
	p = e.post(p)
	v := p.voidOf(e.N)
	if v == nil {
		v = p.void(e.Reference)
	}
	if v == nil {
		p.cancel(e.Parts)
		if e.Reference != "" {
			p.Voids = append(p.Voids, VoidState{Reference: e.Reference, Reason: e.Reason, All: e.All, Parts: e.Parts, Amount: e.Amount})
			v = &p.Voids[len(p.Voids)-1]
		}
	}
	if v != nil {
		v.State = opDone
	}
	if a := p.authorization(e.Authorization); a != nil {
		a.Held -= e.Amount
		if e.N != 0 && !p.beingVoided(a) || e.Lapsed {
			a.State = authOver
		}
	}
	if e.All || !p.untouched() && len(p.Captures) == 0 {
		p.close()
	}
	return p
}

// beingVoided reports whether another void of the authorisation is with the provider.
func (p *Payment) beingVoided(a *Authorization) bool {
	return p.findVoid(func(v *VoidState) bool { return v.State == opAsked && v.Authorization == a.N }) != nil
}

// close gives up the payment: what has failed is not tried again.
func (p *Payment) close() {
	p.Closed = true
	for i := range p.Captures {
		if p.Captures[i].State == opFailed {
			p.Captures[i].State = opGivenUp
		}
	}
}

// Void gives up what was not captured, of some units or (none named) of all, once a reference.
// Units that were paid for in advance are given back.
type Void struct {
	Reference string
	Units     []Units
	Reason    string
	At        time.Time
}

func (r Void) decide(p Payment) ([]Event, error) {
	if p.void(r.Reference) != nil {
		return nil, nil
	}
	c := p.change(r.At)
	v := VoidState{Reference: r.Reference, Reason: r.Reason, All: len(r.Units) == 0 || !p.requested()}
	v.Parts = p.cancellable(r.Units)
	switch {
	case len(p.Voids) >= maxMovements && !v.All:
		c.add(Voided{Reference: r.Reference, Reason: CodeTooManyMovements}, nil)
	case p.capturing() || p.waitingCapture() != nil:
		e := VoidRequested{Reference: v.Reference, Reason: v.Reason, Parts: v.Parts, All: v.All}
		if a := p.live(); a != nil {
			e.Authorization = a.N
		}
		c.add(e, nil)
	default:
		c.startVoid(v)
	}
	return c.done()
}

// startVoid gives up units that no capture stands in the way of: those of a void that has waited,
// and is in the state, or of a new one.
func (c *change) startVoid(v VoidState) {
	waited := v.State == opWaiting
	worth := c.p.worth(v.Parts).Total
	a := c.p.latest()
	switch {
	case c.p.PaidAll:
		c.add(v.voided(0, 0), nil)
		c.refundAdvance(v, worth)
	case a != nil && a.State == authOver && a.Held > 0: // let go of with the last capture
		worth = min(worth, a.Held)
		if v.All {
			worth = a.Held
		}
		c.add(v.voided(a.N, worth), releasing(worth))
	case a == nil || a.N == 0 || a.State == authOver || a.State == authVoiding:
		c.add(v.voided(0, 0), nil)
	case !v.All && !c.leavesNothing(v):
		if a.State != authLive || waited && v.Authorization != a.N {
			worth = 0 // it was not asked for with the rest
		}
		c.add(v.voided(a.N, worth), releasing(worth))
	case waited:
		c.add(Asked{Reference: v.Reference, Reason: v.Reason, Parts: v.Parts, Amount: a.Held, Call: c.call(Voiding, a.Held, a)}, nil)
	default:
		c.add(VoidRequested{
			Reference: v.Reference, Reason: v.Reason, Parts: v.Parts, All: v.All, Authorization: a.N, Amount: a.Held,
			Call: c.call(Voiding, a.Held, a),
		}, nil)
	}
}

func (v *VoidState) voided(authorization int, amount int64) Voided {
	return Voided{
		Reference: v.Reference, Reason: v.Reason, Parts: v.Parts, All: v.All, Authorization: authorization, Amount: amount,
	}
}

// leavesNothing reports whether nothing can be captured after a void, also nothing that has failed.
func (c *change) leavesNothing(v VoidState) bool {
	p := c.p.clone()
	p.cancel(v.Parts)
	return !p.untouched() && p.captureIn(opFailed) == nil
}

// releaseRest lets the provider go of what it holds although nothing will be captured any more.
func (c *change) releaseRest() bool {
	a := c.p.live()
	if a == nil || a.N == 0 || a.Captured == 0 || a.Captured >= a.Amount || c.p.open() || c.p.captureIn(opFailed) != nil {
		return false
	}
	c.add(VoidRequested{Reason: "rest", Authorization: a.N, Amount: a.Held, Call: c.call(Voiding, a.Held, a)}, nil)
	return true
}

func (c *change) voidAnswered(r Report) {
	v := c.p.voidOf(r.N)
	if v == nil || v.Reference != r.Reference || v.State == opDone || r.Result != ResultDone && r.Result != ResultDeclined {
		return
	}
	// A provider that has nothing to void says so by declining.
	c.voidDone(*v, false)
}

func (c *change) voidDone(v VoidState, lapsed bool) {
	e := v.voided(v.Authorization, v.Amount)
	e.N, e.Lapsed = v.N, lapsed
	c.add(e, releasing(v.Amount))
}

// paid units that nobody will get are given back.
func (c *change) refundAdvance(v VoidState, worth int64) {
	if amount := min(worth, c.p.Sums.left()); amount > 0 {
		advance := slices.Clone(v.Parts)
		for i := range advance {
			advance[i].Advance = true
		}
		c.refund(RefundRequested{
			Reference: v.Reference, Reason: v.Reason, Parts: advance, Owing: Owing{Total: amount, Advance: amount},
		})
	}
}
