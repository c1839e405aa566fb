// Package orderview answers where orders and commands stand: it folds ordering's events
// into a document per order, keeps beside it what is personal, and follows every command
// from the moment that Kafka has it.
package orderview

import (
	"context"
	"fmt"
	"time"

	"github.com/orderlane/orderlane/api/catalog"
	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/projection"
)

// The view's name and version, in tables, checkpoints and the consumer group.
const (
	viewName    = "orderview"
	viewVersion = 1
)

var (
	ordersTable   = projection.TableName(viewName, viewVersion, "orders")
	personalTable = projection.TableName(viewName, viewVersion, "personal")
	commandsTable = projection.TableName(viewName, viewVersion, "commands")
)

// document is an order as it is kept: what its events say, and nothing personal.
type document struct {
	ID            string                 `json:"id"`
	Number        string                 `json:"number"`
	CustomerID    string                 `json:"customer_id"`
	Status        ordering.Status        `json:"status"`
	PaymentStatus ordering.PaymentStatus `json:"payment_status"`
	Currency      string                 `json:"currency"`
	PlacedAt      time.Time              `json:"placed_at"`
	Delivery      string                 `json:"delivery"`
	PaymentMethod string                 `json:"payment_method"`
	Lines         []ordering.Line        `json:"lines"`
	Totals        ordering.Totals        `json:"totals"`

	// PersonalDue is the last version that came with something personal: until that has
	// arrived too, the order is not shown as of that version.
	PersonalDue int64 `json:"personal_due"`
}

// view is the projection.View.
type view struct {
	orders   *projection.Documents[document]
	personal *projection.Rows
	accepted *projection.Rows
	outcomes *projection.Rows
	projection.Parts
}

// Ranks of a command's statuses: a later one never gives way to an earlier one.
const (
	rankAccepted = 1
	rankParked   = 2
	rankFinal    = 3
)

// NewView returns the view, for whoever drives its projection.
func NewView() projection.View { return newView() }

func newView() *view {
	v := &view{
		orders: projection.NewDocuments(projection.Collection[document]{
			Table: ordersTable, Topic: bus.EventsTopic(ordering.Service),
			Columns: []projection.Column{
				{Name: "customer_id", Kind: projection.Text},
				{Name: "status", Kind: projection.Text},
				{Name: "placed_at", Kind: projection.Int},
				{Name: "personal_due", Kind: projection.Int},
			},
			Values: func(row []any, _ string, d *document) []any {
				return append(row, d.CustomerID, string(d.Status), d.PlacedAt.UnixMicro(), d.PersonalDue)
			},
		}),
		personal: projection.NewRows(projection.Table{
			Name: personalTable, Key: []string{"stream"}, Rank: "version",
			Columns: []projection.Column{
				{Name: "stream", Kind: projection.Text}, {Name: "version", Kind: projection.Int}, {Name: "data", Kind: projection.Text},
			},
		}),
		accepted: projection.NewRows(projection.Table{
			Name: commandsTable, Key: []string{"id"}, Rank: "accepted_rank",
			Columns: []projection.Column{
				{Name: "id", Kind: projection.Text},
				{Name: "accepted_rank", Kind: projection.Int},
				{Name: "type", Kind: projection.Text},
				{Name: "stream", Kind: projection.Text},
				{Name: "caller", Kind: projection.Text},
				{Name: "accepted_at", Kind: projection.Int},
			},
		}),
		outcomes: projection.NewRows(projection.Table{
			Name: commandsTable, Key: []string{"id"}, Rank: "outcome_rank",
			Columns: []projection.Column{
				{Name: "id", Kind: projection.Text},
				{Name: "outcome_rank", Kind: projection.Int},
				{Name: "outcome", Kind: projection.Text},
				{Name: "outcome_caller", Kind: projection.Text},
			},
		}),
	}
	v.Parts = projection.Parts{v.orders, v.personal, v.accepted, v.outcomes}
	return v
}

// Twin implements projection.Twin.
func (*view) Twin() projection.View { return newView() }

// Name implements projection.View.
func (*view) Name() string { return viewName }

// Version implements projection.View.
func (*view) Version() int { return viewVersion }

// commandTopics are the topics whose commands have a status here.
func commandTopics() []string {
	return []string{bus.CommandsTopic(catalog.Service), bus.CommandsTopic(ordering.Service)}
}

// Sources implements projection.View.
func (*view) Sources() []projection.Source {
	sources := []projection.Source{
		{Topic: bus.EventsTopic(ordering.Service), Log: true},
		{Topic: bus.PersonalTopic(ordering.Service), Log: true},
		{Topic: bus.OutcomesTopic},
	}
	for _, topic := range commandTopics() {
		sources = append(sources, projection.Source{Topic: topic})
	}
	return sources
}

// Schema implements projection.View.
func (v *view) Schema(projection.Dialect) []string {
	return []string{
		v.orders.Schema(),
		fmt.Sprintf("CREATE INDEX %[1]s_placed ON %[1]s (placed_at, key)", ordersTable),
		fmt.Sprintf("CREATE INDEX %[1]s_customer ON %[1]s (customer_id, placed_at, key)", ordersTable),
		fmt.Sprintf("CREATE TABLE %s (stream TEXT PRIMARY KEY, version BIGINT, data TEXT)", personalTable),
		fmt.Sprintf(`CREATE TABLE %s (id TEXT PRIMARY KEY, accepted_rank BIGINT, type TEXT, stream TEXT, caller TEXT,
			accepted_at BIGINT, outcome_rank BIGINT, outcome TEXT, outcome_caller TEXT)`, commandsTable),
	}
}

// Fold implements projection.View.
func (v *view) Fold(r *projection.Record) error {
	switch r.Topic {
	case bus.EventsTopic(ordering.Service):
		return v.foldEvent(r)
	case bus.PersonalTopic(ordering.Service):
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

func (v *view) foldEvent(r *projection.Record) error {
	switch r.Type {
	case ordering.TypeOrderPlaced:
		var e ordering.OrderPlaced
		if err := bus.Decode(r.Value, &e); err != nil {
			return fmt.Errorf("decode %s: %w", r.Type, err)
		}
		v.orders.Change(r, func(d *document) error {
			*d = document{
				ID: e.OrderID, Number: e.Number, CustomerID: e.CustomerID, Status: e.Status, PaymentStatus: e.PaymentStatus,
				Currency: e.Currency, PlacedAt: e.PlacedAt, Delivery: e.Delivery, PaymentMethod: e.PaymentMethod,
				Lines: e.Lines, Totals: e.Totals, PersonalDue: e.Version,
			}
			return nil
		})
	case ordering.TypeOrderAddressChanged:
		var e ordering.OrderAddressChanged
		if err := bus.Decode(r.Value, &e); err != nil {
			return fmt.Errorf("decode %s: %w", r.Type, err)
		}
		v.orders.Change(r, func(d *document) error {
			d.Status, d.PersonalDue = e.Status, e.Version
			return nil
		})
	default:
		v.orders.Change(r, nil) // of a later release: only the version moves
	}
	return nil
}

func (v *view) foldOutcome(r *projection.Record) error {
	if r.Type != bus.TypeOutcome {
		return nil // an answer to one caller
	}
	rank := rankFinal
	switch status := es.Status(r.Header(bus.HeaderStatus)); status {
	case es.StatusParked:
		rank = rankParked
	case es.StatusSucceeded, es.StatusRefused, es.StatusFailed:
	default:
		return fmt.Errorf("an outcome has the unknown status %q", status)
	}
	v.outcomes.Upsert(r.Key, rank, string(r.Value), r.Header(bus.HeaderCaller))
	return nil
}

// foldCommand notes that Kafka has the command; its value is none of the view's business.
func (v *view) foldCommand(r *projection.Record) {
	id := r.Header(bus.HeaderID)
	if id == "" {
		return // no command of ours: its service parks it
	}
	v.accepted.Upsert(id, rankAccepted, r.Type, r.Header(bus.HeaderSubject), r.Header(bus.HeaderCaller), r.Time.UnixMicro())
}

// Forget implements projection.View.
func (v *view) Forget(ctx context.Context, tx projection.Tx, topic, key string) error {
	switch topic {
	case bus.EventsTopic(ordering.Service):
		return v.orders.Forget(ctx, tx, key)
	case bus.PersonalTopic(ordering.Service):
		_, err := tx.Exec(ctx, "DELETE FROM "+personalTable+" WHERE stream = $1", key)
		return err
	}
	return nil // monotone upserts come to the same
}

// StreamVersion implements projection.View. An order is shown as of a version when what is
// personal of that version is there too.
func (v *view) StreamVersion(ctx context.Context, q projection.Queryer, stream string) (version int64, held bool, err error) {
	if bus.ResourceOf(stream).Type != orderCategory {
		return 0, false, nil
	}
	err = q.Query(ctx, "SELECT o.version, o.personal_due, p.version FROM "+ordersTable+" o LEFT JOIN "+personalTable+
		" p ON p.stream = o.key WHERE o.key = $1", []any{stream}, func(row projection.Row) error {
		version = shownVersion(row.Int(0), row.Int(1), row.Int(2))
		return nil
	})
	return version, true, err
}

const orderCategory = "order"

// shownVersion is the version that an order is shown as of.
func shownVersion(version, personalDue, personal int64) int64 {
	if personal < personalDue {
		return personalDue - 1
	}
	return version
}
