package catalog

import (
	"context"

	api "github.com/orderlane/orderlane/api/catalog"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/service"
)

// Add adds the catalog service to a process: it consumes catalog.commands.v1 and publishes
// catalog.events.v1.
func Add(p *service.Platform) {
	p.AddWrite(Write())
}

// Write is what the service decides and publishes, for whoever drives its parts.
func Write() service.Write {
	return service.Write{Name: api.Service, Public: public, Handlers: handlers}
}

func handlers(engine *es.Engine) []bus.Handler {
	return []bus.Handler{
		bus.Handle(func(ctx context.Context, c *api.DefineProduct) error {
			details := Details(c.Details)
			if details.TaxClass == "" {
				details.TaxClass = api.TaxStandard
			}
			return bus.Submit(ctx, engine, Products, c.SKU, Command(Define{details}), false)
		}),
		bus.Handle(func(ctx context.Context, c *api.ChangePrice) error {
			return bus.Submit(ctx, engine, Products, c.SKU, Command(ChangePrice{SKU: c.SKU, Price: c.Price}), false)
		}),
		bus.Handle(func(ctx context.Context, c *api.WithdrawProduct) error {
			return bus.Submit(ctx, engine, Products, c.SKU, Command(Withdraw{SKU: c.SKU}), false)
		}),
	}
}
