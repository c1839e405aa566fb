package payments

import "time"

// Event is a fact about a payment, and how it changes the payment.
type Event interface {
	evolve(Payment) Payment
	entered(Entry) Event
}

// Entry is what every event says: where the payment stands after it, and the movement in the
// ledger that it is.
type Entry struct {
	At       time.Time `json:"at"`
	Status   Status    `json:"status"`
	Currency string    `json:"currency,omitzero"`
	Balance  Balance   `json:"balance,omitzero"`
	Ledger   []Posting `json:"ledger,omitzero"`
}

func (e Entry) post(p Payment) Payment {
	p.Sums = p.Sums.with(e.Ledger)
	return p
}

// Operation is what a provider is asked to do.
type Operation string

// The operations.
const (
	Authorizing Operation = "authorize"
	Capturing   Operation = "capture"
	Voiding     Operation = "void"
	Refunding   Operation = "refund"
)

// Call is an operation that a provider is asked for, with all that it has to know. The number is a part of the
// idempotency key: to ask again is to ask with the same number.
type Call struct {
	N             int       `json:"n"`
	Operation     Operation `json:"operation"`
	Provider      string    `json:"provider"`
	Method        string    `json:"method"`
	Amount        int64     `json:"amount,omitzero"`
	Currency      string    `json:"currency"`
	Authorization int       `json:"authorization"`     // the number of the authorisation that it is about
	Ref           string    `json:"ref,omitzero"`      // the provider's name for that, if it is known
	Final         bool      `json:"final,omitzero"`    // nothing more will be captured
	Replaces      int       `json:"replaces,omitzero"` // an authorisation that is not needed any more
	ReplacesRef   string    `json:"replaces_ref,omitzero"`
	Attempt       int       `json:"attempt"` // from 1
	First         time.Time `json:"first"`   // when the first attempt was
}

type (
	// Requested asks a provider to authorise an amount: for the first time, with what the order
	// costs, or again after an authorisation has run out.
	Requested struct {
		Entry
		Customer string    `json:"customer"`
		Provider string    `json:"provider,omitzero"`
		Method   string    `json:"method"`
		Amount   int64     `json:"amount"`
		Lines    []Line    `json:"lines,omitzero"`
		Delivery Worth     `json:"delivery,omitzero"`
		GiveUpAt time.Time `json:"give_up_at,omitzero"` // if it is not authorised by then
		Again    bool      `json:"again,omitzero"`
		Call     *Call     `json:"call,omitzero"` // none: there is nobody to ask, or nothing to ask for
	}
	// ActionRequired waits for the customer.
	ActionRequired struct {
		Entry
		N   int    `json:"n"`
		Ref string `json:"ref,omitzero"`

		Secret string `json:"-"`
	}
	// Authorized is an amount that may be captured.
	Authorized struct {
		Entry
		N          int       `json:"n"`
		Amount     int64     `json:"amount"`
		Provider   string    `json:"provider,omitzero"`
		Ref        string    `json:"ref,omitzero"`
		ExpiresAt  time.Time `json:"expires_at,omitzero"`
		OneCapture bool      `json:"one_capture,omitzero"`
	}
	// Declined is an authorisation that was refused, or that nobody gave in time.
	Declined struct {
		Entry
		N     int    `json:"n,omitzero"`
		Code  string `json:"code"`
		Again bool   `json:"again,omitzero"` // it was asked for again
	}
	// CaptureRequested is units that were dispatched. Without a call it waits for another operation.
	CaptureRequested struct {
		Entry
		Reference string `json:"reference"`
		Parts     []Part `json:"parts"`
		Delivery  bool   `json:"delivery,omitzero"` // the fee too
		Worth     Worth  `json:"worth"`
		Call      *Call  `json:"call,omitzero"`
	}
	// Captured is money that was taken: 0 if it had been before.
	Captured struct {
		Entry
		Reference string `json:"reference"`
		N         int    `json:"n,omitzero"`
		Parts     []Part `json:"parts"`
		Amount    int64  `json:"amount"`
		All       bool   `json:"all,omitzero"` // it was the one capture that the method allows
		Held      int64  `json:"held,omitzero"`
	}
	// CaptureFailed is money that could not be taken.
	CaptureFailed struct {
		Entry
		Reference string `json:"reference"`
		N         int    `json:"n,omitzero"`
		Amount    int64  `json:"amount"`
		Code      string `json:"code"`
	}
	// VoidRequested gives up units, or a whole authorisation. Without a call it waits for captures.
	VoidRequested struct {
		Entry
		Reference     string `json:"reference,omitzero"` // none: nobody asked for it
		Reason        string `json:"reason,omitzero"`
		Parts         []Part `json:"parts,omitzero"`
		All           bool   `json:"all,omitzero"` // the payment as a whole
		Authorization int    `json:"authorization,omitzero"`
		Amount        int64  `json:"amount"`
		Late          bool   `json:"late,omitzero"` // the answer to an approval that came too late
		Ref           string `json:"ref,omitzero"`  // of that
		Call          *Call  `json:"call,omitzero"`
	}
	// Voided is an amount that will not be captured.
	Voided struct {
		Entry
		Reference     string `json:"reference,omitzero"`
		Reason        string `json:"reason,omitzero"`
		N             int    `json:"n,omitzero"`
		Parts         []Part `json:"parts,omitzero"`
		All           bool   `json:"all,omitzero"`
		Authorization int    `json:"authorization,omitzero"`
		Amount        int64  `json:"amount"`
		Lapsed        bool   `json:"lapsed,omitzero"` // the authorisation runs out, or did
	}
	// RefundRequested asks the provider to give money back.
	RefundRequested struct {
		Entry
		Reference string `json:"reference"`
		Reason    string `json:"reason,omitzero"`
		Parts     []Part `json:"parts,omitzero"`
		Delivery  bool   `json:"delivery,omitzero"`
		Owing     Owing  `json:"owing"`
		Call      *Call  `json:"call"`
	}
	// Refunded is money that was given back: all that was asked for by the reference, or a part.
	Refunded struct {
		Entry
		Reference string `json:"reference"`
		Reason    string `json:"reason,omitzero"`
		N         int    `json:"n"`
		Parts     []Part `json:"parts,omitzero"`
		Amount    int64  `json:"amount"`
		Partial   bool   `json:"partial,omitzero"` // the rest is on its way, or has failed
	}
	// RefundFailed is money that could not be given back.
	RefundFailed struct {
		Entry
		Reference string `json:"reference"`
		N         int    `json:"n,omitzero"`
		Amount    int64  `json:"amount"`
		Code      string `json:"code"`
	}
	// Asked asks the provider for an operation that has waited, or again for one that it does not
	// answer.
	Asked struct {
		Entry
		Reference string `json:"reference,omitzero"`
		Customer  string `json:"customer,omitzero"` // of authorisations
		Reason    string `json:"reason,omitzero"`
		Parts     []Part `json:"parts,omitzero"`
		Amount    int64  `json:"amount"`
		Call      *Call  `json:"call"`
	}
)

// PersonalPayload is stored apart from the event: with it, anybody could pay in the customer's name.
func (e ActionRequired) PersonalPayload() any {
	if e.Secret == "" {
		return nil
	}
	return &personal{ClientSecret: e.Secret}
}

// personal is what is stored apart, in the form in which it is published.
type personal struct {
	ClientSecret string `json:"client_secret"`
}

func (e Requested) entered(n Entry) Event        { e.Entry = n; return e }
func (e ActionRequired) entered(n Entry) Event   { e.Entry = n; return e }
func (e Authorized) entered(n Entry) Event       { e.Entry = n; return e }
func (e Declined) entered(n Entry) Event         { e.Entry = n; return e }
func (e CaptureRequested) entered(n Entry) Event { e.Entry = n; return e }
func (e Captured) entered(n Entry) Event         { e.Entry = n; return e }
func (e CaptureFailed) entered(n Entry) Event    { e.Entry = n; return e }
func (e VoidRequested) entered(n Entry) Event    { e.Entry = n; return e }
func (e Voided) entered(n Entry) Event           { e.Entry = n; return e }
func (e RefundRequested) entered(n Entry) Event  { e.Entry = n; return e }
func (e Refunded) entered(n Entry) Event         { e.Entry = n; return e }
func (e RefundFailed) entered(n Entry) Event     { e.Entry = n; return e }
func (e Asked) entered(n Entry) Event            { e.Entry = n; return e }
