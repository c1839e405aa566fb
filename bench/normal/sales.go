package normal

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/orderlane/orderlane/pkg/projection"
	"github.com/orderlane/orderlane/services/insights"
)

// goods adds up lines, as the insights do.
const goods = `CAST(SUM(l.quantity) AS BIGINT), CAST(SUM(CASE WHEN o.status = 'rejected' THEN l.quantity - l.cancelled ELSE 0 END) AS BIGINT),
	CAST(SUM(l.cancelled) AS BIGINT), CAST(SUM(l.dispatched) AS BIGINT), CAST(SUM(l.returned) AS BIGINT),
	CAST(SUM(l.total) AS BIGINT), CAST(SUM(CASE WHEN o.status = 'rejected' THEN l.total - l.total * l.cancelled / l.quantity ELSE 0 END) AS BIGINT),
	CAST(SUM(l.total * l.cancelled / l.quantity) AS BIGINT), CAST(SUM(l.total * l.dispatched / l.quantity) AS BIGINT),
	CAST(SUM(l.total * l.returned / l.quantity) AS BIGINT)`

const (
	day = 86_400_000_000 // microseconds

	selectDays = `SELECT o.placed_at / 86400000000, o.currency, COUNT(*), CAST(SUM(o.confirmed) AS BIGINT), CAST(SUM(o.delivered) AS BIGINT),
		CAST(SUM(o.delivery_fee) AS BIGINT), CAST(SUM(o.tax) AS BIGINT), CAST(SUM(o.total) AS BIGINT)
		FROM orders o WHERE o.placed_at >= $1 AND o.placed_at < $2 GROUP BY 1, 2`

	selectGoods = `SELECT o.placed_at / 86400000000, o.currency, ` + goods + `
		FROM orders o JOIN order_lines l ON l.order_id = o.id WHERE o.placed_at >= $1 AND o.placed_at < $2 GROUP BY 1, 2`

	selectMoney = `SELECT m.at / 86400000000, o.currency, COUNT(*), CAST(SUM(m.refund) AS BIGINT), CAST(SUM(m.amount) AS BIGINT),
		CAST(SUM(m.refund * m.amount) AS BIGINT)
		FROM movements m JOIN orders o ON o.id = m.order_id WHERE m.at >= $1 AND m.at < $2 GROUP BY 1, 2`

	selectProducts = `SELECT p.sku, p.name, p.category, g.* FROM (SELECT l.product_id, o.currency, COUNT(*), ` + goods + `
		FROM orders o JOIN order_lines l ON l.order_id = o.id
		WHERE o.placed_at >= $1 AND o.placed_at < $2 GROUP BY l.product_id, o.currency) g
		JOIN products p ON p.id = g.product_id ORDER BY p.sku, g.currency LIMIT $3`
)

// period is from a day up to another, in microseconds.
type period struct{ from, to int64 }

func (p period) args(more ...any) []any { return append([]any{p.from, p.to}, more...) }

// byDay reads what was sold on each day of a period.
func byDay(ctx context.Context, q projection.Queryer, p period, limit int) ([]insights.Sales, error) {
	type key struct {
		day      int64
		currency string
	}
	days := make(map[key]*insights.Sales)
	at := func(row projection.Row) *insights.Sales {
		k := key{row.Int(0), row.Text(1)}
		if days[k] == nil {
			days[k] = &insights.Sales{
				Day: time.UnixMicro(k.day * day).UTC().Format(time.DateOnly), Currency: k.currency,
				Orders: &insights.OrderFigures{}, Money: &insights.MoneyFigures{},
			}
		}
		return days[k]
	}
	for _, of := range []struct {
		sql  string
		take func(*insights.Sales, projection.Row)
	}{
		{selectDays, func(s *insights.Sales, row projection.Row) {
			*s.Orders = insights.OrderFigures{
				Placed: row.Int(2), Confirmed: row.Int(3), Delivered: row.Int(4), DeliveryFees: row.Int(5), Tax: row.Int(6), Total: row.Int(7),
			}
		}},
		{selectGoods, func(s *insights.Sales, row projection.Row) { s.Units, s.Goods = figures(row, 2), figures(row, 7) }},
		{selectMoney, func(s *insights.Sales, row projection.Row) {
			all, refunds, amount, refunded := row.Int(2), row.Int(3), row.Int(4), row.Int(5)
			*s.Money = insights.MoneyFigures{
				Captures: all - refunds, Captured: amount - refunded, Refunds: refunds, Refunded: refunded, Net: amount - 2*refunded,
			}
		}},
	} {
		err := q.Query(ctx, of.sql, p.args(), func(row projection.Row) error {
			of.take(at(row), row)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	list := make([]insights.Sales, 0, len(days))
	for _, s := range days {
		list = append(list, *s)
	}
	slices.SortFunc(list, func(a, b insights.Sales) int {
		return cmp.Or(cmp.Compare(a.Day, b.Day), cmp.Compare(a.Currency, b.Currency))
	})
	return list[:min(len(list), limit)], nil
}

// figures reads five columns.
func figures(row projection.Row, i int) insights.GoodsFigures {
	f := insights.GoodsFigures{
		Ordered: row.Int(i), Rejected: row.Int(i + 1), Cancelled: row.Int(i + 2), Shipped: row.Int(i + 3), Returned: row.Int(i + 4),
	}
	f.Net = f.Ordered - f.Rejected - f.Cancelled - f.Returned
	return f
}

// byProduct reads what was sold of each product in a period.
func byProduct(ctx context.Context, q projection.Queryer, p period, limit int) ([]insights.Sales, error) {
	list := []insights.Sales{}
	err := q.Query(ctx, selectProducts, p.args(limit), func(row projection.Row) error {
		category := row.Text(2)
		list = append(list, insights.Sales{
			SKU: row.Text(0), Name: row.Text(1), Category: &category, Currency: row.Text(4), ProductOrders: row.Int(5),
			Units: figures(row, 6), Goods: figures(row, 11),
		})
		return nil
	})
	return list, err
}
