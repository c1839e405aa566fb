package fulfilment

import (
	"slices"
	"time"
)

// What payments tells, and what becomes of the discount code.

type (
	// PaymentMoved says where the authorisation stands now.
	PaymentMoved struct {
		To   PaymentStage `json:"to"`
		Seen int64        `json:"seen"` // version of the payment
		Code string       `json:"code,omitzero"`
		Next
	}
	// PaymentGivenUp says that money will not be taken.
	PaymentGivenUp struct {
		Reference string `json:"ref"`
		Next
	}
	// CaptureSettled says that a shipment's money was taken, or (with a code) refused.
	CaptureSettled struct {
		Number   int    `json:"no"`
		Shipment string `json:"id"`
		Code     string `json:"code,omitzero"`
		Next
	}
	// RefundSettled says that money was given back, or (with a code) that it was not. One that the process
	// has not asked for is staff's, or that of a void; it is told of when it fails.
	RefundSettled struct {
		Reference string `json:"ref"`
		Code      string `json:"code,omitzero"`
		Next
	}
	// DiscountMoved says where the use of the discount code stands now.
	DiscountMoved struct {
		To Stage `json:"to"`
		Next
	}
)

func (e *PaymentMoved) fact(p *Process) {
	p.Payment = Payment{Stage: e.To, Seen: e.Seen, Code: e.Code}
	if e.To == PaymentDeclined && !p.chargeable() {
		p.Voids = nil // there is nothing to give up
	}
}

func (e *PaymentGivenUp) fact(p *Process) {
	i := p.void(e.Reference)
	if len(p.Voids[i].Items) == 0 {
		p.Payment.Stage, p.Voids = PaymentVoided, nil
		return
	}
	p.Voids = without(p.Voids, i)
}

func (p *Process) void(reference string) int {
	return slices.IndexFunc(p.Voids, func(v Void) bool { return v.Reference == reference })
}

func (e *CaptureSettled) fact(p *Process) {
	s := &p.Ships[e.Number-1]
	s.Capture, s.Code = StageDone, e.Code
	if e.Code != "" {
		s.Capture = StageRefused
		s.Refusals++
	}
}

func (e *RefundSettled) fact(p *Process) {
	i := p.refund(e.Reference)
	if e.Code == "" {
		p.Refunds = without(p.Refunds, i)
		return
	}
	if i < 0 {
		i = len(p.Refunds)
		p.Refunds = append(p.Refunds, Repayment{Reference: e.Reference})
	}
	if e.Code == providerSilent {
		p.Refunds[i].Stage = StageAsked
		return
	}
	p.Refunds[i].Stage, p.Refunds[i].Code = StageRefused, e.Code
}

func (e *DiscountMoved) fact(p *Process) { p.Discount = e.To }

// MovePayment tells what became of the authorisation: action, authorized or declined.
type MovePayment struct {
	To      PaymentStage
	Version int64 // of the payment
	Code    string
	At      time.Time
}

func (c MovePayment) decide(p Process) ([]Event, error) {
	if c.Version <= p.Payment.Seen {
		return nil, nil
	}
	switch from := p.Payment.Stage; {
	case from == PaymentAsked && c.To != from, from == PaymentAction && c.To != from:
	case from == PaymentAuthorized && c.To == PaymentDeclined: // it ran out, and was asked for in vain
	case from == PaymentDeclined && c.To == PaymentAuthorized && p.Failed == nil: // and then it was granted
	case from == PaymentVoiding && c.To == PaymentDeclined:
	default:
		return nil, nil // payments itself gives up what comes after a void
	}
	return p.record(c.At, &PaymentMoved{To: c.To, Seen: c.Version, Code: c.Code})
}

// GiveUpPayment tells that a void was carried out.
type GiveUpPayment struct {
	Reference string
	At        time.Time
}

func (c GiveUpPayment) decide(p Process) ([]Event, error) {
	if p.void(c.Reference) < 0 {
		return nil, nil
	}
	return p.record(c.At, &PaymentGivenUp{Reference: c.Reference})
}

// providerSilent is the code of what payments has given up waiting for: it may have been done.
// Asking again makes payments ask the provider again.
const providerSilent = "provider_silent"

// SettleCapture tells that the money of a shipment was taken, or why it was refused.
type SettleCapture struct {
	Shipment string // its id
	Code     string
	At       time.Time
}

func (c SettleCapture) decide(p Process) ([]Event, error) {
	n := p.shipment(c.Shipment)
	if n == 0 {
		return nil, nil
	}
	asked := p.Ships[n-1].Capture == StageAsked && c.Code != providerSilent
	if asked || p.Ships[n-1].Capture == StageRefused && c.Code == "" {
		return p.record(c.At, &CaptureSettled{Number: n, Shipment: c.Shipment, Code: c.Code})
	}
	return nil, nil
}

// SettleRefund tells that money was given back, or why it was not.
type SettleRefund struct {
	Reference string
	Code      string
	Partial   bool // of what was given back: the rest is not yet
	At        time.Time
}

func (c SettleRefund) decide(p Process) ([]Event, error) {
	if c.Partial {
		return nil, nil
	}
	i := p.refund(c.Reference)
	if i < 0 {
		if c.Code == "" || p.Order == "" {
			return nil, nil
		}
		return p.record(c.At, &RefundSettled{Reference: c.Reference, Code: c.Code})
	}
	asked := p.Refunds[i].Stage == StageAsked && c.Code != providerSilent
	// Of a refund in pieces one may be refused, and nobody answer about another one.
	if asked || p.Refunds[i].Stage == StageRefused && (c.Code == "" || c.Code == providerSilent) {
		return p.record(c.At, &RefundSettled{Reference: c.Reference, Code: c.Code})
	}
	return nil, nil
}

// MoveDiscount tells what became of the discount code: done, refused or released.
type MoveDiscount struct {
	To Stage
	At time.Time
}

func (c MoveDiscount) decide(p Process) ([]Event, error) {
	from := p.Discount
	if from == StageAsked && (c.To == StageDone || c.To == StageRefused) || from == StageReleasing && c.To == StageReleased {
		return p.record(c.At, &DiscountMoved{To: c.To})
	}
	return nil, nil
}
