package orderview

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"github.com/orderlane/orderlane/pkg/httpapi"
	"github.com/orderlane/orderlane/pkg/service"
)

// Service is the service's name on the command line.
const Service = "orderview"

// Add adds the order view to a process: it consumes ordering's events and personal data, the
// command topics and the outcomes, and answers queries for orders and commands.
func Add(p *service.Platform) {
	q := newQueries(p.AddRead(Service, newView(p.Settings.OutcomeRetention)), p.Clock)
	q.register(p.API)
	q.registerLive(p.API, addLive(p, q))
}

// errors are the statuses that every query may be answered with, beside 200.
var queryErrors = []int{400, 401, 404, 422, 429, 503}

func (q *queries) register(api huma.API) {
	q.registerRelated(api)
	huma.Register(api, query("/v1/orders/{id}", "get-order", "An order", "orders"),
		func(ctx context.Context, in *struct {
			ID   string `path:"id" format:"uuid"`
			AsOf string `query:"as_of" maxLength:"40" doc:"How it stood: at a time, or at a version of the order, such as @3" example:"2026-11-23T12:00:00Z"`
			httpapi.Conditional
		},
		) (*httpapi.Tagged[httpapi.Ready[Order]], error) {
			id := httpapi.CanonicalID(in.ID)
			if in.AsOf == "" {
				return q.answerOrder(ctx, id, &in.Conditional)
			}
			order, err := q.orderAsOf(ctx, id, in.AsOf, &in.ReadParams)
			return ready(httpapi.Answer(unless(&in.Conditional, err == nil && order.Stale != nil), order, err, (*Order).tokens))
		})
	huma.Register(api, query("/v1/orders/{id}/timeline", "get-order-timeline", "What happened to an order, oldest first", "orders"),
		func(ctx context.Context, in *struct {
			ID string `path:"id" format:"uuid"`
			httpapi.PageParams
			httpapi.Conditional
		},
		) (*httpapi.Tagged[Timeline], error) {
			t, err := q.timeline(ctx, httpapi.CanonicalID(in.ID), &in.PageParams, &in.ReadParams)
			return httpapi.Answer(unless(&in.Conditional, err == nil && t.Stale != nil), t, err, (*Timeline).tokens)
		})
	huma.Register(api, query("/v1/orders", "list-orders", "Orders, newest first", "orders"),
		func(ctx context.Context, in *struct {
			Filter
			httpapi.PageParams
			httpapi.ReadParams
		},
		) (*ordersListed, error) {
			list, err := q.list(ctx, in.Filter, &in.PageParams, &in.ReadParams)
			return &ordersListed{&httpapi.Ready[httpapi.List[Order]]{JSON: list}}, err
		})
	huma.Register(api, query("/v1/commands/{id}", "get-command", "How far a command has come", "commands"),
		func(ctx context.Context, in *struct {
			ID string `path:"id" format:"uuid"`
			httpapi.ReadParams
		},
		) (*struct{ Body *Command }, error) {
			c, err := q.command(ctx, httpapi.CanonicalID(in.ID), &in.ReadParams)
			return &struct{ Body *Command }{c}, err
		})
}

// ordersListed is the answer to a query for orders.
type ordersListed struct {
	Body *httpapi.Ready[httpapi.List[Order]]
}

// unless is the condition of a query, unless the answer is stale: that is said whatever the caller
// has already.
func unless(c *httpapi.Conditional, stale bool) *httpapi.Conditional {
	if stale {
		return nil
	}
	return c
}
