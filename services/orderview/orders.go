package orderview

import (
	"context"
	"time"

	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/api/payments"
	"github.com/orderlane/orderlane/pkg/httpapi"
	"github.com/orderlane/orderlane/pkg/service"
)

// Order is an order as clients see it.
type Order struct {
	ID            string            `json:"id"`
	Number        string            `json:"number" doc:"For people: short, speakable, unique"`
	CustomerID    string            `json:"customer_id"`
	Status        ordering.Status   `json:"status"`
	Reason        string            `json:"reason,omitempty" doc:"Why it was rejected, or could not be cancelled"`
	PaymentStatus payments.Status   `json:"payment_status"`
	Currency      string            `json:"currency"`
	PlacedAt      time.Time         `json:"placed_at"`
	Version       int64             `json:"version"`
	ShipTo        *ordering.Address `json:"ship_to,omitempty" doc:"Not there once it was erased, and not in lists"`
	Delivery      string            `json:"delivery"`
	Lines         []Line            `json:"lines"`
	Totals        ordering.Totals   `json:"totals"`
	Payment       *Payment          `json:"payment,omitempty" doc:"Not in lists, and not there until it was asked for"`
	Shipments     []Shipment        `json:"shipments,omitempty" doc:"Not in lists"`
	Returns       []Return          `json:"returns,omitempty" doc:"Not in lists"`
	WaitingFor    *string           `json:"waiting_for" doc:"What the order waits for, in words"`
	WaitingUntil  *time.Time        `json:"waiting_until,omitempty" doc:"When something will be done about it"`
	Attention     string            `json:"attention,omitempty" doc:"What staff have to do; for staff"`
	NextActions   []string          `json:"next_actions" doc:"What the caller may do next"`
	AsOf          *AsOf             `json:"as_of,omitempty" doc:"There if it was asked how the order stood"`
	Stale         *service.Stale    `json:"stale,omitempty" doc:"There if the view could not take up an event of this order"`

	shown httpapi.Tokens // the versions of all that is shown
}

func (d *document) order(version int64) Order {
	return Order{
		ID: d.ID, Number: d.Number, CustomerID: d.CustomerID, Status: d.Status, Reason: d.Reason, PaymentStatus: payments.StatusPending,
		Currency: d.Currency, PlacedAt: d.PlacedAt, Version: version, Delivery: d.Delivery, Lines: d.Lines, Totals: d.Totals,
		NextActions: d.nextActions(), shown: httpapi.Tokens{{Stream: orderCategory + "-" + d.ID, Version: version}},
	}
}

// nextActions are what may be done with an order as it stands.
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
	clock func() time.Time
}

// orderNowOr returns one order as it stands or, if as_of says something, as it stood.
func (q *queries) orderNowOr(ctx context.Context, id, asOf string, p *httpapi.ReadParams) (*Order, error) {
	if asOf != "" {
		return q.orderAsOf(ctx, id, asOf, p)
	}
	return q.order(ctx, id, p)
}

// order returns one order, if the caller may see it.
func (q *queries) order(ctx context.Context, id string, p *httpapi.ReadParams) (*Order, error) {
	if err := q.Fresh(ctx, p); err != nil {
		return nil, err
	}
	w, err := q.whole(ctx, id)
	if err != nil {
		return nil, err
	}
	caller := httpapi.CallerOf(ctx)
	if w == nil || !caller.Staff() && w.order.doc.CustomerID != caller.ID {
		return nil, q.missing(ctx, id)
	}
	o := w.show(caller.Staff())
	o.Stale, err = q.staleOf(ctx, o.shown)
	return o, err
}
