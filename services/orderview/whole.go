package orderview

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/orderlane/orderlane/api/fulfilment"
	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/api/payments"
	"github.com/orderlane/orderlane/api/shipping"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/httpapi"
	"github.com/orderlane/orderlane/pkg/projection"
)

// folded is a document with the version that it is of, as it is stored or was folded from a history.
type folded[T any] struct {
	doc     T
	version int64
}

// whole is an order with all that belongs to it, as it stands or as it stood.
type whole struct {
	order     folded[document]
	payment   *folded[payment]
	process   *folded[process]
	shipments []*folded[shipment]
	returns   []*folded[goodsBack]

	shipTo       *ordering.Address
	clientSecret string
}

// show is the order as clients see it, or as staff does.
func (w *whole) show(staff bool) *Order {
	d := &w.order.doc
	o := d.order(w.order.version)
	if w.payment != nil {
		o.Payment = w.payment.doc.show(w.payment.version, staff)
		o.Payment.ClientSecret = w.clientSecret
		o.PaymentStatus = o.Payment.Status
		o.shown = append(o.shown, o.Payment.tokens()...)
	}
	if w.process != nil {
		o.addProcess(&w.process.doc, staff)
		o.shown = append(o.shown, httpapi.Token{Stream: fulfilment.Category + "-" + d.ID, Version: w.process.version})
	}
	slices.SortFunc(w.shipments, func(a, b *folded[shipment]) int {
		return cmp.Or(a.doc.CreatedAt.Compare(b.doc.CreatedAt), strings.Compare(a.doc.ID, b.doc.ID))
	})
	for _, s := range w.shipments {
		o.Shipments = append(o.Shipments, s.doc.show(s.version))
		o.shown = append(o.shown, httpapi.Token{Stream: shipping.CategoryShipment + "-" + s.doc.ID, Version: s.version})
	}
	slices.SortFunc(w.returns, func(a, b *folded[goodsBack]) int {
		return cmp.Or(a.doc.CreatedAt.Compare(b.doc.CreatedAt), strings.Compare(a.doc.ID, b.doc.ID))
	})
	for _, b := range w.returns {
		o.Returns = append(o.Returns, b.doc.show(b.version))
		o.shown = append(o.shown, httpapi.Token{Stream: shipping.CategoryReturn + "-" + b.doc.ID, Version: b.version})
	}
	o.ShipTo = w.shipTo
	return &o
}

// addProcess completes an order by what it waits for.
func (o *Order) addProcess(p *process, staff bool) {
	if p.WaitingFor != "" {
		o.WaitingFor = &p.WaitingFor
	}
	if !p.Until.IsZero() {
		o.WaitingUntil = &p.Until
	}
	if staff {
		o.Attention = p.Attention
	}
	for line, stock := range p.Stock {
		if line >= 1 && line <= len(o.Lines) {
			o.Lines[line-1].Fulfilment.keep(stock, o.Lines[line-1].Quantity)
		}
	}
}

// selectWhole reads orders with all that belongs to them, a row an order, in one statement: so
// what is shown is of one moment. %s names the rows of ids.
var selectWhole = `SELECT o.key, o.version, o.personal_due, o.doc, p.version, p.data, m.version, m.doc, s.data, f.version, f.doc,
	(SELECT %[2]s(x.version || ' ' || x.doc, $2) FROM ` + shipmentsTable + ` x WHERE x.order_id = w.id),
	(SELECT %[2]s(y.version || ' ' || y.doc, $2) FROM ` + returnsTable + ` y WHERE y.order_id = w.id)
	FROM %[1]s
	JOIN ` + ordersTable + ` o ON o.key = 'order-' || w.id
	LEFT JOIN ` + personalTable + ` p ON p.stream = 'order-' || w.id
	LEFT JOIN ` + paymentsTable + ` m ON m.key = 'payment-' || w.id
	LEFT JOIN ` + personalTable + ` s ON s.stream = m.key AND m.status = 'requires_action'
	LEFT JOIN ` + fulfilmentsTable + ` f ON f.key = 'fulfilment-' || w.id`

// selectWholeIn is selectWhole for each store.
var selectWholeIn = map[projection.Dialect]string{
	projection.SQLite:   fmt.Sprintf(selectWhole, "(SELECT value AS id FROM json_each('[\"' || replace($1, ',', '\",\"') || '\"]')) w", "group_concat"),
	projection.Postgres: fmt.Sprintf(selectWhole, "unnest(string_to_array($1, ',')) AS w(id)", "string_agg"),
}

// between is what stands between documents of one row: no JSON text that we write has it.
const between = "\n"

// loadWhole reads orders by their ids; one that is not there is left out.
func loadWhole(ctx context.Context, store projection.Store, ids []string) (map[string]*whole, error) {
	found := make(map[string]*whole, len(ids))
	err := store.Query(ctx, selectWholeIn[store.Dialect()], []any{strings.Join(ids, ","), between}, func(row projection.Row) error {
		w, err := readWhole(row)
		if err != nil {
			return fmt.Errorf("orderview: read %s: %w", row.Text(0), err)
		}
		if w != nil {
			found[w.order.doc.ID] = w
		}
		return nil
	})
	return found, err
}

// readWhole reads an order; nil if what is personal of its first version has not arrived: then it
// is not there yet.
func readWhole(row projection.Row) (w *whole, err error) {
	w = new(whole)
	if w.order.version = shownVersion(row.Int(1), row.Int(2), row.Int(4)); w.order.version < 1 {
		return nil, nil
	}
	if err := bus.Decode([]byte(row.Text(3)), &w.order.doc); err != nil {
		return nil, err
	}
	if data := row.Text(5); data != "" {
		var personal ordering.Personal
		if err := bus.Decode([]byte(data), &personal); err != nil {
			return nil, err
		}
		w.shipTo = &personal.ShipTo
	}
	if w.payment, err = stored[payment](row.Int(6), row.Text(7)); err != nil {
		return nil, err
	}
	if data := row.Text(8); data != "" {
		var personal payments.Personal
		if err := bus.Decode([]byte(data), &personal); err != nil {
			return nil, err
		}
		w.clientSecret = personal.ClientSecret
	}
	if w.process, err = stored[process](row.Int(9), row.Text(10)); err != nil {
		return nil, err
	}
	if w.shipments, err = several[shipment](row.Text(11)); err != nil {
		return nil, err
	}
	w.returns, err = several[goodsBack](row.Text(12))
	return w, err
}

// stored is a document as it is stored; nil if there is none.
func stored[T any](version int64, doc string) (*folded[T], error) {
	if version == 0 {
		return nil, nil
	}
	f := &folded[T]{version: version}
	return f, bus.Decode([]byte(doc), &f.doc)
}

// several are documents that one row holds, each behind its version.
func several[T any](all string) (docs []*folded[T], err error) {
	for all != "" {
		var one string
		one, all, _ = strings.Cut(all, between)
		version, doc, _ := strings.Cut(one, " ")
		n, err := strconv.ParseInt(version, 10, 64)
		if err != nil {
			return nil, err
		}
		f, err := stored[T](n, doc)
		if err != nil {
			return nil, err
		}
		docs = append(docs, f)
	}
	return docs, nil
}

// whole reads one order; nil if it is not there.
func (q *queries) whole(ctx context.Context, id string) (*whole, error) {
	found, err := loadWhole(ctx, q.Store, []string{id})
	return found[id], err
}
