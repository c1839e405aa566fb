package payments

import (
	"time"

	"github.com/orderlane/orderlane/pkg/money"
)

// Account is an account of an order's ledger.
type Account string

// The accounts. Positive postings are debits.
const (
	AccountCustomer   Account = "customer"   // what the customer's bank keeps for us, or gave us
	AccountReceivable Account = "receivable" // what the customer owes
	AccountHeld       Account = "held"       // authorised and not captured
	AccountCaptured   Account = "captured"   // money that we have
	AccountRefunded   Account = "refunded"   // money that we gave back
	AccountRevenue    Account = "revenue"    // earned, without tax
	AccountTax        Account = "tax"        // owed to the state
)

// Posting is one side of a movement, in minor units. The postings of an event add up to zero.
type Posting struct {
	Account Account `json:"account"`
	Amount  int64   `json:"amount"`
}

// Balance is where a payment stands after an event, in minor units.
type Balance struct {
	Authorized int64 `json:"authorized" doc:"Ever authorised and not voided; captured amounts included"`
	Captured   int64 `json:"captured" doc:"Ever captured"`
	Refunded   int64 `json:"refunded" doc:"Ever refunded"`
	Refunding  int64 `json:"refunding,omitzero" doc:"Asked of the provider"`
}

// Progress is what every event of a payment says.
type Progress struct {
	OrderID  string    `json:"order_id"`
	Version  int64     `json:"version"`
	Status   Status    `json:"status"`
	Currency string    `json:"currency"`
	Balance  Balance   `json:"balance"`
	Ledger   []Posting `json:"ledger,omitzero" doc:"The movement; its postings add up to zero"`
	At       time.Time `json:"at"`
}

// PaymentRequested says that a provider is asked to authorise an amount, for the first time or
// again after an authorisation ran out.
type PaymentRequested struct {
	Progress
	CustomerID string       `json:"customer_id"`
	Provider   string       `json:"provider"`
	Method     string       `json:"method"`
	Amount     money.Amount `json:"amount"`
	Again      bool         `json:"again,omitzero" doc:"After an authorisation ran out"`
	Attempt    int          `json:"attempt,omitzero" doc:"How often the provider was asked"`
}

// PaymentActionRequired says that the customer has something to do, such as 3-D Secure. What
// they need for it is on the personal topic.
type PaymentActionRequired struct{ Progress }

// PaymentAuthorized says that the amount is ours to take.
type PaymentAuthorized struct {
	Progress
	Amount      money.Amount `json:"amount"`
	Provider    string       `json:"provider"`
	ProviderRef string       `json:"provider_ref"`
	ExpiresAt   time.Time    `json:"expires_at,omitzero"`
}

// PaymentDeclined says that the provider said no, or that nobody answered in time.
type PaymentDeclined struct {
	Progress
	Code  string `json:"code" example:"card_declined"`
	Again bool   `json:"again,omitzero" doc:"Of an authorisation that was asked for again; what was captured stays"`
}

// PaymentCaptureRequested says that the provider is asked for a part of the money.
type PaymentCaptureRequested struct {
	Progress
	Reference string       `json:"reference"`
	Amount    money.Amount `json:"amount"`
	Lines     []Units      `json:"lines,omitzero"`
	Attempt   int          `json:"attempt,omitzero" doc:"How often the provider was asked; 0 while it waits for another operation"`
}

// PaymentCaptured says that money was taken: a part, or (where a method allows one capture only)
// all of it at once; then later captures have the amount 0.
type PaymentCaptured struct {
	Progress
	Reference string       `json:"reference"`
	Lines     []Units      `json:"lines"`
	Amount    money.Amount `json:"amount"`
}

// PaymentCaptureFailed says that the provider refused to give the money.
type PaymentCaptureFailed struct {
	Progress
	Reference string       `json:"reference"`
	Amount    money.Amount `json:"amount"`
	Code      string       `json:"code"`
}

// PaymentVoidRequested says that the provider is asked to give up an authorisation. Without a
// reference nobody has asked for it: the authorisation came too late, or is not needed any more.
type PaymentVoidRequested struct {
	Progress
	Reference string       `json:"reference"`
	Amount    money.Amount `json:"amount"`
	Lines     []Units      `json:"lines,omitzero"`
	Reason    string       `json:"reason,omitzero"`
	Attempt   int          `json:"attempt,omitzero" doc:"How often the provider was asked; 0 while it waits for a capture"`
}

// PaymentVoided says that an amount will not be taken, of some units or of all. Without a
// reference nobody has asked for it.
type PaymentVoided struct {
	Progress
	Reference string       `json:"reference"`
	Lines     []Units      `json:"lines,omitzero"`
	Amount    money.Amount `json:"amount" doc:"What was authorised of it; 0 if nothing was"`
	Reason    string       `json:"reason"`
}

// PaymentRefundRequested says that the provider is asked to give money back.
type PaymentRefundRequested struct {
	Progress
	Reference string       `json:"reference"`
	Amount    money.Amount `json:"amount"`
	Lines     []Units      `json:"lines,omitzero"`
	Reason    string       `json:"reason"`
	Attempt   int          `json:"attempt,omitzero" doc:"How often the provider was asked"`
}

// PaymentRefunded says that money was given back. Where it comes from several authorisations, each gives
// its part, and the reference is paid with the one that is not partial.
type PaymentRefunded struct {
	Progress
	Reference string       `json:"reference"`
	Amount    money.Amount `json:"amount"`
	Lines     []Units      `json:"lines,omitzero"`
	Reason    string       `json:"reason"`
	Partial   bool         `json:"partial,omitzero" doc:"The rest of what the reference asks for is on its way, or has failed"`
}

// PaymentRefundFailed says that the provider refused to give money back.
type PaymentRefundFailed struct {
	Progress
	Reference string       `json:"reference"`
	Amount    money.Amount `json:"amount"`
	Code      string       `json:"code"`
}

// Personal is what only the customer may see of a payment.
type Personal struct {
	ClientSecret string `json:"client_secret,omitzero"`
}

// MessageType is the ce_type.
func (PaymentRequested) MessageType() string { return TypePaymentRequested }

// MessageType is the ce_type.
func (PaymentActionRequired) MessageType() string { return TypePaymentActionRequired }

// MessageType is the ce_type.
func (PaymentAuthorized) MessageType() string { return TypePaymentAuthorized }

// MessageType is the ce_type.
func (PaymentDeclined) MessageType() string { return TypePaymentDeclined }

// MessageType is the ce_type.
func (PaymentCaptured) MessageType() string { return TypePaymentCaptured }

// MessageType is the ce_type.
func (PaymentCaptureFailed) MessageType() string { return TypePaymentCaptureFailed }

// MessageType is the ce_type.
func (PaymentVoided) MessageType() string { return TypePaymentVoided }

// MessageType is the ce_type.
func (PaymentRefunded) MessageType() string { return TypePaymentRefunded }

// MessageType is the ce_type.
func (PaymentRefundFailed) MessageType() string { return TypePaymentRefundFailed }

// MessageType is the ce_type.
func (PaymentCaptureRequested) MessageType() string { return TypePaymentCaptureRequested }

// MessageType is the ce_type.
func (PaymentVoidRequested) MessageType() string { return TypePaymentVoidRequested }

// MessageType is the ce_type.
func (PaymentRefundRequested) MessageType() string { return TypePaymentRefundRequested }
