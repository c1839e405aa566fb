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

// historyTable holds every event of an order's life as it was published, one row an event, in the order of the logs. The documents
// list those of their streams: an index to find them by would be written where chance will have it, for each
// event, and the larger it grew, the slower.
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
		Name: historyTable, Key: []string{"slot"},
		Columns: []projection.Column{
			number("slot"), text("stream"), number("version"), number("at"), text("type"),
			text("caller"), text("command"), text("cause"), text("event"),
		},
	})}
}

func historySchema(d projection.Dialect) []string {
	number := "BIGINT"
	if d == projection.SQLite {
		number = "INTEGER" // the row's own number, so that no other tree leads to it
	}
	return []string{fmt.Sprintf(`CREATE TABLE %s (slot %s PRIMARY KEY, stream TEXT NOT NULL, version BIGINT NOT NULL, at BIGINT NOT NULL,
		type TEXT NOT NULL, caller TEXT NOT NULL, command TEXT NOT NULL, cause TEXT NOT NULL, event TEXT NOT NULL)`, historyTable, number)}
}

// historyOf are the categories of the streams that make up an order's life. Slots have their places in this list, so another version
// of the view is needed to change it, save for one more at its end.
var historyOf = [1 << categoryBits]string{
	orderCategory, payments.Category, fulfilment.Category, notifications.Category, shipping.CategoryShipment, shipping.CategoryReturn,
}

// A slot is made of the category of the event's stream, the partition, and the position in the log. The position alone would name an
// event within its service. The partition comes first since each is read at its own pace: so what is written at one time lies together.
// Slots are numbers that any reader of JSON takes in exactly.
const (
	positionBits  = 40
	partitionBits = 10 // of the partition's number the lower ones
	categoryBits  = 3
)

// slotOf is where the history holds an event, which must have its position.
func slotOf(r *projection.Record) (int64, error) {
	category := slices.Index(historyOf[:], bus.ResourceOf(r.Key).Type)
	if category < 0 || r.Position < 1 || r.Position >= 1<<positionBits {
		return 0, fmt.Errorf("the history has no slot for position %d of %s", r.Position, r.Key)
	}
	partition := int64(r.Partition) & (1<<partitionBits - 1)
	return int64(category)<<(partitionBits+positionBits) | partition<<positionBits | r.Position, nil
}

// keep keeps an event, and returns its slot.
func (h *history) keep(r *projection.Record) (slot int64, err error) {
	if slot, err = slotOf(r); err == nil {
		h.Upsert(slot, r.Key, r.Version, timeOf(r.Record).UnixMicro(), r.Type, r.Header(bus.HeaderCaller),
			r.Header(bus.HeaderCausation), r.Header(bus.HeaderTrigger), string(r.Value))
	}
	return slot, err
}

// timeOf is when an event happened, which its broker may know to the millisecond only.
func timeOf(r *kafka.Record) time.Time {
	if at, err := time.Parse(time.RFC3339Nano, r.Header(bus.HeaderTime)); err == nil {
		return at
	}
	return r.Time
}

// recalled is a document that lists the slots of its stream's events.
type recalled[T any] interface {
	*T
	events() *[]int64
}

// remembered are documents whose streams have a history. It is a projection.Held.
type remembered[T any, D recalled[T]] struct {
	*projection.Documents[T]
	forget func(ctx context.Context, tx projection.Tx, stream string, doc *T) error // deletes what else there is of a document; may be nil
}

// Forget implements projection.Held. It deletes the events that the document lists, where they are still this stream's: after
// a log was restored, a slot may have another's. What is not listed is shown nowhere, and a rebuild is without it. Of a document that
// can't be read the rows beside it stay: most of them are written again, as they were, when the stream is folded anew.
func (m remembered[T, D]) Forget(ctx context.Context, tx projection.Tx, stream string) error {
	text, _, err := m.Get(ctx, tx, stream)
	if err != nil {
		return err
	}
	var doc T
	if bus.Decode([]byte(text), &doc) == nil {
		for slots := range slices.Chunk(*D(&doc).events(), maxForgotten) {
			del := new(projection.Statement)
			del.WriteString("DELETE FROM " + historyTable + " WHERE stream = " + del.Arg(stream) + " AND slot IN (0")
			for _, slot := range slots {
				del.WriteString(", " + del.Arg(slot))
			}
			del.WriteString(")")
			if _, err := tx.Exec(ctx, del.String(), del.Args...); err != nil {
				return err
			}
		}
		if m.forget != nil {
			if err := m.forget(ctx, tx, stream, &doc); err != nil {
				return err
			}
		}
	}
	return m.Documents.Forget(ctx, tx, stream)
}

// maxForgotten bounds the events that are deleted by one statement.
const maxForgotten = 50

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
// returns, as their documents list it. Each event is looked up by its slot, which is told to each planner in its way. PostgreSQL
// refuses JSON with a zero byte, which nothing that is read here has.
var selectHistory = map[projection.Dialect]string{
	projection.SQLite: selectEvents + " CROSS JOIN json_each(w.doc, '$.kept.events') e CROSS JOIN " + historyTable +
		" h ON h.slot = e.value AND h.stream = w.key ORDER BY h.stream, h.version LIMIT $2",
	projection.Postgres: selectEvents + ` CROSS JOIN LATERAL json_array_elements_text(replace(w.doc, '\u0000', '')::json -> 'kept' -> 'events') e(slot)` +
		" CROSS JOIN LATERAL (SELECT * FROM " + historyTable + " WHERE slot = e.slot::bigint LIMIT 1) h WHERE h.stream = w.key ORDER BY h.stream, h.version LIMIT $2",
}

var selectEvents = "SELECT h.stream, h.version, h.at, h.type, h.caller, h.command, h.cause, h.event FROM (" + strings.Join([]string{
	"SELECT key, doc FROM " + ordersTable + " WHERE key = '" + orderCategory + "-' || $1",
	"SELECT key, doc FROM " + paymentsTable + " WHERE key = '" + payments.Category + "-' || $1",
	"SELECT key, doc FROM " + fulfilmentsTable + " WHERE key = '" + fulfilment.Category + "-' || $1",
	"SELECT key, doc FROM " + mailsTable + " WHERE key = '" + notifications.Category + "-' || $1",
	"SELECT key, doc FROM " + shipmentsTable + " WHERE order_id = $1",
	"SELECT key, doc FROM " + returnsTable + " WHERE order_id = $1",
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
