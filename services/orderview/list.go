package orderview

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/orderlane/orderlane/api/fulfilment"
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
	SKU        string    `query:"sku" maxLength:"64" doc:"Only orders with a line of this product"`
	Stuck      bool      `query:"stuck" doc:"Only orders that staff have to do something about; for staff"`
	PlacedFrom time.Time `query:"placed_from" doc:"Placed at this time or later"`
	PlacedTo   time.Time `query:"placed_to" doc:"Placed before this time"`
	Q          string    `query:"q" minLength:"3" maxLength:"64" doc:"Only orders with this id, with a number that begins like this, or of the customer with this id" example:"4F7K-9Q"`
}

// key names the filter, for cursors.
func (f *Filter) key() string {
	return strings.Join([]string{
		f.CustomerID, f.Status, f.SKU, strconv.FormatBool(f.Stuck), f.PlacedFrom.String(), f.PlacedTo.String(), f.Q,
	}, "\x00")
}

// maxLooked bounds the orders that are looked at for one page. One filter is met by an index; of
// several, the others are asked of each order that the first one leaves. If few of them meet
// those, a page has fewer orders than were asked for, or none, and a cursor to go on with.
const maxLooked = 2000

// listBytes is what a page takes, as a rule.
const listBytes = 16 << 10

// list returns orders, newest first: the JSON of a list of them.
func (q *queries) list(ctx context.Context, f Filter, page *httpapi.PageParams, p *httpapi.ReadParams) ([]byte, error) {
	caller := httpapi.CallerOf(ctx)
	if !f.PlacedFrom.IsZero() && !f.PlacedTo.IsZero() && !f.PlacedFrom.Before(f.PlacedTo) {
		return nil, fault.Invalid("empty_range", "no time is in the range").With("query.placed_to", "is not after placed_from")
	}
	if f.Stuck && !caller.Staff() {
		return nil, fault.Forbidden("staff_only", "what is stuck is for staff to see")
	}
	after, err := f.after(page)
	if err != nil {
		return nil, err
	}
	if err := q.Fresh(ctx, p); err != nil {
		return nil, err
	}
	if !caller.Staff() {
		if f.CustomerID != "" && f.CustomerID != caller.ID {
			return []byte(`{"items":[]}`), nil // another's orders are not there
		}
		after.filter.CustomerID = caller.ID
	}
	if after.looks(page.Limit) == maxLooked {
		if after.to, err = q.lookUpTo(ctx, after); err != nil {
			return nil, err
		}
	}
	list, last, err := q.readList(ctx, after, page.Limit)
	if err != nil {
		return nil, err
	}
	if last == nil {
		last = after.to
	}
	if last != nil {
		cursor := httpapi.EncodeCursor(f.key(), strconv.FormatInt(last.at, 10), last.key)
		list = append(append(append(list, `,"next_cursor":"`...), cursor...), '"')
	}
	return append(list, '}'), nil
}

// place is where an order stands in a list, or what belongs to one.
type place struct {
	at  int64 // when it was placed or made, in microseconds
	key string
}

// listing is a page of a list: what it is narrowed to, and the place that it goes on from.
type listing struct {
	filter Filter
	from   *place // nil: from the start
	to     *place // that it looks up to, with it; nil: to the end
}

func (f *Filter) after(page *httpapi.PageParams) (*listing, error) {
	l := &listing{filter: *f}
	values, err := page.After(f.key(), 2)
	if err != nil || values == nil {
		return l, err
	}
	placed, err := strconv.ParseInt(values[0], 10, 64)
	if err != nil {
		return nil, fault.Invalid("bad_cursor", "the cursor does not belong to this list")
	}
	l.from = &place{placed, values[1]}
	return l, nil
}

// readList reads a page, which it returns without the end of its JSON, and its last order's place if there are more
// behind it.
func (q *queries) readList(ctx context.Context, l *listing, limit int) (list []byte, more *place, err error) {
	sql, args := l.statement(q.Store.Dialect(), limit)
	caller := httpapi.CallerOf(ctx)
	var last place
	n := 0
	list = append(make([]byte, 0, listBytes), `{"items":[`...)
	err = q.Store.Query(ctx, sql, args, func(row projection.Row) (err error) {
		if n == limit {
			more = &last
			return nil
		}
		if n++; n > 1 {
			list = append(list, ',')
		}
		last = place{row.Int(2), row.Text(0)}
		r := raw{
			id: bus.ResourceOf(last.key).ID, order: kept{last.key, row.Int(1), row.Text(3)}, paymentStatus: paymentStatus(row.Text(4)),
			process: kept{version: row.Int(5), doc: row.Text(6)}, attention: row.Text(7),
		}
		list, err = r.answer(list, caller, nil)
		return err
	})
	return append(list, ']'), more, err
}

// lookUpTo is the last order that is looked at for a page; nil if there are fewer behind the page before. It is
// asked first, and the page goes no further, so that an order is looked at for one page, whatever
// is placed meanwhile.
func (q *queries) lookUpTo(ctx context.Context, l *listing) (last *place, err error) {
	s := new(statement)
	s.WriteString("SELECT key, placed_at FROM (")
	l.candidates(s, q.Store.Dialect(), "key, placed_at", maxLooked)
	s.WriteString(") c ORDER BY placed_at DESC, key DESC LIMIT 1 OFFSET " + s.Arg(maxLooked-1))
	err = q.Store.Query(ctx, s.String(), s.Args, func(row projection.Row) error {
		last = &place{row.Int(1), row.Text(0)}
		return nil
	})
	return last, err
}

// statement is SQL with its arguments.
type statement struct{ projection.Statement }

// narrow adds a condition on an argument.
func (s *statement) narrow(condition string, v any) {
	s.WriteString(" AND " + condition + " " + s.Arg(v))
}

// statement reads a page and one order more: it looks up the candidates one by one, which is told to
// each planner in its way.
func (l *listing) statement(d projection.Dialect, limit int) (sql string, args []any) {
	s := new(statement)
	s.WriteString("SELECT o.key, o.version, o.placed_at, o.doc, m.status, f.version, f.doc, f.attention FROM (")
	looks, f := l.looks(limit), &l.filter
	by := f.by()
	from, read := "c", looks != maxLooked && by.reads()
	if read { // what is found is the page
		from = "o"
		l.candidates(s, d, "key, version, placed_at, doc", looks)
		s.WriteString(") o")
	} else {
		if looks == maxLooked {
			looks *= 2 // where it ends is known, but not what has been placed since
		}
		l.candidates(s, d, "key, placed_at", looks)
		s.WriteString(") c")
	}
	look := func(join, table, as, category string) {
		key := "'" + category + "-' || substr(" + from + ".key, 7)"
		if d == projection.SQLite {
			s.WriteString(" " + join + " JOIN " + table + " " + as + " ON " + as + ".key = " + key)
			return
		}
		on := " ON true"
		if join == "CROSS" {
			on = ""
		}
		s.WriteString(" " + join + " JOIN LATERAL (SELECT * FROM " + table + " WHERE key = " + key + " LIMIT 1) " + as + on)
	}
	if !read {
		look("CROSS", ordersTable, "o", orderCategory)
	}
	look("LEFT", paymentsTable, "m", payments.Category)
	look("LEFT", fulfilmentsTable, "f", fulfilment.Category)
	s.WriteString(" WHERE true")
	if f.CustomerID != "" && by != byCustomer {
		s.narrow("o.customer_id =", f.CustomerID)
	}
	if f.Status != "" && by != byStatus {
		s.narrow("o.status =", f.Status)
	}
	if f.SKU != "" && by != bySKU {
		s.WriteString(" AND EXISTS (SELECT 1 FROM " + linesTable + " l WHERE l.sku = " + s.Arg(f.SKU) + " AND l.placed_at = o.placed_at AND l.key = o.key)")
	}
	if f.Stuck && by != byStuck {
		s.WriteString(" AND f.attention <> ''")
	}
	s.WriteString(" ORDER BY " + from + ".placed_at DESC, " + from + ".key DESC LIMIT " + s.Arg(limit+1))
	return s.String(), s.Args
}
