package mix

import (
	"container/heap"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/orderlane/orderlane/pkg/kafka"
)

// Of every data set.
const (
	span     = 90 * 24 * time.Hour // from the first order to the last
	variants = 200                 // products that each of the platform's own is made into
)

// Options say what a data set is.
type Options struct {
	Seed      uint64
	Orders    int
	Customers int       // 10,000 if 0: few of them have many of the orders
	Begins    time.Time // when the first order is placed
	Without   []string  // services whose messages are left out
}

// Data is a data set. It is made as it is read, and is safe for concurrent use.
type Data struct {
	lives *Lives
	o     Options
}

// Data returns the data set of the options.
func (l *Lives) Data(o Options) *Data {
	if o.Customers == 0 {
		o.Customers = 10_000
	}
	o.Begins = o.Begins.UTC().Truncate(time.Second)
	return &Data{l, o}
}

// Options are those that the data set was made with.
func (d *Data) Options() Options { return d.o }

// Begins is when the first order is placed.
func (d *Data) Begins() time.Time { return d.o.Begins }

func (d *Data) has(m *message) bool {
	return !slices.Contains(d.o.Without, d.lives.services[m.service])
}

// chance is a number that is the same for the same words.
func (d *Data) chance(words ...uint64) uint64 {
	x := d.o.Seed
	for _, w := range words {
		x += 0x9e3779b97f4a7c15 * (w + 1)
		x ^= x >> 30
		x *= 0xbf58476d1ce4e5b9
		x ^= x >> 27
		x *= 0x94d049bb133111eb
		x ^= x >> 31
	}
	return x
}

// What chances are for.
const (
	forLife = iota
	forCustomer
	forProduct
	forWait
	forID
)

// few is one of n by chance, of which few come often: one in a hundred comes ten times as often as the others do.
func few(chance uint64, n int) int {
	x := float64(chance>>11) / (1 << 53)
	return min(int(x*x*float64(n)), n-1)
}

// fill says how order i fills the gaps of its life.
func (d *Data) fill(i int) filling {
	n := uint64(i)
	l := &d.lives.orders[d.chance(n, forLife)%uint64(len(d.lives.orders))]
	f := filling{life: l, order: l.order}
	f.moved = make([]time.Duration, len(l.steps))
	at := d.o.Begins.Add(time.Duration(float64(span) / float64(d.o.Orders) * float64(i)))
	for s := range l.steps {
		step := &l.steps[s]
		if least, most := step.waits[0], step.waits[1]; most > least {
			at = at.Add(least + time.Duration(d.chance(n, forWait, uint64(s))%uint64(most-least)))
		}
		f.moved[s] = at.Sub(step.begins).Truncate(time.Second)
	}
	for j, sku := range l.skus {
		f.skus = append(f.skus, variant(sku, few(d.chance(n, forProduct, uint64(j)), variants)))
	}
	d.name(&f, n)
	o := &f.order
	o.CustomerID = fmt.Sprintf("c-%05d", few(d.chance(n, forCustomer), d.o.Customers))
	o.Number = number(i)
	o.ID = string(appendUUID(nil, f.ids[0]))
	o.PlacedAt = o.PlacedAt.Add(f.moved[0])
	o.Lines = slices.Clone(o.Lines)
	for j := range o.Lines {
		o.Lines[j].SKU = f.skus[j]
	}
	o.Movements = slices.Clone(o.Movements)
	for j := range o.Movements {
		m := &o.Movements[j]
		m.At = m.At.Add(f.moved[m.step])
	}
	return f
}

// name makes the ids. Those of version 7 have their time.
func (d *Data) name(f *filling, of uint64) {
	f.ids = make([][16]byte, len(f.life.ids))
	for j := range f.ids {
		like, id := &f.life.ids[j], &f.ids[j]
		binary.BigEndian.PutUint64(id[:8], d.chance(of, forID, uint64(j), 0))
		binary.BigEndian.PutUint64(id[8:], d.chance(of, forID, uint64(j), 1))
		version := byte(5)
		if !like.at.IsZero() {
			version = 7
			var ms [8]byte
			binary.BigEndian.PutUint64(ms[:], uint64(like.at.Add(f.moved[like.step]).UnixMilli()))
			copy(id[:6], ms[2:])
		}
		id[6] = id[6]&0x0f | version<<4
		id[8] = id[8]&0x3f | 0x80
	}
}

// variant is the SKU of a product that is made of another.
func variant(sku string, n int) string { return fmt.Sprintf("%s-%03d", sku, n) }

// number is the number of order i, as long as numbers are.
func number(i int) string {
	const digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	x := uint64(i+1) * 0x5851f42d4c957f2d & (1<<40 - 1) // an odd factor: none comes twice
	b := []byte("0000-0000")
	for j := len(b) - 1; j >= 0; j-- {
		if b[j] != '-' {
			b[j], x = digits[x%32], x/32
		}
	}
	return string(b)
}

// Order returns order i, of Options.Orders, as it stands in the end.
func (d *Data) Order(i int) Order { return d.fill(i).order }

// Products returns all products as they stand in the end.
func (d *Data) Products() (all []Product) {
	for i := range d.lives.products {
		p := d.lives.products[i].product
		for n := range variants {
			made := p
			made.SKU = variant(p.SKU, n)
			all = append(all, made)
		}
	}
	return all
}

// Messages reads a data set's messages in the order in which they happen, the products' first. It is for one
// goroutine.
type Messages struct {
	Products int // that have begun
	Orders   int // that have begun

	data      *Data
	coming    coming
	now       filling
	messages  []message // of a step, that are still to come
	positions []int64   // of the last message, by service
	versions  map[string]int64
}

// Messages returns a reader at the first message.
func (d *Data) Messages() *Messages {
	return &Messages{data: d, positions: make([]int64, len(d.lives.services)), versions: make(map[string]int64)}
}

// After returns a reader of a data set whose messages are published behind those that another one of the same
// lives has read: what it says of products is there already.
func (d *Data) After(m *Messages) *Messages {
	return &Messages{
		Products: variants * len(d.lives.products), data: d, positions: slices.Clone(m.positions), versions: maps.Clone(m.versions),
	}
}

// due is a step of an order that is still to come.
type due struct {
	at    time.Time
	order int
	step  int
}

// coming is a heap of what is to come; what comes first is at the top.
type coming []due

func (c coming) Len() int { return len(c) }
func (c coming) Less(i, j int) bool {
	return c[i].at.Before(c[j].at) || c[i].at.Equal(c[j].at) && c[i].order < c[j].order
}
func (c coming) Swap(i, j int) { c[i], c[j] = c[j], c[i] }

// Push implements heap.Interface.
func (c *coming) Push(x any) { *c = append(*c, x.(due)) }

// Pop implements heap.Interface.
func (c *coming) Pop() any {
	last := (*c)[len(*c)-1]
	*c = (*c)[:len(*c)-1]
	return last
}

// Next returns the next message, or false at the end.
func (m *Messages) Next() (kafka.Record, bool) {
	for {
		for len(m.messages) == 0 {
			if !m.step() {
				return kafka.Record{}, false
			}
		}
		next := &m.messages[0]
		m.messages = m.messages[1:]
		if !next.same {
			m.positions[next.service]++
		}
		m.now.position = m.positions[next.service]
		if next.stock >= 0 {
			sku := m.now.skus[next.stock]
			m.versions[sku]++
			m.now.version = m.versions[sku]
		}
		if m.data.has(next) {
			return m.now.record(next), true
		}
	}
}

// step begins the next step of a life; false at the end.
func (m *Messages) step() bool {
	d := m.data
	if m.Products < variants*len(d.lives.products) {
		m.now, m.messages = d.product(m.Products)
		m.Products++
		return true
	}
	if m.Orders < d.o.Orders {
		f := d.fill(m.Orders)
		if at := f.begins(0); len(m.coming) == 0 || !m.coming[0].at.Before(at) {
			heap.Push(&m.coming, due{at, m.Orders, 0})
			m.Orders++
		}
	}
	if len(m.coming) == 0 {
		return false
	}
	next := heap.Pop(&m.coming).(due)
	m.now = d.fill(next.order)
	m.messages = m.now.life.steps[next.step].messages
	if after := next.step + 1; after < len(m.now.life.steps) {
		heap.Push(&m.coming, due{m.now.begins(after), next.order, after})
	}
	return true
}

func (f *filling) begins(step int) time.Time { return f.life.steps[step].begins.Add(f.moved[step]) }

// product returns product i, and how it came to be there.
func (d *Data) product(i int) (filling, []message) {
	l := &d.lives.products[i/variants]
	f := filling{life: l, skus: []string{variant(l.skus[0], i%variants)}}
	f.moved = []time.Duration{d.o.Begins.Sub(l.steps[0].begins).Truncate(time.Second) - time.Hour}
	d.name(&f, 1<<40+uint64(i))
	return f, l.steps[0].messages
}
