// Package ordering decides on orders: it places them at the prices of its own price list,
// and changes where they go.
package ordering

import (
	"fmt"

	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/fault"
	"github.com/orderlane/orderlane/pkg/money"
)

// Limits of an order; the public contract names the same ones.
const (
	maxLines    = 100
	maxQuantity = 10_000
)

// Order is what decisions need to know of an order: the fold of its events.
type Order struct {
	Status   Status `json:"status"`
	Customer string `json:"customer"`
}

// Status is how far an order has come.
type Status string

// StatusPlaced is an order that was accepted and waits for what comes next.
const StatusPlaced Status = "placed"

// Orders is the behaviour of orders; their streams are named order-<id>.
var Orders = &es.Aggregate[Order, Event, Command]{
	Decider: es.Decider[Order, Event, Command]{
		Category:     "order",
		StateVersion: 1,
		Initial:      func() Order { return Order{} },
		Decide:       func(c Command, o Order) ([]Event, error) { return c.decide(o) },
		Evolve:       func(e Event, o Order) Order { return e.evolve(o) },
	},
	Codec: es.NewCodec[Event](
		es.Stored[Placed, Event]("order_placed"),
		es.Stored[AddressChanged, Event]("order_address_changed"),
	),
}

// Caller is who asks for something.
type Caller struct {
	ID       string
	Customer bool // sees only what is their own
}

func (o Order) visibleTo(c Caller) bool {
	return o.Status != "" && (!c.Customer || c.ID == o.Customer)
}

// Events

// Event is a fact about an order, and how it changes the order.
type Event interface{ evolve(Order) Order }

type (
	// Placed is a new order, with its prices and totals frozen.
	Placed struct {
		Customer string `json:"customer"`
		Currency string `json:"currency"`
		Country  string `json:"country"`
		Delivery string `json:"delivery"`
		Payment  string `json:"payment"`
		Lines    []Line `json:"lines"`
		Totals   Totals `json:"totals"`

		Personal *Personal `json:"-"`
	}
	// AddressChanged sends the order elsewhere.
	AddressChanged struct {
		Country string `json:"country"`

		Personal *Personal `json:"-"`
	}
)

// Personal is what is stored apart from the events: who and where the customer is.
type Personal struct {
	ShipTo Address `json:"ship_to"`
	Email  string  `json:"email,omitzero"`
}

// Address is where an order goes.
type Address struct {
	Name       string `json:"name"`
	Street     string `json:"street"`
	PostalCode string `json:"postal_code,omitzero"`
	City       string `json:"city"`
	Country    string `json:"country"`
}

// PersonalPayload is stored apart from the event.
func (e Placed) PersonalPayload() any { return payload(e.Personal) }

// PersonalPayload is stored apart from the event.
func (e AddressChanged) PersonalPayload() any { return payload(e.Personal) }

func payload(p *Personal) any {
	if p == nil {
		return nil
	}
	return p
}

func (e Placed) evolve(o Order) Order {
	o.Status, o.Customer = StatusPlaced, e.Customer
	return o
}

func (e AddressChanged) evolve(o Order) Order { return o }

// Commands

// Command is an intention for an order, and the decision on it.
// A repeat of what is already so decides nothing and is no error.
type Command interface{ decide(Order) ([]Event, error) }

// Place places an order. Wanted carries what the price list said when the command was
// taken up, so that the decision depends on nothing but the command.
type Place struct {
	Customer      string
	Currency      string
	Wanted        []Wanted
	Personal      Personal
	Delivery      string
	Discount      string // code
	Payment       string // method
	ExpectedTotal *money.Amount
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
	return []Event{Placed{
		Customer: c.Customer, Currency: c.Currency, Country: c.Personal.ShipTo.Country, Delivery: c.Delivery,
		Payment: c.Payment, Lines: lines, Totals: totals, Personal: &personal,
	}}, nil
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
	case c.Discount != "":
		return fault.Invalid("unknown_discount_code", "there is no discount code %q", c.Discount)
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

// ChangeAddress sends an order elsewhere, until it is confirmed.
type ChangeAddress struct {
	ID      string
	Address Address
	By      Caller
}

func (c ChangeAddress) decide(o Order) ([]Event, error) {
	switch {
	case !o.visibleTo(c.By):
		return nil, fault.NotFound("order", c.ID)
	case o.Status != StatusPlaced:
		return nil, fault.Conflict("already_confirmed", "the address is frozen since the order is %s", o.Status)
	}
	return []Event{AddressChanged{Country: c.Address.Country, Personal: &Personal{ShipTo: c.Address}}}, nil
}
