package shipping

import (
	"context"

	api "github.com/orderlane/orderlane/api/shipping"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/service"
)

// Add adds the shipping service to a process: it consumes shipping.commands.v1 and publishes
// shipping.events.v1.
func Add(p *service.Platform) {
	p.AddWrite(Write())
}

// Write is what the service decides and publishes, for whoever drives its parts.
func Write() service.Write {
	return service.Write{
		Name: api.Service, Public: public,
		Handlers: func(engine *es.Engine) []bus.Handler { return append(shipments(engine), returns(engine)...) },
	}
}

func shipments(engine *es.Engine) []bus.Handler {
	submit := func(ctx context.Context, id string, c ShipmentCommand, creates bool) error {
		return bus.Submit(ctx, engine, Shipments, id, c, creates)
	}
	return []bus.Handler{
		bus.Handle(func(ctx context.Context, c *api.CreateShipment) error {
			return submit(ctx, c.ShipmentID, Create{For{c.OrderID, c.CustomerID}, c.Location, stored(c.Items)}, true)
		}),
		bus.Handle(func(ctx context.Context, c *api.DispatchShipment) error {
			return submit(ctx, c.ShipmentID, Dispatch{ID: c.ShipmentID, Carrier: c.Carrier, Tracking: c.Tracking}, false)
		}),
		bus.Handle(func(ctx context.Context, c *api.DeliverShipment) error {
			return submit(ctx, c.ShipmentID, Deliver{ID: c.ShipmentID}, false)
		}),
		bus.Handle(func(ctx context.Context, c *api.CancelShipment) error {
			return submit(ctx, c.ShipmentID, Cancel{Order: c.OrderID, Reference: c.Reference, Lines: c.Lines}, false)
		}),
	}
}

func returns(engine *es.Engine) []bus.Handler {
	return []bus.Handler{
		bus.Handle(func(ctx context.Context, c *api.OpenReturn) error {
			open := Open{For{c.OrderID, c.CustomerID}, c.Location, stored(c.Items)}
			return bus.Submit(ctx, engine, Returns, c.ReturnID, ReturnCommand(open), true)
		}),
		bus.Handle(func(ctx context.Context, c *api.ReceiveReturn) error {
			receive := Receive{ID: c.ReturnID, Lines: make([]Arrival, len(c.Lines))}
			for i, l := range c.Lines {
				receive.Lines[i] = Arrival(l)
			}
			return bus.Submit(ctx, engine, Returns, c.ReturnID, ReturnCommand(receive), false)
		}),
	}
}

func stored(items []api.Item) []Item {
	out := make([]Item, len(items))
	for i, item := range items {
		out[i] = Item(item)
	}
	return out
}
