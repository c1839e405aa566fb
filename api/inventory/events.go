package inventory

import "time"

// StockReceived says that goods came in.
type StockReceived struct {
	SKU      string `json:"sku"`
	Version  int64  `json:"version"`
	Location string `json:"location"`
	Quantity int64  `json:"quantity"`
	Levels   Levels `json:"levels"`
}

// StockAdjusted says that a count was corrected.
type StockAdjusted struct {
	SKU      string `json:"sku"`
	Version  int64  `json:"version"`
	Location string `json:"location"`
	Quantity int64  `json:"quantity" doc:"The difference"`
	Reason   string `json:"reason"`
	Levels   Levels `json:"levels"`
}

// SafetyStockSet says how much is never sold of what is on hand.
type SafetyStockSet struct {
	SKU      string `json:"sku"`
	Version  int64  `json:"version"`
	Quantity int64  `json:"quantity"`
	Levels   Levels `json:"levels"`
}

// StockReserved says that a line's whole quantity is kept for it, and where.
type StockReserved struct {
	SKU     string `json:"sku"`
	Version int64  `json:"version"`
	Line
	Quantity  int64     `json:"quantity"`
	Parts     []Part    `json:"parts"`
	ExpiresAt time.Time `json:"expires_at" doc:"Unless it is allocated by then"`
	Levels    Levels    `json:"levels"`
}

// StockBackordered says that a line waits for stock; it is reserved when enough came in.
type StockBackordered struct {
	SKU     string `json:"sku"`
	Version int64  `json:"version"`
	Line
	Quantity  int64 `json:"quantity"`
	Available int64 `json:"available"`
}

// StockReservationRefused says that nothing is kept for a line, and why.
type StockReservationRefused struct {
	SKU     string `json:"sku"`
	Version int64  `json:"version"`
	Line
	Quantity  int64  `json:"quantity"`
	Available int64  `json:"available"`
	Reason    string `json:"reason" enum:"out_of_stock,expired,released,unknown"`
}

// StockAllocated says that a reservation is firm: it does not expire any more.
type StockAllocated struct {
	SKU     string `json:"sku"`
	Version int64  `json:"version"`
	Line
	Quantity int64  `json:"quantity"`
	Parts    []Part `json:"parts"`
	Levels   Levels `json:"levels"`
}

// StockReleased says that nothing is kept for a line any more.
type StockReleased struct {
	SKU     string `json:"sku"`
	Version int64  `json:"version"`
	Line
	Quantity int64  `json:"quantity" doc:"What was kept; 0 if nothing was"`
	Parts    []Part `json:"parts"`
	Reason   string `json:"reason"`
	Levels   Levels `json:"levels"`
}

// StockDispatched says that goods left a location for a customer.
type StockDispatched struct {
	SKU     string `json:"sku"`
	Version int64  `json:"version"`
	Line
	ShipmentID string `json:"shipment_id"`
	Location   string `json:"location"`
	Quantity   int64  `json:"quantity"`
	Levels     Levels `json:"levels"`
}

// StockReturned says that goods came back into stock.
type StockReturned struct {
	SKU     string `json:"sku"`
	Version int64  `json:"version"`
	Line
	ReturnID  string `json:"return_id"`
	Reference string `json:"reference" doc:"Tells one arrival of a return from another"`
	Location  string `json:"location"`
	Quantity  int64  `json:"quantity"`
	Levels    Levels `json:"levels"`
}

// MessageType is the ce_type.
func (StockReserved) MessageType() string { return TypeStockReserved }

// MessageType is the ce_type.
func (StockBackordered) MessageType() string { return TypeStockBackordered }

// MessageType is the ce_type.
func (StockReservationRefused) MessageType() string { return TypeStockReservationRefused }

// MessageType is the ce_type.
func (StockAllocated) MessageType() string { return TypeStockAllocated }

// MessageType is the ce_type.
func (StockReleased) MessageType() string { return TypeStockReleased }

// MessageType is the ce_type.
func (StockDispatched) MessageType() string { return TypeStockDispatched }

// MessageType is the ce_type.
func (StockReturned) MessageType() string { return TypeStockReturned }
