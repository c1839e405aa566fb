// Package storefront answers what the shop sells and what there is of it: it folds catalog's
// and inventory's events into documents per product.
package storefront

import (
	"context"
	"fmt"

	"github.com/orderlane/orderlane/api/catalog"
	"github.com/orderlane/orderlane/api/inventory"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/projection"
)

// The view's name and version, in tables, checkpoints and the consumer group.
const (
	viewName    = "storefront"
	viewVersion = 3
)

var productsTable = projection.TableName(viewName, viewVersion, "products")

// product is a product as it is kept.
type product struct {
	SKU     string          `json:"sku"`
	Details catalog.Details `json:"details"`
	OnSale  bool            `json:"on_sale"`
}

// view is the projection.View.
type view struct {
	products *projection.Documents[product]
	stock    *projection.Documents[stock]
	streams  projection.Streams
	projection.Parts
}

// NewView returns the view, for whoever drives its projection.
func NewView() projection.View { return newView() }

func newView() *view {
	v := &view{stock: newStock(), products: projection.NewDocuments(projection.Collection[product]{
		Table: productsTable, Topic: bus.EventsTopic(catalog.Service),
		Columns: columns,
		Values:  func(row []any, key string, p *product) []any { return p.columns(row, key) },
	})}
	v.streams = projection.Streams{productCategory: v.products, inventory.Category: v.stock}
	v.Parts = projection.Parts{v.products, v.stock}
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
		{Topic: bus.EventsTopic(catalog.Service), Log: true},
		{Topic: bus.EventsTopic(inventory.Service), Log: true},
	}
}

// Schema implements projection.View.
func (v *view) Schema(d projection.Dialect) []string {
	return append([]string{
		v.products.Schema(), v.stock.Schema(),
		fmt.Sprintf("CREATE INDEX %[1]s_sku ON %[1]s (key) WHERE on_sale", productsTable),
		fmt.Sprintf("CREATE INDEX %[1]s_category ON %[1]s (category, key) WHERE on_sale", productsTable),
	}, indexSchema(d)...)
}

// Fold implements projection.View.
func (v *view) Fold(r *projection.Record) error {
	if r.Topic == bus.EventsTopic(inventory.Service) {
		return v.foldStock(r)
	}
	switch r.Type {
	case catalog.TypeProductDefined:
		var e catalog.ProductDefined
		if err := bus.Decode(r.Value, &e); err != nil {
			return fmt.Errorf("decode %s: %w", r.Type, err)
		}
		v.products.Change(r, func(p *product) error {
			*p = product{SKU: e.SKU, Details: e.Details, OnSale: true}
			return nil
		})
	case catalog.TypeProductPriceChanged:
		var e catalog.ProductPriceChanged
		if err := bus.Decode(r.Value, &e); err != nil {
			return fmt.Errorf("decode %s: %w", r.Type, err)
		}
		v.products.Change(r, func(p *product) error {
			p.Details.Price = e.Price
			return nil
		})
	case catalog.TypeProductWithdrawn:
		v.products.Change(r, func(p *product) error {
			p.OnSale = false
			return nil
		})
	default:
		v.products.Change(r, nil) // of a later release: only the version moves
	}
	return nil
}

// Forget implements projection.View.
func (v *view) Forget(ctx context.Context, tx projection.Tx, topic, key string) error {
	if topic == bus.EventsTopic(inventory.Service) {
		return v.stock.Forget(ctx, tx, key)
	}
	return v.products.Forget(ctx, tx, key)
}

// StreamVersion implements projection.View.
func (v *view) StreamVersion(ctx context.Context, q projection.Queryer, stream string) (int64, bool, error) {
	return v.streams.StreamVersion(ctx, q, stream)
}

const productCategory = "product"
