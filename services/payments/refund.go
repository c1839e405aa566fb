package payments

import (
	"slices"
	"time"

	"github.com/orderlane/orderlane/pkg/fault"
	"github.com/orderlane/orderlane/pkg/money"
)

// RefundState is money that goes back to the customer, from one authorisation. A refund that takes more
// than one has as many of these, under the same reference.
type RefundState struct {
	Op
	Reference     string  `json:"reference"`
	Reason        string  `json:"reason,omitzero"`
	State         OpState `json:"state"`
	Parts         []Part  `json:"parts,omitzero"`
	Delivery      bool    `json:"delivery,omitzero"`
	Owing         Owing   `json:"owing"`
	Authorization int     `json:"authorization"`
	Silent        bool    `json:"silent,omitzero"` // it failed since nobody answered: it may have been done
	Again         bool    `json:"again,omitzero"`  // it was refused, and is asked for anew by another number
}

// refused reports whether the provider has said no, and nobody has asked for it anew.
func (r *RefundState) refused() bool { return r.State == opFailed && !r.Silent && !r.Again }

// partly reports whether a refund has other pieces, which are not given back.
func (p *Payment) partly(k *RefundState) bool {
	return slices.ContainsFunc(p.Refunds, func(o RefundState) bool {
		return o.Reference == k.Reference && o.N != k.N && o.State != opDone && !o.Again
	})
}

func (p *Payment) refundOf(n int) *RefundState {
	i := slices.IndexFunc(p.Refunds, func(r RefundState) bool { return n != 0 && r.N == n })
	if i < 0 {
		return nil
	}
	return &p.Refunds[i]
}

func (e RefundRequested) evolve(p Payment) Payment {
	p = e.post(p)
	p.called(e.Call)
	for _, part := range e.Parts {
		p.line(part.Line).give(part.Span)
	}
	if e.Delivery {
		p.Delivery.State = feeReturn
	}
	p.authorization(e.Call.Authorization).Refunded += e.Owing.Total
	r := p.refundOf(e.Call.N)
	if r == nil {
		for i := range p.Refunds {
			if o := &p.Refunds[i]; o.Reference == e.Reference && o.refused() {
				o.Again = true
			}
		}
		p.Refunds = append(p.Refunds, RefundState{
			Reference: e.Reference, Reason: e.Reason, Parts: e.Parts, Delivery: e.Delivery, Owing: e.Owing, Authorization: e.Call.Authorization,
		})
		r = &p.Refunds[len(p.Refunds)-1]
	}
	r.ask(e.Call, e.At)
	return p
}

func (r *RefundState) ask(c *Call, at time.Time) {
	r.asked(c, at)
	r.State, r.Silent = opAsked, false
}

func (e Refunded) evolve(p Payment) Payment {
	p = e.post(p)
	if r := p.refundOf(e.N); r != nil {
		r.State = opDone
		return p
	}
	for _, part := range e.Parts { // of units that cost nothing
		p.line(part.Line).give(part.Span)
	}
	p.Refunds = append(p.Refunds, RefundState{Reference: e.Reference, State: opDone, Parts: e.Parts})
	return p
}

// A refund that was refused leaves everything as it was before, so that it can be asked for once
// more. One that nobody has answered may have been given: it counts until that is known.
func (e RefundFailed) evolve(p Payment) Payment {
	p = e.post(p)
	r := p.refundOf(e.N)
	if r == nil {
		return p
	}
	r.State, r.Silent = opFailed, e.Code == CodeSilent
	if r.Silent {
		return p
	}
	for _, part := range r.Parts {
		p.line(part.Line).keep(part.Span)
	}
	if r.Delivery {
		p.Delivery.State = feePaid
	}
	p.authorization(r.Authorization).Refunded -= r.Owing.Total
	return p
}

// Refund gives captured money back: an amount, or what units and the delivery fee cost. A
// reference is refunded once; what of it has failed is tried again. Staff who break a rule are refused;
// a process is answered by an event.
type Refund struct {
	Order     string
	Reference string
	Amount    *money.Amount
	Units     []Units
	Delivery  bool
	Reason    string
	Staff     bool
	At        time.Time
}

func (r Refund) decide(p Payment) ([]Event, error) {
	c := p.change(r.At)
	known, refused := false, RefundRequested{Reference: r.Reference, Reason: r.Reason}
	for _, k := range p.Refunds {
		switch {
		case k.Reference != r.Reference:
			continue
		case k.State == opFailed && k.Silent:
			c.askRefundAgain(k)
		case k.refused():
			refused.Parts = append(refused.Parts, k.Parts...)
			refused.Delivery = refused.Delivery || k.Delivery
			refused.Owing = refused.Owing.plus(k.Owing)
		}
		known = true
	}
	e, refusal := refused, (*fault.Fault)(nil)
	switch {
	case !known:
		e, refusal = r.asked(&p)
	case refused.Owing.Total == 0:
		return c.done()
	default:
		refusal = e.again(&p)
	}
	switch {
	case refusal == nil && e.Owing.Total == 0:
		c.add(Refunded{Reference: r.Reference, Reason: r.Reason, Parts: e.Parts}, nil)
	case refusal == nil:
		c.refund(e)
	case r.Staff && !p.requested():
		return nil, fault.NotFound("payment", r.Order)
	case r.Staff:
		return nil, refusal
	default:
		c.add(RefundFailed{Reference: r.Reference, Amount: e.Owing.Total, Code: refusal.Code}, nil)
	}
	return c.done()
}

// again is why what was refused can't be asked for as it was; nil if it can.
func (e *RefundRequested) again(p *Payment) *fault.Fault {
	gone := slices.ContainsFunc(e.Parts, func(part Part) bool { return p.line(part.Line).keeps(part.Span) < 0 })
	if gone || e.Delivery && p.Delivery.State != feePaid || len(e.Parts) == 0 && !e.Delivery && e.Owing.Total > p.Sums.left() {
		return aboveCaptured(p)
	}
	total := e.Owing.Total - e.Owing.Advance
	e.Owing = p.giveable(Worth{total, e.Owing.Tax}, e.Owing.Advance)
	if e.Owing.Total == 0 {
		return aboveCaptured(p)
	}
	return nil
}

// giveable is as much of what units cost, and of what was paid for others in advance, as is left: what was
// given back as an amount is not given back a second time with the goods.
func (p *Payment) giveable(worth Worth, advance int64) Owing {
	left := p.Sums.left()
	advance = min(advance, left)
	amount := min(worth.Total, left-advance)
	o := p.owing(Worth{amount, worth.Tax}, amount == worth.Total)
	o.Total += advance
	o.Advance += advance
	return o
}

// asked is what a refund comes to, or why it can't be.
func (r *Refund) asked(p *Payment) (e RefundRequested, refusal *fault.Fault) {
	e = RefundRequested{Reference: r.Reference, Reason: r.Reason}
	left := p.Sums.left()
	switch {
	case !p.requested():
		return e, fault.Conflict(CodeAboveCaptured, "no money was captured")
	case len(p.Refunds) >= maxMovements:
		return e, fault.Conflict(CodeTooManyMovements, "an order has at most %d refunds", maxMovements)
	case r.Amount != nil && (len(r.Units) > 0 || r.Delivery):
		return e, fault.Invalid(CodeNothingToRefund, "a refund is of an amount, or of lines")
	case r.Amount != nil && r.Amount.Amount < 1, r.Amount == nil && len(r.Units) == 0 && !r.Delivery:
		return e, fault.Invalid(CodeNothingToRefund, "a refund is of an amount above zero, or of lines")
	case r.Amount != nil && r.Amount.Currency != p.Currency:
		return e, fault.Invalid(CodeWrongCurrency, "the order is paid in %s", p.Currency)
	case r.Amount != nil && r.Amount.Amount > left:
		e.Owing.Total = r.Amount.Amount
		return e, aboveCaptured(p)
	case r.Amount != nil:
		e.Owing = p.owing(Worth{Total: r.Amount.Amount}, false)
		return e, nil
	}
	return r.ofUnits(p, e)
}

func (r *Refund) ofUnits(p *Payment, e RefundRequested) (RefundRequested, *fault.Fault) {
	var code string
	if e.Parts, code = p.returnable(r.Units); code == CodeUnknownLine {
		return e, fault.Invalid(code, "the order has no such line")
	} else if code != "" || r.Delivery && p.Delivery.State != feePaid {
		return RefundRequested{Reference: r.Reference}, aboveCaptured(p)
	}
	var worth, advance Worth
	for _, part := range e.Parts {
		if w := p.worth([]Part{part}); part.Advance {
			advance = advance.plus(w)
		} else {
			worth = worth.plus(w)
		}
	}
	if r.Delivery {
		e.Delivery, worth = true, worth.plus(p.Delivery.Worth)
	}
	e.Owing = p.giveable(worth, advance.Total)
	if e.Owing.Total == 0 && worth.Total+advance.Total > 0 {
		return e, aboveCaptured(p)
	}
	return e, nil
}

func aboveCaptured(p *Payment) *fault.Fault {
	return fault.Conflict(CodeAboveCaptured, "%s is left of what was captured", money.Of(p.Sums.left(), p.Currency))
}

// refund asks the provider for money back: from each authorisation that was captured from as much
// as is left there, the first one first.
func (c *change) refund(e RefundRequested) {
	rest := e.Owing
	for i := range c.p.Authorizations {
		a := c.p.Authorizations[i]
		part := rest.atMost(a.Captured - a.Refunded)
		if part.Total <= 0 {
			continue
		}
		piece := e
		piece.Owing, piece.Call = part, c.call(Refunding, part.Total, &a)
		c.add(piece, owing(part))
		rest = Owing{rest.Total - part.Total, rest.Tax - part.Tax, rest.Advance - part.Advance}
		e.Parts, e.Delivery = nil, false // they go with the first piece
	}
}

// askRefundAgain asks for a refund that nobody has answered, as it was: a new one could give the
// money back twice.
func (c *change) askRefundAgain(k RefundState) {
	call := c.repeat(k.Op, Refunding, k.Owing.Total, c.p.authorization(k.Authorization))
	c.add(Asked{Reference: k.Reference, Reason: k.Reason, Parts: k.Parts, Amount: k.Owing.Total, Call: call}, nil)
}

func (c *change) refundAnswered(r Report) {
	known := c.p.refundOf(r.N)
	if known == nil || known.Reference != r.Reference || known.State == opDone {
		return
	}
	k := *known
	switch {
	case r.Result == ResultDone:
		if k.State == opFailed && !k.Silent { // the provider has changed its mind
			c.add(RefundRequested{
				Reference: k.Reference, Reason: k.Reason, Parts: k.Parts, Delivery: k.Delivery, Owing: k.Owing,
				Call: c.repeat(k.Op, Refunding, k.Owing.Total, c.p.authorization(k.Authorization)),
			}, owing(k.Owing))
		}
		c.add(Refunded{
			Reference: k.Reference, Reason: k.Reason, N: k.N, Parts: k.Parts, Amount: k.Owing.Total, Partial: c.p.partly(&k),
		}, givingBack(k.Owing.Total))
	case r.Result == ResultDeclined && (k.State == opAsked || k.Silent):
		c.add(RefundFailed{Reference: k.Reference, N: k.N, Amount: k.Owing.Total, Code: r.codeOr("refund_declined")}, notOwing(k.Owing))
	}
}

// refundSilent asks once more, or stops asking.
func (c *change) refundSilent(k RefundState) {
	if k.Attempt >= maxAttempts {
		c.add(RefundFailed{Reference: k.Reference, N: k.N, Amount: k.Owing.Total, Code: CodeSilent}, nil)
		return
	}
	c.askRefundAgain(k)
}
