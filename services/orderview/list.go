package orderview

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/orderlane/orderlane/api/payments"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/fault"
	"github.com/orderlane/orderlane/pkg/httpapi"
	"github.com/orderlane/orderlane/pkg/projection"
)

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
			var p process
			if err := bus.Decode([]byte(row.Text(5)), &p); err != nil {
				return fmt.Errorf("orderview: read the fulfilment of %s: %w", row.Text(0), err)
			}
			o.addProcess(&p, staff)
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
