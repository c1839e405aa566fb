// Package catalog is the public contract of the catalog service: its commands, and its
// events on catalog.events.v1. Fields are added, never renamed or removed.
package catalog

import "github.com/orderlane/orderlane/pkg/money"

// Service is the service's name, in topics, types and the command line.
const Service = "catalog"

// The message types.
const (
	TypeDefineProduct   = "orderlane.catalog.define_product.v1"
	TypeChangePrice     = "orderlane.catalog.change_price.v1"
	TypeWithdrawProduct = "orderlane.catalog.withdraw_product.v1"

	TypeProductDefined      = "orderlane.catalog.product_defined.v1"
	TypeProductPriceChanged = "orderlane.catalog.product_price_changed.v1"
	TypeProductWithdrawn    = "orderlane.catalog.product_withdrawn.v1"
)

// Details is what a product is defined or revised with.
type Details struct {
	Name        string            `json:"name" minLength:"1" maxLength:"200" example:"Assam tea, 250 g"`
	Description string            `json:"description,omitzero" maxLength:"4000" required:"false"`
	Category    string            `json:"category,omitzero" maxLength:"64" required:"false" example:"tea"`
	Price       money.Amount      `json:"price" doc:"Price of one, tax included"`
	TaxClass    string            `json:"tax_class,omitzero" enum:"standard,reduced,zero" default:"standard" required:"false"`
	Backorder   bool              `json:"backorder,omitzero" required:"false" doc:"May be ordered while it is out of stock"`
	Attributes  map[string]string `json:"attributes,omitzero" maxProperties:"50" required:"false"`
}

// The tax classes.
const (
	TaxStandard = "standard"
	TaxReduced  = "reduced"
	TaxZero     = "zero"
)

// DefineProduct defines a product, or revises it and puts it back on sale.
type DefineProduct struct {
	SKU     string  `json:"sku"`
	Details Details `json:"details"`
}

// MessageType is the ce_type.
func (DefineProduct) MessageType() string { return TypeDefineProduct }

// ChangePrice changes the price of a product on sale, in the currency that it has.
type ChangePrice struct {
	SKU   string       `json:"sku"`
	Price money.Amount `json:"price"`
}

// MessageType is the ce_type.
func (ChangePrice) MessageType() string { return TypeChangePrice }

// WithdrawProduct takes a product off sale.
type WithdrawProduct struct {
	SKU string `json:"sku"`
}

// MessageType is the ce_type.
func (WithdrawProduct) MessageType() string { return TypeWithdrawProduct }

// ProductDefined says all there is to say of a product that is on sale from now on.
type ProductDefined struct {
	SKU     string `json:"sku"`
	Version int64  `json:"version"`
	Details
}

// ProductPriceChanged says what one costs from now on.
type ProductPriceChanged struct {
	SKU      string       `json:"sku"`
	Version  int64        `json:"version"`
	Price    money.Amount `json:"price"`
	Previous money.Amount `json:"previous"`
}

// ProductWithdrawn says that a product is not on sale any more.
type ProductWithdrawn struct {
	SKU     string `json:"sku"`
	Version int64  `json:"version"`
}
