package ordering

import (
	"github.com/orderlane/orderlane/pkg/fault"
	"github.com/orderlane/orderlane/pkg/money"
)

// Offer is what the price list says of a product.
type Offer struct {
	Known     bool
	Withdrawn bool
	Name      string
	Price     money.Amount // of one, tax included
	TaxClass  string
	Backorder bool   // may be ordered while it is out of stock
	Broken    string // why the product can't be priced, for a fault of ours
}

// Line is one line of an order with its prices frozen, in minor units: quantity * unit price -
// discount = total.
type Line struct {
	SKU       string `json:"sku"`
	Name      string `json:"name"`
	Quantity  int64  `json:"quantity"`
	UnitPrice int64  `json:"unit_price"`
	Discount  int64  `json:"discount,omitzero"`
	Tax       int64  `json:"tax"` // included in the total
	Total     int64  `json:"total"`
	TaxRate   int64  `json:"tax_rate,omitzero"` // basis points of the net price
	Backorder bool   `json:"backorder,omitzero"`
}

// Totals are the sums of an order in minor units: lines + delivery - discount = total, with tax
// included in it.
type Totals struct {
	Lines    int64 `json:"lines"` // before the discount
	Delivery int64 `json:"delivery"`
	Discount int64 `json:"discount,omitzero"`
	Tax      int64 `json:"tax"`
	Total    int64 `json:"total"`

	DeliveryTax int64 `json:"delivery_tax,omitzero"` // included in tax
}

// DefaultDelivery is the delivery of an order that names none.
const DefaultDelivery = "standard"

// includedTax is the part of a gross amount that is tax, rounded half up.
func includedTax(gross, rate int64) int64 {
	divisor := 10_000 + rate
	return (gross*rate + divisor/2) / divisor
}

// quote prices an order whose offers were found good. A discount is divided among the lines in
// proportion to what they cost, without losing a unit, so that what is taken and given back in
// parts later adds up.
func quote(c Place) ([]Line, Totals, error) {
	lines := make([]Line, len(c.Wanted))
	costs := make([]int64, len(c.Wanted))
	var t Totals
	for i, w := range c.Wanted {
		total, err := w.Offer.Price.Times(w.Quantity)
		if err != nil || total.Amount > money.Max {
			return nil, Totals{}, fault.Invalid("total_out_of_range", "the total of line %d is above %d", i+1, int64(money.Max))
		}
		lines[i] = Line{
			SKU: w.SKU, Name: w.Offer.Name, Quantity: w.Quantity, UnitPrice: w.Offer.Price.Amount, Total: total.Amount,
			TaxRate: c.Charges.Tax[w.Offer.TaxClass], Backorder: w.Offer.Backorder,
		}
		costs[i] = total.Amount
		t.Lines += total.Amount // at most maxLines * money.Max
	}
	if c.Discount != nil {
		t.Discount = c.Discount.Terms.off(t.Lines)
		for i, off := range money.Split(t.Discount, costs) {
			lines[i].Discount = off
			lines[i].Total -= off
		}
	}
	t.Delivery, t.DeliveryTax = c.Charges.Fee, includedTax(c.Charges.Fee, c.Charges.DeliveryTax)
	t.Tax = t.DeliveryTax
	for i := range lines {
		lines[i].Tax = includedTax(lines[i].Total, lines[i].TaxRate)
		t.Tax += lines[i].Tax
	}
	t.Total = t.Lines + t.Delivery - t.Discount
	if t.Total > money.Max {
		return nil, Totals{}, fault.Invalid("total_out_of_range", "the total of the order is above %d", int64(money.Max))
	}
	return lines, t, nil
}
