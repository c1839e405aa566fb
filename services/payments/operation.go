package payments

import "time"

// Op is an operation with the provider, and how often it was asked for.
type Op struct {
	N       int       `json:"n,omitzero"`
	Attempt int       `json:"attempt,omitzero"`
	First   time.Time `json:"first,omitzero"`
	Last    time.Time `json:"last,omitzero"`
}

// OpState is how far a capture, a void or a refund has come.
type OpState string

// The states. What has failed may be asked for again.
const (
	opWaiting OpState = "waiting" // for another operation
	opAsked   OpState = "asked"
	opDone    OpState = "done"
	opFailed  OpState = "failed"
	opGivenUp OpState = "given_up" // it failed, and so did the payment
)

// A provider that does not answer is asked again after a minute, then two, four and so on, and
// for some four days. Nothing is hurried by that: the answer is a webhook, as a rule.
const (
	askAgainFrom = time.Minute
	askAgainUpTo = 6 * time.Hour
	maxAttempts  = 24
)

// again is when the provider is asked again.
func (o *Op) again() time.Time {
	pause := askAgainUpTo
	if doublings := o.Attempt - 1; doublings < 9 {
		pause = min(askAgainUpTo, askAgainFrom<<doublings)
	}
	return o.Last.Add(pause)
}

// asked notes a call.
func (o *Op) asked(c *Call, at time.Time) {
	o.N, o.Attempt, o.First, o.Last = c.N, c.Attempt, c.First, at
}

// call begins an operation.
func (c *change) call(op Operation, amount int64, about *Authorization) *Call {
	return &Call{
		N: c.p.LastN + 1, Operation: op, Provider: c.p.Provider, Method: c.p.Method, Amount: amount, Currency: c.p.Currency,
		Authorization: about.N, Ref: about.Ref, Attempt: 1, First: c.at,
	}
}

// repeat is the call that asks for the same operation again.
func (c *change) repeat(o Op, op Operation, amount int64, about *Authorization) *Call {
	call := c.call(op, amount, about)
	call.N, call.Attempt, call.First = o.N, o.Attempt+1, o.First
	return call
}

func (p *Payment) called(c *Call) { p.LastN = max(p.LastN, c.N) }

// evolve finds whose operation it is by its number, or, where it had waited for its first one, by its reference.
func (e Asked) evolve(p Payment) Payment {
	p = e.post(p)
	p.called(e.Call)
	var op *Op
	switch e.Call.Operation {
	case Authorizing:
		op = &p.authorization(e.Call.N).Op
	case Capturing:
		p.capture(e.Reference).ask(e.Call, e.At)
		return p
	case Voiding:
		v := p.voidOf(e.Call.N)
		if v == nil {
			v = p.void(e.Reference)
		}
		v.State, v.Amount, v.Authorization = opAsked, e.Amount, e.Call.Authorization
		p.authorization(v.Authorization).voiding()
		op = &v.Op
	case Refunding:
		p.refundOf(e.Call.N).ask(e.Call, e.At)
		return p
	}
	op.asked(e.Call, e.At)
	return p
}

// Result is what a provider answered.
type Result string

// The results. The others that there are, pending and unknown, decide nothing: the provider
// will tell, or will be asked again.
const (
	ResultDone           Result = "done"
	ResultDeclined       Result = "declined"
	ResultActionRequired Result = "action_required"
)

// Report is what a provider answered, at once or by webhook: in any order, twice, or hours late.
type Report struct {
	Operation  Operation
	N          int    // of the operation
	Reference  string // of that
	Result     Result
	Ref        string
	Amount     int64 // 0: as asked
	Code       string
	Secret     string
	ExpiresAt  time.Time
	OneCapture bool
	At         time.Time
}

func (r Report) decide(p Payment) ([]Event, error) {
	c := p.change(r.At)
	switch r.Operation {
	case Authorizing:
		c.authorizeAnswered(r)
	case Capturing:
		c.captureAnswered(r)
	case Voiding:
		c.voidAnswered(r)
	case Refunding:
		c.refundAnswered(r)
	}
	if len(c.events) == 0 {
		return nil, nil // a repeat, or nothing that we did not know
	}
	return c.done()
}

// codeOr is the provider's reason, or ours if it gave none.
func (r *Report) codeOr(code string) string {
	if r.Code != "" {
		return r.Code
	}
	return code
}

// proceed begins what has waited for what was decided just now: one step at a time, until it
// reports false.
func (c *change) proceed() bool {
	p := &c.p
	if p.capturing() {
		return false // one capture at a time: the provider tells the last one only
	}
	if k := p.waitingCapture(); k != nil {
		return c.startCapture(*k)
	}
	if k := p.paidLater(); k != nil {
		c.add(Captured{Reference: k.Reference, Parts: k.Parts}, nil)
		return true
	}
	if v := p.waitingVoid(); v != nil {
		c.startVoid(*v)
		return true
	}
	return c.releaseRest()
}
