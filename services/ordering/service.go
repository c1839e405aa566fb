package ordering

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	catalog "github.com/orderlane/orderlane/api/catalog"
	api "github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/daemon"
	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/httpapi"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/service"
)

// knowledgeWait is how long a command waits until the price list knows what its
// consistency tokens name; then it is decided on what is known.
const knowledgeWait = 2 * time.Second

// Add adds the ordering service to a process: it consumes ordering.commands.v1 and
// catalog.events.v1, and publishes ordering.events.v1 and ordering.personal.v1.
func Add(p *service.Platform) {
	prices := NewPriceList()
	prices.broken = func(stream, reason string) {
		p.Logger(api.Service).Error("a product can't be priced until it is defined anew", "stream", stream, "reason", reason)
	}
	part := p.Health.Require("ordering price list")
	topic := bus.EventsTopic(catalog.Service)
	p.Sup.Add(daemon.StageViews, daemon.Component{
		Name: "ordering price list",
		Start: func(ctx context.Context) error {
			return daemon.Retry(ctx, part, daemon.DefaultBackoff, func(ctx context.Context) error {
				return prices.Load(ctx, p.Admin, topic)
			})
		},
		Run: func(ctx context.Context) error {
			return kafka.ConsumeAll(ctx, kafka.GroupConfig{Config: p.Kafka, Topics: []string{topic}, Log: p.Logger(api.Service)}, prices)
		},
	})
	shop := new(Shop)
	p.Sup.Add(daemon.StageResources, daemon.Component{
		Name: "ordering shop",
		Start: func(context.Context) error {
			loaded, err := LoadShop(p.Settings.Shop)
			if err != nil {
				return daemon.Permanent(err)
			}
			*shop = *loaded
			return nil
		},
	})
	p.AddWrite(Write(prices, shop))
}

// Write is what the service decides, at the prices of a list and what a shop charges beside
// them, and publishes, for whoever drives its parts.
func Write(prices *PriceList, shop *Shop) service.Write {
	return service.Write{
		Name: api.Service, Personal: true, Public: public,
		Handlers: func(engine *es.Engine) []bus.Handler {
			w := &writer{engine: engine, prices: prices, shop: shop}
			return slices.Concat(w.placing(), w.lifecycle(), w.discounts())
		},
	}
}

// writer turns the service's commands into decisions.
type writer struct {
	engine *es.Engine
	prices *PriceList
	shop   *Shop
}

func (w *writer) placing() []bus.Handler {
	return []bus.Handler{
		bus.Handle(func(ctx context.Context, c *api.PlaceOrder) error {
			if err := awaitTokens(ctx, w.prices); err != nil {
				return err
			}
			place, err := w.place(ctx, c)
			if err != nil {
				return err
			}
			return bus.Submit(ctx, w.engine, Orders, c.OrderID, place, true)
		}),
		bus.Handle(func(ctx context.Context, c *api.ChangeAddress) error {
			return w.submit(ctx, c.OrderID, ChangeAddress{ID: c.OrderID, Address: Address(c.ShipTo), By: caller(ctx)})
		}),
	}
}

// lifecycle handles what happens to an order after it was placed: what customers ask for, and
// what fulfilment tells.
func (w *writer) lifecycle() []bus.Handler {
	return []bus.Handler{
		bus.Handle(func(ctx context.Context, c *api.RequestCancel) error {
			return w.submit(ctx, c.OrderID, RequestCancel{ID: c.OrderID, Lines: c.Lines, Reason: c.Reason, By: caller(ctx)})
		}),
		bus.Handle(func(ctx context.Context, c *api.RequestReturn) error {
			r := RequestReturn{ID: c.OrderID, Return: c.ReturnID, Reasons: make(map[string]string), By: caller(ctx)}
			for _, l := range c.Lines {
				r.Units = append(r.Units, Units{Line: l.Line, Quantity: l.Quantity})
				if l.Reason != "" {
					r.Reasons[strconv.Itoa(l.Line)] = l.Reason
				}
			}
			return w.submit(ctx, c.OrderID, r)
		}),
		bus.Handle(func(ctx context.Context, c *api.ConfirmOrder) error {
			return w.submit(ctx, c.OrderID, Confirm{ID: c.OrderID})
		}),
		bus.Handle(func(ctx context.Context, c *api.RejectOrder) error {
			return w.submit(ctx, c.OrderID, Reject{ID: c.OrderID, Reason: c.Reason, Detail: c.Detail})
		}),
		bus.Handle(func(ctx context.Context, c *api.CancelOrder) error {
			return w.submit(ctx, c.OrderID, Cancel{ID: c.OrderID, Lines: c.Lines})
		}),
		bus.Handle(func(ctx context.Context, c *api.RefuseCancel) error {
			return w.submit(ctx, c.OrderID, RefuseCancel{ID: c.OrderID, Reason: c.Reason})
		}),
		bus.Handle(func(ctx context.Context, c *api.MarkShipped) error {
			return w.submit(ctx, c.OrderID, MarkShipped{ID: c.OrderID, Shipment: c.ShipmentID, Units: units(c.Lines)})
		}),
		bus.Handle(func(ctx context.Context, c *api.MarkDelivered) error {
			return w.submit(ctx, c.OrderID, MarkDelivered{ID: c.OrderID, Shipment: c.ShipmentID, Units: units(c.Lines)})
		}),
		bus.Handle(func(ctx context.Context, c *api.MarkReturned) error {
			return w.submit(ctx, c.OrderID, MarkReturned{ID: c.OrderID, Return: c.ReturnID, Part: c.Part, Units: units(c.Lines)})
		}),
	}
}

func (w *writer) discounts() []bus.Handler {
	submit := func(ctx context.Context, code string, c DiscountCommand) error {
		return bus.Submit(ctx, w.engine, Discounts, code, c, false)
	}
	return []bus.Handler{
		bus.Handle(func(ctx context.Context, c *api.DefineDiscount) error {
			terms := Terms{
				Percent: int64(c.Terms.Percent), ValidFrom: c.Terms.ValidFrom.UTC(), ValidUntil: c.Terms.ValidUntil.UTC(), MaxUses: c.Terms.MaxUses,
			}
			if c.Terms.Amount != nil {
				terms.Amount = *c.Terms.Amount
			}
			return submit(ctx, c.Code, Define{Terms: terms})
		}),
		bus.Handle(func(ctx context.Context, c *api.RedeemDiscount) error {
			return submit(ctx, c.Code, Redeem{Order: c.OrderID})
		}),
		bus.Handle(func(ctx context.Context, c *api.ReleaseDiscount) error {
			return submit(ctx, c.Code, Release{Order: c.OrderID})
		}),
	}
}

func (w *writer) submit(ctx context.Context, order string, c Command) error {
	return bus.Submit(ctx, w.engine, Orders, order, c, false)
}

func caller(ctx context.Context) Caller {
	by := bus.EnvelopeFrom(ctx).Caller
	return Caller{ID: by.ID, Customer: by.Role == bus.RoleCustomer}
}

func units(lines []api.Units) []Units {
	out := make([]Units, len(lines))
	for i, l := range lines {
		out[i] = Units(l)
	}
	return out
}

// awaitTokens waits until the price list knows what the command's consistency tokens name.
func awaitTokens(ctx context.Context, prices *PriceList) error {
	after := bus.EnvelopeFrom(ctx).After
	if after == "" {
		return nil
	}
	tokens, err := httpapi.ParseTokens(after)
	if err != nil {
		return fmt.Errorf("ordering: consistency tokens of a command: %w", err)
	}
	if !prices.enter(ctx) {
		return ctx.Err() // too many wait already: decide on what is known
	}
	defer prices.leave()
	wait, cancel := context.WithTimeout(ctx, knowledgeWait)
	defer cancel()
	for _, t := range tokens {
		if prices.Await(wait, t.Stream, t.Version) != nil {
			return ctx.Err() // the time is up: decide on what is known
		}
	}
	return nil
}

// place returns the decision that the command asks for. An error parks the command: what the
// catalogue says of one of its products can't be read.
func (w *writer) place(ctx context.Context, c *api.PlaceOrder) (Command, error) {
	wanted := make([]Wanted, len(c.Lines))
	for i, l := range c.Lines {
		wanted[i] = Wanted{SKU: l.SKU, Quantity: l.Quantity, Offer: w.prices.Offer(l.SKU)}
		if reason := wanted[i].Offer.Broken; reason != "" {
			return nil, fmt.Errorf("ordering: product %s can't be priced: %s", l.SKU, reason)
		}
	}
	delivery := c.Delivery
	if delivery == "" {
		delivery = DefaultDelivery
	}
	place := Place{
		Customer: c.CustomerID, Currency: c.Currency, Wanted: wanted,
		Personal: Personal{ShipTo: Address(c.ShipTo), Email: c.Email}, Delivery: delivery,
		Payment: c.Payment.Method, ExpectedTotal: c.ExpectedTotal,
	}
	var err error
	if place.Charges, err = w.shop.Charges(delivery, c.ShipTo.Country, c.Currency); err != nil {
		return refusal(err)
	}
	if c.DiscountCode != "" {
		if !codes.MatchString(c.DiscountCode) {
			return refusal(unknownCode(c.DiscountCode)) // nor is it a name of a stream
		}
		d, _, err := es.Peek(ctx, w.engine, Discounts, c.DiscountCode)
		if err != nil {
			return nil, err
		}
		if err := d.usable(c.DiscountCode, bus.EnvelopeFrom(ctx).Time, c.Currency); err != nil {
			return refusal(err)
		}
		place.Discount = &Promised{Code: c.DiscountCode, Terms: d.Terms}
	}
	return place, nil
}

// refused is a command that was refused before its stream was looked at.
type refused struct{ why error }

func (c refused) decide(Order) ([]Event, error) { return nil, c.why }

func refusal(why error) (Command, error) { return refused{why}, nil }
