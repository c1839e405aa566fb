package normal_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/bench/mix"
	"github.com/orderlane/orderlane/bench/mix/mixtest"
	"github.com/orderlane/orderlane/bench/normal"
	"github.com/orderlane/orderlane/pkg/httpapi"
	"github.com/orderlane/orderlane/services/insights"
	"github.com/orderlane/orderlane/services/orderview"
)

const orders = 200

// shop is the handler on tables that are filled, and the orders in them, newest first.
func shop(t *testing.T) (http.Handler, []mix.Order) {
	lives, _ := mixtest.Learn(t)
	data := lives.Data(mix.Options{Seed: 3, Orders: orders, Customers: 20, Begins: mixtest.Began.AddDate(1, 0, 0)})
	store, err := normal.Open(t.Context(), "", filepath.Join(t.TempDir(), "normal.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	if err := normal.Load(t.Context(), store, data, orders); err != nil {
		t.Fatal(err)
	}
	var all []mix.Order
	for i := range orders {
		all = append(all, data.Order(orders-1-i))
	}
	return normal.NewHandler(store), all
}

func get(t *testing.T, h http.Handler, path string, into any) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	if err := json.Unmarshal(w.Body.Bytes(), into); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%s: %d %s: %v", path, w.Code, w.Body, err)
	}
}

func TestListsHaveTheNewestOrdersOfTheirFilter(t *testing.T) {
	h, all := shop(t)
	some := all[7]
	for query, matches := range map[string]func(*mix.Order) bool{
		"customer_id=" + some.CustomerID: func(o *mix.Order) bool { return o.CustomerID == some.CustomerID },
		"status=rejected":                func(o *mix.Order) bool { return o.Status == ordering.StatusRejected },
		"sku=" + some.Lines[1].SKU: func(o *mix.Order) bool {
			return slices.ContainsFunc(o.Lines, func(l mix.Line) bool { return l.SKU == some.Lines[1].SKU })
		},
	} {
		var want, got []string
		for i := range all {
			if matches(&all[i]) && len(want) < 10 {
				want = append(want, fmt.Sprint(all[i].ID, all[i].PlacedAt.Truncate(time.Microsecond), all[i].Status, all[i].Lines[0].SKU, all[i].Totals, all[i].Lines[0].Delivered))
			}
		}
		var list httpapi.List[orderview.Order]
		get(t, h, "/v1/orders?limit=10&"+query, &list)
		for _, o := range list.Items {
			got = append(got, fmt.Sprint(o.ID, o.PlacedAt, o.Status, o.Lines[0].SKU, o.Totals, o.Lines[0].Fulfilment.Delivered))
		}
		if len(want) == 0 || !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
}

func TestSalesAreTheSumsOfTheOrders(t *testing.T) {
	h, all := shop(t)
	from := mixtest.Began.AddDate(1, 0, 10).Truncate(24 * time.Hour)
	to := from.AddDate(0, 0, 30)
	var placed, units, rejected, shipped, captured int64
	for _, o := range all {
		for _, m := range o.Movements {
			if !m.At.Before(from) && m.At.Before(to) {
				captured += m.Amount
			}
		}
		if o.PlacedAt.Before(from) || !o.PlacedAt.Before(to) {
			continue
		}
		placed++
		for _, l := range o.Lines {
			units += l.Quantity
			shipped += l.Dispatched
			if o.Status == ordering.StatusRejected {
				rejected += l.Quantity
			}
		}
	}
	if placed == 0 || rejected == 0 || captured == 0 {
		t.Fatal("nothing is added up")
	}
	period := fmt.Sprintf("/v1/insights/sales?limit=500&from=%s&to=%s", from.Format(time.DateOnly), to.AddDate(0, 0, -1).Format(time.DateOnly))
	for _, by := range []string{"day", "product"} {
		var list insights.SalesList
		get(t, h, period+"&by="+by, &list)
		sum := insights.Sales{Orders: &insights.OrderFigures{}, Money: &insights.MoneyFigures{}}
		for _, s := range list.Items {
			sum.Units.Ordered += s.Units.Ordered
			sum.Units.Rejected += s.Units.Rejected
			sum.Units.Shipped += s.Units.Shipped
			if by == "day" {
				sum.Orders.Placed += s.Orders.Placed
				sum.Money.Captured += s.Money.Captured
			}
		}
		if sum.Units.Ordered != units || sum.Units.Rejected != rejected || sum.Units.Shipped != shipped {
			t.Errorf("by %s: %+v, want %d ordered, %d rejected, %d shipped", by, sum.Units, units, rejected, shipped)
		}
		if by == "day" && (sum.Orders.Placed != placed || sum.Money.Captured != captured) {
			t.Errorf("by %s: %+v, %+v, want %d orders and %d captured", by, sum.Orders, sum.Money, placed, captured)
		}
	}
}
