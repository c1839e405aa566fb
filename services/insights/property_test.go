package insights

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/orderlane/orderlane/e2e/realparts"
	"github.com/orderlane/orderlane/pkg/projection"
	"github.com/orderlane/orderlane/pkg/projection/pgstore"
	"github.com/orderlane/orderlane/pkg/projection/sqlitestore"
)

// TestTheFiguresAreThoseOfAllEvents makes up shops, publishes their events in any order that keeps that of each
// stream, some of them twice, has them folded by two instances, topic by topic in any order, with repairs in
// between, and compares all figures with those of the model.
func TestTheFiguresAreThoseOfAllEvents(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) {
		setChecks(t, "60")
		dir, n := t.TempDir(), 0
		rapid.Check(t, func(t *rapid.T) {
			n++
			s, err := sqlitestore.Open(filepath.Join(dir, fmt.Sprint(n, ".db")), sqlitestore.Options{Readers: 1})
			anyShop(t, s, err)
		})
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		setChecks(t, "15") // of a schema each
		url, n := realparts.Postgres(t), 0
		rapid.Check(t, func(t *rapid.T) {
			n++
			s, err := pgstore.Open(context.Background(), url, fmt.Sprint("insights_", n), pgstore.Options{})
			anyShop(t, s, err)
		})
	})
}

// setChecks sets how many shops rapid makes up, unless the command line says so.
func setChecks(t *testing.T, n string) {
	f := flag.Lookup("rapid.checks")
	before := f.Value.String()
	if before != f.DefValue {
		return
	}
	if err := f.Value.Set(n); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Value.Set(before); err != nil {
			t.Error(err)
		}
	})
}

func anyShop(t *rapid.T, store projection.Store, err error) {
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}()
	m := draw(t)
	s := newShop(t, store)
	s.publish(t, m)
	s.fold(t)
	compare(t, m, &queries{Reader: s.reader})
	secondsEnd(t, m, store)
}

// secondsEnd deletes what is kept by the second, up to two hours before the end.
func secondsEnd(t *rapid.T, m *model, store projection.Store) {
	ctx, end := context.Background(), base.AddDate(0, 0, 2)
	if err := store.Update(ctx, func(tx projection.Tx) error { return newView().Upkeep(ctx, tx, store.Dialect(), end, 1000) }); err != nil {
		t.Fatal(err)
	}
	kept := map[int64]int64{} // events by scale
	sum := strings.Join(activityColumns, ") + SUM(")
	err := store.Query(ctx, "SELECT scale, CAST(SUM("+sum+") AS BIGINT) FROM "+activityTable+" GROUP BY scale", nil, func(row projection.Row) error {
		kept[row.Int(0)] = row.Int(1)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	count := func(after time.Time) int64 {
		a := m.activity(after, base.AddDate(2, 0, 0))
		return a.Placed + a.Confirmed + a.Rejected + a.Cancelled + a.Delivered
	}
	if all, recent := count(base.Add(-time.Second)), count(end.Add(-secondsKept-time.Second)); kept[byDay] != all || kept[bySecond] != recent {
		t.Fatalf("of %d events %d are kept by day, and %d by the second, which is to be %d", all, kept[byDay], kept[bySecond], recent)
	}
}

// compare asks for several periods.
func compare(t *rapid.T, m *model, q *queries) {
	ctx := context.Background()
	first := base.Unix()/86400 - 1
	periods := []period{{first, first + 130}, {first + 1, first + 2}, {first - 300, first + 300}}
	for range 3 {
		from := first + rapid.Int64Range(-70, 110).Draw(t, "from")
		periods = append(periods, period{from, from + rapid.Int64Range(1, 140).Draw(t, "days")})
	}
	for _, p := range periods {
		sums := map[string]map[string][2]GoodsFigures{} // by what, by currency
		for _, by := range []string{byDays, byProducts, byCategories, byStatuses} {
			rows, _, err := q.page(ctx, by, p, nil, 1000)
			if err != nil {
				t.Fatal(err)
			}
			got, want := strings.Join(texts(rows), "\n"), strings.Join(texts(m.sales(by, p)), "\n")
			if got != want {
				t.Fatalf("by %s, %v:\n%s\nwant\n%s", by, p.shown(), got, want)
			}
			sums[by] = totals(rows)
		}
		comparePages(t, m, q, p)
		for by, sum := range sums {
			if !maps.Equal(sum, sums[byDays]) {
				t.Fatalf("by %s it is %v in all, and by day %v", by, sum, sums[byDays])
			}
		}
		got, err := deliveryTime(ctx, q.Store, p)
		if want := m.deliveries(p); err != nil || (got == nil) != (want == nil) || got != nil && *got != *want {
			t.Fatalf("delivery time %+v, want %+v, %v", got, want, err)
		}
	}
	for _, o := range m.orders {
		now := cmp.Or(o.delivered, o.confirmed, o.placed).Add(30 * time.Second).Truncate(time.Second)
		q.clock = func() time.Time { return now }
		got, err := q.overview(ctx)
		if err != nil {
			t.Fatal(err)
		}
		midnight := now.Truncate(24 * time.Hour)
		for what, pair := range map[string][2]Activity{
			"today":           {got.Happened, m.activity(midnight.Add(-1), midnight.Add(24*time.Hour-1))},
			"the last hour":   {got.LastHour, m.activity(now.Add(-time.Hour), now.AddDate(1, 0, 0))},
			"the last minute": {got.LastMinute, m.activity(now.Add(-time.Minute), now.AddDate(1, 0, 0))},
		} {
			if pair[0] != pair[1] {
				t.Fatalf("%s at %v: %+v, want %+v", what, now, pair[0], pair[1])
			}
		}
		var statuses []string
		for _, o := range m.orders {
			statuses = append(statuses, o.status)
		}
		if fmt.Sprint(got.Orders) != standings(statuses) || fmt.Sprint(got.Payments) != standings(slices.Collect(maps.Values(m.standing))) {
			t.Fatalf("orders stand %v, want %s; payments %v, %v", got.Orders, standings(statuses), got.Payments, m.standing)
		}
	}
}

// comparePages reads what was sold by product page by page.
func comparePages(t *rapid.T, m *model, q *queries, p period) {
	size := rapid.IntRange(1, 3).Draw(t, "page")
	var all []Sales
	for after := []string{"", ""}; ; {
		rows, err := products(context.Background(), q.Store, p, after, size)
		if err != nil {
			t.Fatal(err)
		}
		if all = append(all, rows...); len(rows) < size {
			break
		}
		after = rows[size-1].position(byProducts)
	}
	if got, want := strings.Join(texts(all), "\n"), strings.Join(texts(m.sales(byProducts, p)), "\n"); got != want {
		t.Fatalf("by product, in pages of %d, %v:\n%s\nwant\n%s", size, p.shown(), got, want)
	}
}

// totals are units and goods by currency. What was ordered is above zero, so that no currency is there for its money only.
func totals(rows []Sales) map[string][2]GoodsFigures {
	sums := map[string][2]GoodsFigures{}
	for _, s := range rows {
		if s.Units.Ordered > 0 {
			sum := sums[s.Currency]
			for i, g := range []GoodsFigures{s.Units, s.Goods} {
				sum[i].add([]int64{g.Ordered, g.Rejected, g.Cancelled, g.Shipped, g.Returned})
			}
			sums[s.Currency] = sum
		}
	}
	return sums
}
