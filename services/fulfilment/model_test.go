package fulfilment

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Whatever the other services answer, in whatever order, twice, late or after being asked
// again, and whatever customers and staff do meanwhile: the process of an order ends, and nothing
// is held.
func TestEveryProcessEndsWithNothingHeld(t *testing.T) {
	steps := make(map[Step]int)
	described := make(map[Step][]Step)
	for _, s := range States() {
		described[s.Step] = s.Next
	}
	rapid.Check(t, func(t *rapid.T) {
		s := Start{Order: order, Customer: "c-42", Currency: "EUR", Method: "sandbox", Delivery: Price{400, 67}}
		for range rapid.IntRange(1, 3).Draw(t, "lines") {
			s.Lines = append(s.Lines, Ordered{
				SKU: fmt.Sprint("SKU-", len(s.Lines)), Quantity: rapid.Int64Range(1, 3).Draw(t, "quantity"),
				Price: Price{1000, 100}, Backorder: rapid.Bool().Draw(t, "backorder"),
			})
		}
		if rapid.Bool().Draw(t, "discount") {
			s.Code = "TEA10"
		}
		w := newWorld(t, s)
		for range rapid.IntRange(0, 150).Draw(t, "steps") {
			w.step()
		}
		w.end()
		steps[w.p.step(new(waitsOf(&w.p)))]++
		for m := range w.moves {
			if !slices.Contains(described[m[0]], m[1]) {
				t.Fatalf("it goes from %s to %s, which nobody is told", m[0], m[1])
			}
		}
	})
	for _, s := range []Step{StepCompleted, StepRejected, StepCancelled} {
		if steps[s] == 0 {
			t.Errorf("no order was %s: %v", s, steps)
		}
	}
}

// step lets something happen.
func (w *world) step() {
	switch w.draw("what", 16) {
	default:
		w.someTold()
	case 5, 6, 7, 8:
		w.someAsked()
	case 9:
		if len(w.past) > 0 {
			w.hear(w.past[w.draw("again", len(w.past))])
		}
	case 10:
		w.wantsCancel()
	case 11:
		w.someGoods(w.draw("line", len(w.stock)))
	case 12:
		w.provider()
		if w.draw("refunds", 10) == 9 {
			w.refundsMore()
		}
	case 13:
		if id := w.some("shipment", slices.Sorted(maps.Keys(w.ships))); id != "" {
			w.staff(id)
		}
	case 14:
		w.wantsReturn()
		if id := w.some("return", slices.Sorted(maps.Keys(w.returns))); id != "" {
			w.comesBack(id)
		}
	case 15:
		w.wake()
	}
}

func (w *world) some(label string, of []string) string {
	if len(of) == 0 {
		return ""
	}
	return of[w.draw(label, len(of))]
}

// someTold lets the process hear what somebody tells it.
func (w *world) someTold() bool {
	stream := w.some("told", slices.Sorted(maps.Keys(w.told)))
	if stream == "" {
		return false
	}
	c := w.told[stream][0]
	if w.told[stream] = w.told[stream][1:]; len(w.told[stream]) == 0 {
		delete(w.told, stream)
	}
	w.past = append(w.past, c)
	w.hear(c)
	return true
}

// someAsked lets somebody hear what the process asks.
func (w *world) someAsked() bool {
	to := w.some("asked", slices.Sorted(maps.Keys(w.asked)))
	if to == "" {
		return false
	}
	do := w.asked[to][0]
	if w.asked[to] = w.asked[to][1:]; len(w.asked[to]) == 0 {
		delete(w.asked, to)
	}
	do()
	return true
}

// someGoods lets a reservation expire, goods come in for a line that waits, or one that is released be made firm.
func (w *world) someGoods(i int) {
	g := Goods{Line: i + 1}
	switch l := &w.stock[i]; l.state {
	case "reserved":
		l.state = "expired"
		w.moved(g, StockReleased, true)
	case "waiting":
		l.state = "reserved"
		w.moved(g, StockReserved, false)
	case "released": // a command that was parked, of a line that is forgotten
		if w.draw("forgotten", 3) == 2 {
			l.state, l.parts = "allocated", []Part{{"main", g.quantity(w)}}
			w.moved(g, StockAllocated, false)
		}
	}
}

func (w *world) wake() {
	if !w.p.Until.IsZero() {
		w.now = w.p.Until
		w.hear(Wake{At: w.now})
	}
}

// end lets everybody do what they are asked for, until nothing moves any more.
func (w *world) end() {
	w.draw = func(string, int) int { return 0 }
	for range 2000 {
		if w.someTold() || w.someAsked() || w.people() {
			continue
		}
		if last := w.p.step(new(waitsOf(&w.p))); last.Ended() {
			w.check(last)
			return
		}
		if w.p.Until.IsZero() {
			break
		}
		w.wake()
	}
	w.t.Fatalf("the process does not end: %s", encoded(w.t, w.p))
}

// people do what they have to, and report whether there was something.
func (w *world) people() bool {
	before := len(w.told)
	w.provider()
	for i := range w.stock {
		if w.stock[i].state == "waiting" {
			w.someGoods(i)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(w.ships)) {
		w.staff(id)
	}
	for _, id := range slices.Sorted(maps.Keys(w.returns)) {
		w.comesBack(id)
	}
	return len(w.told) > before
}

// check looks for what is still held once the process has ended.
func (w *world) check(last Step) {
	t := w.t
	holdsNothing(t, &w.p)
	for i := range w.stock {
		l, n := &w.stock[i], i+1
		gone := l.out == w.p.Lines[i].Quantity
		if !gone && (l.state == "allocated" || l.state == "reserved" || l.state == "waiting" || l.out > 0) {
			t.Fatalf("line %d is still %s, and %d of it were dispatched", n, l.state, l.out)
		}
		if gone != (w.order.delivered[n] == l.out && l.out > 0) || gone == (last != StepCompleted || w.order.cancelled[n]) {
			t.Fatalf("of line %d %d are dispatched, %d delivered; the process is %s", n, l.out, w.order.delivered[n], last)
		}
		if (w.pay.state == "authorized" || w.pay.ranOut && w.order.confirmed && w.pay.state == "declined") && !gone && !w.pay.voided[n] && w.p.Lines[i].Billed {
			t.Fatalf("the money for line %d is still held", n)
		}
	}
	switch {
	case w.pay.state == "authorized" && slices.Contains(slices.Collect(maps.Values(w.pay.captured)), false):
		t.Fatal("money is held that could not be captured")
	case w.order.status == "cancelling":
		t.Fatal("ordering still waits for an answer")
	case last == StepRejected != (w.order.status == "rejected"), last == StepCancelled != (w.left() == 0 && w.order.status != "rejected"):
		t.Fatalf("the process is %s, and the order %+v", last, w.order)
	case last != StepCompleted && (w.pay.state == "authorized" || w.pay.state == "pending" || w.pay.state == "action" || w.code == "redeemed"):
		t.Fatalf("the process is %s, the payment %s and the discount %s", last, w.pay.state, w.code)
	}
	for id, s := range w.ships {
		if _, captured := w.pay.captured[id]; s.state != "cancelled" && (s.state != "delivered" || !captured) {
			t.Fatalf("shipment %s is %s, captured: %v", id, s.state, captured)
		}
	}
	if w.count > 40+40*len(w.past) {
		t.Fatalf("%d events for %d facts", w.count, len(w.past))
	}
}
