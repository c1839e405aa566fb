package normal

import (
	"context"
	"time"

	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/api/payments"
	"github.com/orderlane/orderlane/pkg/projection"
	"github.com/orderlane/orderlane/services/orderview"
)

// page is a page of orders, by what it is found by, with all that belongs to them.
func page(where string) string {
	return `SELECT o.public_id, o.number, o.customer_id, o.status, o.reason, p.status, o.currency, o.placed_at, o.delivery,
		o.goods, o.delivery_fee, o.discount, o.tax, o.total, o.delivery_tax,
		l.line, r.sku, r.name, l.quantity, l.unit_price, l.discount, l.tax, l.total, l.tax_rate, l.cancelled, l.dispatched, l.delivered, l.returned
		FROM (SELECT * FROM orders WHERE ` + where + ` ORDER BY placed_at DESC, id DESC LIMIT $2) o
		JOIN order_lines l ON l.order_id = o.id JOIN products r ON r.id = l.product_id LEFT JOIN payments p ON p.order_id = o.id
		ORDER BY o.placed_at DESC, o.id DESC, l.line`
}

var (
	byCustomer = page("customer_id = $1")
	byStatus   = page("status = $1")
	bySKU      = page("id IN (SELECT l.order_id FROM order_lines l JOIN products r ON r.id = l.product_id WHERE r.sku = $1)")
)

// list reads a page of orders.
func list(ctx context.Context, q projection.Queryer, sql, by string, limit int) ([]orderview.Order, error) {
	orders := []orderview.Order{}
	err := q.Query(ctx, sql, []any{by, limit}, func(row projection.Row) error {
		if n := len(orders); n == 0 || orders[n-1].ID != row.Text(0) {
			o := orderview.Order{PaymentStatus: payments.Status(row.Text(5)), Version: 1, OrderFacts: orderview.OrderFacts{
				ID: row.Text(0), Number: row.Text(1), CustomerID: row.Text(2), Status: ordering.Status(row.Text(3)), Reason: row.Text(4),
				Currency: row.Text(6), PlacedAt: time.UnixMicro(row.Int(7)).UTC(),
				Delivery: row.Text(8), Totals: ordering.Totals{
					Lines: row.Int(9), Delivery: row.Int(10), Discount: row.Int(11), Tax: row.Int(12), Total: row.Int(13), DeliveryTax: row.Int(14),
				},
				NextActions: []string{},
			}}
			if o.Status == ordering.StatusDelivered {
				o.NextActions = append(o.NextActions, "return")
			}
			orders = append(orders, o)
		}
		o := &orders[len(orders)-1]
		o.Lines = append(o.Lines, orderview.Line{
			Line: ordering.Line{
				Line: int(row.Int(15)), SKU: row.Text(16), Name: row.Text(17), Quantity: row.Int(18), UnitPrice: row.Int(19),
				Discount: row.Int(20), Tax: row.Int(21), Total: row.Int(22), TaxRate: row.Int(23),
			},
			Fulfilment: orderview.Fulfilment{Cancelled: row.Int(24), Dispatched: row.Int(25), Delivered: row.Int(26), Returned: row.Int(27)},
		})
		return nil
	})
	return orders, err
}
