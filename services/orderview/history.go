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
// they came. What finds them by their order has nothing of the event in it: it is written where chance will
// have it. The stream is part of the key, so that topics, which are not ordered relative to each other, write rows of
// their own; of a stream that is named after its order, that is its category only.
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
		Name: historyTable, Key: []string{"order_id", "stream", "version"},
		Columns: []projection.Column{
			text("order_id"),
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
	return []string{fmt.Sprintf(`CREATE TABLE %s (order_id TEXT NOT NULL, stream TEXT NOT NULL, version BIGINT NOT NULL, at BIGINT NOT NULL,
		type TEXT NOT NULL, caller TEXT NOT NULL, command TEXT NOT NULL, cause TEXT NOT NULL, event TEXT NOT NULL,
		PRIMARY KEY (order_id, stream, version))`, historyTable)}
}

// within is how a stream is named among those of an order, and streamOf undoes that.
func within(order, stream string) string { return strings.TrimSuffix(stream, "-"+order) }

func streamOf(order, within string) string {
	if strings.Contains(within, "-") {
		return within
	}
	return within + "-" + order
}

// keep keeps an event, if it is part of an order's life.
func (h *history) keep(r *projection.Record) error {
	of := bus.ResourceOf(r.Key)
	order := of.ID
	switch of.Type {
	case orderCategory, payments.Category, fulfilment.Category, notifications.Category:
	case shipping.CategoryShipment, shipping.CategoryReturn:
		var event struct {
			OrderID string `json:"order_id"`
		}
		if err := bus.Decode(r.Value, &event); err != nil {
			return fmt.Errorf("decode %s: %w", r.Type, err)
		}
		order = event.OrderID
	default:
		return nil
	}
	h.Upsert(order, within(order, r.Key), r.Version, timeOf(r.Record).UnixMicro(), r.Type, r.Header(bus.HeaderCaller),
		r.Header(bus.HeaderCausation), r.Header(bus.HeaderTrigger), string(r.Value))
	return nil
}

// timeOf is when an event happened, which its broker may know to the millisecond only.
func timeOf(r *kafka.Record) time.Time {
	if at, err := time.Parse(time.RFC3339Nano, r.Header(bus.HeaderTime)); err == nil {
		return at
	}
	return r.Time
}

// forget deletes what is kept of a stream. Whose order a shipment or a return belongs to is asked
// of its document, which is there if any event was kept.
func (h *history) forget(ctx context.Context, tx projection.Tx, stream string) error {
	of := bus.ResourceOf(stream)
	order, table := of.ID, ""
	switch of.Type {
	case shipping.CategoryShipment:
		table = shipmentsTable
	case shipping.CategoryReturn:
		table = returnsTable
	}
	if table != "" {
		err := tx.Query(ctx, "SELECT order_id FROM "+table+" WHERE key = $1", []any{stream}, func(row projection.Row) error {
			order = row.Text(0)
			return nil
		})
		if err != nil {
			return err
		}
	}
	_, err := tx.Exec(ctx, "DELETE FROM "+historyTable+" WHERE order_id = $1 AND stream = $2", order, within(order, stream))
	return err
}

// Forget implements projection.Held for streams without a document: forget has deleted their rows.
func (*history) Forget(context.Context, projection.Tx, string) error { return nil }

// Version implements projection.Held for streams that are named after their order.
func (*history) Version(ctx context.Context, q projection.Queryer, stream string) (version int64, err error) {
	order := bus.ResourceOf(stream).ID
	err = q.Query(ctx, "SELECT version FROM "+historyTable+" WHERE order_id = $1 AND stream = $2 ORDER BY version DESC LIMIT 1",
		[]any{order, within(order, stream)}, func(row projection.Row) error {
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

// pastOf reads an order's history, stream by stream, each in the order of its versions.
func pastOf(ctx context.Context, q projection.Queryer, order string) ([]past, error) {
	var all []past
	err := q.Query(ctx, "SELECT stream, version, at, type, caller, command, cause, event FROM "+historyTable+
		" WHERE order_id = $1 ORDER BY stream, version LIMIT $2", []any{order, maxHistory + 1}, func(row projection.Row) error {
		sent := time.UnixMicro(row.Int(2)).UTC()
		p := past{
			stream: streamOf(order, row.Text(0)), version: row.Int(1), at: sent, kind: row.Text(3), caller: row.Text(4),
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
