package ordering

import (
	"maps"
	"slices"
	"strings"

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
	Broken    string // why the product can't be priced, for a fault of ours
}

// Line is one line of an order with its prices frozen, in minor units.
type Line struct {
	SKU       string `json:"sku"`
	Name      string `json:"name"`
	Quantity  int64  `json:"quantity"`
	UnitPrice int64  `json:"unit_price"`
	Tax       int64  `json:"tax"` // included in the total
	Total     int64  `json:"total"`
}

// Totals are the sums of an order in minor units: lines + delivery = total, with tax
// included in it.
type Totals struct {
	Lines    int64 `json:"lines"`
	Delivery int64 `json:"delivery"`
	Tax      int64 `json:"tax"`
	Total    int64 `json:"total"`
}

// DefaultDelivery is the delivery of an order that names none.
const DefaultDelivery = "standard"

// deliveryFees are what the ways of delivery cost, in minor units, tax included.
var deliveryFees = map[string]int64{DefaultDelivery: 400, "express": 900}

// taxRates are the tax rates of the tax classes, in basis points of the net price.
var taxRates = map[string]int64{"standard": 2000, "reduced": 500, "zero": 0}

// includedTax is the part of a gross amount that is tax, rounded half up.
func includedTax(gross, rate int64) int64 {
	divisor := 10_000 + rate
	return (gross*rate + divisor/2) / divisor
}

// quote prices an order whose offers were found good.
func quote(c Place) ([]Line, Totals, error) {
	fee, ok := deliveryFees[c.Delivery]
	if !ok {
		return nil, Totals{}, fault.Invalid("unknown_delivery", "there is no delivery %q; choose one of %s",
			c.Delivery, strings.Join(slices.Sorted(maps.Keys(deliveryFees)), ", "))
	}
	lines := make([]Line, len(c.Wanted))
	totals := Totals{Delivery: fee, Tax: includedTax(fee, taxRates["standard"])}
	for i, w := range c.Wanted {
		total, err := w.Offer.Price.Times(w.Quantity)
		if err != nil || total.Amount > money.Max {
			return nil, Totals{}, fault.Invalid("total_out_of_range", "the total of line %d is above %d", i+1, int64(money.Max))
		}
		tax := includedTax(total.Amount, taxRates[w.Offer.TaxClass])
		lines[i] = Line{
			SKU: w.SKU, Name: w.Offer.Name, Quantity: w.Quantity, UnitPrice: w.Offer.Price.Amount,
			Tax: tax, Total: total.Amount,
		}
		totals.Lines += total.Amount // at most maxLines * money.Max
		totals.Tax += tax
	}
	totals.Total = totals.Lines + totals.Delivery
	return lines, totals, nil
}
