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

	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/api/payments"
	"github.com/orderlane/orderlane/e2e/realparts"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/money"
	"github.com/orderlane/orderlane/pkg/projection"
	"github.com/orderlane/orderlane/pkg/projection/pgstore"
	"github.com/orderlane/orderlane/pkg/projection/sqlitestore"
)

// model is a shop as its events tell of it, without any sums.
type model struct {
	*publisher
	orders     []*sold
	categories map[string]string // of SKUs
	money      []posting
	standing   map[string]string // of payments

	streams [][]func() kafka.Record // what is still to be published, by stream
}

// sold is an order and what became of it.
type sold struct {
	currency, status, reason                          string
	placed, confirmed, rejected, cancelled, delivered time.Time
	tax                                               int64
	lines                                             []soldLine
}

type soldLine struct {
	ordering.Line
	cancelled, shipped, returned int64
}

type posting struct {
	day      int64
	currency string
	figures  MoneyFigures
}

var base = time.Date(2026, 10, 30, 0, 0, 0, 0, time.UTC)

// draw makes up a shop: the months have an end in it.
func draw(t *rapid.T) *model {
	m := &model{publisher: &publisher{t: t, epoch: "e1", versions: map[string]int64{}}, categories: map[string]string{}, standing: map[string]string{}}
	for _, sku := range []string{"A", "B", "C"} {
		var product []func() kafka.Record
		for range rapid.IntRange(0, 2).Draw(t, "definitions") {
			category := rapid.SampledFrom([]string{"", "x", "y"}).Draw(t, "category")
			m.categories[sku] = category
			product = append(product, func() kafka.Record { return m.defined(sku, category) })
		}
		m.streams = append(m.streams, product)
	}
	for i := range rapid.IntRange(0, 6).Draw(t, "orders") {
		m.drawOrder(t, fmt.Sprint("o-", i))
		m.drawPayment(t, fmt.Sprint("o-", i))
	}
	return m
}

func (m *model) drawOrder(t *rapid.T, id string) {
	o := &sold{
		currency: rapid.SampledFrom([]string{"EUR", "USD"}).Draw(t, "currency"), status: "placed",
		placed: base.Add(time.Duration(rapid.IntRange(0, 4*24*3600*1000).Draw(t, "placed")) * time.Millisecond),
	}
	m.orders = append(m.orders, o)
	var lines []ordering.Line
	for range rapid.IntRange(1, 3).Draw(t, "lines") {
		l := ordered(rapid.SampledFrom([]string{"A", "B", "C", "D"}).Draw(t, "sku"), rapid.Int64Range(1, 5).Draw(t, "quantity"), 0)
		l.Total = rapid.Int64Range(0, 1000).Draw(t, "total")
		l.Tax = l.Total / 5
		o.tax += l.Tax
		lines = append(lines, l)
		o.lines = append(o.lines, soldLine{Line: l})
	}
	at := o.placed
	later := func() time.Time {
		at = at.Add(time.Duration(rapid.IntRange(0, 30*3600*1000).Draw(t, "later")) * time.Millisecond)
		return at
	}
	events := []func() kafka.Record{func() kafka.Record { return m.placed(id, o.currency, o.placed, lines...) }}
	add := func(event func() kafka.Record) { events = append(events, event) }
	switch rapid.SampledFrom([]string{"placed", "rejected", "cancelled", "confirmed", "confirmed", "confirmed"}).Draw(t, "course") {
	case "rejected":
		o.status, o.rejected, o.reason = "rejected", later(), rapid.SampledFrom([]string{"out_of_stock", "payment_declined"}).Draw(t, "reason")
		add(func() kafka.Record { return m.rejected(id, o.reason, o.rejected) })
	case "cancelled":
		o.cancel(later())
		add(func() kafka.Record { return m.cancelled(id, false, o.cancelled, 1, 2, 3) })
	case "confirmed":
		o.status, o.confirmed = "confirmed", later()
		add(func() kafka.Record { return m.confirmed(id, o.confirmed) })
		m.drawFulfilment(t, id, o, later, add)
	}
	add(func() kafka.Record { return m.record("order-"+id, "orderlane.ordering.order_praised.v1", struct{}{}) })
	m.streams = append(m.streams, events)
}

func (o *sold) cancel(at time.Time) {
	o.status, o.cancelled = "cancelled", at
	for i := range o.lines {
		o.lines[i].cancelled = o.lines[i].Quantity
	}
}

// drawFulfilment cancels, ships, delivers and takes back some units of some lines.
func (m *model) drawFulfilment(t *rapid.T, id string, o *sold, later func() time.Time, add func(func() kafka.Record)) {
	for i := range o.lines {
		l, n := &o.lines[i], i+1
		some := func(what string, of int64) int64 { return rapid.Int64Range(0, of).Draw(t, what) }
		if len(o.lines) > 1 && rapid.Bool().Draw(t, "is cancelled") {
			l.cancelled, o.status = l.Quantity, "confirmed"
			at := later()
			add(func() kafka.Record { return m.cancelled(id, true, at, n) })
		}
		for range 2 {
			if units1 := some("shipped", l.Quantity-l.cancelled-l.shipped); units1 > 0 {
				l.shipped += units1
				o.status = "partially_shipped"
				at := later()
				add(func() kafka.Record { return m.shipped(id, true, at, units(n, units1)) })
				add(func() kafka.Record { return m.delivered(id, true, at, units(n, units1)) })
			}
		}
	}
	if !rapid.Bool().Draw(t, "is delivered") {
		return
	}
	o.status, o.delivered = "delivered", later()
	add(func() kafka.Record { return m.delivered(id, false, o.delivered) })
	for i := range o.lines {
		if back := rapid.Int64Range(0, o.lines[i].shipped).Draw(t, "returned"); back > 0 {
			o.lines[i].returned = back
			at, n := later(), i+1
			add(func() kafka.Record { return m.returned(id, at, units(n, back)) })
		}
	}
}

func (m *model) drawPayment(t *rapid.T, id string) {
	currency := rapid.SampledFrom([]string{"EUR", "USD"}).Draw(t, "pays in")
	var events []func() kafka.Record
	for range rapid.IntRange(0, 4).Draw(t, "movements") {
		at := base.Add(time.Duration(rapid.IntRange(0, 5*24*3600).Draw(t, "at")) * time.Second)
		amount := rapid.IntRange(1, 1000).Draw(t, "amount")
		p := posting{day: at.Unix() / 86400, currency: currency}
		switch rapid.IntRange(0, 2).Draw(t, "movement") {
		case 0:
			p.figures = MoneyFigures{Earned: int64(amount - amount/6), EarnedTax: int64(amount / 6)}
			m.standing[id] = string(payments.StatusAuthorized)
			events = append(events, func() kafka.Record { return m.asked(id, currency, at, amount) })
		case 1:
			p.figures = MoneyFigures{Captures: 1, Captured: int64(amount), Net: int64(amount)}
			m.standing[id] = string(payments.StatusCaptured)
			events = append(events, func() kafka.Record { return m.taken(id, currency, at, amount) })
		case 2:
			p.figures = MoneyFigures{Refunds: 1, Refunded: int64(amount), Net: -int64(amount)}
			m.standing[id] = string(payments.StatusPartiallyRefunded)
			events = append(events, func() kafka.Record { return m.refunded(id, currency, at, amount) })
		}
		m.money = append(m.money, p)
	}
	m.streams = append(m.streams, events)
}

// sales lists what was sold, unit by unit.
func (m *model) sales(by string, p period) []Sales {
	rows := map[string]*Sales{}
	row := func(key string, s Sales) *Sales {
		key += "\x00" + s.Currency
		if rows[key] == nil {
			rows[key] = &s
		}
		return rows[key]
	}
	for _, o := range m.orders {
		day := o.placed.Unix() / 86400
		if day < p.from || day >= p.to {
			continue
		}
		seen := map[string]bool{}
		if by == byDays || by == byStatuses {
			s := row(o.group(by))
			o.addOrder(s)
		}
		for _, l := range o.lines {
			category := m.categories[l.SKU]
			s := Sales{SKU: l.SKU, Category: &category, Currency: o.currency}
			key := l.SKU
			switch by {
			case byProducts:
				if _, known := m.categories[l.SKU]; known {
					s.Name = "The " + l.SKU
				}
			case byCategories:
				s.SKU, key = "", category
			default:
				key, s = o.group(by)
			}
			to := row(key, s)
			if by == byProducts && !seen[l.SKU] {
				seen[l.SKU] = true
				to.ProductOrders++
			}
			l.addTo(to, o.status == "rejected")
		}
	}
	for _, p2 := range m.money {
		if by != byDays || p2.day < p.from || p2.day >= p.to {
			continue
		}
		day := time.Unix(p2.day*86400, 0).UTC().Format(time.DateOnly)
		s := row(day, Sales{Day: day, Currency: p2.currency, Orders: &OrderFigures{}, Money: &MoneyFigures{}})
		f := p2.figures
		*s.Money = MoneyFigures{
			s.Money.Captures + f.Captures, s.Money.Captured + f.Captured, s.Money.Refunds + f.Refunds, s.Money.Refunded + f.Refunded,
			s.Money.Net + f.Net, s.Money.Earned + f.Earned, s.Money.EarnedTax + f.EarnedTax,
		}
	}
	var list []Sales
	for _, key := range slices.Sorted(maps.Keys(rows)) {
		s := rows[key]
		if s.Orders != nil {
			s.Orders.Total = s.Goods.Ordered + s.Orders.DeliveryFees
		}
		list = append(list, *s)
	}
	return list
}

func (o *sold) group(by string) (key string, s Sales) {
	if by == byStatuses {
		return o.status, Sales{Status: o.status, Currency: o.currency, Orders: &OrderFigures{}}
	}
	day := o.placed.Format(time.DateOnly)
	return day, Sales{Day: day, Currency: o.currency, Orders: &OrderFigures{}, Money: &MoneyFigures{}}
}

func (o *sold) addOrder(s *Sales) {
	s.Orders.Placed++
	s.Orders.DeliveryFees += 400
	s.Orders.Tax += o.tax
	if !o.confirmed.IsZero() {
		s.Orders.Confirmed++
	}
	if !o.delivered.IsZero() {
		s.Orders.Delivered++
	}
}

func (l *soldLine) addTo(s *Sales, rejected bool) {
	for n := range l.Quantity {
		worth := money.Share(l.Total, l.Quantity, n, n+1)
		count := func(units, goods *int64) { *units, *goods = *units+1, *goods+worth }
		net := int64(1)
		count(&s.Units.Ordered, &s.Goods.Ordered)
		switch cancelled := n >= l.Quantity-l.cancelled; {
		case cancelled:
			count(&s.Units.Cancelled, &s.Goods.Cancelled)
			net = 0
		case rejected:
			count(&s.Units.Rejected, &s.Goods.Rejected)
			net = 0
		}
		if n < l.shipped {
			count(&s.Units.Shipped, &s.Goods.Shipped)
		}
		if n < l.returned {
			count(&s.Units.Returned, &s.Goods.Returned)
			net = 0
		}
		s.Units.Net += net
		s.Goods.Net += net * worth
	}
}

// deliveries are the percentiles of a sorted list.
func (m *model) deliveries(p period) *DeliveryTime {
	var times []int64
	for _, o := range m.orders {
		if day := o.delivered.Unix() / 86400; !o.delivered.IsZero() && day >= p.from && day < p.to {
			times = append(times, int64(o.delivered.Sub(o.placed)/time.Second))
		}
	}
	if len(times) == 0 {
		return nil
	}
	slices.Sort(times)
	at := func(percent int) int64 { return times[(len(times)*percent+99)/100-1] }
	return &DeliveryTime{int64(len(times)), at(50), at(90), at(99)}
}

// activity counts what happened after one time, up to and including another.
func (m *model) activity(after, to time.Time) (a Activity) {
	for _, o := range m.orders {
		for _, c := range []struct {
			at time.Time
			n  *int64
		}{{o.placed, &a.Placed}, {o.confirmed, &a.Confirmed}, {o.rejected, &a.Rejected}, {o.cancelled, &a.Cancelled}, {o.delivered, &a.Delivered}} {
			if at := c.at.Truncate(time.Second); at.After(after) && !at.After(to) {
				*c.n++
			}
		}
	}
	return a
}

// standings are the counts of statuses, as the overview lists them.
func standings(statuses []string) string {
	list := []Standing{}
	slices.Sort(statuses)
	for _, s := range statuses {
		if n := len(list); n > 0 && list[n-1].Status == s {
			list[n-1].Count++
		} else {
			list = append(list, Standing{s, 1})
		}
	}
	return fmt.Sprint(list)
}

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
	ctx, end := context.Background(), base.AddDate(0, 0, 3)
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
		a := m.activity(after, base.AddDate(1, 0, 0))
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
	for _, p := range []period{{first, first + 40}, {first + 1, first + 4}, {first + 1, first + 2}, {first + 2, first + 3}, {first - 40, first + 33}} {
		for _, by := range []string{byDays, byProducts, byCategories, byStatuses} {
			rows, _, err := q.page(ctx, by, p, nil, 1000)
			if err != nil {
				t.Fatal(err)
			}
			got, want := strings.Join(texts(rows), "\n"), strings.Join(texts(m.sales(by, p)), "\n")
			if got != want {
				t.Fatalf("by %s, %v:\n%s\nwant\n%s", by, p.shown(), got, want)
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
