package fulfilment

// The message types.
const (
	TypeFulfilmentStarted    = "orderlane.fulfilment.fulfilment_started.v1"
	TypeLineReserved         = "orderlane.fulfilment.line_reserved.v1"
	TypeLineBackordered      = "orderlane.fulfilment.line_backordered.v1"
	TypeLineRefused          = "orderlane.fulfilment.line_refused.v1"
	TypeLineExpired          = "orderlane.fulfilment.line_expired.v1"
	TypeLineAllocated        = "orderlane.fulfilment.line_allocated.v1"
	TypeLineReleased         = "orderlane.fulfilment.line_released.v1"
	TypePaymentActionAwaited = "orderlane.fulfilment.payment_action_awaited.v1"
	TypePaymentSecured       = "orderlane.fulfilment.payment_secured.v1"
	TypePaymentRefused       = "orderlane.fulfilment.payment_refused.v1"
	TypePaymentGivenUp       = "orderlane.fulfilment.payment_given_up.v1"
	TypeDiscountSecured      = "orderlane.fulfilment.discount_secured.v1"
	TypeDiscountRefused      = "orderlane.fulfilment.discount_refused.v1"
	TypeDiscountGivenBack    = "orderlane.fulfilment.discount_given_back.v1"
	TypeConfirmationNoted    = "orderlane.fulfilment.confirmation_noted.v1"
	TypeRejectionNoted       = "orderlane.fulfilment.rejection_noted.v1"
	TypeCancelTakenUp        = "orderlane.fulfilment.cancel_taken_up.v1"
	TypeCancellationNoted    = "orderlane.fulfilment.cancellation_noted.v1"
	TypeCancelRefusalNoted   = "orderlane.fulfilment.cancel_refusal_noted.v1"
	TypeShipmentKeptBack     = "orderlane.fulfilment.shipment_kept_back.v1"
	TypeShipmentNotKeptBack  = "orderlane.fulfilment.shipment_not_kept_back.v1"
	TypeDispatchNoted        = "orderlane.fulfilment.dispatch_noted.v1"
	TypeDeliveryNoted        = "orderlane.fulfilment.delivery_noted.v1"
	TypeCaptureDone          = "orderlane.fulfilment.capture_done.v1"
	TypeCaptureRefused       = "orderlane.fulfilment.capture_refused.v1"
	TypeReturnTakenUp        = "orderlane.fulfilment.return_taken_up.v1"
	TypeGoodsTakenBack       = "orderlane.fulfilment.goods_taken_back.v1"
	TypeReturnsLapsed        = "orderlane.fulfilment.returns_lapsed.v1"
	TypeRefundDone           = "orderlane.fulfilment.refund_done.v1"
	TypeRefundRefused        = "orderlane.fulfilment.refund_refused.v1"
	TypeAskedAgain           = "orderlane.fulfilment.asked_again.v1"
	TypeFulfilmentGivenUp    = "orderlane.fulfilment.fulfilment_given_up.v1"
)

// Units are some of the units of an order's line.
type Units struct {
	Line     int   `json:"line"`
	Quantity int64 `json:"quantity"`
}

// LineMoved says where a line's stock stands.
type LineMoved struct {
	Progress
	Line   int    `json:"line"`
	Reason string `json:"reason,omitzero" example:"out_of_stock"`
}

// PaymentMoved says where the authorisation of the money stands.
type PaymentMoved struct {
	Progress
	Code string `json:"code,omitzero" doc:"Why it was refused" example:"card_declined"`
}

// PaymentGivenUp says that money will not be taken, of lines or of all.
type PaymentGivenUp struct {
	Progress
	Reference string `json:"reference" doc:"Of the void" example:"cancel-4"`
}

// CancelTakenUp says that somebody wants to give up lines, or (none named) the whole order.
type CancelTakenUp struct {
	Progress
	Lines []int `json:"lines,omitzero"`
}

// ShipmentMoved says how far a shipment has come, or whether it could be kept back.
type ShipmentMoved struct {
	Progress
	ShipmentID string `json:"shipment_id"`
}

// CaptureSettled says that the money for a shipment was taken or refused.
type CaptureSettled struct {
	Progress
	ShipmentID string `json:"shipment_id"`
	Code       string `json:"code,omitzero" doc:"Why it was refused"`
}

// ReturnMoved says what is expected back, or what has come back.
type ReturnMoved struct {
	Progress
	ReturnID string  `json:"return_id"`
	Lines    []Units `json:"lines"`
}

// RefundSettled says that the money for returned goods was given back, or that it could not be. Of refunds that
// others have asked for it says those that have failed; with the code provider_silent they are asked for again.
type RefundSettled struct {
	Progress
	Reference string `json:"reference" doc:"The return's id, and which part of it; or what others have asked for the refund by"`
	Code      string `json:"code,omitzero" doc:"Why it was refused"`
}

// AskedAgain says that nobody has answered in time, and that all questions were asked again.
type AskedAgain struct {
	Progress
	Attempt int `json:"attempt" doc:"From 1, since something last moved"`
}
