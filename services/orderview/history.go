package orderview

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/orderlane/orderlane/api/fulfilment"
	"github.com/orderlane/orderlane/api/notifications"
	"github.com/orderlane/orderlane/api/payments"
	"github.com/orderlane/orderlane/api/shipping"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/fault"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/projection"
)

// historyTable holds every event of an order's life as it was published, one row an event, where it was in its
// log. The documents say where those of their streams are: an index to find them by would be written where
// chance will have it, event by event, and the larger it grew, the slower.
var historyTable = projection.TableName(viewName, viewVersion, "history")

// maxHistory bounds the events of one order that are read at once. An order of a hundred lines,
// each shipped and returned on its own, has some two thousand.
const maxHistory = 20_000

// history keeps events. It is a projection.Part.
type history struct{ *projection.Rows }

func newHistory() *history {
	text := func(name string) projection.Column { return projection.Column{Name: name, Kind: projection.Text} }
	number := func(name string) projection.Column { return projection.Column{Name: name, Kind: projection.Int} }
	return &history{projection.NewRows(projection.Table{
		Name: historyTable, Key: []string{"place"},
		Columns: []projection.Column{
			number("place"), text("stream"), number("version"), number("at"), text("type"),
			text("caller"), text("command"), text("cause"), text("event"),
		},
	})}
}

func historySchema(d projection.Dialect) []string {
	place := "BIGINT"
	if d == projection.SQLite {
		place = "INTEGER" // the row's own number, so that no other tree leads to it
	}
	return []string{fmt.Sprintf(`CREATE TABLE %s (place %s PRIMARY KEY, stream TEXT NOT NULL, version BIGINT NOT NULL, at BIGINT NOT NULL,
		type TEXT NOT NULL, caller TEXT NOT NULL, command TEXT NOT NULL, cause TEXT NOT NULL, event TEXT NOT NULL)`, historyTable, place)}
}

// historyOf are the categories of the streams that make up an order's life, by their places: one more comes last.
var historyOf = []string{
	orderCategory, payments.Category, fulfilment.Category, notifications.Category, shipping.CategoryShipment, shipping.CategoryReturn,
}

// A place is made of the category of its stream, the partition, and the position in the log. The position alone names
// an event within its service; as partitions are read each at its pace, what is written together is
// together only with the partition before it.
const (
	positionBits  = 40
	partitionBits = 10 // of the partition's number the lower ones
)

// placeOf is where the history holds an event.
func placeOf(r *projection.Record) (int64, error) {
	category := slices.Index(historyOf, bus.ResourceOf(r.Key).Type)
	if category < 0 || r.Position < 1 || r.Position >= 1<<positionBits {
		return 0, fmt.Errorf("position %d of %s has no place in the history", r.Position, r.Key)
	}
	partition := int64(r.Partition) & (1<<partitionBits - 1)
	return int64(category)<<(partitionBits+positionBits) | partition<<positionBits | r.Position, nil
}

// keep keeps an event, and returns where.
func (h *history) keep(r *projection.Record) (place int64, err error) {
	if place, err = placeOf(r); err == nil {
		h.Upsert(place, r.Key, r.Version, timeOf(r.Record).UnixMicro(), r.Type, r.Header(bus.HeaderCaller),
			r.Header(bus.HeaderCausation), r.Header(bus.HeaderTrigger), string(r.Value))
	}
	return place, err
}

// timeOf is when an event happened, which its broker may know to the millisecond only.
func timeOf(r *kafka.Record) time.Time {
	if at, err := time.Parse(time.RFC3339Nano, r.Header(bus.HeaderTime)); err == nil {
		return at
	}
	return r.Time
}

// recalled is a document that says where the events of its stream are.
type recalled[T any] interface {
	*T
	events() *[]int64
}

// remembered are documents with the history of their streams. It is a projection.Held.
type remembered[T any, D recalled[T]] struct{ *projection.Documents[T] }

// Forget implements projection.Held.
func (m remembered[T, D]) Forget(ctx context.Context, tx projection.Tx, stream string) error {
	if err := m.forgetEvents(ctx, tx, stream); err != nil {
		return err
	}
	return m.Documents.Forget(ctx, tx, stream)
}

func (m remembered[T, D]) forgetEvents(ctx context.Context, tx projection.Tx, stream string) error {
	text, _, err := m.Get(ctx, tx, stream)
	if err != nil || text == "" {
		return err
	}
	var doc T
	if err := bus.Decode([]byte(text), &doc); err != nil {
		return fmt.Errorf("orderview: read %s: %w", stream, err)
	}
	for _, place := range *D(&doc).events() {
		if _, err := tx.Exec(ctx, "DELETE FROM "+historyTable+" WHERE place = $1 AND stream = $2", place, stream); err != nil {
			return err
		}
	}
	return nil
}

// past is an event of an order's history.
type past struct {
	stream  string
	version int64
	at      time.Time // of the stream's latest event so far: clocks may go back, versions do not
	kind    string    // ce_type
	caller  string
	command string // that it came of
	cause   string // what that command came of: an event or a task; "" if a caller sent it
	sent    time.Time
	event   []byte
}

func (p *past) id() string { return fmt.Sprintf("%s/%d", p.stream, p.version) }

// record is the event as the view has folded it.
func (p *past) record() *projection.Record {
	return &projection.Record{Record: &kafka.Record{Value: p.event}, Key: p.stream, Type: p.kind, Version: p.version}
}

// selectHistory reads the history of an order: of the streams that are named after it, and of its shipments and
// returns, as their documents tell.
var selectHistory = map[projection.Dialect]string{
	projection.SQLite: selectEvents + " CROSS JOIN json_each(w.doc, '$.kept.events') e CROSS JOIN " + historyTable +
		" h ON h.place = e.value ORDER BY h.stream, h.version LIMIT $2",
	projection.Postgres: selectEvents + " CROSS JOIN LATERAL jsonb_array_elements_text(w.doc::jsonb -> 'kept' -> 'events') e(place)" +
		" CROSS JOIN LATERAL (SELECT * FROM " + historyTable + " WHERE place = e.place::bigint) h ORDER BY h.stream, h.version LIMIT $2",
}

var selectEvents = "SELECT h.stream, h.version, h.at, h.type, h.caller, h.command, h.cause, h.event FROM (" + strings.Join([]string{
	"SELECT doc FROM " + ordersTable + " WHERE key = '" + orderCategory + "-' || $1",
	"SELECT doc FROM " + paymentsTable + " WHERE key = '" + payments.Category + "-' || $1",
	"SELECT doc FROM " + fulfilmentsTable + " WHERE key = '" + fulfilment.Category + "-' || $1",
	"SELECT doc FROM " + mailsTable + " WHERE key = '" + notifications.Category + "-' || $1",
	"SELECT doc FROM " + shipmentsTable + " WHERE order_id = $1",
	"SELECT doc FROM " + returnsTable + " WHERE order_id = $1",
}, " UNION ALL ") + ") w"

// pastOf reads an order's history, stream by stream, each in the order of its versions.
func pastOf(ctx context.Context, q projection.Store, order string) ([]past, error) {
	var all []past
	err := q.Query(ctx, selectHistory[q.Dialect()], []any{order, maxHistory + 1}, func(row projection.Row) error {
		sent := time.UnixMicro(row.Int(2)).UTC()
		p := past{
			stream: row.Text(0), version: row.Int(1), at: sent, kind: row.Text(3), caller: row.Text(4),
			command: row.Text(5), cause: row.Text(6), sent: sent, event: []byte(row.Text(7)),
		}
		if n := len(all); n > 0 && all[n-1].stream == p.stream && all[n-1].at.After(p.at) {
			p.at = all[n-1].at
		}
		all = append(all, p)
		return nil
	})
	if err == nil && len(all) > maxHistory {
		err = fault.Conflict("history_too_long", "the order has more than %d events: they are on the event topics", maxHistory)
	}
	return all, err
}
