package orderview

import (
	"context"
	"fmt"
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

// historyTable holds every event of an order's life as it was published, one row an event, in the order in which
// they came. What finds them has nothing of the event in it: it is written where chance will have it.
var historyTable = projection.TableName(viewName, viewVersion, "history")

// maxHistory bounds the events of one order that are read at once. An order of a hundred lines,
// each shipped and returned on its own, has some two thousand.
const maxHistory = 20_000

// history keeps events, and reads them. It is a projection.Part, and what the view holds of
// streams that it has no document of.
type history struct{ *projection.Rows }

func newHistory() *history {
	text := func(name string) projection.Column { return projection.Column{Name: name, Kind: projection.Text} }
	return &history{projection.NewRows(projection.Table{
		Name: historyTable, Key: []string{"stream", "version"},
		Columns: []projection.Column{
			text("stream"),
			{Name: "version", Kind: projection.Int},
			{Name: "at", Kind: projection.Int},
			text("type"),
			text("caller"),
			text("command"),
			text("cause"),
			text("event"),
		},
	})}
}

func historySchema() []string {
	return []string{fmt.Sprintf(`CREATE TABLE %s (stream TEXT NOT NULL, version BIGINT NOT NULL, at BIGINT NOT NULL,
		type TEXT NOT NULL, caller TEXT NOT NULL, command TEXT NOT NULL, cause TEXT NOT NULL, event TEXT NOT NULL,
		PRIMARY KEY (stream, version))`, historyTable)}
}

// keep keeps an event, if it is part of an order's life.
func (h *history) keep(r *projection.Record) {
	switch bus.ResourceOf(r.Key).Type {
	case orderCategory, payments.Category, fulfilment.Category, notifications.Category, shipping.CategoryShipment, shipping.CategoryReturn:
		h.Upsert(r.Key, r.Version, timeOf(r.Record).UnixMicro(), r.Type, r.Header(bus.HeaderCaller),
			r.Header(bus.HeaderCausation), r.Header(bus.HeaderTrigger), string(r.Value))
	}
}

// timeOf is when an event happened, which its broker may know to the millisecond only.
func timeOf(r *kafka.Record) time.Time {
	if at, err := time.Parse(time.RFC3339Nano, r.Header(bus.HeaderTime)); err == nil {
		return at
	}
	return r.Time
}

// Forget implements projection.Held.
func (*history) Forget(ctx context.Context, tx projection.Tx, stream string) error {
	_, err := tx.Exec(ctx, "DELETE FROM "+historyTable+" WHERE stream = $1", stream)
	return err
}

// Version implements projection.Held.
func (*history) Version(ctx context.Context, q projection.Queryer, stream string) (version int64, err error) {
	err = q.Query(ctx, "SELECT version FROM "+historyTable+" WHERE stream = $1 ORDER BY version DESC LIMIT 1",
		[]any{stream}, func(row projection.Row) error {
			version = row.Int(0)
			return nil
		})
	return version, err
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
// returns. Each stream is looked up by its name, which is told to each planner in its way.
var selectHistory = map[projection.Dialect]string{
	projection.SQLite:   selectEvents + " CROSS JOIN " + historyTable + " h ON h.stream = w.stream ORDER BY h.stream, h.version LIMIT $2",
	projection.Postgres: selectEvents + " CROSS JOIN LATERAL (SELECT * FROM " + historyTable + " WHERE stream = w.stream LIMIT $2) h ORDER BY h.stream, h.version LIMIT $2",
}

var selectEvents = "SELECT h.stream, h.version, h.at, h.type, h.caller, h.command, h.cause, h.event FROM (SELECT '" +
	strings.Join([]string{orderCategory, payments.Category, fulfilment.Category, notifications.Category}, "-' || $1 AS stream UNION ALL SELECT '") +
	"-' || $1 UNION ALL SELECT key FROM " + shipmentsTable + " WHERE order_id = $1 UNION ALL SELECT key FROM " + returnsTable + " WHERE order_id = $1) w"

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
