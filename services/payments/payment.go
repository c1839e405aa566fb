// Package payments decides on the money of orders: what is authorised, captured, voided and
// given back, in parts, and asks payment providers for it.
//
// In the flow it stands between fulfilment, which asks for money by commands and is answered by
// events, and the providers, which its gateway calls and whose answers come back as reports. A
// stream is the payment of one order. It is the one arbiter of that order's money: whatever is asked,
// in whatever order, is held against what is left.
package payments

import (
	"slices"
	"time"

	"github.com/orderlane/orderlane/pkg/es"
)

// Payment is what decisions need to know of an order's payment: the fold of its events.
type Payment struct {
	Customer string `json:"customer,omitzero"`
	Provider string `json:"provider,omitzero"`
	Method   string `json:"method,omitzero"`
	Currency string `json:"currency,omitzero"`

	Lines    []Line `json:"lines,omitzero"`
	Delivery Fee    `json:"delivery,omitzero"`
	Sums     Sums   `json:"sums,omitzero"`

	LastN          int             `json:"last_n,omitzero"` // operations with the provider are numbered from 1
	Authorizations []Authorization `json:"authorizations,omitzero"`
	Captures       []CaptureState  `json:"captures,omitzero"`
	Voids          []VoidState     `json:"voids,omitzero"`
	Refunds        []RefundState   `json:"refunds,omitzero"`

	Declined string `json:"declined,omitzero"` // why, if the latest authorisation was
	Closed   bool   `json:"closed,omitzero"`   // given up as a whole
	PaidAll  bool   `json:"paid_all,omitzero"` // one capture took everything, also what is not dispatched
}

// Payments is the behaviour of payments; their streams are named payment-<order id>.
var Payments = &es.Aggregate[Payment, Event, Command]{
	Decider: es.Decider[Payment, Event, Command]{
		Category:     "payment",
		StateVersion: 1,
		Initial:      func() Payment { return Payment{} },
		Decide:       func(c Command, p Payment) ([]Event, error) { return c.decide(p) },
		Evolve:       func(e Event, p Payment) Payment { return e.evolve(p) },
		Deadline:     Payment.deadline,
	},
	Codec: es.NewCodec[Event](
		es.Stored[Requested, Event]("payment_requested"),
		es.Stored[ActionRequired, Event]("payment_action_required"),
		es.Stored[Authorized, Event]("payment_authorized"),
		es.Stored[Declined, Event]("payment_declined"),
		es.Stored[CaptureRequested, Event]("payment_capture_requested"),
		es.Stored[Captured, Event]("payment_captured"),
		es.Stored[CaptureFailed, Event]("payment_capture_failed"),
		es.Stored[VoidRequested, Event]("payment_void_requested"),
		es.Stored[Voided, Event]("payment_voided"),
		es.Stored[RefundRequested, Event]("payment_refund_requested"),
		es.Stored[Refunded, Event]("payment_refunded"),
		es.Stored[RefundFailed, Event]("payment_refund_failed"),
		es.Stored[Asked, Event]("provider_asked"),
	),
}

// Command is an intention for a payment, and the decision on it. A repeat of what is already
// so decides nothing and is no error.
type Command interface {
	decide(Payment) ([]Event, error)
}

// Status is how far a payment has come.
type Status string

// The statuses of a payment; the public contract names the same ones.
const (
	StatusPending           Status = "pending"
	StatusRequiresAction    Status = "requires_action"
	StatusAuthorized        Status = "authorized"
	StatusPartiallyCaptured Status = "partially_captured"
	StatusCaptured          Status = "captured"
	StatusCaptureFailed     Status = "capture_failed"
	StatusPartiallyRefunded Status = "partially_refunded"
	StatusRefunded          Status = "refunded"
	StatusVoided            Status = "voided"
	StatusDeclined          Status = "declined"
)

// Codes of refusals, in events and in answers to callers.
const (
	CodeExpired          = "expired"                  // the customer did not complete it in time
	CodeSilent           = "provider_silent"          // nobody answered in time
	CodeVoided           = "payment_voided"           // it was given up before
	CodeUnknownMethod    = "unknown_payment_method"   // no provider takes it
	CodeAmountTooLow     = "amount_too_low"           // the provider approved less than was asked for
	CodeNotAuthorized    = "payment_not_authorized"   // there is nothing to capture from
	CodeAboveAuthorized  = "capture_above_authorized" // of more units than are left
	CodeAboveCaptured    = "refund_above_captured"    // of more than is left of what was captured
	CodeTooManyRenewals  = "authorization_expired"    // and was renewed too often
	CodeUnknownLine      = "unknown_line"             // of an order
	CodeWrongCurrency    = "wrong_currency"           // of a refund
	CodeNothingToRefund  = "nothing_to_refund"        // a refund of nothing
	CodeTooManyMovements = "too_many_movements"       // captures, voids and refunds of one order
)

// Bounds of one payment, far above what an order's life takes: its state is one row.
const (
	maxAuthorizations = 50
	maxMovements      = 500 // captures, voids and refunds, each
)

func (p *Payment) requested() bool { return p.Method != "" }

// approved reports whether an authorisation was ever given, in time.
func (p *Payment) approved() bool {
	return slices.ContainsFunc(p.Authorizations, func(a Authorization) bool { return a.Approved && !a.Late })
}

// open reports whether something is still to be captured, or being captured.
func (p *Payment) open() bool {
	return p.untouched() || slices.ContainsFunc(p.Captures, func(k CaptureState) bool { return k.State == opWaiting || k.State == opAsked })
}

func (p *Payment) status() Status {
	s := &p.Sums
	switch {
	case slices.ContainsFunc(p.Captures, func(k CaptureState) bool { return k.State == opFailed }):
		return StatusCaptureFailed
	case s.Captured > 0 && -s.Refunded >= s.Captured && (p.PaidAll || !p.open()):
		return StatusRefunded
	case s.Refunded < 0:
		return StatusPartiallyRefunded
	case s.Captured > 0 && p.open() && !p.PaidAll:
		return StatusPartiallyCaptured
	case s.Captured > 0:
		return StatusCaptured
	case p.Declined != "" && p.Declined != CodeVoided:
		return StatusDeclined
	case p.Closed:
		return StatusVoided
	}
	return p.authorizationStatus()
}

// authorizationStatus is the status of a payment of which no money was captured yet.
func (p *Payment) authorizationStatus() Status {
	a := p.latest()
	switch {
	case a == nil:
		return StatusPending
	case a.State == authAction:
		return StatusRequiresAction
	case a.Approved && len(p.Captures) > 0 && !p.open(): // all that was dispatched cost nothing
		return StatusCaptured
	case a.State == authLive, a.State == authVoiding && a.Approved && !a.Late:
		return StatusAuthorized
	}
	return StatusPending
}

// clone returns a copy that shares nothing with p that evolving changes in place.
func (p Payment) clone() Payment {
	p.Lines = slices.Clone(p.Lines)
	for i := range p.Lines {
		p.Lines[i].Kept = slices.Clone(p.Lines[i].Kept)
	}
	p.Authorizations = slices.Clone(p.Authorizations)
	p.Captures = slices.Clone(p.Captures)
	p.Voids = slices.Clone(p.Voids)
	p.Refunds = slices.Clone(p.Refunds)
	return p
}

// change is a decision in the making: the events so far, and the payment as they leave it.
type change struct {
	p      Payment
	at     time.Time
	events []Event
}

func (p Payment) change(at time.Time) *change { return &change{p: p.clone(), at: at} }

// add adds an event with the movement that it makes in the ledger.
func (c *change) add(e Event, movement []Posting) {
	entry := Entry{At: c.at, Currency: c.p.Currency, Ledger: movement}
	c.p = e.entered(entry).evolve(c.p)
	entry.Status, entry.Balance = c.p.status(), c.p.Sums.Balance()
	c.events = append(c.events, e.entered(entry))
}

// done returns what was decided, and what follows from it.
func (c *change) done() ([]Event, error) {
	for c.proceed() {
		continue
	}
	return c.events, nil
}
