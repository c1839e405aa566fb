package inventory

import (
	"context"
	"time"

	api "github.com/orderlane/orderlane/api/inventory"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/service"
)

// Add adds the inventory service to a process: it consumes inventory.commands.v1 and publishes
// inventory.events.v1.
func Add(p *service.Platform) {
	p.AddWrite(Write(p.Settings.Inventory.ReservationTime, p.Clock))
}

// Write is what the service decides and publishes, for whoever drives its parts. Hold is how
// long a reservation lasts unless it is allocated. The clock says when a wake is taken up,
// which is later than the deadline it is for: whatever has expired by then is released at once.
func Write(hold time.Duration, clock func() time.Time) service.Write {
	return service.Write{
		Name: api.Service, Public: public,
		Handlers: func(engine *es.Engine) []bus.Handler {
			return append(append(goods(engine, hold), reservations(engine, hold)...),
				bus.HandleWakes(api.Service, bus.Waker(engine, Stocks, func(_ string, due time.Time) Command {
					at := clock()
					if at.Before(due) {
						at = due
					}
					return Wake{At: at, Hold: hold}
				})))
		},
	}
}

// goods are the handlers of what comes in and goes out.
func goods(engine *es.Engine, hold time.Duration) []bus.Handler {
	submit := func(ctx context.Context, sku string, c Command) error {
		return bus.Submit(ctx, engine, Stocks, sku, c, false)
	}
	return []bus.Handler{
		bus.Handle(func(ctx context.Context, c *api.ReceiveStock) error {
			return submit(ctx, c.SKU, Receive{Location: c.Location, Quantity: c.Quantity, At: sent(ctx), Hold: hold})
		}),
		bus.Handle(func(ctx context.Context, c *api.AdjustStock) error {
			return submit(ctx, c.SKU, Adjust{Location: c.Location, Quantity: c.Quantity, Reason: c.Reason, At: sent(ctx), Hold: hold})
		}),
		bus.Handle(func(ctx context.Context, c *api.SetSafetyStock) error {
			return submit(ctx, c.SKU, SetSafetyStock{Quantity: c.Quantity, At: sent(ctx), Hold: hold})
		}),
		bus.Handle(func(ctx context.Context, c *api.DispatchStock) error {
			return submit(ctx, c.SKU, Dispatch{
				Line: lineOf(c.Line), Shipment: c.ShipmentID, Location: c.Location, Quantity: c.Quantity,
			})
		}),
		bus.Handle(func(ctx context.Context, c *api.TakeBackStock) error {
			reference := c.Reference
			if reference == "" {
				reference = c.ReturnID
			}
			return submit(ctx, c.SKU, TakeBack{
				Line: lineOf(c.Line), Return: c.ReturnID, Reference: reference, Location: c.Location, Quantity: c.Quantity,
				At: sent(ctx), Hold: hold,
			})
		}),
	}
}

// reservations are the handlers of what is kept for lines.
func reservations(engine *es.Engine, hold time.Duration) []bus.Handler {
	submit := func(ctx context.Context, sku string, c Command) error {
		return bus.Submit(ctx, engine, Stocks, sku, c, false)
	}
	return []bus.Handler{
		bus.Handle(func(ctx context.Context, c *api.ReserveStock) error {
			return submit(ctx, c.SKU, Reserve{
				Line: lineOf(c.Line), Quantity: c.Quantity, Backorder: c.Backorder, At: sent(ctx), Hold: hold,
			})
		}),
		bus.Handle(func(ctx context.Context, c *api.AllocateStock) error {
			return submit(ctx, c.SKU, Allocate{Line: lineOf(c.Line), Quantity: c.Quantity, At: sent(ctx), Hold: hold})
		}),
		bus.Handle(func(ctx context.Context, c *api.ReleaseStock) error {
			reason := c.Reason
			if reason == "" {
				reason = api.ReasonReleased
			}
			return submit(ctx, c.SKU, Release{Line: lineOf(c.Line), Reason: reason, At: sent(ctx), Hold: hold})
		}),
	}
}

// sent is when the command was sent.
func sent(ctx context.Context) time.Time { return bus.EnvelopeFrom(ctx).Time }

func lineOf(l api.Line) Line { return Line{Order: l.OrderID, Number: l.Line} }
