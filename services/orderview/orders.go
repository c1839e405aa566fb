package orderview

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/orderlane/orderlane/api/fulfilment"
	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/api/payments"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/fault"
	"github.com/orderlane/orderlane/pkg/httpapi"
	"github.com/orderlane/orderlane/pkg/projection"
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
	Shipments     []Shipment        `json:"shipments,omitempty" doc:"Not in lists"`
	Returns       []Return          `json:"returns,omitempty" doc:"Not in lists"`
	WaitingFor    *string           `json:"waiting_for" doc:"What the order waits for, in words"`
	WaitingUntil  *time.Time        `json:"waiting_until,omitempty" doc:"When something will be done about it"`
	Attention     string            `json:"attention,omitempty" doc:"What staff have to do; for staff"`
	NextActions   []string          `json:"next_actions" doc:"What the caller may do next"`
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
type queries struct{ *service.Reader }

// order returns one order, if the caller may see it.
func (q *queries) order(ctx context.Context, id string, p *httpapi.ReadParams) (*Order, error) {
	if err := q.Fresh(ctx, p); err != nil {
		return nil, err
	}
	stream := orderCategory + "-" + id
	var order *Order
	err := q.Store.Query(ctx, "SELECT o.version, o.personal_due, o.doc, p.version, p.data, m.version, m.status, f.version, f.doc FROM "+
		ordersTable+" o LEFT JOIN "+personalTable+" p ON p.stream = o.key LEFT JOIN "+paymentsTable+" m ON m.key = $2 LEFT JOIN "+
		fulfilmentsTable+" f ON f.key = $3 WHERE o.key = $1", []any{stream, payments.Category + "-" + id, fulfilment.Category + "-" + id},
		func(row projection.Row) error {
			var d document
			if err := bus.Decode([]byte(row.Text(2)), &d); err != nil {
				return fmt.Errorf("orderview: read order %s: %w", id, err)
			}
			shown := shownVersion(row.Int(0), row.Int(1), row.Int(3))
			if shown < 1 {
				return nil // what is personal of its first version has not arrived: it is not there yet
			}
			o := d.order(shown)
			order = &o
			if !row.Null(5) {
				o.PaymentStatus = payments.Status(row.Text(6))
				o.shown = append(o.shown, httpapi.Token{Stream: payments.Category + "-" + id, Version: row.Int(5)})
			}
			if !row.Null(7) {
				o.shown = append(o.shown, httpapi.Token{Stream: fulfilment.Category + "-" + id, Version: row.Int(7)})
				if err := o.addProcess(row.Text(8)); err != nil {
					return err
				}
			}
			return o.addPersonal(row.Text(4))
		})
	if err != nil {
		return nil, err
	}
	caller := httpapi.CallerOf(ctx)
	if order == nil || !caller.Staff() && order.CustomerID != caller.ID {
		return nil, q.missing(ctx, id)
	}
	if err := q.addGoods(ctx, order); err != nil {
		return nil, err
	}
	if !caller.Staff() {
		order.Attention = ""
	}
	order.Stale, err = q.Stale(ctx, stream)
	return order, err
}

// addGoods completes an order by what goes to the customer and what comes back.
func (q *queries) addGoods(ctx context.Context, o *Order) (err error) {
	if o.Shipments, err = ofOrder(ctx, q, shipmentsTable, o.ID, readShipment); err != nil {
		return err
	}
	if o.Returns, err = ofOrder(ctx, q, returnsTable, o.ID, readReturn); err != nil {
		return err
	}
	for i := range o.Shipments {
		o.shown = append(o.shown, o.Shipments[i].tokens()...)
	}
	for i := range o.Returns {
		o.shown = append(o.shown, o.Returns[i].tokens()...)
	}
	return nil
}

// addProcess completes an order by what it waits for.
func (o *Order) addProcess(data string) error {
	var p process
	if err := bus.Decode([]byte(data), &p); err != nil {
		return fmt.Errorf("orderview: read the fulfilment of order %s: %w", o.ID, err)
	}
	if p.WaitingFor != "" {
		o.WaitingFor = &p.WaitingFor
	}
	if !p.Until.IsZero() {
		o.WaitingUntil = &p.Until
	}
	o.Attention = p.Attention
	for line, stock := range p.Stock {
		if line >= 1 && line <= len(o.Lines) {
			o.Lines[line-1].Fulfilment.keep(stock, o.Lines[line-1].Quantity)
		}
	}
	return nil
}

// addPersonal completes an order by what is personal, unless that is erased or on its way.
func (o *Order) addPersonal(data string) error {
	if data == "" {
		return nil
	}
	var p ordering.Personal
	if err := bus.Decode([]byte(data), &p); err != nil {
		return fmt.Errorf("orderview: read what is personal of order %s: %w", o.ID, err)
	}
	o.ShipTo = &p.ShipTo
	return nil
}

// Filter is what a list of orders is narrowed to.
type Filter struct {
	CustomerID string    `query:"customer_id" maxLength:"64"`
	Status     string    `query:"status" enum:"placed,confirmed,partially_shipped,shipped,delivered,rejected,cancelling,cancelled,returned" doc:"Only orders in this status"`
	Stuck      bool      `query:"stuck" doc:"Only orders that staff have to do something about; for staff"`
	PlacedFrom time.Time `query:"placed_from" doc:"Placed at this time or later"`
	PlacedTo   time.Time `query:"placed_to" doc:"Placed before this time"`
}

// key names the filter, for cursors.
func (f *Filter) key() string {
	return strings.Join([]string{f.CustomerID, f.Status, strconv.FormatBool(f.Stuck), f.PlacedFrom.String(), f.PlacedTo.String()}, "\x00")
}

// list returns orders, newest first.
func (q *queries) list(ctx context.Context, f Filter, page *httpapi.PageParams, p *httpapi.ReadParams) (*httpapi.List[Order], error) {
	if err := q.Fresh(ctx, p); err != nil {
		return nil, err
	}
	staff := httpapi.CallerOf(ctx).Staff()
	if caller := httpapi.CallerOf(ctx); !staff {
		if f.Stuck {
			return nil, fault.Forbidden("staff_only", "what is stuck is for staff to see")
		}
		if f.CustomerID != "" && f.CustomerID != caller.ID {
			return &httpapi.List[Order]{Items: []Order{}}, nil // another's orders are not there
		}
		f.CustomerID = caller.ID
	}
	after, err := page.After(f.key(), 2)
	if err != nil {
		return nil, err
	}
	where, args, err := f.where(after)
	if err != nil {
		return nil, err
	}
	args = append(args, page.Limit+1)
	sql := "SELECT o.key, o.version, o.placed_at, o.doc, m.status, f.doc FROM " + ordersTable + " o LEFT JOIN " + paymentsTable +
		" m ON m.key = 'payment-' || substr(o.key, 7) LEFT JOIN " + fulfilmentsTable + " f ON f.key = 'fulfilment-' || substr(o.key, 7)" +
		where + " ORDER BY o.placed_at DESC, o.key DESC LIMIT $" + strconv.Itoa(len(args))
	out := &httpapi.List[Order]{Items: []Order{}}
	var lastKey, lastPlaced string
	err = q.Store.Query(ctx, sql, args, func(row projection.Row) error {
		if len(out.Items) == page.Limit {
			out.NextCursor = httpapi.EncodeCursor(f.key(), lastPlaced, lastKey)
			return nil
		}
		var d document
		if err := bus.Decode([]byte(row.Text(3)), &d); err != nil {
			return fmt.Errorf("orderview: read %s: %w", row.Text(0), err)
		}
		lastKey, lastPlaced = row.Text(0), strconv.FormatInt(row.Int(2), 10)
		o := d.order(row.Int(1))
		if !row.Null(4) {
			o.PaymentStatus = payments.Status(row.Text(4))
		}
		if !row.Null(5) {
			if err := o.addProcess(row.Text(5)); err != nil {
				return err
			}
		}
		if !staff {
			o.Attention = ""
		}
		out.Items = append(out.Items, o)
		return nil
	})
	return out, err
}

// where is the condition of a list, from a bounded set of texts.
func (f *Filter) where(after []string) (string, []any, error) {
	var conditions []string
	var args []any
	add := func(condition string, values ...any) {
		for _, v := range values {
			args = append(args, v)
			condition = strings.Replace(condition, "?", "$"+strconv.Itoa(len(args)), 1)
		}
		conditions = append(conditions, condition)
	}
	if f.CustomerID != "" {
		add("o.customer_id = ?", f.CustomerID)
	}
	if f.Status != "" {
		add("o.status = ?", f.Status)
	}
	if f.Stuck {
		add("f.attention <> ''")
	}
	if !f.PlacedFrom.IsZero() {
		add("o.placed_at >= ?", f.PlacedFrom.UnixMicro())
	}
	if !f.PlacedTo.IsZero() {
		add("o.placed_at < ?", f.PlacedTo.UnixMicro())
	}
	if after != nil {
		placed, err := strconv.ParseInt(after[0], 10, 64)
		if err != nil {
			return "", nil, fault.Invalid("bad_cursor", "the cursor does not belong to this list")
		}
		add("(o.placed_at, o.key) < (?, ?)", placed, after[1])
	}
	if len(conditions) == 0 {
		return "", nil, nil
	}
	return " WHERE " + strings.Join(conditions, " AND "), args, nil
}
