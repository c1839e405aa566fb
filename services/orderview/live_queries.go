package orderview

import (
	"context"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/orderlane/orderlane/api/fulfilment"
	"github.com/orderlane/orderlane/api/payments"
	"github.com/orderlane/orderlane/api/shipping"
	"github.com/orderlane/orderlane/pkg/httpapi"
	"github.com/orderlane/orderlane/pkg/live"
)

// liveDoc is what clients have to know of live streams.
const liveDoc = `Server-Sent Events, from the moment on at which ` + "`ready`" + ` says where things stand. Read the resource then (with the
` + "`consistency_token`" + ` of an event the answer is as new as the event), and again when an event tells of a change.

- **At least once, and in order** within each ` + "`stream`" + `; between streams there is no order.
- **Resuming**: send the last ` + "`id`" + ` as ` + "`Last-Event-ID`" + `, to any instance, as browsers do by themselves. Ids without an event come with heartbeats: keep
  them too. What happened meanwhile follows. If that is too much, or not there any more, the stream begins with ` + "`reset`" + ` instead of ` + "`ready`" + `: read anew what you show.
- **It ends** when the process stops or the token expires, and when the client does not keep up: come back with the last id after what ` + "`retry`" + ` says.
- A comment or an id comes at least every 15 seconds. If nothing has come for a minute, the connection is gone.
- The token goes into the ` + "`Authorization`" + ` header, as everywhere. ` + "`EventSource`" + ` of browsers cannot send one: use ` + "`fetch`" + ` and read its body.`

// followAllDoc is what the stream of all orders cannot promise. That of one order begins with a token.
const followAllDoc = `Where instances send queries to read-only replicas of their own, ` + "`ready`" + ` and ` + "`reset`" + ` say where the replica of the instance that answers
stands, and carry no token. A list that is read at another instance, whose replica is behind, lacks what happened in between, and the
stream does not tell it either: read the list again once that replica has caught up. With one database or replica for all instances, or
where stream and lists come from the same instance, nothing is missed. What is read with an event's token is never older than the event.`

// LiveParams are the headers that every live stream takes.
type LiveParams struct {
	LastEventID string `header:"Last-Event-ID" doc:"The id of the last event that you have got"`
	httpapi.ReadParams
}

func liveOperation(api huma.API, path, id, summary, about string) huma.Operation {
	op := query(path, id, summary, "live")
	op.Errors = append([]int{403}, op.Errors...)
	op.Description = about + "\n\n" + liveDoc
	changed, begun := reflect.TypeFor[Changed](), reflect.TypeFor[Begun]()
	httpapi.DescribeEvents(api, &op, "Events, until one of both sides ends it", []httpapi.EventType{
		{Name: nameReady, Doc: "The first event of a stream that is not resumed", Data: begun},
		{Name: nameReset, Doc: "The first event of one that could not be resumed: what you know may have holes, or not be so", Data: begun},
		{Name: orderCategory, Doc: "Something happened to the order", Data: changed},
		{Name: payments.Category, Doc: "Something happened to its payment", Data: changed},
		{Name: shipping.CategoryShipment, Doc: "Something happened to a shipment", Data: changed},
		{Name: shipping.CategoryReturn, Doc: "Something happened to a return", Data: changed},
		{Name: fulfilment.Category, Doc: "The shop did something for the order; most of it is told to staff only", Data: changed},
	})
	return op
}

func (q *queries) registerLive(api huma.API, l *liveStreams) {
	huma.Register(api, liveOperation(api, "/v1/orders/{id}/stream", "follow-order", "What happens to an order, while it happens",
		"Of one order with its payment, shipments and returns: to its customer and to staff."),
		func(ctx context.Context, in *struct {
			ID string `path:"id" format:"uuid"`
			LiveParams
		},
		) (*huma.StreamResponse, error) {
			id := httpapi.CanonicalID(in.ID)
			return httpapi.Events(ctx, func() (httpapi.StreamFunc, error) {
				return l.begin(ctx, scopeOf(id, httpapi.CallerOf(ctx).Staff()), in.LastEventID, func() (Begun, error) {
					o, err := q.order(ctx, id, &in.ReadParams)
					if err != nil {
						return Begun{}, err
					}
					// Shipments are left out of the token: there may be more than one takes.
					shown := o.shown[:min(len(o.shown), httpapi.MaxTokens)]
					return Begun{OrderID: o.ID, Status: o.Status, PaymentStatus: o.PaymentStatus, ConsistencyToken: shown.String()}, nil
				})
			})
		})
	huma.Register(api, liveOperation(api, "/v1/orders/stream", "follow-orders", "What happens to all orders, while it happens",
		"Of all orders: to staff and services.\n\n"+followAllDoc),
		func(ctx context.Context, in *LiveParams) (*huma.StreamResponse, error) {
			if _, err := httpapi.RequireCaller(ctx, httpapi.RoleStaff, httpapi.RoleService); err != nil {
				return nil, err
			}
			return httpapi.Events(ctx, func() (httpapi.StreamFunc, error) {
				return l.begin(ctx, live.Scope{Restricted: true}, in.LastEventID, func() (Begun, error) {
					return Begun{}, q.Fresh(ctx, &in.ReadParams)
				})
			})
		})
}
