package orderview

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/orderlane/orderlane/api/fulfilment"
	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/api/payments"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/httpapi"
	"github.com/orderlane/orderlane/pkg/projection"
)

// raw is an order with all that belongs to it as it is stored. What says who may see it and which
// versions it shows is beside the documents, so that who has it already costs no decoding.
type raw struct {
	id                      string
	customer                string
	order, payment, process kept
	shipments, returns      []kept
	personal, secret        completion
	paymentStatus           payments.Status
	attention               string // for staff
}

// completion is what is personal of a stream.
type completion struct {
	due     int64 // the version that it has to be of at least, see document.PersonalDue
	version int64
	data    string
}

// shown is the version that what is stored is shown as of.
func (c *completion) shown(k *kept) int64 { return shownVersion(k.version, c.due, c.version) }

// kept is a document as it is stored; version 0 says that there is none.
type kept struct {
	stream  string
	version int64
	doc     string
}

// wholeColumns are what is read of an order, from what is joined as o (orders), p (what is personal
// of it), m (its payment), s (what that is completed with) and f (its process). %s puts the rows of
// a group into one text.
const wholeColumns = `SELECT w.id, o.customer_id, o.version, o.personal_due, o.doc, p.version, p.data, m.version, m.doc, m.personal_due, s.version, s.data, f.version, f.doc, m.status, f.attention,
	(SELECT %[1]s(x.key || ' ' || x.version || ' ' || x.doc, $2 ORDER BY x.created_at, x.key) FROM %[2]s x WHERE x.order_id = w.id),
	(SELECT %[1]s(y.key || ' ' || y.version || ' ' || y.doc, $2 ORDER BY y.created_at, y.key) FROM %[3]s y WHERE y.order_id = w.id) `

// selectWhole reads the orders of a JSON array of ids in one statement, so that what is shown of one is
// of one moment. Joins are written so that each row is looked up by its key whatever the planner
// knows of the tables: by the order of a cross join, or by subqueries with a limit.
var selectWhole = map[projection.Dialect]string{
	projection.SQLite: fmt.Sprintf(wholeColumns, "group_concat", shipmentsTable, returnsTable) +
		`FROM (SELECT value AS id FROM json_each($1)) w
	CROSS JOIN ` + ordersTable + ` o ON o.key = 'order-' || w.id
	LEFT JOIN ` + personalTable + ` p ON p.stream = 'order-' || w.id
	LEFT JOIN ` + paymentsTable + ` m ON m.key = 'payment-' || w.id
	LEFT JOIN ` + personalTable + ` s ON s.stream = CASE m.status WHEN 'requires_action' THEN 'payment-' || w.id END
	LEFT JOIN ` + fulfilmentsTable + ` f ON f.key = 'fulfilment-' || w.id`,
	projection.Postgres: fmt.Sprintf(wholeColumns, "string_agg", shipmentsTable, returnsTable) +
		`FROM json_array_elements_text($1::json) w(id)
	CROSS JOIN LATERAL (SELECT * FROM ` + ordersTable + ` WHERE key = 'order-' || w.id LIMIT 1) o
	LEFT JOIN LATERAL (SELECT * FROM ` + personalTable + ` WHERE stream = 'order-' || w.id LIMIT 1) p ON true
	LEFT JOIN LATERAL (SELECT * FROM ` + paymentsTable + ` WHERE key = 'payment-' || w.id LIMIT 1) m ON true
	LEFT JOIN LATERAL (SELECT * FROM ` + personalTable + ` WHERE stream = CASE m.status WHEN 'requires_action' THEN 'payment-' || w.id END LIMIT 1) s ON true
	LEFT JOIN LATERAL (SELECT * FROM ` + fulfilmentsTable + ` WHERE key = 'fulfilment-' || w.id LIMIT 1) f ON true`,
}

// between is what stands between documents of one text: no JSON text that we write has it.
const between = "\n"

// readRaw reads orders by their ids, which are UUIDs; one that is not there is left out.
func readRaw(ctx context.Context, q projection.Queryer, d projection.Dialect, ids []string) (map[string]*raw, error) {
	found := make(map[string]*raw, len(ids))
	args := []any{`["` + strings.Join(ids, `","`) + `"]`, between}
	err := q.Query(ctx, selectWhole[d], args, func(row projection.Row) (err error) {
		id := row.Text(0)
		r := &raw{
			id: id, customer: row.Text(1),
			personal: completion{row.Int(3), row.Int(5), row.Text(6)}, secret: completion{row.Int(9), row.Int(10), row.Text(11)},
			order:   kept{orderCategory + "-" + id, row.Int(2), row.Text(4)},
			payment: kept{payments.Category + "-" + id, row.Int(7), row.Text(8)},
			process: kept{fulfilment.Category + "-" + id, row.Int(12), row.Text(13)},

			paymentStatus: paymentStatus(row.Text(14)), attention: row.Text(15),
		}
		if r.shipments, err = several(row.Text(16)); err == nil {
			r.returns, err = several(row.Text(17))
		}
		found[id] = r
		return err
	})
	return found, err
}

// paymentStatus is the status of a payment as it is stored, or of one that was not asked for yet.
func paymentStatus(stored string) payments.Status {
	return cmp.Or(payments.Status(stored), payments.StatusPending)
}

// several are the documents that one text holds, each behind its stream and version.
func several(all string) (docs []kept, err error) {
	for all != "" {
		var one string
		one, all, _ = strings.Cut(all, between)
		stream, rest, _ := strings.Cut(one, " ")
		version, doc, _ := strings.Cut(rest, " ")
		k := kept{stream: stream, doc: doc}
		if k.version, err = strconv.ParseInt(version, 10, 64); err != nil {
			return nil, fmt.Errorf("orderview: read %s: %w", stream, err)
		}
		docs = append(docs, k)
	}
	return docs, nil
}

// shown is the version that the order is shown as of: less than 1 if what is personal of its first
// version has not arrived. Then it is not there yet.
func (r *raw) shown() int64 { return r.personal.shown(&r.order) }

// tokens are the versions of all that is shown.
func (r *raw) tokens() httpapi.Tokens {
	tokens := make(httpapi.Tokens, 0, 5+len(r.shipments)+len(r.returns))
	for _, k := range []struct {
		*kept
		shown int64
	}{{&r.order, r.shown()}, {&r.payment, r.secret.shown(&r.payment)}, {&r.process, r.process.version}} {
		if k.shown > 0 {
			tokens = append(tokens, httpapi.Token{Stream: k.stream, Version: k.shown})
		}
		tokens = append(tokens, lagging(k.stream, k.version, k.shown)...)
	}
	for _, k := range r.shipments {
		tokens = append(tokens, httpapi.Token{Stream: k.stream, Version: k.version})
	}
	for _, k := range r.returns {
		tokens = append(tokens, httpapi.Token{Stream: k.stream, Version: k.version})
	}
	return tokens
}

// show is the order as a caller sees it who may see it.
func (r *raw) show(caller httpapi.Caller) (*Order, error) {
	w, err := r.decode()
	if err != nil {
		return nil, fmt.Errorf("orderview: read order %s: %w", r.id, err)
	}
	if !pays(caller, r.customer) {
		w.clientSecret = ""
	}
	o := w.show(caller.Staff())
	o.PaymentStatus = r.paymentStatus
	return o, nil
}

// decode makes the order of what is stored.
func (r *raw) decode() (w *whole, err error) {
	w = new(whole)
	w.order.version = r.shown()
	if err := bus.Decode([]byte(r.order.doc), &w.order.doc); err != nil {
		return nil, err
	}
	if w.payment, err = stored[payment](r.payment.version, r.payment.doc); err != nil {
		return nil, err
	}
	if w.payment != nil {
		w.payment.version = r.secret.shown(&r.payment)
	}
	if w.process, err = stored[process](r.process.version, r.process.doc); err != nil {
		return nil, err
	}
	for _, s := range r.shipments {
		one, err := stored[shipment](s.version, s.doc)
		if err != nil {
			return nil, err
		}
		w.shipments = append(w.shipments, one)
	}
	for _, b := range r.returns {
		one, err := stored[goodsBack](b.version, b.doc)
		if err != nil {
			return nil, err
		}
		w.returns = append(w.returns, one)
	}
	return w, w.addPersonal(r)
}

// addPersonal completes an order by what is personal, unless that is erased or on its way.
func (w *whole) addPersonal(r *raw) error {
	if r.personal.data != "" {
		var p ordering.Personal
		if err := bus.Decode([]byte(r.personal.data), &p); err != nil {
			return err
		}
		w.shipTo = &p.ShipTo
	}
	if r.secret.data != "" && r.secret.version >= r.secret.due && w.payment != nil && w.payment.doc.Status == payments.StatusRequiresAction {
		var p payments.Personal
		if err := bus.Decode([]byte(r.secret.data), &p); err != nil {
			return err
		}
		w.clientSecret = p.ClientSecret
	}
	return nil
}
