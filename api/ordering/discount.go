package ordering

import (
	"time"

	"github.com/orderlane/orderlane/pkg/money"
)

// Discount codes. A code is a stream of its own, discount-<code>.

// CategoryDiscount is the first part of the names of discount codes' streams.
const CategoryDiscount = "discount"

// The message types of discount codes.
const (
	TypeDefineDiscount  = "orderlane.ordering.define_discount.v1"
	TypeRedeemDiscount  = "orderlane.ordering.redeem_discount.v1"
	TypeReleaseDiscount = "orderlane.ordering.release_discount.v1"

	TypeDiscountDefined           = "orderlane.ordering.discount_defined.v1"
	TypeDiscountRedeemed          = "orderlane.ordering.discount_redeemed.v1"
	TypeDiscountRedemptionRefused = "orderlane.ordering.discount_redemption_refused.v1"
	TypeDiscountReleased          = "orderlane.ordering.discount_released.v1"
)

// DiscountTerms are what a code takes off an order, and when. It takes off a percentage or a
// fixed amount of the sum of the lines, and never more than that.
type DiscountTerms struct {
	Percent    int           `json:"percent,omitzero" minimum:"1" maximum:"100" required:"false"`
	Amount     *money.Amount `json:"amount,omitzero" required:"false"`
	ValidFrom  time.Time     `json:"valid_from,omitzero" required:"false"`
	ValidUntil time.Time     `json:"valid_until,omitzero" required:"false"`
	MaxUses    int64         `json:"max_uses,omitzero" minimum:"1" required:"false" doc:"None: any number"`
}

// DefineDiscount defines or revises a discount code.
type DefineDiscount struct {
	Code  string        `json:"code"`
	Terms DiscountTerms `json:"terms"`
}

// RedeemDiscount uses a code up for an order, once an order.
type RedeemDiscount struct {
	Code    string `json:"code"`
	OrderID string `json:"order_id"`
}

// ReleaseDiscount gives back the use of an order that came to nothing.
type ReleaseDiscount struct {
	Code    string `json:"code"`
	OrderID string `json:"order_id"`
}

// DiscountDefined says what a code takes off from now on.
type DiscountDefined struct {
	Code    string        `json:"code"`
	Version int64         `json:"version"`
	Terms   DiscountTerms `json:"terms"`
}

// DiscountRedeemed says that an order used a code.
type DiscountRedeemed struct {
	Code    string `json:"code"`
	Version int64  `json:"version"`
	OrderID string `json:"order_id"`
	Uses    int64  `json:"uses"`
}

// DiscountRedemptionRefused says that an order may not use a code after all.
type DiscountRedemptionRefused struct {
	Code    string `json:"code"`
	Version int64  `json:"version"`
	OrderID string `json:"order_id"`
	Reason  string `json:"reason" example:"used_up"`
}

// DiscountReleased says that an order does not use a code any more, and never will.
type DiscountReleased struct {
	Code    string `json:"code"`
	Version int64  `json:"version"`
	OrderID string `json:"order_id"`
	Uses    int64  `json:"uses"`
}

// MessageType is the ce_type.
func (DefineDiscount) MessageType() string { return TypeDefineDiscount }

// MessageType is the ce_type.
func (RedeemDiscount) MessageType() string { return TypeRedeemDiscount }

// MessageType is the ce_type.
func (ReleaseDiscount) MessageType() string { return TypeReleaseDiscount }

// MessageType is the ce_type.
func (DiscountRedeemed) MessageType() string { return TypeDiscountRedeemed }

// MessageType is the ce_type.
func (DiscountRedemptionRefused) MessageType() string { return TypeDiscountRedemptionRefused }

// MessageType is the ce_type.
func (DiscountReleased) MessageType() string { return TypeDiscountReleased }
