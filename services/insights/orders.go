package insights

import (
	"fmt"
	"slices"
	"time"

	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/money"
	"github.com/orderlane/orderlane/pkg/projection"
)

// order is what is kept of an order: what its figures are made of. Times are seconds since 1970, 0 for
// what has not happened.
type order struct {
	Placed   int64           `json:"placed"`
	Currency string          `json:"currency"`
	Status   ordering.Status `json:"status"`
	Reason   string          `json:"reason,omitzero"` // why it was rejected
	Fee      int64           `json:"fee,omitzero"`    // of the delivery
	Tax      int64           `json:"tax,omitzero"`
	Lines    []line          `json:"lines"`

	Confirmed int64 `json:"confirmed,omitzero"`
	Rejected  int64 `json:"rejected,omitzero"`
	Cancelled int64 `json:"cancelled,omitzero"` // all of it
	Arrived   int64 `json:"arrived,omitzero"`   // microseconds: when units arrived last
	Delivered int64 `json:"delivered,omitzero"` // all that was not cancelled: when the last of it arrived
	Took      int64 `json:"took,omitzero"`      // whole seconds from placed to delivered
	PlacedAt  int64 `json:"placed_at"`          // microseconds, for that
}

// line is a line of an order, and the units of it that something became of.
type line struct {
	SKU       string `json:"sku"`
	Quantity  int64  `json:"quantity"`
	Total     int64  `json:"total"`
	Cancelled int64  `json:"cancelled,omitzero"`
	Shipped   int64  `json:"shipped,omitzero"`
	Returned  int64  `json:"returned,omitzero"`
}

// orderEvent is what any event of an order after the first may say.
type orderEvent struct {
	ordering.Change
	Reason  string `json:"reason"`
	Partial bool   `json:"partial"`
}

func (v *view) foldOrder(r *projection.Record) error {
	if r.Type == ordering.TypeOrderPlaced {
		var e ordering.OrderPlaced
		if err := bus.Decode(r.Value, &e); err != nil {
			return fmt.Errorf("decode %s: %w", r.Type, err)
		}
		v.orders.Change(r, func(o *order) error {
			*o = order{
				Placed: e.PlacedAt.Unix(), PlacedAt: e.PlacedAt.UnixMicro(), Currency: e.Currency, Status: e.Status,
				Fee: e.Totals.Delivery, Tax: e.Totals.Tax, Lines: make([]line, len(e.Lines)),
			}
			for i, l := range e.Lines {
				o.Lines[i] = line{SKU: l.SKU, Quantity: l.Quantity, Total: l.Total}
			}
			return nil
		})
		return nil
	}
	switch r.Type {
	case ordering.TypeOrderShipped, ordering.TypeOrderDelivered, ordering.TypeOrderReturned:
		return v.moved(r)
	case ordering.TypeOrderCancelled:
		var e ordering.OrderCancelled
		if err := bus.Decode(r.Value, &e); err != nil {
			return fmt.Errorf("decode %s: %w", r.Type, err)
		}
		v.orders.Change(r, func(o *order) error {
			for _, n := range e.Lines {
				o.each(n, func(l *line) { l.Cancelled = l.Quantity - l.Shipped })
			}
			if !e.Partial {
				o.Cancelled = e.At.Unix()
			}
			o.become(e.Status)
			return nil
		})
	case ordering.TypeOrderConfirmed, ordering.TypeOrderRejected, ordering.TypeOrderCancelRequested,
		ordering.TypeOrderCancelRefused, ordering.TypeReturnRequested:
		var e orderEvent
		if err := bus.Decode(r.Value, &e); err != nil {
			return fmt.Errorf("decode %s: %w", r.Type, err)
		}
		v.orders.Change(r, func(o *order) error {
			o.become(e.Status)
			switch r.Type {
			case ordering.TypeOrderConfirmed:
				o.Confirmed = e.At.Unix()
			case ordering.TypeOrderRejected:
				o.Rejected, o.Reason = e.At.Unix(), e.Reason
			}
			return nil
		})
	default: // an address, or an event of a later release: nothing that is counted
		v.orders.Change(r, nil)
	}
	return nil
}

// moved folds an event of units that went out, arrived or came back.
func (v *view) moved(r *projection.Record) error {
	var e struct {
		orderEvent
		Lines []ordering.Units `json:"lines"`
	}
	if err := bus.Decode(r.Value, &e); err != nil {
		return fmt.Errorf("decode %s: %w", r.Type, err)
	}
	v.orders.Change(r, func(o *order) error {
		for _, u := range e.Lines {
			o.each(u.Line, func(l *line) {
				switch r.Type {
				case ordering.TypeOrderShipped:
					l.Shipped += u.Quantity
				case ordering.TypeOrderReturned:
					l.Returned += u.Quantity
				}
			})
		}
		if r.Type == ordering.TypeOrderDelivered {
			o.Arrived = e.At.UnixMicro()
			if !e.Partial { // which the status does not say while a cancellation is being decided
				o.complete()
			}
		}
		o.become(e.Status)
		return nil
	})
	return nil
}

// become takes up the status that an event leaves the order in. What makes it delivered need not be that
// units arrive: it may be that the rest is cancelled.
func (o *order) become(s ordering.Status) {
	o.Status = s
	if s == ordering.StatusDelivered || s == ordering.StatusReturned {
		o.complete()
	}
}

// complete says that all of the order that was not cancelled has arrived.
func (o *order) complete() {
	if o.Delivered == 0 && o.Arrived != 0 {
		const second = int64(time.Second / time.Microsecond)
		o.Delivered = o.Arrived / second
		o.Took = max(0, (o.Arrived-o.PlacedAt)/second)
	}
}

// each changes the line with a number, if the order has it.
func (o *order) each(number int, change func(*line)) {
	if number >= 1 && number <= len(o.Lines) {
		change(&o.Lines[number-1])
	}
}

// The tables of sums that orders contribute to, by their places in the rollup.
const (
	sumsByDay = iota
	sumsByProduct
	sumsOfActivity
	sumsStanding
	sumsOfTimes
	sumsOfSpans
)

var (
	ordersTable   = table("sales")
	goodsTable    = table("goods")
	activityTable = table("activity")
	standingTable = table("standing")
	timesTable    = table("times")
	spansTable    = table("spans")
)

// The scales of activity: start is the number of a day or of a second since 1970.
const (
	byDay    int64 = 0
	bySecond int64 = 1
)

func newOrders() *projection.Rollup[order] {
	text := func(name string) projection.Column { return projection.Column{Name: name, Kind: projection.Text} }
	number := func(name string) projection.Column { return projection.Column{Name: name, Kind: projection.Int} }
	return projection.NewRollup(projection.RollupOf[order]{
		Table: table("orders"), Topic: bus.EventsTopic(ordering.Service), Contribute: contributeOrder,
		Sums: []projection.Sums{
			sumsByDay: {
				Table: ordersTable, Key: []projection.Column{number("day"), text("currency"), text("status"), text("reason")},
				Columns: slices.Concat(orderColumns, goodsColumns),
			},
			sumsByProduct: {
				Table: goodsTable, Key: []projection.Column{number("scale"), number("start"), text("sku"), text("currency")},
				Columns: slices.Concat(productColumns, goodsColumns),
			},
			sumsOfActivity: {Table: activityTable, Key: []projection.Column{number("scale"), number("start")}, Columns: activityColumns},
			sumsStanding:   {Table: standingTable, Key: []projection.Column{text("status")}, Columns: []string{"orders"}},
			sumsOfTimes: {
				Table: timesTable, Key: []projection.Column{number("span"), number("day"), number("seconds")}, Columns: []string{"orders"},
			},
			sumsOfSpans: {Table: spansTable, Key: []projection.Column{number("day"), number("span")}, Columns: []string{"orders"}},
		},
	})
}

// contributeOrder adds what an order counts for.
func contributeOrder(t *projection.Tally, o *order) {
	if o.Placed == 0 {
		return // it does not begin with an event that this release knows
	}
	day := o.Placed / secondsOfDay
	goods := make([]int64, len(goodsColumns))
	for i := range o.Lines {
		o.Lines[i].addTo(goods, o.Status == ordering.StatusRejected)
	}
	t.Add(sumsByDay, slices.Concat([]int64{1, count(o.Confirmed), count(o.Delivered), o.Fee, o.Tax}, goods),
		day, o.Currency, string(o.Status), o.Reason)
	o.contributeProducts(t, day, goods)
	for i, at := range []int64{o.Placed, o.Confirmed, o.Rejected, o.Cancelled, o.Delivered} {
		if at != 0 {
			happened := make([]int64, len(activityColumns))
			happened[i] = 1
			t.Add(sumsOfActivity, happened, byDay, at/secondsOfDay)
			t.Add(sumsOfActivity, happened, bySecond, at)
		}
	}
	t.Add(sumsStanding, []int64{1}, string(o.Status))
	if o.Delivered != 0 {
		day, span := o.Delivered/secondsOfDay, spanOf(o.Took)
		t.Add(sumsOfTimes, []int64{1}, span, day, o.Took)
		t.Add(sumsOfSpans, []int64{1}, day, span)
	}
}

// contributeProducts adds what an order counts for by product; an order with two lines of a product counts once.
func (o *order) contributeProducts(t *projection.Tally, day int64, goods []int64) {
	for i := range o.Lines {
		sku := o.Lines[i].SKU
		same := func(l line) bool { return l.SKU == sku }
		if slices.IndexFunc(o.Lines, same) < i {
			continue
		}
		clear(goods)
		for j := i; j < len(o.Lines); j++ {
			if same(o.Lines[j]) {
				o.Lines[j].addTo(goods, o.Status == ordering.StatusRejected)
			}
		}
		sums := slices.Concat([]int64{1}, goods)
		for scale, size := range blocks {
			t.Add(sumsByProduct, sums, int64(scale), day-day%size, sku, o.Currency)
		}
	}
}

func count(at int64) int64 {
	if at != 0 {
		return 1
	}
	return 0
}

// addTo adds a line to goods, in the order of goodsColumns. What units cost is their share of the line's
// total, as payments takes it: shipped from the first unit on, cancelled from the last.
func (l *line) addTo(goods []int64, rejected bool) {
	if l.Quantity <= 0 {
		return
	}
	worth := func(from, to int64) int64 {
		from, to = min(max(from, 0), l.Quantity), min(max(to, 0), l.Quantity)
		return money.Share(l.Total, l.Quantity, min(from, to), to)
	}
	left := l.Quantity - l.Cancelled
	add := func(i int, units, value int64) {
		goods[i] += units
		goods[i+len(unitColumns)] += value
	}
	add(0, l.Quantity, l.Total)
	if rejected {
		add(1, left, worth(0, left))
	}
	add(2, l.Cancelled, worth(left, l.Quantity))
	add(3, l.Shipped, worth(0, l.Shipped))
	add(4, l.Returned, worth(0, l.Returned))
}
