package orderview

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/fault"
	"github.com/orderlane/orderlane/pkg/httpapi"
	"github.com/orderlane/orderlane/pkg/projection"
	"github.com/orderlane/orderlane/pkg/service"
)

// Order is an order as clients see it.
type Order struct {
	ID            string                 `json:"id"`
	Number        string                 `json:"number" doc:"For people: short, speakable, unique"`
	CustomerID    string                 `json:"customer_id"`
	Status        ordering.Status        `json:"status"`
	PaymentStatus ordering.PaymentStatus `json:"payment_status"`
	Currency      string                 `json:"currency"`
	PlacedAt      time.Time              `json:"placed_at"`
	Version       int64                  `json:"version"`
	ShipTo        *ordering.Address      `json:"ship_to,omitempty" doc:"Not there once it was erased, and not in lists"`
	Delivery      string                 `json:"delivery"`
	Lines         []ordering.Line        `json:"lines"`
	Totals        ordering.Totals        `json:"totals"`
	WaitingFor    *string                `json:"waiting_for" doc:"What the order waits for, in words"`
	NextActions   []string               `json:"next_actions" doc:"What the caller may do next"`
	Stale         *service.Stale         `json:"stale,omitempty" doc:"There if the view could not take up an event of this order"`
}

func (d *document) order(version int64) Order {
	return Order{
		ID: d.ID, Number: d.Number, CustomerID: d.CustomerID, Status: d.Status, PaymentStatus: d.PaymentStatus,
		Currency: d.Currency, PlacedAt: d.PlacedAt, Version: version, Delivery: d.Delivery, Lines: d.Lines, Totals: d.Totals,
		NextActions: nextActions(d.Status),
	}
}

// nextActions are what may be done with an order in a status.
func nextActions(s ordering.Status) []string {
	if s == ordering.StatusPlaced {
		return []string{"change_address"}
	}
	return []string{}
}

// queries answer the service's reads.
type queries struct{ *service.Reader }

// order returns one order, if the caller may see it.
func (q *queries) order(ctx context.Context, id string, p *httpapi.ReadParams) (*Order, error) {
	if err := q.Fresh(ctx, p); err != nil {
		return nil, err
	}
	stream := orderCategory + "-" + id
	var order *Order
	err := q.Store.Query(ctx, "SELECT o.version, o.personal_due, o.doc, p.version, p.data FROM "+ordersTable+" o LEFT JOIN "+
		personalTable+" p ON p.stream = o.key WHERE o.key = $1", []any{stream}, func(row projection.Row) error {
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
		return o.addPersonal(row.Text(4))
	})
	if err != nil {
		return nil, err
	}
	caller := httpapi.CallerOf(ctx)
	if order == nil || !caller.Staff() && order.CustomerID != caller.ID {
		stale, err := q.Stale(ctx, stream)
		if err == nil && stale != nil && caller.Staff() {
			return nil, fault.Unavailable("view_broken", "the order can't be shown: %s; operators repair it", stale.Reason)
		}
		return nil, fault.NotFound("order", id)
	}
	order.Stale, err = q.Stale(ctx, stream)
	return order, err
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
	Status     string    `query:"status" enum:"placed" doc:"Only orders in this status"`
	PlacedFrom time.Time `query:"placed_from" doc:"Placed at this time or later"`
	PlacedTo   time.Time `query:"placed_to" doc:"Placed before this time"`
}

// key names the filter, for cursors.
func (f *Filter) key() string {
	return strings.Join([]string{f.CustomerID, f.Status, f.PlacedFrom.String(), f.PlacedTo.String()}, "\x00")
}

// list returns orders, newest first.
func (q *queries) list(ctx context.Context, f Filter, page *httpapi.PageParams, p *httpapi.ReadParams) (*httpapi.List[Order], error) {
	if err := q.Fresh(ctx, p); err != nil {
		return nil, err
	}
	if caller := httpapi.CallerOf(ctx); !caller.Staff() {
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
	sql := "SELECT key, version, placed_at, doc FROM " + ordersTable + where +
		" ORDER BY placed_at DESC, key DESC LIMIT $" + strconv.Itoa(len(args))
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
		out.Items = append(out.Items, d.order(row.Int(1)))
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
		add("customer_id = ?", f.CustomerID)
	}
	if f.Status != "" {
		add("status = ?", f.Status)
	}
	if !f.PlacedFrom.IsZero() {
		add("placed_at >= ?", f.PlacedFrom.UnixMicro())
	}
	if !f.PlacedTo.IsZero() {
		add("placed_at < ?", f.PlacedTo.UnixMicro())
	}
	if after != nil {
		placed, err := strconv.ParseInt(after[0], 10, 64)
		if err != nil {
			return "", nil, fault.Invalid("bad_cursor", "the cursor does not belong to this list")
		}
		add("(placed_at, key) < (?, ?)", placed, after[1])
	}
	if len(conditions) == 0 {
		return "", nil, nil
	}
	return " WHERE " + strings.Join(conditions, " AND "), args, nil
}
