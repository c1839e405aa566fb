package insights

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/orderlane/orderlane/pkg/money"
)

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
