package textbook

import (
	"context"
	"time"

	"github.com/ThreeDotsLabs/watermill/components/cqrs"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/orderlane/orderlane/api/ordering"
)

// PlaceOrder is the command.
type PlaceOrder struct {
	CommandID string `json:"command_id"`
	ordering.PlaceOrder
}

// OrderPlaced is the event, as it is stored and published.
type OrderPlaced struct {
	CommandID string `json:"command_id"`
	ordering.OrderPlaced
	ShipTo ordering.Address `json:"ship_to"`
	Email  string           `json:"email"`
}

// price is what a product costs and is called.
type price struct {
	name   string
	amount int64
}

// prices are those of the sample catalogue.
var prices = map[string]price{
	"TEA-001": {"Assam tea, 250 g", 1299}, "TEA-002": {"Sencha, 100 g", 1450},
	"POT-001": {"Cast-iron teapot, 0.8 l", 5900}, "CUP-001": {"Porcelain cup", 990}, "BOOK-01": {"The Book of Tea", 1200},
}

// outcome is the answer to a command.
type outcome struct {
	command string
	status  string
	reason  string
}

// decide prices an order, or refuses it.
func decide(c *PlaceOrder, now time.Time) (*OrderPlaced, outcome) {
	out := outcome{command: c.CommandID, status: "succeeded"}
	e := &OrderPlaced{CommandID: c.CommandID, ShipTo: c.ShipTo, Email: c.Email, OrderPlaced: ordering.OrderPlaced{
		OrderID: c.OrderID, Version: 1, Number: c.OrderID[:8], CustomerID: c.CustomerID, Status: ordering.StatusPlaced,
		PaymentStatus: ordering.PaymentPending, Currency: c.Currency, PlacedAt: now, Country: c.ShipTo.Country,
		Delivery: c.Delivery, PaymentMethod: c.Payment.Method, Lines: make([]ordering.Line, len(c.Lines)),
	}}
	e.Totals.Delivery = 400
	e.Totals.Tax = 67
	for i, l := range c.Lines {
		p, ok := prices[l.SKU]
		if !ok || l.Quantity < 1 {
			out.status, out.reason = "refused", "there is no product "+l.SKU
			return nil, out
		}
		total := p.amount * l.Quantity
		tax := (total*2000 + 6000) / 12_000
		e.Lines[i] = ordering.Line{Line: i + 1, SKU: l.SKU, Name: p.name, Quantity: l.Quantity, UnitPrice: p.amount, Tax: tax, Total: total}
		e.Totals.Lines += total
		e.Totals.Tax += tax
	}
	e.Totals.Total = e.Totals.Lines + e.Totals.Delivery
	return e, out
}

// addOrders adds the command handler to the router.
func addOrders(router *message.Router, brokers []string, publisher message.Publisher, s store) error {
	events, err := cqrs.NewEventBusWithConfig(publisher, cqrs.EventBusConfig{
		GeneratePublishTopic: func(cqrs.GenerateEventPublishTopicParams) (string, error) { return EventsTopic, nil },
		OnPublish: func(p cqrs.OnEventSendParams) error {
			p.Message.Metadata.Set(partitionKey, p.Event.(*OrderPlaced).OrderID)
			return nil
		},
		Marshaler: marshaler,
	})
	if err != nil {
		return err
	}
	processor, err := cqrs.NewCommandProcessorWithConfig(router, cqrs.CommandProcessorConfig{
		GenerateSubscribeTopic: func(cqrs.CommandProcessorGenerateSubscribeTopicParams) (string, error) {
			return CommandsTopic, nil
		},
		SubscriberConstructor: func(cqrs.CommandProcessorSubscriberConstructorParams) (message.Subscriber, error) {
			return NewSubscriber(brokers, "textbook-orders")
		},
		Marshaler: marshaler,
	})
	if err != nil {
		return err
	}
	return processor.AddHandlers(cqrs.NewCommandHandler("place-order", func(ctx context.Context, c *PlaceOrder) error {
		event, out := decide(c, time.Now())
		stored, err := s.Place(ctx, event, out)
		if err != nil || stored == nil {
			return err
		}
		return events.Publish(ctx, stored)
	}))
}

// addView adds the projection to the router.
func addView(router *message.Router, brokers []string, s store) error {
	processor, err := cqrs.NewEventProcessorWithConfig(router, cqrs.EventProcessorConfig{
		GenerateSubscribeTopic: func(cqrs.EventProcessorGenerateSubscribeTopicParams) (string, error) { return EventsTopic, nil },
		SubscriberConstructor: func(cqrs.EventProcessorSubscriberConstructorParams) (message.Subscriber, error) {
			return NewSubscriber(brokers, "textbook-view")
		},
		Marshaler:         marshaler,
		AckOnUnknownEvent: true,
	})
	if err != nil {
		return err
	}
	return processor.AddHandlers(cqrs.NewEventHandler("order-placed", s.Show))
}
