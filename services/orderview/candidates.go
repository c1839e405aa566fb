package orderview

import (
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/orderlane/orderlane/pkg/projection"
)

// by is what the orders of a list are found by: the filter that leaves the fewest, as a rule.
type by int

const (
	byTime by = iota
	byQ
	byStuck
	byCustomer
	bySKU
	byStatus
)

// by chooses what the orders are found by.
func (f *Filter) by() by {
	switch {
	case f.Q != "":
		return byQ
	case f.Stuck:
		return byStuck
	case f.CustomerID != "":
		return byCustomer
	case f.SKU != "":
		return bySKU
	case f.Status != "":
		return byStatus
	}
	return byTime
}

// reads reports whether the orders are found in their own table, so that they are read on the way.
func (b by) reads() bool { return b == byTime || b == byCustomer || b == byStatus }

// looks is how many orders are looked at for a page.
func (l *listing) looks(limit int) int {
	f, met := &l.filter, 0
	for _, narrowed := range []bool{f.Q != "", f.Stuck, f.CustomerID != "", f.SKU != "", f.Status != ""} {
		if narrowed {
			met++
		}
	}
	if met <= 1 {
		return limit + 1 // the index meets all
	}
	return maxLooked
}

// candidates selects columns of so many orders that meet the filter which they are found by, and the
// range of time, newest first: key and placed_at, or others too if by.reads.
func (l *listing) candidates(s *statement, d projection.Dialect, columns string, looks int) {
	f := &l.filter
	from := func(table, condition string, v any) {
		s.WriteString("SELECT " + columns + " FROM " + table + " WHERE true")
		if condition != "" {
			s.narrow(condition, v)
		}
		l.window(s, "placed_at", "key")
		s.WriteString(" ORDER BY placed_at DESC, key DESC LIMIT " + s.Arg(looks))
	}
	switch f.by() {
	case byQ:
		l.matching(s, d, looks)
	case byStuck:
		s.WriteString("SELECT x.key AS key, x.placed_at AS placed_at FROM " + fulfilmentsTable + " y CROSS JOIN " + ordersTable +
			" x WHERE y.attention <> '' AND x.key = 'order-' || substr(y.key, 12)")
		l.window(s, "x.placed_at", "x.key")
		s.WriteString(" ORDER BY x.placed_at DESC, x.key DESC LIMIT " + s.Arg(looks))
	case byCustomer:
		from(ordersTable, "customer_id =", f.CustomerID)
	case bySKU:
		from(linesTable, "sku =", f.SKU)
	case byStatus:
		from(ordersTable, "status =", f.Status)
	case byTime:
		from(ordersTable, "", nil)
	}
}

// window narrows to the range of time, and to what comes after the page before and is looked at for this one.
func (l *listing) window(s *statement, placed, key string) {
	for _, bound := range []struct {
		is string
		at time.Time
	}{{">=", l.filter.PlacedFrom}, {"<", l.filter.PlacedTo}} {
		if !bound.at.IsZero() {
			s.narrow(placed+" "+bound.is, bound.at.UnixMicro())
		}
	}
	if l.from != nil {
		s.WriteString(" AND (" + placed + ", " + key + ") < (" + s.Arg(l.from.at) + ", " + s.Arg(l.from.key) + ")")
	}
	if l.to != nil {
		s.WriteString(" AND (" + placed + ", " + key + ") >= (" + s.Arg(l.to.at) + ", " + s.Arg(l.to.key) + ")")
	}
}

// matching selects the orders that q names, of one customer only if the list is.
func (l *listing) matching(s *statement, d projection.Dialect, looks int) {
	q := l.filter.Q
	s.WriteString("SELECT key, placed_at FROM (")
	one := func(order string, conditions ...any) {
		s.WriteString("SELECT * FROM (SELECT key, placed_at FROM " + ordersTable + " WHERE true")
		for i := 0; i < len(conditions); i += 2 {
			s.narrow(conditions[i].(string), conditions[i+1])
		}
		if l.filter.CustomerID != "" {
			s.narrow("customer_id =", l.filter.CustomerID)
		}
		l.window(s, "placed_at", "key")
		s.WriteString(" ORDER BY " + order + " LIMIT " + s.Arg(looks) + ") q")
	}
	one("placed_at DESC, key DESC", "customer_id =", q)
	if number, ok := numbered(q); ok {
		s.WriteString(" UNION ")
		column := "number"
		if d == projection.Postgres {
			column = `number COLLATE "C"` // as its index
		}
		// A prefix of three has few numbers: they are sorted, instead of all orders looked through.
		one("placed_at + 0 DESC, key DESC", column+" >=", number, column+" <", number+"~")
	}
	if id, err := uuid.Parse(q); err == nil {
		s.WriteString(" UNION ")
		one("placed_at DESC, key DESC", "key =", orderCategory+"-"+id.String())
	}
	s.WriteString(") matching ORDER BY placed_at DESC, key DESC LIMIT " + s.Arg(looks))
}

// minNumber is how much of a number has to be known: of 32 letters, so that few numbers begin alike.
const minNumber = 3

// numbered is how an order number is written that somebody may have heard on the phone: in capitals,
// with digits for letters that are none of its alphabet, and with its hyphen. What is too short without
// its spaces, or has what no number has, is none.
func numbered(q string) (number string, ok bool) {
	n := strings.NewReplacer(" ", "", "O", "0", "I", "1", "L", "1").Replace(strings.ToUpper(q))
	if len(n) < minNumber || strings.ContainsFunc(n, func(r rune) bool { return r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') }) {
		return "", false
	}
	if !strings.Contains(n, "-") && len(n) > 4 {
		n = n[:4] + "-" + n[4:]
	}
	return n, true
}
