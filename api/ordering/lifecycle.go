package ordering

import "time"

// The message types of an order's life after it was placed.
const (
	TypeRequestCancel = "orderlane.ordering.request_cancel.v1"
	TypeRequestReturn = "orderlane.ordering.request_return.v1"

	TypeConfirmOrder  = "orderlane.ordering.confirm_order.v1"
	TypeRejectOrder   = "orderlane.ordering.reject_order.v1"
	TypeCancelOrder   = "orderlane.ordering.cancel_order.v1"
	TypeRefuseCancel  = "orderlane.ordering.refuse_cancel.v1"
	TypeMarkShipped   = "orderlane.ordering.mark_shipped.v1"
	TypeMarkDelivered = "orderlane.ordering.mark_delivered.v1"
	TypeMarkReturned  = "orderlane.ordering.mark_returned.v1"

	TypeOrderConfirmed       = "orderlane.ordering.order_confirmed.v1"
	TypeOrderRejected        = "orderlane.ordering.order_rejected.v1"
	TypeOrderCancelRequested = "orderlane.ordering.order_cancel_requested.v1"
	TypeOrderCancelRefused   = "orderlane.ordering.order_cancel_refused.v1"
	TypeOrderCancelled       = "orderlane.ordering.order_cancelled.v1"
	TypeOrderShipped         = "orderlane.ordering.order_shipped.v1"
	TypeOrderDelivered       = "orderlane.ordering.order_delivered.v1"
	TypeReturnRequested      = "orderlane.ordering.return_requested.v1"
	TypeOrderReturned        = "orderlane.ordering.order_returned.v1"
)

// The statuses of an order after StatusPlaced.
const (
	StatusConfirmed        Status = "confirmed"
	StatusPartiallyShipped Status = "partially_shipped"
	StatusShipped          Status = "shipped"
	StatusDelivered        Status = "delivered"
	StatusRejected         Status = "rejected"
	StatusCancelling       Status = "cancelling"
	StatusCancelled        Status = "cancelled"
	StatusReturned         Status = "returned"
)

// Why an order was rejected.
const (
	ReasonOutOfStock      = "out_of_stock"
	ReasonPaymentDeclined = "payment_declined"
	ReasonPaymentExpired  = "payment_expired" // nobody completed it in time
	ReasonDiscountUsedUp  = "discount_used_up"
	ReasonTimeout         = "timed_out" // a part did not answer in time
)

// Units are some of the units of an order's line.
type Units struct {
	Line     int   `json:"line" minimum:"1" maximum:"100"`
	Quantity int64 `json:"quantity" minimum:"1" maximum:"10000"`
}

// WantedReturn is what a customer wants to send back of a line, and why. The reason is personal.
type WantedReturn struct {
	Line     int    `json:"line" minimum:"1" maximum:"100"`
	Quantity int64  `json:"quantity" minimum:"1" maximum:"10000"`
	Reason   string `json:"reason,omitzero" maxLength:"500" required:"false" example:"chipped"`
}

// RequestCancel asks to give up an order, or some of its lines, until they are dispatched. What
// is on its way then is found out by the shipping service.
type RequestCancel struct {
	OrderID string `json:"order_id"`
	Lines   []int  `json:"lines,omitzero" doc:"None: the whole order"`
	Reason  string `json:"reason,omitzero" doc:"Personal"`
}

// RequestReturn asks to send delivered units back.
type RequestReturn struct {
	OrderID  string         `json:"order_id"`
	ReturnID string         `json:"return_id"`
	Lines    []WantedReturn `json:"lines"`
}

// ConfirmOrder says that stock and money are there. The address is frozen from then on.
type ConfirmOrder struct {
	OrderID string `json:"order_id"`
}

// RejectOrder says that an order can't be met.
type RejectOrder struct {
	OrderID string `json:"order_id"`
	Reason  string `json:"reason"`
	Detail  string `json:"detail,omitzero"`
}

// CancelOrder says that lines, or (none named) all, were given up.
type CancelOrder struct {
	OrderID string `json:"order_id"`
	Lines   []int  `json:"lines,omitzero"`
}

// RefuseCancel says that it was too late to cancel: the order is what it was.
type RefuseCancel struct {
	OrderID string `json:"order_id"`
	Reason  string `json:"reason" example:"already_dispatched"`
}

// MarkShipped says that a shipment is on its way.
type MarkShipped struct {
	OrderID    string  `json:"order_id"`
	ShipmentID string  `json:"shipment_id"`
	Lines      []Units `json:"lines"`
}

// MarkDelivered says that a shipment has arrived.
type MarkDelivered struct {
	OrderID    string  `json:"order_id"`
	ShipmentID string  `json:"shipment_id"`
	Lines      []Units `json:"lines"`
}

// MarkReturned says that goods came back, all of a return or a part.
type MarkReturned struct {
	OrderID  string  `json:"order_id"`
	ReturnID string  `json:"return_id"`
	Part     int64   `json:"part" doc:"Of the return, rising: the version of its event; one effect a part"`
	Lines    []Units `json:"lines"`
}

// MessageType is the ce_type.
func (RequestCancel) MessageType() string { return TypeRequestCancel }

// MessageType is the ce_type.
func (RequestReturn) MessageType() string { return TypeRequestReturn }

// MessageType is the ce_type.
func (ConfirmOrder) MessageType() string { return TypeConfirmOrder }

// MessageType is the ce_type.
func (RejectOrder) MessageType() string { return TypeRejectOrder }

// MessageType is the ce_type.
func (CancelOrder) MessageType() string { return TypeCancelOrder }

// MessageType is the ce_type.
func (RefuseCancel) MessageType() string { return TypeRefuseCancel }

// MessageType is the ce_type.
func (MarkShipped) MessageType() string { return TypeMarkShipped }

// MessageType is the ce_type.
func (MarkDelivered) MessageType() string { return TypeMarkDelivered }

// MessageType is the ce_type.
func (MarkReturned) MessageType() string { return TypeMarkReturned }

// Change is what every event of an order says.
type Change struct {
	OrderID    string    `json:"order_id"`
	Version    int64     `json:"version"`
	Status     Status    `json:"status"`
	CustomerID string    `json:"customer_id"`
	At         time.Time `json:"at"`
}

// OrderConfirmed says that stock and money are there.
type OrderConfirmed struct{ Change }

// OrderRejected says that an order was not met, and why.
type OrderRejected struct {
	Change
	Reason string `json:"reason" example:"out_of_stock"`
	Detail string `json:"detail,omitzero"`
}

// OrderCancelRequested says that somebody wants to give up an order or lines of it. Why is on
// the personal topic.
type OrderCancelRequested struct {
	Change
	Lines []int `json:"lines,omitzero" doc:"None: the whole order"`
}

// OrderCancelRefused says that it was too late, and that the order is what it was.
type OrderCancelRefused struct {
	Change
	Lines  []int  `json:"lines,omitzero"`
	Reason string `json:"reason" example:"already_dispatched"`
}

// OrderCancelled says that lines of an order, or all of it, were given up. Nothing is held for
// them any more.
type OrderCancelled struct {
	Change
	Lines   []int `json:"lines"`
	Partial bool  `json:"partial" doc:"Other lines go on"`
}

// OrderShipped says that units are on their way.
type OrderShipped struct {
	Change
	ShipmentID string  `json:"shipment_id"`
	Lines      []Units `json:"lines"`
	Partial    bool    `json:"partial" doc:"Other units are still to be shipped"`
}

// OrderDelivered says that units have arrived.
type OrderDelivered struct {
	Change
	ShipmentID string  `json:"shipment_id"`
	Lines      []Units `json:"lines"`
	Partial    bool    `json:"partial" doc:"Other units are still to be delivered"`
}

// ReturnRequested says what a customer wants to send back.
type ReturnRequested struct {
	Change
	ReturnID string  `json:"return_id"`
	Lines    []Units `json:"lines"`
}

// OrderReturned says that units came back.
type OrderReturned struct {
	Change
	ReturnID string  `json:"return_id"`
	Lines    []Units `json:"lines"`
	Partial  bool    `json:"partial" doc:"Other units were kept"`
}

// MessageType is the ce_type.
func (OrderPlaced) MessageType() string { return TypeOrderPlaced }

// MessageType is the ce_type.
func (OrderConfirmed) MessageType() string { return TypeOrderConfirmed }

// MessageType is the ce_type.
func (OrderRejected) MessageType() string { return TypeOrderRejected }

// MessageType is the ce_type.
func (OrderCancelRequested) MessageType() string { return TypeOrderCancelRequested }

// MessageType is the ce_type.
func (OrderCancelRefused) MessageType() string { return TypeOrderCancelRefused }

// MessageType is the ce_type.
func (OrderCancelled) MessageType() string { return TypeOrderCancelled }

// MessageType is the ce_type.
func (OrderShipped) MessageType() string { return TypeOrderShipped }

// MessageType is the ce_type.
func (OrderDelivered) MessageType() string { return TypeOrderDelivered }

// MessageType is the ce_type.
func (ReturnRequested) MessageType() string { return TypeReturnRequested }

// MessageType is the ce_type.
func (OrderReturned) MessageType() string { return TypeOrderReturned }
