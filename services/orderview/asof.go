package orderview

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/orderlane/orderlane/api/fulfilment"
	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/api/payments"
	"github.com/orderlane/orderlane/api/shipping"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/fault"
	"github.com/orderlane/orderlane/pkg/httpapi"
	"github.com/orderlane/orderlane/pkg/projection"
)

// AsOf says of which moment an order is shown.
type AsOf struct {
	Time    time.Time `json:"time"`
	LeftOut []string  `json:"left_out" doc:"What is not kept as it was: ship_to has changed since, or was erased"`
}

// moment is what as_of asks for: a time, or a version of the order.
type moment struct {
	at      time.Time
	version int64 // 0: the time counts
}

// parseMoment reads as_of.
func parseMoment(s string, now time.Time) (m moment, err error) {
	malformed := fault.Invalid("malformed_as_of", "as_of cannot be read").
		With("query.as_of", "send a time, such as 2026-11-23T12:00:00Z, or a version of the order, such as @3")
	if digits, ok := strings.CutPrefix(s, "@"); ok {
		if m.version, err = strconv.ParseInt(digits, 10, 64); err != nil || m.version < 1 || digits[0] == '+' {
			return moment{}, malformed
		}
		return m, nil
	}
	if m.at, err = time.Parse(time.RFC3339Nano, s); err != nil {
		return moment{}, malformed
	}
	if m.at.After(now) {
		return moment{}, fault.Invalid("as_of_in_future", "nobody knows how the order will stand").
			With("query.as_of", "it is %s now", now.UTC().Format(time.RFC3339))
	}
	return m, nil
}

// orderAsOf returns an order as it stood, if the caller may see it.
func (q *queries) orderAsOf(ctx context.Context, id, asOf string, p *httpapi.ReadParams) (*Order, error) {
	m, err := parseMoment(asOf, q.clock())
	if err != nil {
		return nil, err
	}
	if err := q.Fresh(ctx, p); err != nil {
		return nil, err
	}
	if err := q.theirs(ctx, id); err != nil {
		return nil, err
	}
	// What is personal is read first: were it read later, a new address could be taken for one
	// that the history does not know to have changed.
	personal, err := q.personalOf(ctx, orderCategory+"-"+id)
	if err != nil {
		return nil, err
	}
	all, err := pastOf(ctx, q.Store, id)
	if err != nil {
		return nil, err
	}
	now, err := foldWhole(all, id)
	if err != nil {
		return nil, err
	}
	caller := httpapi.CallerOf(ctx)
	if now == nil || !caller.Staff() && now.order.doc.CustomerID != caller.ID {
		return nil, q.missing(ctx, id)
	}
	upTo, at, err := m.cut(all, id)
	if err != nil {
		return nil, err
	}
	then, err := foldWhole(upTo, id)
	if err != nil {
		return nil, err
	}
	left := then.addressFrom(now, personal)
	o := then.show(caller.Staff())
	o.NextActions = []string{}
	o.AsOf = &AsOf{Time: at, LeftOut: left}
	if o.Stale, err = q.staleOf(ctx, shownBy(all)); err != nil {
		return nil, err
	}
	for _, what := range left {
		o.shown = append(o.shown, httpapi.Token{Stream: "without-" + what, Version: 1}) // another answer than with it
	}
	return o, nil
}

// cut leaves of a history what had happened by the moment, and says when that is.
func (m moment) cut(all []past, id string) (upTo []past, at time.Time, err error) {
	stream := orderCategory + "-" + id
	of := func(p *past) bool { return p.stream == stream }
	first := slices.IndexFunc(all, func(p past) bool { return of(&p) })
	at = m.at
	if m.version > 0 {
		i := slices.IndexFunc(all, func(p past) bool { return of(&p) && p.version == m.version })
		if i < 0 {
			return nil, at, fault.Invalid("no_such_version", "the order has no version %d", m.version).
				With("query.as_of", "the versions of an order are 1 to that in its answer")
		}
		at = all[i].at
	}
	if at.Before(all[first].at) {
		return nil, at, fault.Invalid("as_of_before_placed", "the order was not placed yet").
			With("query.as_of", "it was placed at %s", all[first].at.Format(time.RFC3339Nano))
	}
	for i := range all {
		if p := &all[i]; !p.at.After(at) && (m.version == 0 || !of(p) || p.version <= m.version) {
			upTo = append(upTo, *p)
		}
	}
	return upTo, at, nil
}

// personal is what is personal of a stream now.
type personal struct {
	version int64
	data    string
}

func (q *queries) personalOf(ctx context.Context, stream string) (p personal, err error) {
	err = q.Store.Query(ctx, "SELECT version, data FROM "+personalTable+" WHERE stream = $1", []any{stream}, func(row projection.Row) error {
		p = personal{row.Int(0), row.Text(1)}
		return nil
	})
	return p, err
}

// addressFrom completes an order as it stood by where it goes now, if that has not changed since;
// else it says that this is left out.
func (w *whole) addressFrom(now *whole, p personal) (left []string) {
	same := w.order.doc.Kept.PersonalDue == now.order.doc.Kept.PersonalDue && p.version >= now.order.doc.Kept.PersonalDue && p.version <= now.order.version
	var data ordering.Personal
	if !same || p.data == "" || bus.Decode([]byte(p.data), &data) != nil {
		return []string{"ship_to"}
	}
	w.shipTo = &data.ShipTo
	return []string{}
}

// foldWhole folds an order and all that belongs to it from its history; nil if it was not placed.
func foldWhole(all []past, id string) (*whole, error) {
	orders, err1 := foldPast(all, orderCategory, orderFold)
	paid, err2 := foldPast(all, payments.Category, paymentFold)
	processes, err3 := foldPast(all, fulfilment.Category, processFold)
	shipments, err4 := foldPast(all, shipping.CategoryShipment, shipmentFold)
	returns, err5 := foldPast(all, shipping.CategoryReturn, returnFold)
	placed := orders[orderCategory+"-"+id]
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil || placed == nil {
		return nil, err
	}
	return &whole{
		order: *placed, payment: paid[payments.Category+"-"+id], process: processes[fulfilment.Category+"-"+id],
		shipments: slices.Collect(maps.Values(shipments)), returns: slices.Collect(maps.Values(returns)),
	}, nil
}

// foldPast folds the streams of a category, by the functions that the view folds records by.
func foldPast[T any](all []past, category string, fold func(*projection.Record) (func(*T) error, error)) (map[string]*folded[T], error) {
	docs := make(map[string]*folded[T])
	for i := range all {
		p := &all[i]
		if bus.ResourceOf(p.stream).Type != category {
			continue
		}
		d := docs[p.stream]
		if d == nil {
			d = new(folded[T])
			docs[p.stream] = d
		}
		change, err := fold(p.record())
		if err == nil && change != nil {
			err = change(&d.doc)
		}
		if err != nil {
			return nil, fmt.Errorf("orderview: fold the history's %s: %w", p.id(), err)
		}
		d.version = p.version
	}
	return docs, nil
}
