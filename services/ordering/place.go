package ordering

import (
	"fmt"

	"github.com/orderlane/orderlane/pkg/fault"
	"github.com/orderlane/orderlane/pkg/money"
)

// Limits of an order; the public contract names the same ones.
const (
	maxLines    = 100
	maxQuantity = 10_000
)

// Place places an order. Wanted carries what the price list said when the command was
// taken up, so that the decision depends on nothing but the command.
type Place struct {
	Customer      string
	Currency      string
	Wanted        []Wanted
	Personal      Personal
	Delivery      string
	Charges       Charges   // of that delivery, to where the order goes
	Discount      *Promised // nil: none
	Payment       string    // method
	ExpectedTotal *money.Amount
}

// Promised is a discount code as it was when the command was taken up.
type Promised struct {
	Code  string
	Terms Terms
}

// Wanted is one line as asked for, and the offer that answers it.
type Wanted struct {
	SKU      string
	Quantity int64
	Offer    Offer
}

func (c Place) decide(o Order) ([]Event, error) {
	if o.Status != "" {
		return nil, fault.Conflict("order_exists", "the order was placed before")
	}
	if err := c.orderable(); err != nil {
		return nil, err
	}
	lines, totals, err := quote(c)
	if err != nil {
		return nil, err
	}
	if want := c.ExpectedTotal; want != nil && *want != money.Of(totals.Total, c.Currency) {
		return nil, fault.Conflict("price_changed", "the total is %s, not %s as expected; ask the customer again",
			money.Of(totals.Total, c.Currency), *want)
	}
	personal := c.Personal
	placed := Placed{
		Customer: c.Customer, Currency: c.Currency, Country: c.Personal.ShipTo.Country, Delivery: c.Delivery,
		Payment: c.Payment, Lines: lines, Totals: totals, Personal: &personal,
	}
	if c.Discount != nil {
		placed.Discount = c.Discount.Code
	}
	return []Event{placed}, nil
}

// orderable refuses what can't be ordered, naming every line that is wrong.
func (c Place) orderable() error {
	switch {
	case c.Customer == "":
		return fault.Invalid("customer_missing", "an order is for a customer")
	case !money.KnownCurrency(c.Currency):
		return fault.Invalid("unknown_currency", "%q is no currency of ISO 4217", c.Currency)
	case len(c.Wanted) == 0 || len(c.Wanted) > maxLines:
		return fault.Invalid("lines_out_of_range", "an order has 1 to %d lines", maxLines)
	}
	for _, r := range refusals {
		var refused *fault.Fault
		for i, w := range c.Wanted {
			if !r.applies(&c, &w) {
				continue
			}
			if refused == nil {
				refused = r.refusal(&c)
			}
			refused = refused.With(fmt.Sprintf("body.lines[%d]", i), r.message, w.SKU, w.Quantity, w.Offer.Price.Currency)
		}
		if refused != nil {
			refused.Detail += ": " + refused.Fields[0].Message
			return refused
		}
	}
	return nil
}

// refusals are what can be wrong with a line, the worst first. A message gets the SKU, the
// quantity and the currency of the offer.
var refusals = []struct {
	applies func(*Place, *Wanted) bool
	refusal func(*Place) *fault.Fault
	message string
}{
	{
		func(_ *Place, w *Wanted) bool { return w.Quantity < 1 || w.Quantity > maxQuantity },
		func(*Place) *fault.Fault {
			return fault.Invalid("quantity_out_of_range", "a quantity is 1 to %d", maxQuantity)
		},
		"a quantity of %[2]d can't be ordered",
	},
	{
		func(_ *Place, w *Wanted) bool { return !w.Offer.Known },
		func(*Place) *fault.Fault {
			return fault.Invalid("unknown_product", "the order names products that do not exist")
		},
		"there is no product %[1]q",
	},
	{
		func(_ *Place, w *Wanted) bool { return w.Offer.Withdrawn },
		func(*Place) *fault.Fault {
			return fault.Conflict("product_withdrawn", "the order names products that are not on sale any more")
		},
		"product %[1]s is withdrawn",
	},
	{
		func(c *Place, w *Wanted) bool { return w.Offer.Price.Currency != c.Currency },
		func(c *Place) *fault.Fault {
			return fault.Invalid("wrong_currency", "the order names products that are not sold in %s", c.Currency)
		},
		"product %[1]s is sold in %[3]s",
	},
}
