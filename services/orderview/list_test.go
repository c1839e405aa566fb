package orderview

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/orderlane/orderlane/api/fulfilment"
	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/pkg/httpapi"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/projection"
	"github.com/orderlane/orderlane/pkg/service"
	"github.com/orderlane/orderlane/pkg/service/servicetest"
)

// listedOrder is what a list is tested with of an order.
type listedOrder struct {
	n                int
	customer, number string
	skus             []string
	status           ordering.Status
	minute           int
	stuck            bool
}

// records are what makes an order.
func (o *listedOrder) records(w *world) []kafka.Record {
	var lines []ordering.Line
	for i, sku := range o.skus {
		lines = append(lines, ordering.Line{Line: i + 1, SKU: sku, Quantity: 1})
	}
	id := orderID(o.n)
	records := []kafka.Record{w.event(o.n, 1, ordering.TypeOrderPlaced, ordering.OrderPlaced{
		OrderID: id, Version: 1, Number: o.number, CustomerID: o.customer, Status: ordering.StatusPlaced, Currency: "EUR",
		PlacedAt: servicetest.Noon.Add(time.Duration(o.minute) * time.Minute), Lines: lines,
	})}
	if o.status != ordering.StatusPlaced {
		records = append(records, w.event(o.n, 2, ordering.TypeOrderConfirmed,
			ordering.OrderConfirmed{Change: ordering.Change{OrderID: id, Version: 2, Status: o.status, CustomerID: o.customer}}))
	}
	if o.stuck {
		records = append(records, w.of(fulfilment.Service, "fulfilment-"+id, 1, fulfilment.TypeFulfilmentStarted,
			fulfilment.Progress{OrderID: id, Version: 1, Attention: "look at it"}))
	}
	return records
}

// someOrders are orders of which each filter meets a few.
func someOrders(count int) []listedOrder {
	all := make([]listedOrder, count)
	for n := range all {
		all[n] = listedOrder{
			n: n, customer: fmt.Sprint("c-", n%5), number: fmt.Sprintf("%c%cAB-%04d", 'A'+n%3, '0'+n%7, n),
			skus: []string{fmt.Sprint("TEA-", n%4), "TEA-" + fmt.Sprint(n%6)}, status: []ordering.Status{"placed", "confirmed", "cancelled"}[n%3],
			minute: (n * 7) % (count / 2), stuck: n%9 == 0,
		}
	}
	return all
}

// want are the numbers of the orders that a filter leaves, newest first.
func want(all []listedOrder, f *Filter) (numbers []string) {
	sorted := slices.Clone(all)
	slices.SortFunc(sorted, func(a, b listedOrder) int {
		if a.minute != b.minute {
			return b.minute - a.minute
		}
		return b.n - a.n
	})
	for _, o := range sorted {
		at := servicetest.Noon.Add(time.Duration(o.minute) * time.Minute)
		number, ok := numbered(f.Q)
		q := f.Q == "" || o.customer == f.Q || ok && strings.HasPrefix(o.number, number) || orderID(o.n) == f.Q
		if q && (f.CustomerID == "" || f.CustomerID == o.customer) && (f.Status == "" || f.Status == string(o.status)) &&
			(f.SKU == "" || slices.Contains(o.skus, f.SKU)) && (!f.Stuck || o.stuck) &&
			(f.PlacedFrom.IsZero() || !at.Before(f.PlacedFrom)) && (f.PlacedTo.IsZero() || at.Before(f.PlacedTo)) {
			numbers = append(numbers, o.number)
		}
	}
	return numbers
}

// query is a filter as a client writes it.
func (f *Filter) query() string {
	v := url.Values{}
	for name, s := range map[string]string{"customer_id": f.CustomerID, "status": f.Status, "sku": f.SKU, "q": f.Q} {
		if s != "" {
			v.Set(name, s)
		}
	}
	if f.Stuck {
		v.Set("stuck", "true")
	}
	if !f.PlacedFrom.IsZero() {
		v.Set("placed_from", f.PlacedFrom.Format(time.RFC3339))
	}
	if !f.PlacedTo.IsZero() {
		v.Set("placed_to", f.PlacedTo.Format(time.RFC3339))
	}
	return v.Encode()
}

// pages goes through a list to its end.
func (w *world) pages(as httpapi.Caller, limit int, query string) (numbers []string, pages int) {
	w.t.Helper()
	cursor := ""
	for pages = 1; pages < 1000; pages++ {
		var list httpapi.List[Order]
		a := w.api.Get(as, fmt.Sprintf("/v1/orders?limit=%d&cursor=%s&%s", limit, url.QueryEscape(cursor), query))
		if a.Status != 200 {
			w.t.Fatalf("%s: %d %s", query, a.Status, a.Body)
		}
		a.Into(&list)
		for _, o := range list.Items {
			numbers = append(numbers, o.Number)
		}
		if cursor = list.NextCursor; cursor == "" {
			return numbers, pages
		}
	}
	w.t.Fatal("the list has no end")
	return nil, 0
}

func TestAListHoldsWhatItsFiltersLeaveNewestFirst(t *testing.T) {
	all := someOrders(120)
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			w := newWorldIn(t, open(t))
			for i := range all {
				w.FoldAll(all[i].records(w)...)
			}
			rapid.Check(t, func(rt *rapid.T) {
				f := Filter{
					CustomerID: rapid.SampledFrom([]string{"", "", "c-1", "c-4", "nobody"}).Draw(rt, "customer"),
					Status:     rapid.SampledFrom([]string{"", "", "placed", "cancelled", "returned"}).Draw(rt, "status"),
					SKU:        rapid.SampledFrom([]string{"", "", "TEA-1", "TEA-5", "tea-1"}).Draw(rt, "sku"),
					Stuck:      rapid.IntRange(0, 3).Draw(rt, "stuck") == 0,
					Q:          rapid.SampledFrom([]string{"", "", "", "c-1", "A0A", "bla", "b1ab0", "c2ab-0002", orderID(7), strings.ToUpper(orderID(7))}).Draw(rt, "q"),
				}
				f.Q = strings.Replace(f.Q, strings.ToUpper(orderID(7)), orderID(7), 1)
				if rapid.Bool().Draw(rt, "from") {
					f.PlacedFrom = servicetest.Noon.Add(time.Duration(rapid.IntRange(0, 30).Draw(rt, "from")) * time.Minute)
				}
				if rapid.Bool().Draw(rt, "to") {
					f.PlacedTo = servicetest.Noon.Add(time.Duration(rapid.IntRange(31, 60).Draw(rt, "to")) * time.Minute)
				}
				got, _ := w.pages(staff, rapid.SampledFrom([]int{1, 3, 10, 200}).Draw(rt, "limit"), f.query())
				if want := want(all, &f); !slices.Equal(got, want) {
					rt.Errorf("%s: %v, want %v", f.query(), got, want)
				}
			})
		})
	}
}

// TestAPageLooksAtSoManyOrdersOnly: of two filters that leave few orders together, one is met by an
// index and the other by looking.
func TestAPageLooksAtSoManyOrdersOnly(t *testing.T) {
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			w := newWorldIn(t, open(t))
			all := make([]listedOrder, maxLooked+100)
			var records []kafka.Record
			for n := range all {
				all[n] = listedOrder{n: n, customer: ada.ID, number: fmt.Sprint("NUM-", n), skus: []string{"TEA-1"}, status: "placed", minute: n}
				if n < 3 {
					all[n].status = "cancelled"
				}
				records = append(records, all[n].records(w)...)
			}
			w.FoldAll(records...)
			for _, query := range []string{"status=cancelled&sku=TEA-1", "status=cancelled&customer_id=" + ada.ID} {
				if got, pages := w.pages(staff, 2, query); !slices.Equal(got, []string{"NUM-2", "NUM-1", "NUM-0"}) || pages != 3 {
					t.Errorf("%s: %v on %d pages", query, got, pages)
				}
			}
			if got, pages := w.pages(ada, 200, "status=cancelled"); len(got) != 3 || pages != 2 {
				t.Errorf("to the customer: %v on %d pages", got, pages)
			}
			if got, pages := w.pages(bob, 200, "q=NUM"); len(got) != 0 || pages != 1 {
				t.Errorf("of another's orders by their numbers: %v on %d pages", got, pages)
			}
			if got, pages := w.pages(staff, 200, "status=cancelled"); len(got) != 3 || pages != 1 {
				t.Errorf("by an index: %v on %d pages", got, pages)
			}
		})
	}
}

// busy is a store in which something happens after its next query.
type busy struct {
	projection.Store
	then func()
}

func (b *busy) Query(ctx context.Context, sql string, args []any, fn func(projection.Row) error) error {
	err := b.Store.Query(ctx, sql, args, fn)
	if then := b.then; then != nil {
		b.then = nil
		then()
	}
	return err
}

// TestAPageOfTwoFiltersHoldsAgainstOrdersThatArePlacedMeanwhile: what is looked at for a page is found by one
// query, and read by another.
func TestAPageOfTwoFiltersHoldsAgainstOrdersThatArePlacedMeanwhile(t *testing.T) {
	w := newWorld(t)
	store := &busy{Store: w.Store}
	w.api = servicetest.NewAPI(t)
	newQueries(&service.Reader{Store: store, Answers: w.Reader.Answers}, later).register(w.api.API)
	place := func(from, to int) (records []kafka.Record) {
		for n := from; n < to; n++ {
			o := listedOrder{n: n, customer: ada.ID, number: fmt.Sprint("NUM-", n), skus: []string{"TEA-1"}, status: "placed", minute: n}
			if n%700 == 300 {
				o.status = "cancelled"
			}
			records = append(records, o.records(w)...)
		}
		return records
	}
	w.FoldAll(place(0, maxLooked+200)...)
	var all []string
	for n := 1700; n > 0; n -= 700 {
		all = append(all, fmt.Sprint("NUM-", n))
	}
	more := place(maxLooked+200, maxLooked+350)
	store.then = func() { w.FoldAll(more...) }
	if got, _ := w.pages(staff, 200, "status=cancelled&sku=TEA-1"); !slices.Equal(got, all) {
		t.Errorf("got %v, want %v", got, all)
	}
}

// TestWhatIsNoNumberFindsNone: in particular, blanks are not the beginning of every number.
func TestWhatIsNoNumberFindsNone(t *testing.T) {
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			w := newWorldIn(t, open(t))
			w.FoldAll(slices.Concat(w.life(1), w.life(2))...)
			for _, q := range []string{"   ", "  N", " N- ", "€€€", "N-%", "~~~"} {
				if got, _ := w.pages(staff, 50, "q="+url.QueryEscape(q)); len(got) != 0 {
					t.Errorf("%q finds %v", q, got)
				}
			}
			if got, _ := w.pages(ada, 50, "q="+url.QueryEscape(" n - 1 ")); !slices.Equal(got, []string{"N-1"}) {
				t.Errorf("a number with blanks finds %v", got)
			}
		})
	}
}

// TestEveryListGoesByAnIndex asks SQLite how it would find the orders of each combination of filters.
func TestEveryListGoesByAnIndex(t *testing.T) {
	w := newWorld(t)
	for n := range 1 << 7 {
		has := func(bit int) bool { return n>>bit&1 == 1 }
		f := Filter{Stuck: has(0)}
		for bit, set := range map[int]func(){
			1: func() { f.CustomerID = "c" }, 2: func() { f.Status = "placed" }, 3: func() { f.SKU = "TEA-1" },
			4: func() { f.Q = orderID(1) }, 5: func() { f.PlacedFrom, f.PlacedTo = servicetest.Noon, later() },
		} {
			if has(bit) {
				set()
			}
		}
		l := &listing{filter: f}
		if has(6) {
			l.from = &place{1, "order-x"}
		}
		sql, args := l.statement(projection.SQLite, 50)
		err := w.Store.Query(t.Context(), "EXPLAIN QUERY PLAN "+sql, args, func(row projection.Row) error {
			if step := row.Text(3); strings.HasPrefix(step, "SCAN") && strings.Contains(step, "_v") && !strings.Contains(step, "USING") {
				t.Errorf("%+v: %s", f, step)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestEveryWorklistIsReadInTheOrderOfAnIndex: neither looked through nor sorted as a whole.
func TestEveryWorklistIsReadInTheOrderOfAnIndex(t *testing.T) {
	w := newWorld(t)
	for _, of := range []struct {
		table   string
		filters [][2]string
	}{
		{shipmentsTable, nil},
		{shipmentsTable, [][2]string{{"status", "created"}, {"location", ""}}},
		{shipmentsTable, [][2]string{{"status", ""}, {"location", "main"}}},
		{shipmentsTable, [][2]string{{"status", "created"}, {"location", "main"}}},
		{returnsTable, [][2]string{{"status", ""}}},
		{returnsTable, [][2]string{{"status", "open"}}},
	} {
		for _, from := range []*place{nil, {1, "x"}} {
			s := worklistStatement(of.table, of.filters, from, 50)
			err := w.Store.Query(t.Context(), "EXPLAIN QUERY PLAN "+s.String(), s.Args, func(row projection.Row) error {
				if step := row.Text(3); !strings.Contains(step, "USING INDEX") {
					t.Errorf("%v: %s", of, step)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestAListThatMakesNoSenseIsRefused(t *testing.T) {
	w := newWorld(t)
	w.FoldAll(slices.Concat(w.life(1), w.life(2))...)
	var list httpapi.List[Order]
	w.api.Get(staff, "/v1/orders?limit=1").Into(&list)
	cursor := url.QueryEscape(list.NextCursor)
	for query, code := range map[string]string{
		"colour=red": "validation_failed", "q=ab": "validation_failed", "status=odd": "validation_failed", "placed_from=yesterday": "validation_failed",
		"placed_from=2026-11-23T12:00:00Z&placed_to=2026-11-23T12:00:00Z": "empty_range",
		"sku=TEA-1&cursor=" + cursor:                                      "bad_cursor", "q=c-ada&cursor=" + cursor: "bad_cursor",
	} {
		if a := w.api.Get(staff, "/v1/orders?"+query); a.Status < 400 || a.Status > 499 || a.Code() != code {
			t.Errorf("%s: %d %s, want %s", query, a.Status, a.Body, code)
		}
	}
}

func TestTheProductsOfAnOrderAreForgottenWithIt(t *testing.T) {
	w := newWorld(t)
	w.FoldAll(w.life(1)...)
	if err := w.Store.Update(t.Context(), func(tx projection.Tx) error {
		return newView(0).Forget(t.Context(), tx, "ordering.events.v1", "order-"+orderID(1))
	}); err != nil {
		t.Fatal(err)
	}
	left := 0
	if err := w.Store.Query(t.Context(), "SELECT sku FROM "+linesTable, nil, func(projection.Row) error {
		left++
		return nil
	}); err != nil || left > 0 {
		t.Errorf("%d lines are left, %v", left, err)
	}
}
