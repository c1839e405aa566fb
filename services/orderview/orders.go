package orderview

import (
	"context"
	"time"

	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/api/payments"
	"github.com/orderlane/orderlane/pkg/httpapi"
	"github.com/orderlane/orderlane/pkg/projection"
	"github.com/orderlane/orderlane/pkg/service"
)

// Order is an order as clients see it.
type Order struct {
	OrderFacts
	Version       int64           `json:"version"`
	PaymentStatus payments.Status `json:"payment_status"`
	Waiting
	Attention string            `json:"attention,omitempty" doc:"What staff have to do; for staff"`
	ShipTo    *ordering.Address `json:"ship_to,omitempty" doc:"Not there once it was erased, and not in lists"`
	Payment   *Payment          `json:"payment,omitempty" doc:"Not in lists, and not there until it was asked for"`
	Shipments []Shipment        `json:"shipments,omitempty" doc:"Not in lists"`
	Returns   []Return          `json:"returns,omitempty" doc:"Not in lists"`
	AsOf      *AsOf             `json:"as_of,omitempty" doc:"There if it was asked how the order stood"`
	Stale     *service.Stale    `json:"stale,omitempty" doc:"There if the view could not take up an event of this order"`

	shown httpapi.Tokens // the versions of all that is shown
}

// OrderFacts are what an order's own events say of it.
type OrderFacts struct {
	ID          string          `json:"id"`
	Number      string          `json:"number" doc:"For people: short, speakable, unique"`
	CustomerID  string          `json:"customer_id"`
	Status      ordering.Status `json:"status"`
	Reason      string          `json:"reason,omitempty" doc:"Why it was rejected, or could not be cancelled"`
	Currency    string          `json:"currency"`
	PlacedAt    time.Time       `json:"placed_at"`
	Delivery    string          `json:"delivery"`
	Lines       []Line          `json:"lines"`
	Totals      ordering.Totals `json:"totals"`
	NextActions []string        `json:"next_actions" doc:"What the caller may do next; nothing with as_of, since what is past is not acted on"`
}

// Waiting is what an order waits for.
type Waiting struct {
	WaitingFor   *string   `json:"waiting_for" doc:"What the order waits for, in words"`
	WaitingUntil time.Time `json:"waiting_until,omitzero" required:"false" doc:"When something will be done about it"`
}

func (d *document) order(version int64) Order {
	return Order{
		OrderFacts: d.OrderFacts, Version: version, PaymentStatus: payments.StatusPending,
		shown: httpapi.Tokens{{Stream: orderCategory + "-" + d.ID, Version: version}},
	}
}

// nextActions are what may be done with an order as it stands. They are stored: other ones take another version of
// the view.
func (d *document) nextActions() []string {
	actions := []string{}
	var cancellable, returnable bool
	for _, l := range d.Lines {
		f := l.Fulfilment
		cancellable = cancellable || f.Cancelled == 0 && f.Dispatched == 0
		returnable = returnable || f.Delivered > f.Returned
	}
	switch d.Status {
	case ordering.StatusRejected, ordering.StatusCancelled, ordering.StatusCancelling:
		return actions
	case ordering.StatusPlaced:
		actions = append(actions, "change_address")
	}
	if cancellable {
		actions = append(actions, "cancel")
	}
	if returnable {
		actions = append(actions, "return")
	}
	return actions
}

// tokens are the versions of all that is shown.
func (o *Order) tokens() httpapi.Tokens { return o.shown }

// queries answer the service's reads.
type queries struct {
	*service.Reader
	clock  func() time.Time
	orders *projection.Coalescer[*raw]
}

func newQueries(r *service.Reader, clock func() time.Time) *queries {
	return &queries{Reader: r, clock: clock, orders: projection.NewCoalescer(func(ctx context.Context, ids []string) (map[string]*raw, error) {
		return readRaw(ctx, r.Store, r.Store.Dialect(), ids)
	})}
}

// stands reads one order as it stands, if the caller may see it.
func (q *queries) stands(ctx context.Context, id string, p *httpapi.ReadParams) (*raw, error) {
	if err := q.Fresh(ctx, p); err != nil {
		return nil, err
	}
	r, err := q.orders.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	if caller := httpapi.CallerOf(ctx); r == nil || r.shown() < 1 || !caller.Staff() && r.customer != caller.ID {
		return nil, q.missing(ctx, id)
	}
	return r, nil
}

// order returns one order as it stands, if the caller may see it.
func (q *queries) order(ctx context.Context, id string, p *httpapi.ReadParams) (*Order, error) {
	r, err := q.stands(ctx, id, p)
	if err != nil {
		return nil, err
	}
	return r.show(httpapi.CallerOf(ctx))
}

// answerOrder answers with one order as it stands; or that the caller has it already, which takes
// no look into documents.
func (q *queries) answerOrder(ctx context.Context, id string, in *httpapi.Conditional) (*httpapi.Tagged[httpapi.Ready[Order]], error) {
	r, err := q.stands(ctx, id, &in.ReadParams)
	if err != nil {
		return nil, err
	}
	tokens := r.tokens()
	stale, err := q.staleOf(ctx, tokens)
	if err != nil {
		return nil, err
	}
	etag := httpapi.ETag(tokens)
	if stale == nil && httpapi.NoneMatch(in.IfNoneMatch, etag) {
		return nil, httpapi.NotModified(etag)
	}
	body, err := r.answer(nil, httpapi.CallerOf(ctx), stale)
	if err != nil {
		return nil, err
	}
	return &httpapi.Tagged[httpapi.Ready[Order]]{ETag: etag, Body: &httpapi.Ready[Order]{JSON: body}}, nil
}
