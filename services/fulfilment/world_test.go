package fulfilment

import (
	"fmt"
	"slices"
	"time"

	"pgregory.net/rapid"
)

// world is the other services and the people around one order, as far as their contracts go.
// What the process asks for waits in a queue per receiver's stream; what they tell waits in a
// stream per teller. Both are worked off in random order.
type world struct {
	t     *rapid.T
	draw  func(label string, n int) int // 0 to n-1; 0 once everything is to end well
	p     Process
	now   time.Time
	count int
	moves map[[2]Step]bool // from step to step

	asked map[string][]func() // by receiver
	told  map[string][]Command
	past  []Command // told already: it may be told again

	stock   []line
	pay     payment
	code    string // "", redeemed, refused, released
	order   book
	ships   map[string]*parcel
	returns map[string]*back
}

type line struct {
	state   string // "", reserved, waiting, expired, allocated, released
	version int64
	parts   []Part
	out     int64 // dispatched
}

type payment struct {
	state    string // "", pending, action, authorized, declined, voided
	ranOut   bool   // and was declined then: a capture asks for it again
	version  int64
	bill     string
	voids    map[string]bool // by reference: answered
	waiting  []Void          // until the provider answers
	voided   map[int]bool    // lines
	captured map[string]bool // by shipment: whether it came to money
	units    map[int]int64   // captured
	refunds  map[string]bool
}

type book struct {
	version   int64
	status    string // placed, confirmed, rejected, cancelling
	confirmed bool
	cancelled map[int]bool
	shipped   map[int]int64
	delivered map[int]int64
	returning map[int]int64
}

type parcel struct {
	state   string // created, dispatched, delivered, cancelled
	items   []Item
	answers map[string]bool
}

type back struct {
	left map[int]int64
	part int64
}

func newWorld(t *rapid.T, s Start) *world {
	w := &world{
		t: t, now: noon, moves: make(map[[2]Step]bool), asked: make(map[string][]func()), told: make(map[string][]Command),
		stock: make([]line, len(s.Lines)), ships: make(map[string]*parcel), returns: make(map[string]*back),
		pay: payment{
			voids: make(map[string]bool), voided: make(map[int]bool), captured: make(map[string]bool), units: make(map[int]int64),
			refunds: make(map[string]bool),
		},
		order: book{
			version: 1, status: "placed", cancelled: make(map[int]bool), shipped: make(map[int]int64), delivered: make(map[int]int64),
			returning: make(map[int]int64),
		},
	}
	w.draw = func(label string, n int) int { return rapid.IntRange(0, n-1).Draw(t, label) }
	w.tell("start", s) // a stream of its own: the others may be ahead of it
	return w
}

func (w *world) tell(stream string, c Command) { w.told[stream] = append(w.told[stream], c) }

// hear has the process decide on a fact, and passes on what it asks for.
func (w *world) hear(c Command) {
	s := &story{t: w.t, p: w.p, now: w.now}
	from := w.p.step(new(waitsOf(&w.p)))
	s.tell(c)
	if to := s.p.step(new(waitsOf(&s.p))); to != from {
		w.moves[[2]Step{from, to}] = true
	}
	w.p = s.p
	w.t.Logf("told %T %+v: %s", c, c, encoded(w.t, s.last))
	if s.last == nil {
		return
	}
	w.count++
	w.ask(&s.last.next().Asks)
}

// ask queues what is asked for. Messages that are not answered arrive; those that are may get lost.
func (w *world) ask(a *Asks) {
	send := func(to string, arrives bool, do func()) {
		if arrives || w.draw("lost", 8) != 7 {
			w.asked[to] = append(w.asked[to], do)
		}
	}
	at := func(g Goods) string { return fmt.Sprint("stock-", g.Line) }
	if a.Fail != nil {
		send("order", false, w.reject)
	}
	if a.Cancel != nil {
		send("order", false, func() { w.cancelled(a.Cancel.Lines) })
	}
	if a.Refuse != "" {
		send("order", false, w.refuse)
	}
	if a.Confirm {
		send("order", false, w.confirm)
	}
	for _, g := range a.Release {
		send(at(g), false, func() { w.release(g) })
	}
	for _, g := range a.Reserve {
		send(at(g), false, func() { w.reserve(g) })
	}
	for _, g := range a.Allocate {
		send(at(g), false, func() { w.allocate(g) })
	}
	if a.Redeem != "" {
		send("code", false, w.redeem)
	}
	if a.GiveBack != "" {
		send("code", false, w.giveBack)
	}
	if a.Pay != nil {
		send("pay", false, func() { w.request(a.Pay) })
	}
	for _, v := range a.Void {
		send("pay", false, func() { w.void(v) })
	}
	for _, s := range a.Stop {
		send(s.Shipment, false, func() { w.stop(s) })
	}
	for _, s := range a.Ship {
		send(s.ID, false, func() { w.create(s) })
	}
	for _, s := range slices.Concat(a.Shipped, a.Capture) {
		send("pay", false, func() { w.capture(s) })
	}
	for _, s := range a.Shipped {
		for _, g := range s.Goods {
			send(at(g), true, func() { w.takeAway(g, s.Location) })
		}
		send("order", true, func() { w.units(w.order.shipped, s.Goods) })
	}
	for _, s := range a.Arrived {
		send("order", true, func() { w.units(w.order.delivered, s.Goods) })
	}
	for _, r := range a.Open {
		send("returns", false, func() { w.open(r) })
	}
	for _, r := range a.Refund {
		send("pay", false, func() { w.refund(r) })
	}
}

// Inventory

func (w *world) moved(g Goods, to Stock, lapsed bool) {
	l := &w.stock[g.Line-1]
	l.version++
	c := MoveStock{Line: g.Line, To: to, Version: l.version, Lapsed: lapsed}
	if to == StockAllocated {
		c.Parts = l.parts
	}
	w.tell(fmt.Sprint("stock-", g.Line), c)
}

func (w *world) reserve(g Goods) {
	l := &w.stock[g.Line-1]
	switch {
	case l.state == "released":
		w.moved(g, StockRefused, false)
	case l.state != "" && l.state != "expired":
	case w.draw("reserve", 6) < 4:
		l.state = "reserved"
		w.moved(g, StockReserved, false)
	case g.Backorder:
		l.state = "waiting"
		w.moved(g, StockWaiting, false)
	default:
		w.moved(g, StockRefused, false)
	}
}

func (w *world) allocate(g Goods) {
	l := &w.stock[g.Line-1]
	if l.state == "allocated" {
		return
	}
	if l.state != "reserved" && (l.state != "expired" || w.draw("anew", 2) == 1) {
		w.moved(g, StockRefused, false)
		return
	}
	l.state, l.parts = "allocated", []Part{{"main", g.quantity(w)}}
	if q := g.quantity(w); q > 1 && w.draw("split", 3) == 2 {
		l.parts = []Part{{"main", q - 1}, {"north", 1}}
	}
	w.moved(g, StockAllocated, false)
}

func (g Goods) quantity(w *world) int64 { return w.p.Lines[g.Line-1].Quantity }

func (w *world) release(g Goods) {
	l := &w.stock[g.Line-1]
	if l.out > 0 {
		w.t.Fatalf("line %d is released, and %d of it are on their way", g.Line, l.out)
	}
	if l.state != "released" {
		l.state = "released"
		w.moved(g, StockReleased, false)
	}
}

func (w *world) takeAway(g Goods, location string) {
	l := &w.stock[g.Line-1]
	if l.state != "allocated" || !slices.ContainsFunc(l.parts, func(p Part) bool { return p.Location == location && p.Quantity == g.Quantity }) {
		w.t.Fatalf("%+v is taken from %s, where it is not: %+v", g, location, l)
	}
	l.out += g.Quantity
}

// The discount code

func (w *world) redeem() {
	switch {
	case w.code == "released":
		w.tell("code", MoveDiscount{To: StageRefused})
	case w.code != "":
	case w.draw("redeem", 5) == 4:
		w.code = "refused"
		w.tell("code", MoveDiscount{To: StageRefused})
	default:
		w.code = "redeemed"
		w.tell("code", MoveDiscount{To: StageDone})
	}
}

func (w *world) giveBack() {
	if w.code != "released" {
		w.code = "released"
		w.tell("code", MoveDiscount{To: StageReleased})
	}
}

// Ordering, by the rules of services/ordering

func (w *world) moveOrder(to OrderStage) {
	w.order.version++
	w.tell("order", MoveOrder{To: to, Version: w.order.version})
}

func (w *world) confirm() {
	if w.order.status == "placed" && !w.order.confirmed {
		w.order.confirmed = true
		w.moveOrder(OrderConfirmed)
	}
}

func (w *world) reject() {
	if !w.order.confirmed && w.order.status != "rejected" && w.left() > 0 {
		w.order.status = "rejected"
		w.moveOrder(OrderRejected)
	}
}

// left is how many lines are not cancelled.
func (w *world) left() int { return len(w.stock) - len(w.order.cancelled) }

func (w *world) cancelled(lines []int) {
	changed := false
	for n := range len(w.stock) {
		if (len(lines) == 0 || slices.Contains(lines, n+1)) && !w.order.cancelled[n+1] && w.order.shipped[n+1] == 0 {
			w.order.cancelled[n+1], changed = true, true
		}
	}
	if changed && w.order.status != "rejected" {
		w.order.status = "placed"
		w.moveOrder(OrderCancelled)
	}
}

func (w *world) refuse() {
	if w.order.status == "cancelling" {
		w.order.status = "placed"
		w.moveOrder(OrderCancelRefused)
	}
}

func (w *world) units(to map[int]int64, goods []Goods) {
	for _, g := range goods {
		to[g.Line] += g.Quantity
		if w.order.cancelled[g.Line] || to[g.Line] > g.quantity(w) {
			w.t.Fatalf("ordering is told of %d of line %d", to[g.Line], g.Line)
		}
	}
}
