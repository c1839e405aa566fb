// Package catalog decides what the shop sells and at which price.
package catalog

import (
	"maps"

	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/fault"
	"github.com/orderlane/orderlane/pkg/money"
)

// Product is what decisions need to know of a product: the fold of its events.
type Product struct {
	Details   Details `json:"details"`
	OnSale    bool    `json:"on_sale"`
	Withdrawn bool    `json:"withdrawn"`
}

// Details is what a product is defined with.
type Details struct {
	Name        string            `json:"name"`
	Description string            `json:"description,omitzero"`
	Category    string            `json:"category,omitzero"`
	Price       money.Amount      `json:"price"`
	TaxClass    string            `json:"tax_class"`
	Backorder   bool              `json:"backorder,omitzero"`
	Attributes  map[string]string `json:"attributes,omitzero"`
}

// Products is the behaviour of products; their streams are named product-<sku>.
var Products = &es.Aggregate[Product, Event, Command]{
	Decider: es.Decider[Product, Event, Command]{
		Category:     "product",
		StateVersion: 1,
		Initial:      func() Product { return Product{} },
		Decide:       func(c Command, p Product) ([]Event, error) { return c.decide(p) },
		Evolve:       func(e Event, p Product) Product { return e.evolve(p) },
	},
	Codec: es.NewCodec[Event](
		es.Stored[Defined, Event]("product_defined"),
		es.Stored[PriceChanged, Event]("product_price_changed"),
		es.Stored[Withdrawn, Event]("product_withdrawn"),
	),
}

// Events

// Event is a fact about a product, and how it changes the product.
type Event interface{ evolve(Product) Product }

type (
	// Defined puts a product on sale, new or revised.
	Defined struct {
		Details Details `json:"details"`
	}
	// PriceChanged gives a product another price.
	PriceChanged struct {
		Price    money.Amount `json:"price"`
		Previous money.Amount `json:"previous"`
	}
	// Withdrawn takes a product off sale.
	Withdrawn struct{}
)

func (e Defined) evolve(Product) Product        { return Product{Details: e.Details, OnSale: true} }
func (e PriceChanged) evolve(p Product) Product { p.Details.Price = e.Price; return p }
func (e Withdrawn) evolve(p Product) Product    { p.OnSale, p.Withdrawn = false, true; return p }

// Commands

// Command is an intention for a product, and the decision on it.
// A repeat of what is already so decides nothing and is no error.
type Command interface {
	decide(Product) ([]Event, error)
}

// Define puts a product on sale, new or revised.
type Define struct{ Details Details }

func (c Define) decide(p Product) ([]Event, error) {
	if err := sellable(c.Details.Price); err != nil {
		return nil, err
	}
	if c.Details.Name == "" {
		return nil, fault.Invalid("product_without_name", "a product needs a name")
	}
	if p.OnSale && c.Details.same(p.Details) {
		return nil, nil
	}
	return []Event{Defined(c)}, nil
}

// ChangePrice gives a product another price in the same currency.
type ChangePrice struct {
	SKU   string
	Price money.Amount
}

func (c ChangePrice) decide(p Product) ([]Event, error) {
	if err := sellable(c.Price); err != nil {
		return nil, err
	}
	switch {
	case p.Withdrawn:
		return nil, fault.Conflict("product_withdrawn", "product %s is withdrawn; define it again to sell it", c.SKU)
	case !p.OnSale:
		return nil, fault.NotFound("product", c.SKU)
	case c.Price == p.Details.Price:
		return nil, nil
	case c.Price.Currency != p.Details.Price.Currency:
		return nil, fault.Conflict("currency_differs", "product %s is priced in %s; define it again to price it in %s",
			c.SKU, p.Details.Price.Currency, c.Price.Currency)
	}
	return []Event{PriceChanged{Price: c.Price, Previous: p.Details.Price}}, nil
}

// Withdraw takes a product off sale.
type Withdraw struct{ SKU string }

func (c Withdraw) decide(p Product) ([]Event, error) {
	switch {
	case p.Withdrawn:
		return nil, nil
	case !p.OnSale:
		return nil, fault.NotFound("product", c.SKU)
	}
	return []Event{Withdrawn{}}, nil
}

// sellable refuses what can't be a price.
func sellable(price money.Amount) error {
	switch {
	case !money.KnownCurrency(price.Currency):
		return fault.Invalid("unknown_currency", "%q is no currency of ISO 4217", price.Currency)
	case price.Amount < 0, !price.Valid():
		return fault.Invalid("price_out_of_range", "a price is 0 to %d minor units", money.Max)
	}
	return nil
}

func (d Details) same(o Details) bool {
	return d.Name == o.Name && d.Description == o.Description && d.Category == o.Category && d.Price == o.Price &&
		d.TaxClass == o.TaxClass && d.Backorder == o.Backorder && maps.Equal(d.Attributes, o.Attributes)
}
