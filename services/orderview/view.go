// Package orderview answers where orders and commands stand: it folds the events of ordering,
// payments, shipping and fulfilment into a document per stream, keeps beside them what is
// personal, and follows every command from the moment that Kafka has it. Every event of an order's
// life is kept too, so that it can tell what happened, by whom and why, and show how an order stood.
package orderview

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/orderlane/orderlane/api/catalog"
	"github.com/orderlane/orderlane/api/fulfilment"
	"github.com/orderlane/orderlane/api/inventory"
	"github.com/orderlane/orderlane/api/notifications"
	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/api/payments"
	"github.com/orderlane/orderlane/api/shipping"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/projection"
)

// The view's name and version, in tables, checkpoints and the consumer group.
const (
	viewName    = "orderview"
	viewVersion = 6
)

var (
	ordersTable   = projection.TableName(viewName, viewVersion, "orders")
	personalTable = projection.TableName(viewName, viewVersion, "personal")
	linesTable    = projection.TableName(viewName, viewVersion, "lines")
	commandsTable = projection.TableName(viewName, viewVersion, "commands")
)

const orderCategory = "order"

// view is the projection.View.
type view struct {
	orders   *projection.Documents[document]
	personal *projection.Rows
	lines    *projection.Rows // of orders, by product
	commands *projection.Rows
	keep     time.Duration // of commands; 0: for ever
	history  *history
	streams  projection.Streams
	related
	projection.Parts
}

// NewView returns the view, for whoever drives its projection. Commands stay in it for ever.
func NewView() projection.View { return newView(0) }

// newView returns the view, which keeps commands for some time, or for ever.
func newView(keep time.Duration) *view {
	v := &view{
		keep:    keep,
		related: newRelated(),
		orders: projection.NewDocuments(projection.Collection[document]{
			Table: ordersTable, Topic: bus.EventsTopic(ordering.Service),
			Columns: []projection.Column{
				{Name: "customer_id", Kind: projection.Text},
				{Name: "status", Kind: projection.Text},
				{Name: "placed_at", Kind: projection.Int},
				{Name: "personal_due", Kind: projection.Int},
				{Name: "number", Kind: projection.Text},
			},
			Values: func(row []any, _ string, d *document) []any {
				return append(row, d.CustomerID, string(d.Status), d.PlacedAt.UnixMicro(), d.Kept.PersonalDue, d.Number)
			},
			Marshal: func(d *document) ([]byte, error) {
				d.NextActions = d.nextActions()
				return bus.Encode(d)
			},
		}),
		personal: projection.NewRows(projection.Table{
			Name: personalTable, Key: []string{"stream"}, Rank: "version",
			Columns: []projection.Column{
				{Name: "stream", Kind: projection.Text}, {Name: "version", Kind: projection.Int}, {Name: "data", Kind: projection.Text},
			},
		}),
		lines: projection.NewRows(projection.Table{
			Name: linesTable, Key: []string{"sku", "placed_at", "key"},
			Columns: []projection.Column{
				{Name: "sku", Kind: projection.Text}, {Name: "placed_at", Kind: projection.Int}, {Name: "key", Kind: projection.Text},
			},
		}),
		commands: projection.NewRows(commandRows),
	}
	v.history = newHistory()
	v.streams = projection.Streams{
		orderCategory:             remembered[document, *document]{v.orders, forgetLines},
		payments.Category:         remembered[payment, *payment]{Documents: v.payments},
		fulfilment.Category:       remembered[process, *process]{Documents: v.fulfilments},
		shipping.CategoryShipment: remembered[shipment, *shipment]{Documents: v.shipments},
		shipping.CategoryReturn:   remembered[goodsBack, *goodsBack]{Documents: v.returns},
		notifications.Category:    remembered[mails, *mails]{Documents: v.mails},
		ordering.CategoryDiscount: v.discounts,
	}
	v.Parts = append(projection.Parts{v.orders, v.lines, v.personal, v.commands}, v.related.parts()...)
	v.Parts = append(v.Parts, v.history)
	return v
}

// Twin implements projection.Twin.
func (v *view) Twin() projection.View { return newView(v.keep) }

// Name implements projection.View.
func (*view) Name() string { return viewName }

// Version implements projection.View.
func (*view) Version() int { return viewVersion }

// commandTopics are the topics whose commands have a status here.
func commandTopics() []string {
	var topics []string
	for _, service := range []string{catalog.Service, ordering.Service, inventory.Service, payments.Service, shipping.Service, notifications.Service} {
		topics = append(topics, bus.CommandsTopic(service))
	}
	return topics
}

// Sources implements projection.View.
func (*view) Sources() []projection.Source {
	sources := []projection.Source{
		{Topic: bus.EventsTopic(ordering.Service), Log: true},
		{Topic: bus.PersonalTopic(ordering.Service), Log: true},
		{Topic: bus.EventsTopic(payments.Service), Log: true},
		{Topic: bus.PersonalTopic(payments.Service), Log: true},
		{Topic: bus.EventsTopic(shipping.Service), Log: true},
		{Topic: bus.EventsTopic(fulfilment.Service), Log: true},
		{Topic: bus.EventsTopic(notifications.Service), Log: true},
		{Topic: bus.OutcomesTopic},
	}
	for _, topic := range commandTopics() {
		sources = append(sources, projection.Source{Topic: topic})
	}
	return sources
}

// Schema implements projection.View.
func (v *view) Schema(d projection.Dialect) []string {
	together, collation, last := "", ` COLLATE "C"`, ", key" // prefixes are ranges in no other
	if d == projection.SQLite {
		// An index entry has the row's number already, and orders that were placed at the same moment are few: without
		// their keys, indexes take a third of the space, and pages are written for more new orders at once.
		together, collation, last = " WITHOUT ROWID", "", ""
	}
	return slices.Concat([]string{
		v.orders.Schema(),
		fmt.Sprintf("CREATE INDEX %[1]s_placed ON %[1]s (placed_at%[2]s)", ordersTable, last),
		fmt.Sprintf("CREATE INDEX %[1]s_customer ON %[1]s (customer_id, placed_at%[2]s)", ordersTable, last),
		fmt.Sprintf("CREATE INDEX %[1]s_status ON %[1]s (status, placed_at%[2]s)", ordersTable, last),
		fmt.Sprintf("CREATE INDEX %[1]s_number ON %[1]s (number%[2]s)", ordersTable, collation),
		fmt.Sprintf("CREATE TABLE %s (sku TEXT NOT NULL, placed_at BIGINT NOT NULL, key TEXT NOT NULL, PRIMARY KEY (sku, placed_at, key))%s", linesTable, together),
		fmt.Sprintf("CREATE TABLE %s (stream TEXT PRIMARY KEY, version BIGINT, data TEXT)", personalTable),
	}, commandsSchema(d), v.related.schema(), historySchema(d))
}

// Fold implements projection.View.
func (v *view) Fold(r *projection.Record) error {
	switch r.Topic {
	case bus.EventsTopic(ordering.Service), bus.EventsTopic(payments.Service), bus.EventsTopic(shipping.Service),
		bus.EventsTopic(fulfilment.Service), bus.EventsTopic(notifications.Service):
		return v.foldStream(r)
	case bus.PersonalTopic(ordering.Service), bus.PersonalTopic(payments.Service):
		var data any
		if r.Value != nil {
			data = string(r.Value)
		}
		v.personal.Upsert(r.Key, r.Version, data)
	case bus.OutcomesTopic:
		return v.foldOutcome(r)
	default:
		v.foldCommand(r)
	}
	return nil
}

// foldStream folds an event into the document of its stream, and keeps it if it is part of an order's history.
func (v *view) foldStream(r *projection.Record) error {
	switch bus.ResourceOf(r.Key).Type {
	case orderCategory:
		return v.foldOrder(r)
	case payments.Category:
		return foldInto(v, v.payments, r, paymentFold)
	case fulfilment.Category:
		return foldInto(v, v.fulfilments, r, processFold)
	case shipping.CategoryShipment:
		return foldInto(v, v.shipments, r, shipmentFold)
	case shipping.CategoryReturn:
		return foldInto(v, v.returns, r, returnFold)
	case notifications.Category:
		return remember(v, v.mails, r, nil) // they are told of in the history only
	case ordering.CategoryDiscount:
		change, err := discountFold(r)
		if err == nil {
			v.discounts.Change(r, change)
		}
		return err
	}
	return nil
}

// foldOrder folds an event into its order, and notes the products of a new one.
func (v *view) foldOrder(r *projection.Record) error {
	change, err := orderFold(r)
	if err != nil {
		return err
	}
	if r.Type == ordering.TypeOrderPlaced {
		var placed document
		if err := change(&placed); err != nil {
			return err
		}
		for i := range placed.Lines {
			v.lines.Upsert(placed.Lines[i].SKU, placed.PlacedAt.UnixMicro(), r.Key)
		}
	}
	return remember(v, v.orders, r, change)
}

// forgetLines deletes the lines of an order.
func forgetLines(ctx context.Context, tx projection.Tx, stream string, d *document) error {
	for i := range d.Lines {
		if _, err := tx.Exec(ctx, "DELETE FROM "+linesTable+" WHERE sku = $1 AND placed_at = $2 AND key = $3",
			d.Lines[i].SKU, d.PlacedAt.UnixMicro(), stream); err != nil {
			return err
		}
	}
	return nil
}

// foldInto folds an event into a collection.
func foldInto[T any, D recalled[T]](v *view, docs *projection.Documents[T], r *projection.Record, fold func(*projection.Record) (func(*T) error, error)) error {
	change, err := fold(r)
	if err != nil {
		return err
	}
	return remember[T, D](v, docs, r, change)
}

// remember keeps an event, and lists it in the document that it changes.
func remember[T any, D recalled[T]](v *view, docs *projection.Documents[T], r *projection.Record, change func(*T) error) error {
	slot, err := v.history.keep(r)
	if err != nil {
		return err
	}
	docs.Change(r, func(doc *T) error {
		events := *D(doc).events()
		if change != nil {
			if err := change(doc); err != nil {
				return err
			}
		}
		*D(doc).events() = append(events, slot)
		return nil
	})
	return nil
}

// Forget implements projection.View.
func (v *view) Forget(ctx context.Context, tx projection.Tx, topic, key string) error {
	switch topic {
	case bus.PersonalTopic(ordering.Service), bus.PersonalTopic(payments.Service):
		_, err := tx.Exec(ctx, "DELETE FROM "+personalTable+" WHERE stream = $1", key)
		return err
	case bus.EventsTopic(ordering.Service), bus.EventsTopic(payments.Service), bus.EventsTopic(shipping.Service),
		bus.EventsTopic(fulfilment.Service), bus.EventsTopic(notifications.Service):
		return v.streams.Forget(ctx, tx, key)
	}
	return nil // monotone upserts come to the same
}
