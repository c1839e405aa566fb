// Package ordering is the public contract of the ordering service: its commands, its
// events on ordering.events.v1, and what is personal of an order on ordering.personal.v1.
// Fields are added, never renamed or removed.
package ordering

import (
	"time"

	"github.com/orderlane/orderlane/pkg/money"
)

// Service is the service's name, in topics, types and the command line.
const Service = "ordering"

// The message types.
const (
	TypePlaceOrder    = "orderlane.ordering.place_order.v1"
	TypeChangeAddress = "orderlane.ordering.change_address.v1"

	TypeOrderPlaced         = "orderlane.ordering.order_placed.v1"
	TypeOrderAddressChanged = "orderlane.ordering.order_address_changed.v1"
	TypePersonal            = "orderlane.ordering.personal.v1"
)

// Limits of an order.
const (
	MaxLines    = 100
	MaxQuantity = 10_000 // of one line
)

// Status is how far an order has come.
type Status string

// StatusPlaced is an order that was accepted and waits for what comes next.
const StatusPlaced Status = "placed"

// PaymentStatus is how far an order's payment has come.
type PaymentStatus string

// PaymentPending is a payment that was not asked for yet.
const PaymentPending PaymentStatus = "pending"

// Wanted is one line of an order as a customer asks for it.
type Wanted struct {
	SKU      string `json:"sku" pattern:"^[A-Za-z0-9._-]{1,64}$" patternDescription:"a SKU: 1 to 64 of A-Z a-z 0-9 . _ -" example:"TEA-001"`
	Quantity int64  `json:"quantity" minimum:"1" maximum:"10000"`
}

// Address is where an order goes. It is personal.
type Address struct {
	Name       string `json:"name" minLength:"1" maxLength:"200" example:"Ada Lovelace"`
	Street     string `json:"street" minLength:"1" maxLength:"200" example:"12 St James Square"`
	PostalCode string `json:"postal_code,omitzero" maxLength:"20" required:"false" example:"SW1Y 4JH"`
	City       string `json:"city" minLength:"1" maxLength:"100" example:"London"`
	Country    string `json:"country" pattern:"^[A-Z]{2}$" patternDescription:"ISO 3166 country code" example:"GB"`
}

// Payment says how the customer pays.
type Payment struct {
	Method string `json:"method" minLength:"1" maxLength:"64" pattern:"^[a-z0-9_]+$" example:"sandbox_approve"`
}

// PlaceOrder places an order. Prices come from the ordering service's own price list.
type PlaceOrder struct {
	OrderID       string        `json:"order_id"`
	CustomerID    string        `json:"customer_id"`
	Email         string        `json:"email,omitzero"`
	Currency      string        `json:"currency"`
	Lines         []Wanted      `json:"lines"`
	ShipTo        Address       `json:"ship_to"`
	Delivery      string        `json:"delivery,omitzero"`
	DiscountCode  string        `json:"discount_code,omitzero"`
	Payment       Payment       `json:"payment"`
	ExpectedTotal *money.Amount `json:"expected_total,omitzero"`
}

// MessageType is the ce_type.
func (PlaceOrder) MessageType() string { return TypePlaceOrder }

// ChangeAddress changes where an order goes, until it is confirmed.
type ChangeAddress struct {
	OrderID string  `json:"order_id"`
	ShipTo  Address `json:"ship_to"`
}

// MessageType is the ce_type.
func (ChangeAddress) MessageType() string { return TypeChangeAddress }

// Line is one line of an order, with its share of everything frozen.
type Line struct {
	Line      int    `json:"line" doc:"From 1"`
	SKU       string `json:"sku"`
	Name      string `json:"name"`
	Quantity  int64  `json:"quantity"`
	UnitPrice int64  `json:"unit_price" doc:"Minor units, tax included"`
	Discount  int64  `json:"discount"`
	Tax       int64  `json:"tax" doc:"Included in the total"`
	Total     int64  `json:"total" doc:"quantity * unit_price - discount"`
	TaxRate   int64  `json:"tax_rate,omitzero" doc:"Basis points of the net price"`
	Backorder bool   `json:"backorder,omitzero" doc:"May wait for stock"`
}

// Totals are the sums of an order in minor units: lines + delivery - discount = total, and
// tax is included in it.
type Totals struct {
	Lines    int64 `json:"lines"`
	Delivery int64 `json:"delivery"`
	Discount int64 `json:"discount"`
	Tax      int64 `json:"tax"`
	Total    int64 `json:"total"`

	DeliveryTax int64 `json:"delivery_tax,omitzero" doc:"Of the delivery; included in tax"`
}

// OrderPlaced says all there is to say of a new order, but for what is personal.
type OrderPlaced struct {
	OrderID       string        `json:"order_id"`
	Version       int64         `json:"version"`
	Number        string        `json:"number" doc:"For people: short, speakable, unique" example:"4F7K-9QXM"`
	CustomerID    string        `json:"customer_id"`
	Status        Status        `json:"status"`
	PaymentStatus PaymentStatus `json:"payment_status"`
	Currency      string        `json:"currency"`
	PlacedAt      time.Time     `json:"placed_at"`
	Country       string        `json:"country"`
	Delivery      string        `json:"delivery"`
	PaymentMethod string        `json:"payment_method"`
	DiscountCode  string        `json:"discount_code,omitzero"`
	Lines         []Line        `json:"lines"`
	Totals        Totals        `json:"totals"`
}

// OrderAddressChanged says that the order goes elsewhere; where to is on the personal topic.
type OrderAddressChanged struct {
	OrderID string `json:"order_id"`
	Version int64  `json:"version"`
	Status  Status `json:"status"`
	Country string `json:"country"`
}

// Personal is all that is personal of an order. A tombstone says that it was erased.
type Personal struct {
	ShipTo Address `json:"ship_to"`
	Email  string  `json:"email,omitzero"`

	CancelReason  string            `json:"cancel_reason,omitzero" doc:"Why the customer thought better of it"`
	ReturnReasons map[string]string `json:"return_reasons,omitzero" doc:"What was wrong with units of the last return, by line"`
}
