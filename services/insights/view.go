// Package insights answers how the shop does: what was sold by day, product, category and status,
// what money came and went, how orders end and how long they take. It folds the events of ordering,
// payments and catalog into sums that are exact: they equal what a fold of all events, and the ledger
// of the payments, come to.
//
// Every figure is a sum of what documents contribute (see projection.Rollup), kept by partition, since
// topics and partitions are folded by themselves; queries read sums only, never an order.
package insights

import (
	"context"
	"fmt"
	"time"

	"github.com/orderlane/orderlane/api/catalog"
	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/api/payments"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/projection"
)

// The view's name and version, in tables, checkpoints and the consumer group.
const (
	viewName    = "insights"
	viewVersion = 1
)

// The first parts of the names of streams that the view folds, beside payments.Category.
const (
	orderCategory   = "order"
	productCategory = "product"
)

func table(name string) string { return projection.TableName(viewName, viewVersion, name) }

var productsTable = table("products")

// product is what is kept of a product: what it is called now, and the category that it is in now.
type product struct {
	SKU      string `json:"sku"`
	Name     string `json:"name"`
	Category string `json:"category"`
}

// view is the projection.View.
type view struct {
	orders   *projection.Rollup[order]
	payments *projection.Rollup[payment]
	products *projection.Documents[product]
	streams  projection.Streams
	projection.Parts
}

// NewView returns the view, for whoever drives its projection.
func NewView() projection.View { return newView() }

func newView() *view {
	v := &view{
		orders: newOrders(), payments: newPayments(),
		products: projection.NewDocuments(projection.Collection[product]{
			Table: productsTable, Topic: bus.EventsTopic(catalog.Service),
			Columns: []projection.Column{{Name: "sku", Kind: projection.Text}, {Name: "name", Kind: projection.Text}, {Name: "category", Kind: projection.Text}},
			Values:  func(row []any, _ string, p *product) []any { return append(row, p.SKU, p.Name, p.Category) },
		}),
	}
	v.streams = projection.Streams{orderCategory: v.orders, payments.Category: v.payments, productCategory: v.products}
	v.Parts = projection.Parts{v.orders, v.payments, v.products}
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
		{Topic: bus.EventsTopic(payments.Service), Log: true},
		{Topic: bus.EventsTopic(catalog.Service), Log: true},
	}
}

// Schema implements projection.View.
func (v *view) Schema(projection.Dialect) []string {
	statements := append(v.orders.Schema(), v.payments.Schema()...)
	return append(statements, v.products.Schema(), fmt.Sprintf("CREATE INDEX %[1]s_sku ON %[1]s (sku)", productsTable))
}

// Fold implements projection.View.
func (v *view) Fold(r *projection.Record) error {
	switch bus.ResourceOf(r.Key).Type {
	case orderCategory:
		return v.foldOrder(r)
	case payments.Category:
		return v.foldPayment(r)
	case productCategory:
		return v.foldProduct(r)
	}
	return nil // discount codes, and what later releases bring
}

func (v *view) foldProduct(r *projection.Record) error {
	if r.Type != catalog.TypeProductDefined {
		v.products.Change(r, nil)
		return nil
	}
	var e catalog.ProductDefined
	if err := bus.Decode(r.Value, &e); err != nil {
		return fmt.Errorf("decode %s: %w", r.Type, err)
	}
	v.products.Change(r, func(p *product) error {
		*p = product{SKU: e.SKU, Name: e.Name, Category: e.Category}
		return nil
	})
	return nil
}

// Forget implements projection.View.
func (v *view) Forget(ctx context.Context, tx projection.Tx, _, key string) error {
	return v.streams.Forget(ctx, tx, key)
}

// StreamVersion implements projection.View.
func (v *view) StreamVersion(ctx context.Context, q projection.Queryer, key string) (version int64, held bool, err error) {
	return v.streams.StreamVersion(ctx, q, key)
}

// secondsKept is how long activity is kept by the second. Rates are those of the last hour.
const secondsKept = 2 * time.Hour

// Upkeep implements projection.Keeper: it deletes activity by the second that no rate asks for.
func (*view) Upkeep(ctx context.Context, tx projection.Tx, d projection.Dialect, now time.Time, limit int) error {
	skip := ""
	if d == projection.Postgres {
		skip = " FOR UPDATE SKIP LOCKED" // another instance may be deleting too
	}
	_, err := tx.Exec(ctx, "DELETE FROM "+activityTable+" WHERE scale = $1 AND (start, part) IN (SELECT start, part FROM "+activityTable+
		" WHERE scale = $1 AND start < $2 ORDER BY start, part LIMIT $3"+skip+")", bySecond, now.Add(-secondsKept).Unix(), limit)
	return err
}
