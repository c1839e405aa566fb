package insights

import (
	"context"
	"slices"
	"strings"

	"github.com/orderlane/orderlane/pkg/projection"
)

// manyProducts is above the longest page: for more rows than that, all products are added up at once.
const manyProducts = 500

// selectAllProducts adds up all products, each before it is joined: quick for many of them, and as slow for a few.
var selectAllProducts = "SELECT g.sku, g.currency, p.name, COALESCE(p.category, ''), g." +
	strings.Join(slices.Concat(productColumns, goodsColumns), ", g.") + " FROM (" + selectGoods +
	" GROUP BY sku, currency) g LEFT JOIN " + productsTable + " p ON p.sku = g.sku" +
	" WHERE g.orders <> 0 ORDER BY g.sku, g.currency LIMIT $7"

// selectProducts adds up the products of a page, and no others. From the SKU that the page before has ended with it
// steps to the next one that any block of days has, by as many as there are rows on a page: each is found by a look
// into the key of the table per block, and each has a row at least. The joins are CROSS so that SQLite keeps their order.
var selectProducts = `WITH RECURSIVE days(day) AS (SELECT CAST($1 AS BIGINT) UNION ALL SELECT day + 1 FROM days WHERE day + 1 < $6),
	blocks AS MATERIALIZED (
		SELECT 0 AS scale, day AS start FROM days WHERE day < $2 OR day >= $5
		UNION ALL SELECT 1, day FROM days WHERE day % 8 = 0 AND (day >= $2 AND day < $3 OR day >= $4 AND day < $5)
		UNION ALL SELECT 2, day FROM days WHERE day % 64 = 0 AND day >= $3 AND day < $4),
	skus(sku, n) AS (
		SELECT CAST($7 AS TEXT), 0
		UNION ALL SELECT (SELECT MIN((SELECT g.sku FROM ` + goodsTable + ` g WHERE g.scale = b.scale AND g.start = b.start AND g.sku > skus.sku
			ORDER BY g.sku LIMIT 1)) FROM blocks b), n + 1 FROM skus WHERE sku IS NOT NULL AND n < $9)
	SELECT g.sku, g.currency, MIN(p.name), COALESCE(MIN(p.category), '')` + strings.ReplaceAll(cast(slices.Concat(productColumns, goodsColumns)), "SUM(", "SUM(g.") + `
	FROM skus s CROSS JOIN blocks b CROSS JOIN ` + goodsTable + ` g LEFT JOIN ` + productsTable + ` p ON p.sku = g.sku
	WHERE g.scale = b.scale AND g.start = b.start AND g.sku = s.sku AND (g.sku, g.currency) > ($7, $8) GROUP BY g.sku, g.currency ORDER BY g.sku, g.currency LIMIT $9`

// products reads what was sold by product, by SKU and currency, after those given.
func products(ctx context.Context, q projection.Queryer, p period, after []string, limit int) (list []Sales, err error) {
	for {
		rows := 0
		err = q.Query(ctx, selectProducts, p.args(after[0], after[1], limit), func(row projection.Row) error {
			rows++
			s := productOf(row)
			after = s.position(byProducts)
			if s.ProductOrders != 0 { // what never happened, after a restore, leaves zeros
				list = append(list, s)
			}
			return nil
		})
		if err != nil || rows < limit || len(list) >= limit {
			return list[:min(limit, len(list))], err
		}
	}
}

// allProducts reads what was sold by product, up to a limit.
func allProducts(ctx context.Context, q projection.Queryer, p period, limit int) (list []Sales, err error) {
	err = q.Query(ctx, selectAllProducts, p.args(limit), func(row projection.Row) error {
		list = append(list, productOf(row))
		return nil
	})
	return list, err
}

func productOf(row projection.Row) Sales {
	category := row.Text(3)
	s := Sales{SKU: row.Text(0), Currency: row.Text(1), Name: row.Text(2), Category: &category, ProductOrders: row.Int(4)}
	s.addGoods(numbers(row, 5, len(goodsColumns)))
	return s
}
