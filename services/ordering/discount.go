package ordering

import (
	"regexp"
	"time"

	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/fault"
	"github.com/orderlane/orderlane/pkg/money"
)

// maxUses bounds the uses of a limited code: its state knows each order that uses it.
const maxUses = 100_000

// Discount is what decisions need to know of a discount code: the fold of its events.
type Discount struct {
	Terms Terms `json:"terms"`
	Uses  int64 `json:"uses"`
	// Orders are those that use a limited code, and false for those that never may. Of a code
	// without a limit only redemptions are counted.
	Orders map[string]bool `json:"orders,omitzero"`
}

// Terms are what a code takes off the sum of an order's lines, and when.
type Terms struct {
	Percent    int64        `json:"percent,omitzero"` // 1 to 100; 0: a fixed amount
	Amount     money.Amount `json:"amount,omitzero"`
	ValidFrom  time.Time    `json:"valid_from,omitzero"`
	ValidUntil time.Time    `json:"valid_until,omitzero"`
	MaxUses    int64        `json:"max_uses,omitzero"` // 0: any number
}

// off is what the terms take off a sum, rounded half up, and never more than it.
func (t Terms) off(sum int64) int64 {
	if t.Percent == 0 {
		return min(t.Amount.Amount, sum)
	}
	return sum/100*t.Percent + (sum%100*t.Percent+50)/100
}

// Discounts is the behaviour of discount codes; their streams are named discount-<code>.
var Discounts = &es.Aggregate[Discount, DiscountEvent, DiscountCommand]{
	Decider: es.Decider[Discount, DiscountEvent, DiscountCommand]{
		Category:     "discount",
		StateVersion: 1,
		Initial:      func() Discount { return Discount{} },
		Decide:       func(c DiscountCommand, d Discount) ([]DiscountEvent, error) { return c.decide(d) },
		Evolve:       func(e DiscountEvent, d Discount) Discount { return e.evolve(d) },
	},
	Codec: es.NewCodec[DiscountEvent](
		es.Stored[Defined, DiscountEvent]("discount_defined"),
		es.Stored[Redeemed, DiscountEvent]("discount_redeemed"),
		es.Stored[RedemptionRefused, DiscountEvent]("discount_redemption_refused"),
		es.Stored[Released, DiscountEvent]("discount_released"),
	),
}

// codes are what discount codes look like.
var codes = regexp.MustCompile(`^[A-Z0-9-]{3,32}$`)

// unknownCode refuses a code that there is not.
func unknownCode(code string) error {
	return fault.Invalid("unknown_discount_code", "there is no discount code %q", code).With("body.discount_code", "is unknown")
}

func (d Discount) defined() bool { return d.Terms != Terms{} }

// usable refuses an order at a time, in a currency, what the code does not give it.
func (d Discount) usable(code string, at time.Time, currency string) error {
	t := d.Terms
	switch {
	case !d.defined():
		return unknownCode(code)
	case at.Before(t.ValidFrom):
		return fault.Conflict("discount_not_valid_yet", "discount code %s is valid from %s", code, t.ValidFrom.Format(time.RFC3339))
	case !t.ValidUntil.IsZero() && !at.Before(t.ValidUntil):
		return fault.Conflict("discount_expired", "discount code %s was valid until %s", code, t.ValidUntil.Format(time.RFC3339))
	case t.MaxUses > 0 && d.Uses >= t.MaxUses:
		return fault.Conflict("discount_used_up", "discount code %s has been used %d times, as often as it may", code, d.Uses)
	case t.Percent == 0 && t.Amount.Currency != currency:
		return fault.Invalid("discount_wrong_currency", "discount code %s takes off %s, and the order is in %s", code, t.Amount.Currency, currency)
	}
	return nil
}

// DiscountEvent is a fact about a discount code, and how it changes the code.
type DiscountEvent interface{ evolve(Discount) Discount }

type (
	// Defined gives a code its terms.
	Defined struct {
		Terms Terms `json:"terms"`
	}
	// Redeemed uses a code up for an order.
	Redeemed struct {
		Order string `json:"order"`
		Uses  int64  `json:"uses"`
	}
	// RedemptionRefused does not.
	RedemptionRefused struct {
		Order  string `json:"order"`
		Reason string `json:"reason"`
	}
	// Released gives back the use of an order, or sees to it that it never comes to it.
	Released struct {
		Order string `json:"order"`
		Uses  int64  `json:"uses"`
	}
)

func (e Defined) evolve(d Discount) Discount {
	d.Terms = e.Terms
	return d
}

func (e Redeemed) evolve(d Discount) Discount {
	d.Uses = e.Uses
	return d.note(e.Order, true)
}

func (e RedemptionRefused) evolve(d Discount) Discount { return d }

func (e Released) evolve(d Discount) Discount {
	d.Uses = e.Uses
	return d.note(e.Order, false)
}

// note remembers an order of a limited code, in place.
func (d Discount) note(order string, uses bool) Discount {
	if d.Terms.MaxUses == 0 {
		return d
	}
	if d.Orders == nil {
		d.Orders = make(map[string]bool)
	}
	d.Orders[order] = uses
	return d
}

// DiscountCommand is an intention for a discount code, and the decision on it.
// A repeat of what is already so decides nothing and is no error.
type DiscountCommand interface {
	decide(Discount) ([]DiscountEvent, error)
}

// Define gives a code its terms, new or others. Orders that were placed keep theirs.
type Define struct{ Terms Terms }

func (c Define) decide(d Discount) ([]DiscountEvent, error) {
	t := c.Terms
	fixed := t.Amount != money.Amount{}
	switch {
	case fixed == (t.Percent != 0):
		return nil, fault.Invalid("discount_ambiguous", "a discount takes off a percentage or an amount: name one of them")
	case t.Percent < 0 || t.Percent > 100:
		return nil, fault.Invalid("percent_out_of_range", "a percentage is 1 to 100")
	case fixed && (!t.Amount.Valid() || t.Amount.Amount <= 0):
		return nil, fault.Invalid("amount_out_of_range", "an amount is above zero, in a currency of ISO 4217")
	case !t.ValidUntil.IsZero() && !t.ValidFrom.Before(t.ValidUntil):
		return nil, fault.Invalid("validity_out_of_range", "valid_until is later than valid_from")
	case t.MaxUses < 0 || t.MaxUses > maxUses:
		return nil, fault.Invalid("max_uses_out_of_range", "max_uses is 1 to %d, or left out", maxUses)
	case d.defined() && (t.MaxUses == 0) != (d.Terms.MaxUses == 0):
		return nil, fault.Conflict("discount_limit_fixed", "a code stays with or without a limit of uses: define another one")
	case t == d.Terms:
		return nil, nil
	}
	return []DiscountEvent{Defined{Terms: t}}, nil
}

// Redeem uses a code up for an order, once. Whether the code was valid when the order was
// placed was decided then; only its uses count now.
type Redeem struct{ Order string }

func (c Redeem) decide(d Discount) ([]DiscountEvent, error) {
	switch uses, known := d.Orders[c.Order]; {
	case known && uses:
		return nil, nil
	case known:
		return []DiscountEvent{RedemptionRefused{Order: c.Order, Reason: "released"}}, nil
	case !d.defined():
		return []DiscountEvent{RedemptionRefused{Order: c.Order, Reason: "unknown"}}, nil
	case d.Terms.MaxUses > 0 && d.Uses >= d.Terms.MaxUses:
		return []DiscountEvent{RedemptionRefused{Order: c.Order, Reason: "used_up"}}, nil
	}
	return []DiscountEvent{Redeemed{Order: c.Order, Uses: d.Uses + 1}}, nil
}

// Release gives back the use of an order that came to nothing. The order never uses a limited
// code from then on, whatever is still on its way.
type Release struct{ Order string }

func (c Release) decide(d Discount) ([]DiscountEvent, error) {
	e := Released{Order: c.Order, Uses: d.Uses}
	switch uses, known := d.Orders[c.Order]; {
	case known && !uses:
		return nil, nil
	case known:
		e.Uses--
	}
	return []DiscountEvent{e}, nil
}
