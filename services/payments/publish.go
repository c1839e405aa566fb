package payments

import (
	"fmt"

	api "github.com/orderlane/orderlane/api/payments"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/money"
)

// public translates a stored event of a payment into its public one.
func public(r *es.Record) (name string, body any, err error) {
	event, err := Payments.Codec.Decode(r)
	if err != nil {
		return "", nil, err
	}
	at := place{id: bus.ResourceOf(r.Stream).ID, version: r.Version}
	switch e := event.(type) {
	case Requested:
		return "payment_requested", &api.PaymentRequested{
			Progress: at.progress(&e.Entry), CustomerID: e.Customer, Provider: e.Provider, Method: e.Method,
			Amount: at.money(&e.Entry, e.Amount), Again: e.Again, Attempt: attempt(e.Call),
		}, nil
	case ActionRequired:
		return "payment_action_required", &api.PaymentActionRequired{Progress: at.progress(&e.Entry)}, nil
	case Authorized:
		return "payment_authorized", &api.PaymentAuthorized{
			Progress: at.progress(&e.Entry), Amount: at.money(&e.Entry, e.Amount), Provider: e.Provider, ProviderRef: e.Ref, ExpiresAt: e.ExpiresAt,
		}, nil
	case Declined:
		return "payment_declined", &api.PaymentDeclined{Progress: at.progress(&e.Entry), Code: e.Code, Again: e.Again}, nil
	case Asked:
		return at.asked(&e)
	}
	if name, body = at.movement(event); body == nil {
		return "", nil, fmt.Errorf("payments: %T has no public event", event)
	}
	return name, body, nil
}

// movement translates what moves money, or asks for it.
func (at place) movement(event Event) (name string, body any) {
	switch e := event.(type) {
	case CaptureRequested:
		return "payment_capture_requested", &api.PaymentCaptureRequested{
			Progress: at.progress(&e.Entry), Reference: e.Reference, Amount: at.money(&e.Entry, e.Worth.Total),
			Lines: publicUnits(e.Parts), Attempt: attempt(e.Call),
		}
	case Captured:
		return "payment_captured", &api.PaymentCaptured{
			Progress: at.progress(&e.Entry), Reference: e.Reference, Lines: publicUnits(e.Parts), Amount: at.money(&e.Entry, e.Amount),
		}
	case CaptureFailed:
		return "payment_capture_failed", &api.PaymentCaptureFailed{
			Progress: at.progress(&e.Entry), Reference: e.Reference, Amount: at.money(&e.Entry, e.Amount), Code: e.Code,
		}
	case VoidRequested:
		return "payment_void_requested", &api.PaymentVoidRequested{
			Progress: at.progress(&e.Entry), Reference: e.Reference, Amount: at.money(&e.Entry, e.Amount),
			Lines: publicUnits(e.Parts), Reason: e.Reason, Attempt: attempt(e.Call),
		}
	case Voided:
		return "payment_voided", &api.PaymentVoided{
			Progress: at.progress(&e.Entry), Reference: e.Reference, Lines: publicUnits(e.Parts), Amount: at.money(&e.Entry, e.Amount), Reason: e.Reason,
		}
	case RefundRequested:
		return "payment_refund_requested", &api.PaymentRefundRequested{
			Progress: at.progress(&e.Entry), Reference: e.Reference, Amount: at.money(&e.Entry, e.Owing.Total),
			Lines: publicUnits(e.Parts), Reason: e.Reason, Attempt: attempt(e.Call),
		}
	case Refunded:
		return "payment_refunded", &api.PaymentRefunded{
			Progress: at.progress(&e.Entry), Reference: e.Reference, Amount: at.money(&e.Entry, e.Amount), Lines: publicUnits(e.Parts), Reason: e.Reason,
			Partial: e.Partial,
		}
	case RefundFailed:
		return "payment_refund_failed", &api.PaymentRefundFailed{
			Progress: at.progress(&e.Entry), Reference: e.Reference, Amount: at.money(&e.Entry, e.Amount), Code: e.Code,
		}
	}
	return "", nil
}

// asked translates a call that was made later than what it is for, or made again.
func (at place) asked(e *Asked) (name string, body any, err error) {
	p, amount := at.progress(&e.Entry), at.money(&e.Entry, e.Amount)
	switch e.Call.Operation {
	case Authorizing:
		return "payment_requested", &api.PaymentRequested{
			Progress: p, CustomerID: e.Customer, Provider: e.Call.Provider, Method: e.Call.Method, Amount: amount, Attempt: e.Call.Attempt,
		}, nil
	case Capturing:
		return "payment_capture_requested", &api.PaymentCaptureRequested{
			Progress: p, Reference: e.Reference, Amount: amount, Lines: publicUnits(e.Parts), Attempt: e.Call.Attempt,
		}, nil
	case Voiding:
		return "payment_void_requested", &api.PaymentVoidRequested{
			Progress: p, Reference: e.Reference, Amount: amount, Lines: publicUnits(e.Parts), Reason: e.Reason, Attempt: e.Call.Attempt,
		}, nil
	case Refunding:
		return "payment_refund_requested", &api.PaymentRefundRequested{
			Progress: p, Reference: e.Reference, Amount: amount, Lines: publicUnits(e.Parts), Reason: e.Reason, Attempt: e.Call.Attempt,
		}, nil
	}
	return "", nil, fmt.Errorf("payments: a provider was asked for the unknown operation %q", e.Call.Operation)
}

// place is where an event stands.
type place struct {
	id      string
	version int64
}

func (at place) progress(e *Entry) api.Progress {
	p := api.Progress{
		OrderID: at.id, Version: at.version, Status: api.Status(e.Status), Currency: e.Currency, Balance: api.Balance(e.Balance), At: e.At,
	}
	for _, m := range e.Ledger {
		p.Ledger = append(p.Ledger, api.Posting{Account: api.Account(m.Account), Amount: m.Amount})
	}
	return p
}

func (at place) money(e *Entry, amount int64) money.Amount { return money.Of(amount, e.Currency) }

func attempt(c *Call) int {
	if c == nil {
		return 0
	}
	return c.Attempt
}

func publicUnits(parts []Part) []api.Units {
	var units []api.Units
	for _, u := range unitsOf(parts) {
		units = append(units, api.Units(u))
	}
	return units
}
