// Package mix makes data sets of the platform's full mix of events: the lives that real orders have led, as
// their messages on the topics tell them, are led again by as many orders as are wanted. Each new order has ids,
// a customer, products and times of its own; what happens, in which order and in which words, is as it
// was. A data set depends on nothing but the lives, its options and its seed.
//
// Orders are placed evenly over ninety days, and are dispatched, delivered and sent back hours and days
// later, so that the messages of an order are as far apart on the topics as a shop's are.
package mix

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/orderlane/orderlane/api/catalog"
	"github.com/orderlane/orderlane/api/inventory"
	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/api/shipping"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/kafka"
)

// Lives are the lives of orders of two lines, and the products that there are, as learned from the topics. They
// are never changed, so they are safe for concurrent use.
type Lives struct {
	services []string // in the order of the counters of positions
	products []life   // how each came to be there
	orders   []life
}

// String says what there is.
func (l *Lives) String() string {
	ends := make(map[string]int)
	messages := 0
	for i := range l.orders {
		ends[string(l.orders[i].order.Status)]++
		messages += l.orders[i].messages()
	}
	var words []string
	for _, status := range slices.Sorted(maps.Keys(ends)) {
		words = append(words, fmt.Sprintf("%d %s", ends[status], status))
	}
	return fmt.Sprintf("%d lives of %.1f messages each: %s", len(l.orders), float64(messages)/float64(len(l.orders)), strings.Join(words, ", "))
}

// PerOrder is how many messages an order has on average.
func (l *Lives) PerOrder() float64 {
	n := 0
	for i := range l.orders {
		n += l.orders[i].messages()
	}
	return float64(n) / float64(len(l.orders))
}

// life is what happened to one order, or one product.
type life struct {
	skus  []string // that it names; those of an order by line
	ids   []id     // that it names
	steps []step

	// As it stands in the end, without what every order has of its own.
	order   Order
	product Product
}

// id is an id that a life names.
type id struct {
	text string
	step int       // where it is named first
	at   time.Time // of version 7; zero: it has no time in it
}

// step is what happened at one go; a step is some time after the one before it.
type step struct {
	begins   time.Time
	waits    [2]time.Duration // at least and at most, after the one before it
	messages []message
}

func (l *life) messages() (n int) {
	for i := range l.steps {
		n += len(l.steps[i].messages)
	}
	return n
}

// waits are the types of events that happen some time after what was before.
var waits = map[string][2]time.Duration{
	shipping.TypeShipmentDispatched:   {4 * time.Hour, 30 * time.Hour},
	shipping.TypeShipmentDelivered:    {20 * time.Hour, 80 * time.Hour},
	ordering.TypeReturnRequested:      {24 * time.Hour, 10 * 24 * time.Hour},
	shipping.TypeReturnReceived:       {48 * time.Hour, 5 * 24 * time.Hour},
	ordering.TypeOrderCancelRequested: {time.Minute, 2 * time.Hour},
}

// told is a record with what is looked at of it.
type told struct {
	*kafka.Record
	service  string
	kind     string
	position int64
	at       time.Time
}

// Learn makes lives of all events, and all that is personal, of a platform that has come to rest. Orders of
// another number of lines than two are left out.
func Learn(records []kafka.Record) (*Lives, error) {
	all := make([]told, 0, len(records))
	for i := range records {
		r := &records[i]
		e, err := bus.EnvelopeOf(r)
		if err != nil {
			return nil, err
		}
		service, _, _ := strings.Cut(r.Topic, ".")
		all = append(all, told{r, service, e.Type, e.Position, e.Time})
	}
	arrange(all)
	l := &Lives{}
	of, err := l.begin(all)
	if err != nil {
		return nil, err
	}
	for i := range all {
		t := &all[i]
		if !slices.Contains(l.services, t.service) {
			l.services = append(l.services, t.service)
		}
		for _, text := range uuids.FindAllString(string(t.Key)+" "+string(t.Value), -1) {
			if life := of[text]; life != nil {
				life.told = append(life.told, *t)
				break
			}
		}
		if t.kind == catalog.TypeProductDefined || t.kind == inventory.TypeStockReceived {
			if life := of[skuOf(t.Record)]; life != nil {
				life.told = append(life.told, *t)
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(of)) {
		made, err := of[key].make(l.services)
		if err != nil {
			return nil, fmt.Errorf("learn how %s went: %w", key, err)
		}
		if len(made.order.Lines) > 0 {
			l.orders = append(l.orders, *made)
		} else {
			l.products = append(l.products, *made)
		}
	}
	if len(l.orders) == 0 || len(l.products) == 0 {
		return nil, errors.New("there is no order of two lines, or no product, to learn from")
	}
	return l, nil
}

// arrange sorts records in the order in which they happened. Each log is in order, whatever its clock said.
func arrange(all []told) {
	slices.SortStableFunc(all, func(x, y told) int {
		return cmp.Or(cmp.Compare(x.service, y.service), cmp.Compare(x.position, y.position))
	})
	for i := 1; i < len(all); i++ {
		if all[i].service == all[i-1].service && all[i].at.Before(all[i-1].at) {
			all[i].at = all[i-1].at
		}
	}
	slices.SortStableFunc(all, func(x, y told) int { return x.at.Compare(y.at) })
}

// begin finds the orders of two lines, by their ids, and the products, by their SKUs.
func (*Lives) begin(all []told) (map[string]*learning, error) {
	of := make(map[string]*learning)
	for i := range all {
		switch t := &all[i]; t.kind {
		case ordering.TypeOrderPlaced:
			var e ordering.OrderPlaced
			if err := bus.Decode(t.Value, &e); err != nil {
				return nil, err
			}
			if len(e.Lines) == 2 {
				of[e.OrderID] = &learning{placed: e, skus: []string{e.Lines[0].SKU, e.Lines[1].SKU}}
			}
		case catalog.TypeProductDefined:
			of[skuOf(t.Record)] = &learning{skus: []string{skuOf(t.Record)}}
		}
	}
	return of, nil
}

// skuOf is the SKU that a stream is named after.
func skuOf(r *kafka.Record) string { return bus.ResourceOf(string(r.Key)).ID }

var (
	uuids = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	times = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`)
)

// learning is a life that is being learned.
type learning struct {
	placed ordering.OrderPlaced
	skus   []string
	told   []told
	life   life
	known  map[string]int // ids, by their texts
}

// make makes the life of what is told.
func (l *learning) make(services []string) (*life, error) {
	l.life.skus, l.known = l.skus, make(map[string]int)
	if l.placed.OrderID != "" {
		l.idOf(l.placed.OrderID) // the first one
	}
	for i := range l.told {
		t := &l.told[i]
		pause, waits := waits[t.kind]
		if waits || len(l.life.steps) == 0 {
			l.life.steps = append(l.life.steps, step{begins: t.at, waits: pause})
		}
		now := &l.life.steps[len(l.life.steps)-1]
		m, err := l.message(t)
		if err != nil {
			return nil, err
		}
		m.service = slices.Index(services, t.service)
		if n := len(now.messages); n > 0 {
			before := &l.told[i-1]
			m.same = before.service == t.service && before.position == t.position
		}
		now.messages = append(now.messages, m)
	}
	return &l.life, errors.Join(l.tellOrder(), l.tellProduct())
}

// message makes a text with gaps of each part of a record.
func (l *learning) message(t *told) (message, error) {
	m := message{topic: t.Topic, stock: -1, at: t.at, step: len(l.life.steps) - 1}
	category := bus.ResourceOf(string(t.Key)).Type
	if category == inventory.Category {
		m.stock = slices.Index(l.skus, skuOf(t.Record))
		if m.stock < 0 {
			return m, fmt.Errorf("%s is no product of it", t.Key)
		}
	}
	version := t.Header(bus.HeaderStreamVersion)
	m.key = l.text(string(t.Key), t.at)
	value := string(t.Value)
	if m.stock >= 0 { // its stream has the events of all orders
		value = strings.Replace(value, `"version":`+version+`,`, `"version":`+mark(gapVersion, m.stock)+`,`, 1)
	}
	if l.placed.Number != "" {
		value = strings.ReplaceAll(value, `"number":"`+l.placed.Number+`"`, `"number":"`+mark(gapNumber, 0)+`"`)
	}
	m.value, m.none = l.text(value, t.at), t.Value == nil
	for _, h := range t.Headers {
		text := string(h.Value)
		switch h.Key {
		case bus.HeaderTraceparent:
			continue // nothing was traced
		case bus.HeaderPosition:
			text = mark(gapPosition, 0)
		case bus.HeaderStreamVersion:
			if m.stock >= 0 {
				text = mark(gapVersion, m.stock)
			}
		case bus.HeaderID:
			if m.stock >= 0 {
				text = strings.TrimSuffix(text, version) + mark(gapVersion, m.stock)
			}
		}
		m.headers = append(m.headers, header{h.Key, l.text(text, t.at)})
	}
	return m, nil
}

// A mark is what stands for a gap until the text is cut up: a byte that is in no JSON, the kind and the number.
func mark(kind gapKind, n int) string {
	return "\x00" + string(rune('a'+kind)) + strconv.Itoa(n) + "\x00"
}

var marks = regexp.MustCompile("\x00([a-z])([0-9]+)\x00")

// text cuts a text up at what is different in every life.
func (l *learning) text(s string, at time.Time) text {
	s = uuids.ReplaceAllStringFunc(s, func(u string) string { return mark(gapID, l.idOf(u)) })
	var moments []time.Time
	s = times.ReplaceAllStringFunc(s, func(u string) string {
		t, err := time.Parse(time.RFC3339Nano, u)
		if err != nil {
			return u
		}
		moments = append(moments, t)
		return mark(gapTime, len(moments)-1)
	})
	if l.placed.CustomerID != "" {
		s = strings.ReplaceAll(s, l.placed.CustomerID, mark(gapCustomer, 0))
	}
	for i, sku := range l.skus {
		s = strings.ReplaceAll(s, sku, mark(gapSKU, i))
	}
	var t text
	end := 0
	for _, m := range marks.FindAllStringSubmatchIndex(s, -1) {
		n, _ := strconv.Atoi(s[m[4]:m[5]]) // digits
		g := gap{before: s[end:m[0]], kind: gapKind(s[m[2]] - 'a'), n: n}
		if g.kind == gapTime {
			g.at, g.n = moments[n], l.stepOf(moments[n])
		}
		t.gaps = append(t.gaps, g)
		end = m[1]
	}
	t.rest = s[end:]
	if len(t.gaps) == 0 {
		t.fixed = []byte(t.rest)
	}
	return t
}

// stepOf is the step that a time belongs to: what is told then, or the last one for what is yet to come.
func (l *learning) stepOf(at time.Time) int {
	for i, s := range slices.Backward(l.life.steps) {
		if !s.begins.After(at) {
			return i
		}
	}
	return 0
}

func (l *learning) idOf(text string) int {
	n, ok := l.known[text]
	if ok {
		return n
	}
	n = len(l.life.ids)
	l.known[text] = n
	i := id{text: text, step: max(0, len(l.life.steps)-1)}
	if text[14] == '7' {
		if ms, err := strconv.ParseInt(text[:8]+text[9:13], 16, 64); err == nil {
			i.at = time.UnixMilli(ms)
		}
	}
	l.life.ids = append(l.life.ids, i)
	return n
}
