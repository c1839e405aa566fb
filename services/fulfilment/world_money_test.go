package fulfilment

import (
	"fmt"
	"slices"
)

// Payments and its provider

func (w *world) movePayment(to PaymentStage, code string) {
	w.pay.version++
	w.tell("pay", MovePayment{To: to, Version: w.pay.version, Code: code})
}

func (w *world) request(b *Bill) {
	switch bill := encoded(w.t, b); {
	case w.pay.state == "":
		w.pay.state, w.pay.bill = "pending", bill
		w.pay.version++
	case w.pay.bill != "" && w.pay.bill != bill:
		w.t.Fatalf("payments is asked again for something else:\n%s\n%s", w.pay.bill, bill)
	}
}

// provider answers what is pending, or lets an authorisation run out.
func (w *world) provider() {
	switch answer := w.draw("provider", 6); {
	case w.pay.state == "authorized" && answer == 5:
		w.pay.state, w.pay.ranOut = "declined", true
		w.movePayment(PaymentDeclined, "card_declined")
		return
	case w.pay.state != "pending" && w.pay.state != "action":
		return
	case answer == 5:
		w.pay.state = "declined"
		w.movePayment(PaymentDeclined, "card_declined")
		w.pay.waiting = nil // nothing was authorised: payments has nothing more to say
		return
	case answer == 4 && w.pay.state == "pending":
		w.pay.state = "action"
		w.movePayment(PaymentAction, "")
		return
	}
	w.pay.state = "authorized"
	w.movePayment(PaymentAuthorized, "")
	for _, v := range w.pay.waiting {
		w.carryOut(v)
	}
	w.pay.waiting = nil
}

func (w *world) void(v Void) {
	switch {
	case w.pay.voids[v.Reference]:
	case w.pay.state == "pending", w.pay.state == "action":
		if !slices.ContainsFunc(w.pay.waiting, func(o Void) bool { return o.Reference == v.Reference }) {
			w.pay.waiting = append(w.pay.waiting, v)
		}
	case w.pay.state == "declined" && !w.pay.ranOut:
	default:
		w.carryOut(v)
	}
}

func (w *world) carryOut(v Void) {
	if len(v.Items) == 0 {
		w.pay.state = "voided"
	}
	for _, i := range v.Items {
		if w.pay.units[i.Line] > 0 {
			w.t.Fatalf("money that was taken for line %d is given up", i.Line)
		}
		w.pay.voided[i.Line] = true
	}
	w.pay.voids[v.Reference] = true
	w.tell("pay", GiveUpPayment{Reference: v.Reference})
}

func (w *world) capture(s Parcel) {
	if w.pay.captured[s.ID] {
		return
	}
	switch {
	case w.pay.state == "declined" && w.pay.ranOut && w.draw("renewal", 2) == 1:
		w.pay.captured[s.ID] = false
		w.movePayment(PaymentDeclined, "card_declined")
		w.tell("pay", SettleCapture{Shipment: s.ID, Code: "card_declined"})
		return
	case w.pay.state == "declined" && w.pay.ranOut:
		w.pay.state = "authorized"
		w.movePayment(PaymentAuthorized, "")
	case w.pay.state != "authorized":
		w.t.Fatalf("money is captured of a payment that is %q", w.pay.state)
	}
	if w.draw("capture", 6) == 5 {
		w.pay.captured[s.ID] = false
		w.tell("pay", SettleCapture{Shipment: s.ID, Code: "card_declined"})
		return
	}
	w.pay.captured[s.ID] = true
	for _, g := range s.Goods {
		w.pay.units[g.Line] += g.Quantity
		if w.pay.voided[g.Line] || w.pay.units[g.Line] > g.quantity(w) {
			w.t.Fatalf("%d of line %d are captured", w.pay.units[g.Line], g.Line)
		}
	}
	w.tell("pay", SettleCapture{Shipment: s.ID})
}

func (w *world) refund(r Repayment) {
	if w.pay.refunds[r.Reference] {
		return
	}
	w.pay.refunds[r.Reference] = true
	if len(r.Items) == 0 && w.draw("refund", 3) == 2 {
		w.tell("pay", SettleRefund{Reference: r.Reference, Code: "account_closed"})
		return
	}
	c := SettleRefund{Reference: r.Reference}
	for _, i := range r.Items {
		if w.pay.units[i.Line] < i.Quantity {
			c.Code = "not_captured"
		}
	}
	w.tell("pay", c)
}

// refundsMore gives money back that the process has not asked for.
func (w *world) refundsMore() {
	if len(w.pay.units) > 0 && !w.pay.refunds["staff"] {
		code := []string{"", "account_closed", providerSilent}[w.draw("staff's refund", 3)]
		w.tell("pay", SettleRefund{Reference: "staff", Code: code})
	}
}

// Shipping and its people

func (w *world) create(s Parcel) {
	if w.ships[s.ID] == nil {
		w.ships[s.ID] = &parcel{state: "created", items: itemsOf(s.Goods), answers: make(map[string]bool)}
	}
}

func (w *world) stop(s Stop) {
	p := w.ships[s.Shipment]
	if p == nil {
		p = &parcel{state: "cancelled", answers: make(map[string]bool)}
		w.ships[s.Shipment] = p
	}
	if p.answers[s.Reference] {
		return
	}
	p.answers[s.Reference] = true
	c := AnswerStop{Shipment: s.Shipment, Reference: s.Reference, Late: p.state == "dispatched" || p.state == "delivered"}
	if !c.Late {
		p.items = slices.DeleteFunc(slices.Clone(p.items), func(i Item) bool { return slices.Contains(s.Lines, i.Line) })
		c.Left = p.items
		if len(p.items) == 0 {
			p.state = "cancelled"
		}
	}
	w.tell(s.Shipment, c)
}

func (w *world) staff(id string) {
	switch p := w.ships[id]; p.state {
	case "created":
		p.state = "dispatched"
		w.tell(id, MoveShipment{Shipment: id, To: ShipmentDispatched, Items: p.items})
	case "dispatched":
		p.state = "delivered"
		w.tell(id, MoveShipment{Shipment: id, To: ShipmentDelivered, Items: p.items})
	}
}

func (w *world) open(r Parcel) {
	if w.returns[r.ID] != nil {
		return
	}
	b := &back{left: make(map[int]int64)}
	for _, g := range r.Goods {
		b.left[g.Line] += g.Quantity
	}
	w.returns[r.ID] = b
}

func (w *world) comesBack(id string) {
	b := w.returns[id]
	b.part++
	c := ReturnGoods{Return: id, Part: b.part, Location: "main"}
	for n := range len(w.stock) {
		if q := b.left[n+1]; q > 0 {
			q -= int64(w.draw("kept", int(q)))
			b.left[n+1] -= q
			c.Items = append(c.Items, Item{n + 1, q})
			if w.draw("restock", 2) == 0 {
				c.Restock = append(c.Restock, Item{n + 1, q})
			}
		}
	}
	if len(c.Items) == 0 {
		return
	}
	c.Done = b.sum() == 0
	w.tell("returns", c)
}

func (b *back) sum() (sum int64) {
	for _, q := range b.left {
		sum += q
	}
	return sum
}

// Customers

func (w *world) wantsCancel() {
	o := &w.order
	var lines []int
	if one := w.draw("line", len(w.stock)+1); one > 0 {
		lines = []int{one}
	}
	if o.status == "cancelling" || o.status == "rejected" {
		return
	}
	wanted := 0
	for n := range len(w.stock) {
		if len(lines) > 0 && lines[0] != n+1 || o.cancelled[n+1] {
			continue
		}
		if wanted++; o.shipped[n+1] > 0 {
			return
		}
	}
	if wanted == 0 {
		return
	}
	o.status = "cancelling"
	o.version++
	w.tell("order", Cancelling{Version: o.version, Lines: lines})
}

func (w *world) wantsReturn() {
	n := w.draw("line", len(w.stock)) + 1
	if left := w.order.delivered[n] - w.order.returning[n]; left > 0 {
		q := 1 + int64(w.draw("units", int(left)))
		w.order.returning[n] += q
		w.order.version++
		w.tell("order", Returning{Return: fmt.Sprint("r-", w.order.version), Items: []Item{{n, q}}})
	}
}
