package insights

import (
	"fmt"
	"time"

	"pgregory.net/rapid"

	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/api/payments"
	"github.com/orderlane/orderlane/pkg/kafka"
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

// draw makes up a shop, on days at which blocks of days begin and on others.
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
		placed: base.AddDate(0, 0, rapid.SampledFrom([]int{0, 1, 4, 12, 44, 107, 108}).Draw(t, "day")).
			Add(time.Duration(rapid.IntRange(0, 24*3600*1000-1).Draw(t, "placed")) * time.Millisecond),
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
		add(func() kafka.Record { return m.cancelled(id, ordering.StatusCancelled, o.cancelled, 1, 2, 3) })
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

// progress takes up what became of the lines: what is shipped arrives at once, when it was that something did last.
func (o *sold) progress(arrived time.Time) ordering.Status {
	var live, shipped, returned int64
	for _, l := range o.lines {
		if l.cancelled == 0 {
			live, shipped, returned = live+l.Quantity, shipped+l.shipped, returned+l.returned
		}
	}
	status := ordering.StatusConfirmed
	switch {
	case live == 0:
		status = ordering.StatusCancelled
	case returned == live:
		status = ordering.StatusReturned
	case shipped == live:
		status = ordering.StatusDelivered
	case shipped > 0:
		status = ordering.StatusPartiallyShipped
	}
	if o.delivered.IsZero() && (status == ordering.StatusDelivered || status == ordering.StatusReturned) {
		o.delivered = arrived
	}
	o.status = string(status)
	return status
}

// drawFulfilment cancels, ships, delivers and takes back some units of some lines, or all.
func (m *model) drawFulfilment(t *rapid.T, id string, o *sold, later func() time.Time, add func(func() kafka.Record)) {
	var arrived time.Time
	sends := func(n int, quantity int64) {
		if quantity <= 0 {
			return
		}
		o.lines[n-1].shipped += quantity
		at := later()
		arrived = at
		partial := o.progress(arrived) != ordering.StatusDelivered
		add(func() kafka.Record { return m.shipped(id, partial, at, units(n, quantity)) })
		add(func() kafka.Record { return m.delivered(id, partial, at, units(n, quantity)) })
	}
	takesBack := func(n int, quantity int64) {
		if quantity <= 0 {
			return
		}
		o.lines[n-1].returned += quantity
		at, status := later(), o.progress(arrived)
		add(func() kafka.Record { return m.returned(id, status, at, units(n, quantity)) })
	}
	some := func(what string, of int64) int64 { return rapid.Int64Range(0, of).Draw(t, what) }
	for i := range o.lines {
		l, n := &o.lines[i], i+1
		if rapid.Bool().Draw(t, "is cancelled") {
			l.cancelled = l.Quantity
			at := later()
			status := o.progress(arrived)
			if status == ordering.StatusCancelled {
				o.cancelled = at
			}
			add(func() kafka.Record { return m.cancelled(id, status, at, n) })
			continue
		}
		for range 2 {
			sends(n, some("shipped", l.Quantity-l.shipped))
		}
		takesBack(n, some("returned", l.shipped))
	}
	if !rapid.Bool().Draw(t, "is sent as a whole") {
		return
	}
	for i := range o.lines {
		l, n := &o.lines[i], i+1
		if l.cancelled == 0 {
			sends(n, l.Quantity-l.shipped)
			takesBack(n, some("returned", l.shipped-l.returned))
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
