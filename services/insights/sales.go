package insights

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/pkg/httpapi"
	"github.com/orderlane/orderlane/pkg/projection"
	"github.com/orderlane/orderlane/pkg/service"
)

// What sales are listed by.
const (
	byDays       = "day"
	byProducts   = "product"
	byCategories = "category"
	byStatuses   = "status"
)

// SalesList is the answer to what was sold in a period.
type SalesList struct {
	By     string `json:"by"`
	Period Period `json:"period"`
	httpapi.List[Sales]
	Summary *Summary       `json:"summary,omitzero" doc:"Of the whole period; on the first page" required:"false"`
	Stale   *service.Stale `json:"stale,omitzero" doc:"There if the view could not take up some event" required:"false"`
}

// Summary is a whole period.
type Summary struct {
	Totals       []Sales       `json:"totals" doc:"Per currency"`
	Conversion   Conversion    `json:"conversion"`
	Rejections   []Rejection   `json:"rejections" doc:"By reason, the most frequent first: orders placed in the period"`
	DeliveryTime *DeliveryTime `json:"delivery_time,omitzero" doc:"Not there if nothing was delivered in the period" required:"false"`
}

// cast names sums of columns.
func cast(columns []string) string {
	var s strings.Builder
	for _, name := range columns {
		s.WriteString(", CAST(SUM(" + name + ") AS BIGINT) AS " + name)
	}
	return s.String()
}

// fact is the sums of the orders of one day, currency, status and reason, or of the money of a day and currency.
type fact struct {
	day                      int64
	currency, status, reason string
	orders, money            []int64 // one of them
}

// selectFacts reads orders and money in one statement, so that all figures of an answer belong together.
var selectFacts = "SELECT 0, day, currency, status, reason" + cast(slices.Concat(orderColumns, goodsColumns)) +
	" FROM " + ordersTable + " WHERE day >= $1 AND day < $2 GROUP BY day, currency, status, reason" +
	" UNION ALL SELECT 1, day, currency, '', ''" + cast(moneyColumns) + strings.Repeat(", 0", len(orderColumns)+len(goodsColumns)-len(moneyColumns)) +
	" FROM " + moneyTable + " WHERE day >= $1 AND day < $2 GROUP BY day, currency"

func facts(ctx context.Context, q projection.Queryer, p period) (all []fact, err error) {
	err = q.Query(ctx, selectFacts, []any{p.from, p.to}, func(row projection.Row) error {
		f := fact{day: row.Int(1), currency: row.Text(2), status: row.Text(3), reason: row.Text(4)}
		sums := &f.money
		if n := len(orderColumns) + len(goodsColumns); row.Int(0) == 0 {
			f.orders, sums = numbers(row, 5, n), &f.orders
		} else {
			f.money = numbers(row, 5, len(moneyColumns))
		}
		if slices.ContainsFunc(*sums, func(n int64) bool { return n != 0 }) { // what orders have passed through leaves zeros
			all = append(all, f)
		}
		return nil
	})
	return all, err
}

// addUp groups facts by a text, a name and the currency, in that order.
func addUp(all []fact, group func(*fact) (s Sales, ok bool)) []Sales {
	type key struct{ day, status, currency string }
	found := make(map[key]*Sales)
	for i := range all {
		f := &all[i]
		s, ok := group(f)
		if !ok {
			continue
		}
		k := key{s.Day, s.Status, f.currency}
		to := found[k]
		if to == nil {
			s.Currency = f.currency
			to, found[k] = &s, &s
		}
		if f.money != nil {
			to.addMoney(f.money)
		} else {
			to.addOrders(f.orders)
		}
	}
	keys := slices.SortedFunc(maps.Keys(found), func(a, b key) int {
		return strings.Compare(a.day+"\x00"+a.status+"\x00"+a.currency, b.day+"\x00"+b.status+"\x00"+b.currency)
	})
	list := make([]Sales, len(keys))
	for i, k := range keys {
		list[i] = *found[k]
	}
	return list
}

func ofDay(f *fact) (Sales, bool) {
	return Sales{Day: timeOf(f.day).Format(time.DateOnly), Orders: &OrderFigures{}, Money: &MoneyFigures{}}, true
}

func ofStatus(f *fact) (Sales, bool) { return Sales{Status: f.status}, f.money == nil }

func ofAll(*fact) (Sales, bool) { return Sales{Orders: &OrderFigures{}, Money: &MoneyFigures{}}, true }

// summary adds up all facts of a period.
func summary(all []fact) *Summary {
	s := &Summary{Totals: addUp(all, ofAll), Rejections: []Rejection{}}
	c := &s.Conversion
	rejections := make(map[string]int64)
	for _, f := range all {
		if f.money != nil {
			continue
		}
		placed, confirmed := f.orders[0], f.orders[1]
		c.Placed += placed
		c.Confirmed += confirmed
		switch ordering.Status(f.status) {
		case ordering.StatusRejected:
			c.Rejected += placed
			rejections[f.reason] += placed
		case ordering.StatusCancelled:
			c.Cancelled += placed
		default:
			c.Undecided += placed - confirmed
		}
	}
	c.rated()
	for reason, n := range rejections {
		s.Rejections = append(s.Rejections, Rejection{reason, n})
	}
	slices.SortFunc(s.Rejections, func(a, b Rejection) int {
		if a.Orders != b.Orders {
			return int(b.Orders - a.Orders)
		}
		return strings.Compare(a.Reason, b.Reason)
	})
	return s
}

// selectGoods adds up products over a period, from the largest blocks of days that it is made of.
var selectGoods = "SELECT sku, currency" + cast(slices.Concat(productColumns, goodsColumns)) + " FROM " + goodsTable +
	" WHERE (scale = 0 AND start >= $1 AND start < $2 OR scale = 1 AND start >= $2 AND start < $3 OR scale = 2 AND start >= $3 AND start < $4" +
	" OR scale = 1 AND start >= $4 AND start < $5 OR scale = 0 AND start >= $5 AND start < $6)"

// args are the parameters of selectGoods, and what comes after them.
func (p period) args(more ...any) []any {
	a, b, c, d := p.cut()
	return append([]any{p.from, a, b, c, d, p.to}, more...)
}

var selectCategories = "SELECT * FROM (SELECT COALESCE(p.category, '') AS category, g.currency" + strings.ReplaceAll(cast(goodsColumns), "SUM(", "SUM(g.") +
	" FROM (" + selectGoods + " GROUP BY sku, currency) g LEFT JOIN " + productsTable + " p ON p.sku = g.sku" +
	" WHERE g.orders <> 0 GROUP BY COALESCE(p.category, ''), g.currency) c" +
	" WHERE (category, currency) > ($7, $8) ORDER BY category, currency LIMIT $9"

// categories reads what was sold by category, by name and currency, after those given.
func categories(ctx context.Context, q projection.Queryer, p period, after []string, limit int) (list []Sales, err error) {
	err = q.Query(ctx, selectCategories, p.args(after[0], after[1], limit), func(row projection.Row) error {
		category := row.Text(0)
		s := Sales{Category: &category, Currency: row.Text(1)}
		s.addGoods(numbers(row, 2, len(goodsColumns)))
		list = append(list, s)
		return nil
	})
	return list, err
}
