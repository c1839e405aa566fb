// Package payments is the public contract of the payments service: its commands, and its
// events on payments.events.v1. A stream is the payment of one order, payment-<order id>.
// What a customer needs to complete a payment is secret, and goes to payments.personal.v1.
// Fields are added, never renamed or removed.
package payments

import (
	"time"

	"github.com/orderlane/orderlane/pkg/money"
)

// Service is the service's name, in topics, types and the command line.
const Service = "payments"

// Category is the first part of the streams' names.
const Category = "payment"

// The message types.
const (
	TypeRequestPayment = "orderlane.payments.request_payment.v1"
	TypeCapturePayment = "orderlane.payments.capture_payment.v1"
	TypeVoidPayment    = "orderlane.payments.void_payment.v1"
	TypeRefundPayment  = "orderlane.payments.refund_payment.v1"
	TypeReportPayment  = "orderlane.payments.report_payment.v1"

	TypePaymentRequested        = "orderlane.payments.payment_requested.v1"
	TypePaymentActionRequired   = "orderlane.payments.payment_action_required.v1"
	TypePaymentAuthorized       = "orderlane.payments.payment_authorized.v1"
	TypePaymentDeclined         = "orderlane.payments.payment_declined.v1"
	TypePaymentCaptureRequested = "orderlane.payments.payment_capture_requested.v1"
	TypePaymentCaptured         = "orderlane.payments.payment_captured.v1"
	TypePaymentCaptureFailed    = "orderlane.payments.payment_capture_failed.v1"
	TypePaymentVoidRequested    = "orderlane.payments.payment_void_requested.v1"
	TypePaymentVoided           = "orderlane.payments.payment_voided.v1"
	TypePaymentRefundRequested  = "orderlane.payments.payment_refund_requested.v1"
	TypePaymentRefunded         = "orderlane.payments.payment_refunded.v1"
	TypePaymentRefundFailed     = "orderlane.payments.payment_refund_failed.v1"
	TypePersonal                = "orderlane.payments.personal.v1"
)

// Status is how far a payment has come.
type Status string

// The statuses of a payment.
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

// Line is what an order's line costs, all of its quantity, in minor units with tax included.
type Line struct {
	Line     int   `json:"line"`
	Quantity int64 `json:"quantity"`
	Total    int64 `json:"total"`
	Tax      int64 `json:"tax" doc:"Included in the total"`
}

// Units are some of the units of an order's line.
type Units struct {
	Line     int   `json:"line" minimum:"1"`
	Quantity int64 `json:"quantity" minimum:"1"`
}

// RequestPayment asks for the whole amount of an order to be authorised. Lines and delivery
// add up to the amount; captures and refunds of parts are their shares.
type RequestPayment struct {
	OrderID     string       `json:"order_id"`
	CustomerID  string       `json:"customer_id"`
	Method      string       `json:"method"`
	Amount      money.Amount `json:"amount"`
	Lines       []Line       `json:"lines"`
	Delivery    int64        `json:"delivery" doc:"Minor units, tax included"`
	DeliveryTax int64        `json:"delivery_tax" doc:"Included in the delivery"`
}

// CapturePayment takes the money for units that were dispatched; the delivery fee with the
// first ones. The answer is an event with the same reference.
type CapturePayment struct {
	OrderID   string  `json:"order_id"`
	Reference string  `json:"reference" doc:"The shipment's id; one capture a reference"`
	Lines     []Units `json:"lines"`
}

// VoidPayment gives up what is not captured, of some units or (no lines) of all. Units whose
// money was taken already are refunded. A payment that was never asked for, or is being
// asked for, is refused or voided as soon as the provider answers.
type VoidPayment struct {
	OrderID   string  `json:"order_id"`
	Reference string  `json:"reference" doc:"One void a reference"`
	Lines     []Units `json:"lines,omitzero"`
	Reason    string  `json:"reason"`
}

// RefundPayment gives captured money back: an amount, or the shares of units.
type RefundPayment struct {
	OrderID   string        `json:"order_id"`
	Reference string        `json:"reference" doc:"The return's id, or the id of a member of staff's request; one refund a reference"`
	Amount    *money.Amount `json:"amount,omitzero"`
	Lines     []Units       `json:"lines,omitzero"`
	Delivery  bool          `json:"delivery,omitzero" doc:"The delivery fee too"`
	Reason    string        `json:"reason"`
}

// Operation is what a provider was asked to do.
type Operation string

// The operations.
const (
	OperationAuthorize Operation = "authorize"
	OperationCapture   Operation = "capture"
	OperationVoid      Operation = "void"
	OperationRefund    Operation = "refund"
)

// Result is what a provider answered.
type Result string

// The results. A result that is unknown is settled by asking the provider again.
const (
	ResultDone           Result = "done"
	ResultDeclined       Result = "declined"
	ResultActionRequired Result = "action_required"
	ResultPending        Result = "pending" // a webhook will tell
	ResultUnknown        Result = "unknown" // no answer: it may have been done
)

// ReportPayment says what a provider answered, at once or by webhook. Reports may come in
// any order, twice, or hours late.
type ReportPayment struct {
	OrderID      string    `json:"order_id"`
	Operation    Operation `json:"operation"`
	Key          string    `json:"key" doc:"The idempotency key of the operation"`
	Result       Result    `json:"result"`
	Provider     string    `json:"provider"`
	ProviderRef  string    `json:"provider_ref,omitzero" doc:"The provider's name for the payment"`
	Amount       int64     `json:"amount,omitzero" doc:"Minor units"`
	Code         string    `json:"code,omitzero" doc:"Why it was declined"`
	ClientSecret string    `json:"client_secret,omitzero"`
	ExpiresAt    time.Time `json:"expires_at,omitzero" doc:"Of an authorisation"`
	OneCapture   bool      `json:"one_capture,omitzero" doc:"The method allows one capture only"`
}

// MessageType is the ce_type.
func (RequestPayment) MessageType() string { return TypeRequestPayment }

// MessageType is the ce_type.
func (CapturePayment) MessageType() string { return TypeCapturePayment }

// MessageType is the ce_type.
func (VoidPayment) MessageType() string { return TypeVoidPayment }

// MessageType is the ce_type.
func (RefundPayment) MessageType() string { return TypeRefundPayment }

// MessageType is the ce_type.
func (ReportPayment) MessageType() string { return TypeReportPayment }
