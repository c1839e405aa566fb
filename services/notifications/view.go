package notifications

import (
	"context"
	"fmt"
	"time"

	api "github.com/orderlane/orderlane/api/notifications"
	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/api/payments"
	"github.com/orderlane/orderlane/api/shipping"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/money"
	"github.com/orderlane/orderlane/pkg/projection"
)

// The view's name and version, in tables, checkpoints and the consumer group.
const (
	viewName    = "notifications"
	viewVersion = 2
)

var (
	ordersTable    = projection.TableName(viewName, viewVersion, "orders")
	personalTable  = projection.TableName(viewName, viewVersion, "personal")
	shipmentsTable = projection.TableName(viewName, viewVersion, "shipments")
	paymentsTable  = projection.TableName(viewName, viewVersion, "payments")
	mailsTable     = projection.TableName(viewName, viewVersion, "mails")
)

const orderCategory = "order"

// order is what is kept of an order to write about it; nothing of it is personal.
type order struct {
	Number      string    `json:"number"`
	Currency    string    `json:"currency"`
	PlacedAt    time.Time `json:"placed_at"`
	Lines       []line    `json:"lines"`    // line n is at n-1
	Delivery    int64     `json:"delivery"` // minor units, as all amounts
	DeliveryTax int64     `json:"delivery_tax,omitzero"`
	// Turns are the events that are written about, by version.
	Turns map[int64]turn `json:"turns,omitzero"`
	// PersonalDue is the last version that came with something that a mail says.
	PersonalDue int64 `json:"personal_due"`
}

// line is a line of an order: quantity * unit price - discount is what it costs, tax included.
type line struct {
	Name      string `json:"name"`
	Quantity  int64  `json:"quantity"`
	UnitPrice int64  `json:"unit_price"`
	Discount  int64  `json:"discount,omitzero"`
	Tax       int64  `json:"tax,omitzero"`
}

// turn is what a mail says of an event of its order.
type turn struct {
	Lines   []int  `json:"lines,omitzero"`
	Partial bool   `json:"partial,omitzero"`
	Reason  string `json:"reason,omitzero"`
}

// shipment is what is kept of a shipment.
type shipment struct {
	Items    []shipping.Item `json:"items"`
	Carrier  string          `json:"carrier,omitzero"`
	Tracking string          `json:"tracking,omitzero"`
}

// payment is what is kept of a payment: its refunds, by version.
type payment struct {
	Refunds map[int64]refund `json:"refunds,omitzero"`
}

type refund struct {
	Amount money.Amount     `json:"amount"`
	Lines  []payments.Units `json:"lines,omitzero"`
}

// mails are the mails about an order, and what became of each sending.
type mails struct {
	Mails []Entry `json:"mails"` // mail n is at n-1
}

// view is the projection.View.
type view struct {
	orders    *projection.Documents[order]
	personal  *projection.Rows
	shipments *projection.Documents[shipment]
	payments  *projection.Documents[payment]
	mails     *projection.Documents[mails]
	streams   projection.Streams
	projection.Parts
}

func newView() *view {
	v := &view{
		orders:    projection.NewDocuments(projection.Collection[order]{Table: ordersTable, Topic: bus.EventsTopic(ordering.Service)}),
		shipments: projection.NewDocuments(projection.Collection[shipment]{Table: shipmentsTable, Topic: bus.EventsTopic(shipping.Service)}),
		payments:  projection.NewDocuments(projection.Collection[payment]{Table: paymentsTable, Topic: bus.EventsTopic(payments.Service)}),
		mails:     projection.NewDocuments(projection.Collection[mails]{Table: mailsTable, Topic: bus.EventsTopic(api.Service)}),
		personal: projection.NewRows(projection.Table{
			Name: personalTable, Key: []string{"stream"}, Rank: "version",
			Columns: []projection.Column{
				{Name: "stream", Kind: projection.Text}, {Name: "version", Kind: projection.Int}, {Name: "data", Kind: projection.Text},
			},
		}),
	}
	v.streams = projection.Streams{
		orderCategory: v.orders, shipping.CategoryShipment: v.shipments, payments.Category: v.payments, api.Category: v.mails,
	}
	v.Parts = projection.Parts{v.orders, v.personal, v.shipments, v.payments, v.mails}
	return v
}

// Twin implements projection.Twin.
func (*view) Twin() projection.View { return newView() }

// Name implements projection.View.
func (*view) Name() string { return viewName }

// Version implements projection.View.
func (*view) Version() int { return viewVersion }

// Sources implements projection.View.
func (*view) Sources() []projection.Source {
	return []projection.Source{
		{Topic: bus.EventsTopic(ordering.Service), Log: true},
		{Topic: bus.PersonalTopic(ordering.Service), Log: true},
		{Topic: bus.EventsTopic(shipping.Service), Log: true},
		{Topic: bus.EventsTopic(payments.Service), Log: true},
		{Topic: bus.EventsTopic(api.Service), Log: true},
	}
}

// Schema implements projection.View.
func (v *view) Schema(projection.Dialect) []string {
	return []string{
		v.orders.Schema(), v.shipments.Schema(), v.payments.Schema(), v.mails.Schema(),
		fmt.Sprintf("CREATE TABLE %s (stream TEXT PRIMARY KEY, version BIGINT, data TEXT)", personalTable),
	}
}

// Fold implements projection.View.
func (v *view) Fold(r *projection.Record) error {
	switch r.Topic {
	case bus.EventsTopic(ordering.Service):
		return v.foldOrder(r)
	case bus.EventsTopic(shipping.Service):
		return v.foldShipment(r)
	case bus.EventsTopic(payments.Service):
		return v.foldPayment(r)
	case bus.EventsTopic(api.Service):
		return v.foldMail(r)
	case bus.PersonalTopic(ordering.Service):
		var data any // nil once it was erased
		if r.Value != nil {
			data = string(r.Value)
		}
		v.personal.Upsert(r.Key, r.Version, data)
	}
	return nil
}

// change folds an event of a type into the document of its stream.
func change[E, T any](docs *projection.Documents[T], r *projection.Record, fold func(*T, *E)) error {
	var e E
	if err := bus.Decode(r.Value, &e); err != nil {
		return fmt.Errorf("decode %s: %w", r.Type, err)
	}
	docs.Change(r, func(d *T) error {
		fold(d, &e)
		return nil
	})
	return nil
}

func (v *view) foldOrder(r *projection.Record) error {
	if bus.ResourceOf(r.Key).Type != orderCategory {
		return nil // discount codes
	}
	took := func(o *order, t turn) {
		if o.Turns == nil {
			o.Turns = make(map[int64]turn)
		}
		o.Turns[r.Version] = t
	}
	switch r.Type {
	case ordering.TypeOrderPlaced:
		return change(v.orders, r, func(o *order, e *ordering.OrderPlaced) {
			*o = order{
				Number: e.Number, Currency: e.Currency, PlacedAt: e.PlacedAt,
				Delivery: e.Totals.Delivery, DeliveryTax: e.Totals.DeliveryTax, PersonalDue: r.Version,
			}
			for _, l := range e.Lines {
				o.Lines = append(o.Lines, line{Name: l.Name, Quantity: l.Quantity, UnitPrice: l.UnitPrice, Discount: l.Discount, Tax: l.Tax})
			}
		})
	case ordering.TypeOrderAddressChanged:
		v.orders.Change(r, func(o *order) error {
			o.PersonalDue = r.Version
			return nil
		})
	case ordering.TypeOrderConfirmed:
		v.orders.Change(r, func(o *order) error {
			took(o, turn{})
			return nil
		})
	case ordering.TypeOrderRejected:
		return change(v.orders, r, func(o *order, e *ordering.OrderRejected) { took(o, turn{Reason: e.Reason}) })
	case ordering.TypeOrderCancelled:
		return change(v.orders, r, func(o *order, e *ordering.OrderCancelled) { took(o, turn{Lines: e.Lines, Partial: e.Partial}) })
	default:
		v.orders.Change(r, nil)
	}
	return nil
}

func (v *view) foldShipment(r *projection.Record) error {
	switch {
	case bus.ResourceOf(r.Key).Type != shipping.CategoryShipment: // returns
	case r.Type == shipping.TypeShipmentDispatched:
		return change(v.shipments, r, func(s *shipment, e *shipping.ShipmentDispatched) {
			*s = shipment{Items: e.Items, Carrier: e.Carrier, Tracking: e.Tracking}
		})
	default:
		v.shipments.Change(r, nil)
	}
	return nil
}

func (v *view) foldPayment(r *projection.Record) error {
	if r.Type != payments.TypePaymentRefunded {
		v.payments.Change(r, nil)
		return nil
	}
	return change(v.payments, r, func(p *payment, e *payments.PaymentRefunded) {
		if p.Refunds == nil {
			p.Refunds = make(map[int64]refund)
		}
		p.Refunds[r.Version] = refund{Amount: e.Amount, Lines: e.Lines}
	})
}

// mailEvent is what any event of a mail may say.
type mailEvent struct {
	api.Change
	Reason string `json:"reason"`
}

func (v *view) foldMail(r *projection.Record) error {
	status, ok := map[string]api.Status{
		api.TypeMailRequested: api.StatusRequested, api.TypeMailSent: api.StatusSent,
		api.TypeMailFailed: api.StatusFailed, api.TypeMailSkipped: api.StatusSkipped,
	}[r.Type]
	if !ok {
		v.mails.Change(r, nil) // of a later release
		return nil
	}
	return change(v.mails, r, func(m *mails, e *mailEvent) {
		if e.Mail > len(m.Mails) {
			m.Mails = append(m.Mails, Entry{Mail: e.Mail, Kind: e.Kind, About: e.About})
		}
		entry := &m.Mails[e.Mail-1]
		if status == api.StatusRequested {
			entry.Sends = append(entry.Sends, Sending{Send: e.Send, RequestedAt: e.At})
		}
		s := &entry.Sends[e.Send-1]
		s.Status, s.Reason = status, e.Reason
		if status != api.StatusRequested {
			s.EndedAt = &e.At
		}
		last := entry.Sends[len(entry.Sends)-1]
		entry.Status, entry.Reason = last.Status, last.Reason
	})
}

// Forget implements projection.View.
func (v *view) Forget(ctx context.Context, tx projection.Tx, topic, key string) error {
	if topic == bus.PersonalTopic(ordering.Service) {
		_, err := tx.Exec(ctx, "DELETE FROM "+personalTable+" WHERE stream = $1", key)
		return err
	}
	return v.streams.Forget(ctx, tx, key)
}

// StreamVersion implements projection.View.
func (v *view) StreamVersion(ctx context.Context, q projection.Queryer, stream string) (version int64, held bool, err error) {
	return v.streams.StreamVersion(ctx, q, stream)
}
