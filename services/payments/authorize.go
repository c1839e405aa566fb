package payments

import (
	"fmt"
	"time"

	"github.com/orderlane/orderlane/pkg/money"
)

// Authorization is a provider's word that an amount is ours to take, or the asking for it.
type Authorization struct {
	Op
	State      AuthState `json:"state"`
	GiveUpAt   time.Time `json:"give_up_at,omitzero"` // the customer's part in it included
	Amount     int64     `json:"amount"`              // asked for
	Ref        string    `json:"ref,omitzero"`
	ExpiresAt  time.Time `json:"expires_at,omitzero"`
	RenewAt    time.Time `json:"renew_at,omitzero"`
	OneCapture bool      `json:"one_capture,omitzero"`
	Approved   bool      `json:"approved,omitzero"`
	Late       bool      `json:"late,omitzero"`     // approved when nobody wanted it any more
	Held       int64     `json:"held,omitzero"`     // may be captured
	Captured   int64     `json:"captured,omitzero"` // ever
	Refunded   int64     `json:"refunded,omitzero"` // or being given back
}

// AuthState is how far an authorisation has come.
type AuthState string

// The states.
const (
	authAsked   AuthState = "asked"
	authAction  AuthState = "action" // waits for the customer
	authLive    AuthState = "live"
	authVoiding AuthState = "voiding"
	authOver    AuthState = "over" // declined, voided, used up or renewed
)

func (a *Authorization) open() bool { return a.State == authAsked || a.State == authAction }

func (a *Authorization) voiding() { a.State = authVoiding }

// number is that of an authorisation's own operation.
func (p *Payment) authorization(n int) *Authorization {
	for i := range p.Authorizations {
		if p.Authorizations[i].N == n {
			return &p.Authorizations[i]
		}
	}
	return nil
}

// latest is the authorisation that counts: the others are over, or being voided.
func (p *Payment) latest() *Authorization {
	if len(p.Authorizations) == 0 {
		return nil
	}
	return &p.Authorizations[len(p.Authorizations)-1]
}

// live returns the authorisation that can be captured from; nil if there is none.
func (p *Payment) live() *Authorization {
	if a := p.latest(); a != nil && a.State == authLive {
		return a
	}
	return nil
}

// authorizing returns the authorisation that is being asked for; nil if none is.
func (p *Payment) authorizing() *Authorization {
	if a := p.latest(); a != nil && a.open() {
		return a
	}
	return nil
}

// An authorisation is renewed a little before it runs out: a tenth of its time, and no more than that.
const maxRenewAhead = time.Hour

func renewAt(from, expires time.Time) time.Time {
	if expires.IsZero() {
		return time.Time{}
	}
	return expires.Add(-min(maxRenewAhead, max(0, expires.Sub(from)/10)))
}

func (e Requested) evolve(p Payment) Payment {
	p = e.post(p)
	if !e.Again {
		p.Customer, p.Provider, p.Method, p.Currency = e.Customer, e.Provider, e.Method, e.Currency
		p.Lines, p.Delivery = append([]Line(nil), e.Lines...), Fee{Worth: e.Delivery}
	}
	p.Declined = ""
	if e.Call == nil {
		return p
	}
	p.called(e.Call)
	if old := p.latest(); old != nil && old.State == authLive {
		old.State, old.Held = authOver, 0
	}
	a := Authorization{State: authAsked, Amount: e.Amount, GiveUpAt: e.GiveUpAt}
	a.asked(e.Call, e.At)
	p.Authorizations = append(p.Authorizations, a)
	return p
}

func (e ActionRequired) evolve(p Payment) Payment {
	p = e.post(p)
	a := p.authorization(e.N)
	a.State, a.Ref = authAction, e.Ref
	return p
}

func (e Authorized) evolve(p Payment) Payment {
	p = e.post(p)
	a := p.authorization(e.N)
	if a == nil { // of an order that costs nothing
		p.Authorizations = append(p.Authorizations, Authorization{})
		a = p.latest()
	}
	a.State, a.Approved, a.Held, a.OneCapture = authLive, true, e.Amount, e.OneCapture
	a.ExpiresAt, a.RenewAt = e.ExpiresAt, renewAt(e.At, e.ExpiresAt)
	if e.Ref != "" {
		a.Ref = e.Ref
	}
	return p
}

func (e Declined) evolve(p Payment) Payment {
	p = e.post(p)
	p.Declined = e.Code
	if a := p.authorization(e.N); a != nil {
		a.State = authOver
	}
	return p
}

// Request asks for the whole amount of an order to be authorised. Without a provider nobody
// takes the method.
type Request struct {
	Customer       string
	Provider       string
	Method         string
	Amount         money.Amount
	Lines          []Line // what they are and cost
	Delivery       Worth
	CompleteWithin time.Duration
	At             time.Time
}

func (r Request) decide(p Payment) ([]Event, error) {
	if p.requested() || p.Declined != "" {
		return nil, nil
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	c := p.change(r.At)
	c.p.Currency = r.Amount.Currency
	if p.Closed { // it was given up before it was asked for
		c.add(Declined{Code: CodeVoided}, nil)
		return c.done()
	}
	e := Requested{
		Customer: r.Customer, Provider: r.Provider, Method: r.Method, Amount: r.Amount.Amount,
		Lines: r.Lines, Delivery: r.Delivery, GiveUpAt: r.At.Add(r.CompleteWithin),
	}
	switch {
	case r.Provider == "":
		c.add(e, nil)
		c.add(Declined{Code: CodeUnknownMethod}, nil)
	case r.Amount.Amount == 0:
		c.add(e, nil)
		c.add(Authorized{Provider: r.Provider}, nil)
	default:
		e.Call = c.authorizeCall(r.Amount.Amount)
		e.Call.Provider, e.Call.Method = r.Provider, r.Method
		c.add(e, nil)
	}
	return c.done()
}

func (c *change) authorizeCall(amount int64) *Call {
	call := c.call(Authorizing, amount, &Authorization{})
	call.Authorization = call.N
	return call
}

// check reports what can't be: a fault of whoever asked, and no answer to anybody.
func (r *Request) check() error {
	sum := r.Delivery
	for i, l := range r.Lines {
		if l.Quantity < 1 || l.Total < 0 || l.Tax < 0 || l.Tax > l.Total {
			return fmt.Errorf("payments: line %d of the order is wrong: %+v", i, l)
		}
		sum = sum.plus(Worth{l.Total, l.Tax})
	}
	if !r.Amount.Valid() || r.CompleteWithin <= 0 || r.Method == "" || len(r.Lines) == 0 || r.Delivery.Total < 0 || sum.Total != r.Amount.Amount {
		return fmt.Errorf("payments: %s are asked for by %q, and the order comes to %d", r.Amount, r.Method, sum.Total)
	}
	return nil
}

// renew asks for what is still to be captured once more, and does without the old authorisation,
// which runs out.
func (c *change) renew() {
	var old Authorization
	if a := c.p.live(); a != nil {
		old = *a
	}
	amount := c.p.owed()
	first := c.p.Authorizations[0]
	call := c.authorizeCall(amount)
	call.Replaces, call.ReplacesRef = old.N, old.Ref
	c.add(Requested{
		Customer: c.p.Customer, Provider: c.p.Provider, Method: c.p.Method, Amount: amount,
		GiveUpAt: c.at.Add(first.GiveUpAt.Sub(first.First)), Again: true, Call: call,
	}, releasing(old.Held))
}

func (c *change) authorizeAnswered(r Report) {
	a := c.p.authorization(r.N)
	if a == nil || r.Reference != "" {
		return
	}
	switch {
	case r.Result == ResultDone && !a.Approved:
		c.authorized(*a, r)
	case r.Result == ResultDeclined && a.open():
		c.declined(*a, r.codeOr("declined"))
	case r.Result == ResultActionRequired && a.State == authAsked:
		c.add(ActionRequired{N: a.N, Ref: r.Ref, Secret: r.Secret}, nil)
	}
}

func (c *change) authorized(a Authorization, r Report) {
	granted := r.Amount
	if granted == 0 {
		granted = a.Amount
	}
	if a.open() && granted < a.Amount {
		c.declined(a, CodeAmountTooLow)
		a.State = authOver
	}
	if !a.open() {
		c.approvedLate(a, granted, r.Ref)
		return
	}
	amount := min(a.Amount, c.p.owed()) // units may have been cancelled in the meantime
	c.add(Authorized{
		N: a.N, Amount: amount, Provider: c.p.Provider, Ref: r.Ref, ExpiresAt: r.ExpiresAt, OneCapture: r.OneCapture,
	}, authorizing(amount))
}

// declined ends an authorisation, and with it the captures that have waited for it.
func (c *change) declined(a Authorization, code string) {
	again := c.p.approved()
	c.add(Declined{N: a.N, Code: code, Again: again}, nil)
	for k := c.p.waitingCapture(); k != nil; k = c.p.waitingCapture() {
		c.add(CaptureFailed{Reference: k.Reference, Amount: k.Worth.Total, Code: code}, nil)
	}
}

// giveUp ends an authorisation that nobody gives, and sees to it that nobody gives it later.
func (c *change) giveUp(a Authorization) {
	code := CodeSilent
	if a.State == authAction {
		code = CodeExpired
	}
	c.declined(a, code)
	c.add(VoidRequested{Reason: code, Authorization: a.N, Call: c.call(Voiding, 0, &a)}, nil)
}

// approvedLate gives back at once what nobody wants any more.
func (c *change) approvedLate(a Authorization, granted int64, ref string) {
	if ref != "" {
		a.Ref = ref
	}
	c.add(VoidRequested{
		Reason: "approved_late", Authorization: a.N, Amount: granted, Late: true, Ref: ref, Call: c.call(Voiding, granted, &a),
	}, authorizing(granted))
}
