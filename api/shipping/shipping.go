// Package shipping is the public contract of the shipping service: its commands, and its
// events on shipping.events.v1. It has two kinds of streams: shipment-<id>, of what goes to a
// customer from one location, and return-<id>, of what comes back. Fields are added, never
// renamed or removed.
package shipping

import "time"

// Service is the service's name, in topics, types and the command line.
const Service = "shipping"

// The first parts of the streams' names.
const (
	CategoryShipment = "shipment"
	CategoryReturn   = "return"
)

// The message types.
const (
	TypeCreateShipment   = "orderlane.shipping.create_shipment.v1"
	TypeDispatchShipment = "orderlane.shipping.dispatch_shipment.v1"
	TypeDeliverShipment  = "orderlane.shipping.deliver_shipment.v1"
	TypeCancelShipment   = "orderlane.shipping.cancel_shipment.v1"
	TypeOpenReturn       = "orderlane.shipping.open_return.v1"
	TypeReceiveReturn    = "orderlane.shipping.receive_return.v1"

	TypeShipmentCreated       = "orderlane.shipping.shipment_created.v1"
	TypeShipmentDispatched    = "orderlane.shipping.shipment_dispatched.v1"
	TypeShipmentDelivered     = "orderlane.shipping.shipment_delivered.v1"
	TypeShipmentCancelled     = "orderlane.shipping.shipment_cancelled.v1"
	TypeShipmentCancelRefused = "orderlane.shipping.shipment_cancel_refused.v1"
	TypeReturnOpened          = "orderlane.shipping.return_opened.v1"
	TypeReturnReceived        = "orderlane.shipping.return_received.v1"
)

// Status is how far a shipment has come.
type Status string

// The statuses of a shipment.
const (
	StatusCreated    Status = "created"
	StatusDispatched Status = "dispatched"
	StatusDelivered  Status = "delivered"
	StatusCancelled  Status = "cancelled"
)

// ReturnStatus is how far a return has come.
type ReturnStatus string

// The statuses of a return.
const (
	ReturnExpected ReturnStatus = "open"
	ReturnInPart   ReturnStatus = "partially_received"
	ReturnComplete ReturnStatus = "received"
)

// Item is a number of units of an order's line.
type Item struct {
	Line     int    `json:"line"`
	SKU      string `json:"sku"`
	Quantity int64  `json:"quantity"`
}

// CreateShipment prepares what goes out from one location, once.
type CreateShipment struct {
	ShipmentID string `json:"shipment_id"`
	OrderID    string `json:"order_id"`
	CustomerID string `json:"customer_id"`
	Location   string `json:"location"`
	Items      []Item `json:"items"`
}

// DispatchShipment hands a shipment to a carrier.
type DispatchShipment struct {
	ShipmentID string `json:"shipment_id"`
	Carrier    string `json:"carrier"`
	Tracking   string `json:"tracking,omitzero"`
}

// DeliverShipment says that a shipment has arrived.
type DeliverShipment struct {
	ShipmentID string `json:"shipment_id"`
}

// CancelShipment takes lines out of a shipment, or (no lines) gives it up, unless it was
// dispatched. The answer is an event with the same reference, also for a shipment that is not known yet: it is
// then never created.
type CancelShipment struct {
	ShipmentID string `json:"shipment_id"`
	OrderID    string `json:"order_id"`
	Reference  string `json:"reference" doc:"One answer a reference"`
	Lines      []int  `json:"lines,omitzero"`
}

// OpenReturn expects goods back from a customer.
type OpenReturn struct {
	ReturnID   string `json:"return_id"`
	OrderID    string `json:"order_id"`
	CustomerID string `json:"customer_id"`
	Location   string `json:"location" doc:"Where they are expected"`
	Items      []Item `json:"items"`
}

// Received is what came back of a line, and whether it goes back into stock.
type Received struct {
	Line     int   `json:"line" minimum:"1" maximum:"100"`
	Quantity int64 `json:"quantity" minimum:"1" maximum:"10000"`
	Restock  bool  `json:"restock"`
}

// ReceiveReturn says that goods came back, all of a return or a part.
type ReceiveReturn struct {
	ReturnID string     `json:"return_id"`
	Lines    []Received `json:"lines"`
}

// MessageType is the ce_type.
func (CreateShipment) MessageType() string { return TypeCreateShipment }

// MessageType is the ce_type.
func (DispatchShipment) MessageType() string { return TypeDispatchShipment }

// MessageType is the ce_type.
func (DeliverShipment) MessageType() string { return TypeDeliverShipment }

// MessageType is the ce_type.
func (CancelShipment) MessageType() string { return TypeCancelShipment }

// MessageType is the ce_type.
func (OpenReturn) MessageType() string { return TypeOpenReturn }

// MessageType is the ce_type.
func (ReceiveReturn) MessageType() string { return TypeReceiveReturn }

// ShipmentCreated says what will go out from where.
type ShipmentCreated struct {
	ShipmentID string    `json:"shipment_id"`
	Version    int64     `json:"version"`
	OrderID    string    `json:"order_id"`
	CustomerID string    `json:"customer_id"`
	Status     Status    `json:"status"`
	Location   string    `json:"location"`
	Items      []Item    `json:"items"`
	At         time.Time `json:"at"`
}

// ShipmentDispatched says that a shipment is on its way.
type ShipmentDispatched struct {
	ShipmentID string    `json:"shipment_id"`
	Version    int64     `json:"version"`
	OrderID    string    `json:"order_id"`
	CustomerID string    `json:"customer_id"`
	Status     Status    `json:"status"`
	Location   string    `json:"location"`
	Items      []Item    `json:"items"`
	Carrier    string    `json:"carrier"`
	Tracking   string    `json:"tracking,omitzero"`
	At         time.Time `json:"at"`
}

// ShipmentDelivered says that a shipment has arrived.
type ShipmentDelivered struct {
	ShipmentID string    `json:"shipment_id"`
	Version    int64     `json:"version"`
	OrderID    string    `json:"order_id"`
	CustomerID string    `json:"customer_id"`
	Status     Status    `json:"status"`
	Items      []Item    `json:"items"`
	At         time.Time `json:"at"`
}

// ShipmentCancelled says that items will not go out, and which ones still will.
type ShipmentCancelled struct {
	ShipmentID string    `json:"shipment_id"`
	Version    int64     `json:"version"`
	OrderID    string    `json:"order_id"`
	CustomerID string    `json:"customer_id,omitzero"`
	Reference  string    `json:"reference"`
	Status     Status    `json:"status" doc:"cancelled once nothing is left"`
	Cancelled  []Item    `json:"cancelled"`
	Left       []Item    `json:"left"`
	At         time.Time `json:"at"`
}

// ShipmentCancelRefused says that it was too late to cancel.
type ShipmentCancelRefused struct {
	ShipmentID string    `json:"shipment_id"`
	Version    int64     `json:"version"`
	OrderID    string    `json:"order_id"`
	Reference  string    `json:"reference"`
	Status     Status    `json:"status"`
	Reason     string    `json:"reason" example:"already_dispatched"`
	At         time.Time `json:"at"`
}

// ReturnOpened says what is expected back.
type ReturnOpened struct {
	ReturnID   string       `json:"return_id"`
	Version    int64        `json:"version"`
	OrderID    string       `json:"order_id"`
	CustomerID string       `json:"customer_id"`
	Status     ReturnStatus `json:"status"`
	Location   string       `json:"location"`
	Items      []Item       `json:"items"`
	At         time.Time    `json:"at"`
}

// ReceivedItem is what came back of a line.
type ReceivedItem struct {
	Item
	Restock bool `json:"restock"`
}

// ReturnReceived says what came back, this time and what is still expected.
type ReturnReceived struct {
	ReturnID   string         `json:"return_id"`
	Version    int64          `json:"version"`
	OrderID    string         `json:"order_id"`
	CustomerID string         `json:"customer_id"`
	Status     ReturnStatus   `json:"status"`
	Location   string         `json:"location"`
	Items      []ReceivedItem `json:"items"`
	Expected   []Item         `json:"expected" doc:"Still to come"`
	At         time.Time      `json:"at"`
}

// MessageType is the ce_type.
func (ShipmentCreated) MessageType() string { return TypeShipmentCreated }

// MessageType is the ce_type.
func (ShipmentDispatched) MessageType() string { return TypeShipmentDispatched }

// MessageType is the ce_type.
func (ShipmentDelivered) MessageType() string { return TypeShipmentDelivered }

// MessageType is the ce_type.
func (ShipmentCancelled) MessageType() string { return TypeShipmentCancelled }

// MessageType is the ce_type.
func (ShipmentCancelRefused) MessageType() string { return TypeShipmentCancelRefused }

// MessageType is the ce_type.
func (ReturnOpened) MessageType() string { return TypeReturnOpened }

// MessageType is the ce_type.
func (ReturnReceived) MessageType() string { return TypeReturnReceived }
