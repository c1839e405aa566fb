package ordering

import (
	"context"
	"fmt"
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
	p.AddWrite(Write(prices))
}

// Write is what the service decides, at the prices of a list, and publishes, for whoever
// drives its parts.
func Write(prices *PriceList) service.Write {
	return service.Write{
		Name: api.Service, Personal: true, Public: public,
		Handlers: func(engine *es.Engine) []bus.Handler { return handlers(engine, prices) },
	}
}

func handlers(engine *es.Engine, prices *PriceList) []bus.Handler {
	return []bus.Handler{
		bus.Handle(func(ctx context.Context, c *api.PlaceOrder) error {
			if err := awaitTokens(ctx, prices); err != nil {
				return err
			}
			place, err := placeOf(c, prices)
			if err != nil {
				return err
			}
			return bus.Submit(ctx, engine, Orders, c.OrderID, Command(place), true)
		}),
		bus.Handle(func(ctx context.Context, c *api.ChangeAddress) error {
			by := bus.EnvelopeFrom(ctx).Caller
			return bus.Submit(ctx, engine, Orders, c.OrderID, Command(ChangeAddress{
				ID: c.OrderID, Address: Address(c.ShipTo), By: Caller{ID: by.ID, Customer: by.Role == bus.RoleCustomer},
			}), false)
		}),
	}
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
	if !prices.enter() {
		return nil // too many wait already: decide on what is known
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

// placeOf returns the decision that the command asks for. An error parks the command: what the
// catalogue says of one of its products can't be read.
func placeOf(c *api.PlaceOrder, prices *PriceList) (Place, error) {
	wanted := make([]Wanted, len(c.Lines))
	for i, l := range c.Lines {
		wanted[i] = Wanted{SKU: l.SKU, Quantity: l.Quantity, Offer: prices.Offer(l.SKU)}
		if reason := wanted[i].Offer.Broken; reason != "" {
			return Place{}, fmt.Errorf("ordering: product %s can't be priced: %s", l.SKU, reason)
		}
	}
	delivery := c.Delivery
	if delivery == "" {
		delivery = DefaultDelivery
	}
	return Place{
		Customer: c.CustomerID, Currency: c.Currency, Wanted: wanted,
		Personal: Personal{ShipTo: Address(c.ShipTo), Email: c.Email}, Delivery: delivery,
		Discount: c.DiscountCode, Payment: c.Payment.Method, ExpectedTotal: c.ExpectedTotal,
	}, nil
}
