// Package normal is what the views are measured against: the same orders in tables of the third normal form, with
// the indexes that the queries want, asked with joins, as somebody would who has no views.
//
// It is meant to be a good opponent. Tables are joined by numbers, not by texts; there is an index for each
// query's filter and order; a page of a list is found before anything is joined to it; statements are prepared
// and connections pooled by the same code as the views' are; the answers have the same members, encoded by the
// same library, behind a plain chi router. It is spared what Orderlane does beside: cursors, consistency
// tokens, ETags, checks of callers and parameters, and the summary of a period.
package normal

import (
	"context"
	"fmt"

	"github.com/orderlane/orderlane/bench/mix"
	"github.com/orderlane/orderlane/pkg/projection"
	"github.com/orderlane/orderlane/pkg/projection/pgstore"
	"github.com/orderlane/orderlane/pkg/projection/sqlitestore"
)

// Open opens the tables in PostgreSQL, or, without an URL, in an SQLite file.
func Open(ctx context.Context, url, file string) (projection.Store, error) {
	if url != "" {
		return pgstore.Open(ctx, url, "normal", pgstore.Options{})
	}
	return sqlitestore.Open(file, sqlitestore.Options{})
}

// schema is the tables. Times are microseconds since 1970, and amounts are in minor units.
var schema = []string{
	`CREATE TABLE products (id BIGINT PRIMARY KEY, sku TEXT NOT NULL UNIQUE, name TEXT NOT NULL, category TEXT NOT NULL,
		price BIGINT NOT NULL, currency TEXT NOT NULL)`,
	`CREATE TABLE orders (id BIGINT PRIMARY KEY, public_id TEXT NOT NULL UNIQUE, number TEXT NOT NULL UNIQUE, customer_id TEXT NOT NULL,
		status TEXT NOT NULL, reason TEXT NOT NULL, currency TEXT NOT NULL, placed_at BIGINT NOT NULL, confirmed BIGINT NOT NULL,
		delivered BIGINT NOT NULL, delivery TEXT NOT NULL, payment_method TEXT NOT NULL, goods BIGINT NOT NULL, delivery_fee BIGINT NOT NULL,
		discount BIGINT NOT NULL, tax BIGINT NOT NULL, total BIGINT NOT NULL, delivery_tax BIGINT NOT NULL)`,
	`CREATE TABLE order_lines (order_id BIGINT NOT NULL REFERENCES orders, line BIGINT NOT NULL, product_id BIGINT NOT NULL REFERENCES products,
		quantity BIGINT NOT NULL, unit_price BIGINT NOT NULL, discount BIGINT NOT NULL, tax BIGINT NOT NULL, tax_rate BIGINT NOT NULL,
		total BIGINT NOT NULL, cancelled BIGINT NOT NULL, dispatched BIGINT NOT NULL, delivered BIGINT NOT NULL, returned BIGINT NOT NULL,
		PRIMARY KEY (order_id, line))`,
	`CREATE TABLE payments (order_id BIGINT PRIMARY KEY REFERENCES orders, status TEXT NOT NULL)`,
	`CREATE TABLE movements (id BIGINT PRIMARY KEY, order_id BIGINT NOT NULL REFERENCES orders, refund BIGINT NOT NULL, amount BIGINT NOT NULL,
		at BIGINT NOT NULL)`,
}

// indexes are made when the rows are there.
var indexes = []string{
	`CREATE INDEX orders_customer ON orders (customer_id, placed_at, id)`,
	`CREATE INDEX orders_status ON orders (status, placed_at, id)`,
	`CREATE INDEX orders_placed ON orders (placed_at)`,
	`CREATE INDEX order_lines_product ON order_lines (product_id, order_id)`,
	`CREATE INDEX movements_at ON movements (at)`,
	`ANALYZE`,
}

// loadRows is how many rows are collected of each table before they are written.
const loadRows = projection.MaxUpsertRows

// Load makes the tables and fills them with the orders of a data set.
func Load(ctx context.Context, store projection.Store, data *mix.Data, orders int) error {
	if err := store.Migrate(ctx, "normal", schema); err != nil {
		return err
	}
	l := loader{store: store, tables: tables(), products: make(map[string]int)}
	for i, p := range data.Products() {
		l.products[p.SKU] = i + 1
		l.add("products", i+1, p.SKU, p.Name, p.Category, p.Price, p.Currency)
	}
	for i := range orders {
		o := data.Order(i)
		l.order(i+1, &o)
		if l.full() {
			if err := l.write(ctx); err != nil {
				return err
			}
		}
	}
	if err := l.write(ctx); err != nil {
		return err
	}
	for _, sql := range indexes {
		err := store.Update(ctx, func(tx projection.Tx) error {
			_, err := tx.Exec(ctx, sql)
			return err
		})
		if err != nil {
			return fmt.Errorf("normal: %s: %w", sql, err)
		}
	}
	return nil
}

// loader collects rows.
type loader struct {
	store     projection.Store
	tables    []*rows
	products  map[string]int
	movements int
}

// rows are those of a table that are to be written.
type rows struct {
	projection.Table
	rows [][]any
}

// tables are in the order in which they refer to each other.
func tables() []*rows {
	table := func(name string, key []string, texts string, columns ...string) *rows {
		t := &rows{Table: projection.Table{Name: name, Key: key}}
		for i, c := range columns {
			kind := projection.Int
			if texts[i] == 't' {
				kind = projection.Text
			}
			t.Columns = append(t.Columns, projection.Column{Name: c, Kind: kind})
		}
		return t
	}
	return []*rows{
		table("products", []string{"id"}, "itttit", "id", "sku", "name", "category", "price", "currency"),
		table("orders", []string{"id"}, "itttttti"+"iitt"+"iiiiii", "id", "public_id", "number", "customer_id", "status", "reason", "currency", "placed_at",
			"confirmed", "delivered", "delivery", "payment_method", "goods", "delivery_fee", "discount", "tax", "total", "delivery_tax"),
		table("order_lines", []string{"order_id", "line"}, "iiiiiiiiiiiii", "order_id", "line", "product_id", "quantity", "unit_price", "discount",
			"tax", "tax_rate", "total", "cancelled", "dispatched", "delivered", "returned"),
		table("payments", []string{"order_id"}, "it", "order_id", "status"),
		table("movements", []string{"id"}, "iiiii", "id", "order_id", "refund", "amount", "at"),
	}
}

func (l *loader) add(table string, values ...any) {
	for _, t := range l.tables {
		if t.Name == table {
			t.rows = append(t.rows, values)
		}
	}
}

func (l *loader) order(id int, o *mix.Order) {
	t := &o.Totals
	l.add("orders", id, o.ID, o.Number, o.CustomerID, string(o.Status), o.Reason, o.Currency, o.PlacedAt.UnixMicro(),
		one(o.Confirmed), one(o.Delivered), o.Delivery, o.PaymentMethod, t.Lines, t.Delivery, t.Discount, t.Tax, t.Total, t.DeliveryTax)
	for i := range o.Lines {
		n := &o.Lines[i]
		l.add("order_lines", id, n.Line.Line, l.products[n.SKU], n.Quantity, n.UnitPrice, n.Discount, n.Tax, n.TaxRate, n.Total,
			n.Cancelled, n.Dispatched, n.Delivered, n.Returned)
	}
	if o.Payment != "" {
		l.add("payments", id, string(o.Payment))
	}
	for _, m := range o.Movements {
		l.movements++
		l.add("movements", l.movements, id, one(m.Refund), m.Amount, m.At.UnixMicro())
	}
}

func one(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// full says that a table may not take another order's rows.
func (l *loader) full() bool {
	for _, t := range l.tables {
		if len(t.rows) > loadRows-100 {
			return true
		}
	}
	return false
}

func (l *loader) write(ctx context.Context) error {
	return l.store.Update(ctx, func(tx projection.Tx) error {
		for _, t := range l.tables {
			if len(t.rows) == 0 {
				continue
			}
			if err := tx.Upsert(ctx, t.Table, t.rows); err != nil {
				return fmt.Errorf("normal: load %s: %w", t.Name, err)
			}
			t.rows = nil
		}
		return nil
	})
}
