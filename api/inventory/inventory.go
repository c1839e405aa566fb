// Package inventory is the public contract of the inventory service: its commands, and its
// events on inventory.events.v1. A stream is the stock of one SKU at all its locations,
// stock-<sku>. Fields are added, never renamed or removed.
package inventory

import "time"

// Service is the service's name, in topics, types and the command line.
const Service = "inventory"

// Category is the first part of the streams' names.
const Category = "stock"

// The message types.
const (
	TypeReceiveStock   = "orderlane.inventory.receive_stock.v1"
	TypeAdjustStock    = "orderlane.inventory.adjust_stock.v1"
	TypeSetSafetyStock = "orderlane.inventory.set_safety_stock.v1"
	TypeReserveStock   = "orderlane.inventory.reserve_stock.v1"
	TypeAllocateStock  = "orderlane.inventory.allocate_stock.v1"
	TypeReleaseStock   = "orderlane.inventory.release_stock.v1"
	TypeDispatchStock  = "orderlane.inventory.dispatch_stock.v1"
	TypeTakeBackStock  = "orderlane.inventory.take_back_stock.v1"

	TypeStockReceived           = "orderlane.inventory.stock_received.v1"
	TypeStockAdjusted           = "orderlane.inventory.stock_adjusted.v1"
	TypeSafetyStockSet          = "orderlane.inventory.safety_stock_set.v1"
	TypeStockReserved           = "orderlane.inventory.stock_reserved.v1"
	TypeStockBackordered        = "orderlane.inventory.stock_backordered.v1"
	TypeStockReservationRefused = "orderlane.inventory.stock_reservation_refused.v1"
	TypeStockAllocated          = "orderlane.inventory.stock_allocated.v1"
	TypeStockReleased           = "orderlane.inventory.stock_released.v1"
	TypeStockDispatched         = "orderlane.inventory.stock_dispatched.v1"
	TypeStockReturned           = "orderlane.inventory.stock_returned.v1"
)

// ReservationTime is how long a reservation lasts unless it is allocated, by default.
const ReservationTime = 30 * time.Minute

// Why a reservation was refused or released.
const (
	ReasonOutOfStock = "out_of_stock"
	ReasonExpired    = "expired"
	ReasonReleased   = "released" // before it was made
	ReasonUnknown    = "unknown"  // nothing is reserved for the line
)

// Part is a quantity at one location.
type Part struct {
	Location string `json:"location"`
	Quantity int64  `json:"quantity"`
}

// Level is what a location holds after an event.
type Level struct {
	Location string `json:"location"`
	OnHand   int64  `json:"on_hand"`
	Reserved int64  `json:"reserved" doc:"Of what is on hand; allocated quantities included"`
}

// Levels say what there is after an event: every location that it changed, and what is
// available of the SKU at all locations: on hand - reserved - safety stock, never below zero.
type Levels struct {
	Locations []Level `json:"locations"`
	Available int64   `json:"available"`
}

// Line names an order's line, which has at most one reservation.
type Line struct {
	OrderID string `json:"order_id"`
	Line    int    `json:"line"`
}

// ReceiveStock takes goods in at a location.
type ReceiveStock struct {
	SKU      string `json:"sku"`
	Location string `json:"location"`
	Quantity int64  `json:"quantity"`
}

// AdjustStock corrects a count, up or down. What is reserved can't be taken away.
type AdjustStock struct {
	SKU      string `json:"sku"`
	Location string `json:"location"`
	Quantity int64  `json:"quantity"`
	Reason   string `json:"reason"`
}

// SetSafetyStock sets how much is never sold of what is on hand, at all locations together.
type SetSafetyStock struct {
	SKU      string `json:"sku"`
	Quantity int64  `json:"quantity"`
}

// ReserveStock reserves stock for a line, all or nothing, from one location if one has enough,
// and from several otherwise. The answer is an event: reserved, refused, or, if the line may wait
// for stock, back-ordered. Lines that wait are served in order of arrival. None overtakes
// another: while a line waits, nothing is available to lines that come later.
type ReserveStock struct {
	SKU string `json:"sku"`
	Line
	Quantity  int64 `json:"quantity"`
	Backorder bool  `json:"backorder,omitzero" doc:"May wait for stock, and does not expire while it waits"`
}

// AllocateStock makes a reservation firm. One that has expired is made anew if there is stock,
// and refused otherwise.
type AllocateStock struct {
	SKU string `json:"sku"`
	Line
	Quantity int64 `json:"quantity,omitzero" doc:"The line's, to make a reservation anew that has expired so long ago that it is forgotten"`
}

// ReleaseStock gives a reservation up, allocated or not, in whole. A later reservation of the
// same line is refused.
type ReleaseStock struct {
	SKU string `json:"sku"`
	Line
	Reason string `json:"reason"`
}

// DispatchStock takes allocated goods away: they are on their way to the customer.
type DispatchStock struct {
	SKU string `json:"sku"`
	Line
	ShipmentID string `json:"shipment_id"`
	Location   string `json:"location"`
	Quantity   int64  `json:"quantity"`
}

// TakeBackStock puts returned goods back into stock, once for a line and a reference.
type TakeBackStock struct {
	SKU string `json:"sku"`
	Line
	ReturnID  string `json:"return_id"`
	Reference string `json:"reference,omitzero" doc:"Tells one arrival of a return from another; the return's id if left out"`
	Location  string `json:"location"`
	Quantity  int64  `json:"quantity"`
}

// MessageType is the ce_type.
func (ReceiveStock) MessageType() string { return TypeReceiveStock }

// MessageType is the ce_type.
func (AdjustStock) MessageType() string { return TypeAdjustStock }

// MessageType is the ce_type.
func (SetSafetyStock) MessageType() string { return TypeSetSafetyStock }

// MessageType is the ce_type.
func (ReserveStock) MessageType() string { return TypeReserveStock }

// MessageType is the ce_type.
func (AllocateStock) MessageType() string { return TypeAllocateStock }

// MessageType is the ce_type.
func (ReleaseStock) MessageType() string { return TypeReleaseStock }

// MessageType is the ce_type.
func (DispatchStock) MessageType() string { return TypeDispatchStock }

// MessageType is the ce_type.
func (TakeBackStock) MessageType() string { return TypeTakeBackStock }
