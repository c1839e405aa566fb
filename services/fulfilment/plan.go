package fulfilment

import (
	"fmt"
	"slices"
	"time"
)

// Why an order is rejected, as ordering's contract names it, and why stock and money are given back.
const (
	failedOutOfStock = "out_of_stock"
	failedDeclined   = "payment_declined"
	failedExpired    = "payment_expired"
	codeExpired      = "expired" // payments': the customer did not complete it in time
	failedDiscount   = "discount_used_up"
	failedTimeout    = "timed_out"

	reasonDispatched = "already_dispatched"
	refRejected      = "rejected"
	refUncollected   = "uncollected"
)

// plan decides what follows from the state, and brings the state up to that. Beside what the
// fact itself asks for, it asks for whatever is due and was not asked for yet, so it is the
// same whatever has led here.
func (p *Process) plan(at time.Time, asks Asks) Next {
	var n Next
	do := func(a Asks) {
		p.mark(&a)
		n.Asks.add(a)
	}
	do(asks)
	if p.Order != "" {
		if f := p.failure(); f != nil {
			do(Asks{Fail: f})
			do(p.drop(p.live(), refRejected))
		}
		if p.Failed == nil {
			p.cancel(do)
			p.secure(do)
			p.ship(do)
			p.returned(do)
			p.settle(do)
		}
	}
	p.judge(&n, at)
	return n
}

// failure says why the order can't be met, if so. Once it is confirmed, what goes wrong is for
// staff.
func (p *Process) failure() *Failure {
	if p.Failed != nil || p.Confirm != "" || len(p.live()) == 0 {
		return nil
	}
	for i := range p.Lines {
		l := &p.Lines[i]
		if !l.Dropped && (l.Stock == StockRefused || l.Stock == StockExpired && !l.Backorder) {
			return &Failure{failedOutOfStock, fmt.Sprintf("line %d: there is not enough of %s", i+1, l.SKU)}
		}
	}
	switch {
	case p.Payment.Stage == PaymentDeclined && p.Payment.Code == codeExpired:
		return &Failure{failedExpired, "the customer has not completed the payment in time"}
	case p.Payment.Stage == PaymentDeclined && p.Payment.Code == providerSilent:
		return &Failure{failedTimeout, "the payment provider has not answered"}
	case p.Payment.Stage == PaymentDeclined:
		return &Failure{failedDeclined, p.Payment.Code}
	case p.Discount == StageRefused:
		return &Failure{Reason: failedDiscount}
	case p.TimedOut:
		w := waitsOf(p)
		return &Failure{failedTimeout, "nobody has answered about " + w.words()}
	}
	return nil
}

// secure gets stock and money, and then tells ordering that they are there.
func (p *Process) secure(do func(Asks)) {
	var reserve, allocate []Goods
	settled, firm := true, true // all lines are reserved or wait; all are firm or wait
	live := p.live()
	authorized := p.paid()
	for _, n := range live {
		l := p.line(n)
		switch {
		case l.Stock == StockIdle, l.Stock == StockExpired: // the latter is back-ordered now
			reserve = append(reserve, Goods{Line: n, SKU: l.SKU, Quantity: l.Quantity, Backorder: l.Backorder})
		case l.Stock == StockReserved && authorized:
			allocate = append(allocate, Goods{Line: n, SKU: l.SKU, Quantity: l.Quantity})
		}
		settled = settled && (l.Stock == StockReserved || l.Stock == StockWaiting)
		firm = firm && (l.Stock == StockAllocated || l.Stock == StockWaiting)
	}
	do(Asks{Reserve: reserve, Allocate: allocate})
	switch {
	case len(live) == 0:
	case settled && p.Payment.Stage == "":
		do(Asks{Pay: p.bill(live), Redeem: p.Code})
	case firm && authorized && p.Confirm == "" && len(p.Cancels) == 0:
		do(Asks{Confirm: true}) // not while ordering waits for an answer: it would not confirm then
	}
}

// paid reports whether the money is there, and the discount ours. Later, when an authorisation
// has run out, goods that were promised are made firm all the same: staff decide about them.
func (p *Process) paid() bool {
	return p.Confirm != "" || p.Payment.Stage == PaymentAuthorized && (p.Code == "" || p.Discount == StageDone)
}

func (p *Process) bill(lines []int) *Bill {
	b := &Bill{Customer: p.Customer, Method: p.Method, Currency: p.Currency, Delivery: p.Delivery}
	for _, n := range lines {
		l := p.line(n)
		b.Lines = append(b.Lines, Due{Line: n, Quantity: l.Quantity, Price: l.Price})
	}
	return b
}

// drop gives lines up, with all that is held for them.
func (p *Process) drop(lines []int, reference string) Asks {
	a := Asks{Drop: lines}
	void := Void{Reference: reference}
	for _, n := range lines {
		l := p.line(n)
		// What was refused is released too: a question that was asked twice may yet be granted.
		if l.Stock != StockIdle && l.Stock != StockReleased {
			a.Release = append(a.Release, Goods{Line: n, SKU: l.SKU})
		}
		if l.Billed {
			void.Items = append(void.Items, Item{Line: n, Quantity: l.Quantity})
		}
	}
	nothingLeft := len(lines) == len(p.live())
	if nothingLeft {
		void.Items = nil
	}
	if p.chargeable() && (nothingLeft || len(void.Items) > 0) {
		a.Void = []Void{void}
	}
	if nothingLeft && (p.Discount == StageAsked || p.Discount == StageDone) {
		a.GiveBack = p.Code
	}
	return a
}

// chargeable reports whether money may be taken, now or later: an authorisation that ran out
// after the order was confirmed, and was declined then, is asked for again by the next capture.
func (p *Process) chargeable() bool {
	switch p.Payment.Stage {
	case PaymentAsked, PaymentAction, PaymentAuthorized:
		return true
	case PaymentDeclined:
		return p.Confirm != "" && p.Failed == nil
	}
	return false
}

// ship sends what is firm, and follows what is on its way.
func (p *Process) ship(do func(Asks)) {
	if p.Confirm == StageDone {
		do(Asks{Ship: p.parcels()})
	}
	var a Asks
	for i := range p.Ships {
		s := &p.Ships[i]
		left := s.Stage == ShipmentDispatched || s.Stage == ShipmentDelivered
		if left && s.Capture == "" {
			a.Shipped = append(a.Shipped, p.parcel(i+1))
		}
		if s.Stage == ShipmentDelivered && !s.Told {
			a.Arrived = append(a.Arrived, p.parcel(i+1))
		}
	}
	do(a)
}

// parcels are new shipments, one a location, of all that is firm and in none. Lines that
// shipping may have kept back wait until it is known what becomes of them.
func (p *Process) parcels() []Parcel {
	var parcels []Parcel
	var held []int
	if len(p.Cancels) > 0 && p.Cancels[0].Stage == CancelStopping {
		held = p.targets(&p.Cancels[0])
	}
	for i := range p.Lines {
		l := &p.Lines[i]
		if l.Dropped || l.Stock != StockAllocated || slices.Contains(held, i+1) {
			continue
		}
		for _, part := range l.Parts {
			if p.shipped(i+1, part.Location) {
				continue
			}
			at := slices.IndexFunc(parcels, func(s Parcel) bool { return s.Location == part.Location })
			if at < 0 {
				at = len(parcels)
				n := len(p.Ships) + at + 1
				parcels = append(parcels, Parcel{
					Number: n, ID: shipmentID(p.Order, part.Location, n), Customer: p.Customer, Location: part.Location,
				})
			}
			parcels[at].Goods = append(parcels[at].Goods, Goods{Line: i + 1, SKU: l.SKU, Quantity: part.Quantity})
		}
	}
	return parcels
}

// shipped reports whether a line's part is in a shipment.
func (p *Process) shipped(line int, location string) bool {
	return slices.ContainsFunc(p.Ships, func(s Shipment) bool { return s.Location == location && s.holds(line) })
}

func (s *Shipment) holds(line int) bool {
	return slices.ContainsFunc(s.Items, func(i Item) bool { return i.Line == line })
}

// parcel says again what a shipment is.
func (p *Process) parcel(number int) Parcel {
	s := &p.Ships[number-1]
	return Parcel{
		Number: number, ID: shipmentID(p.Order, s.Location, number), Customer: p.Customer, Location: s.Location,
		Goods: p.goods(s.Items),
	}
}

func (p *Process) goods(items []Item) []Goods {
	var goods []Goods
	for _, i := range items {
		goods = append(goods, Goods{Line: i.Line, SKU: p.line(i.Line).SKU, Quantity: i.Quantity})
	}
	return goods
}

// returned expects what a customer sends back, and gives money back for what came. The money
// must be ours first: it is asked for once no capture is under way.
func (p *Process) returned(do func(Asks)) {
	var a Asks
	for i := range p.Returns {
		if r := &p.Returns[i]; !r.Opened {
			a.Open = append(a.Open, p.returnParcel(i+1))
		}
	}
	if !slices.ContainsFunc(p.Ships, func(s Shipment) bool { return s.Capture == StageAsked }) {
		for _, r := range p.Refunds {
			if r.Stage == "" {
				a.Refund = append(a.Refund, Repayment{Reference: r.Reference, Items: r.Items})
			}
		}
	}
	do(a)
}

// returnParcel says what is expected back, and where: where the first of it came from.
func (p *Process) returnParcel(number int) Parcel {
	r := &p.Returns[number-1]
	parcel := Parcel{Number: number, ID: r.ID, Customer: p.Customer, Goods: p.goods(r.Items)}
	for i := range p.Ships {
		if parcel.Location == "" && p.Ships[i].holds(r.Items[0].Line) {
			parcel.Location = p.Ships[i].Location
		}
	}
	return parcel
}

// settle ends what is left when all else is done. Money that was refused at dispatch is asked for
// once more, since days have passed; then the customer's bank is let go, and staff have to collect it.
func (p *Process) settle(do func(Asks)) {
	if w := waitsOf(p); p.Confirm != StageDone || w.answers() || w.goods() {
		return
	}
	var again []Parcel
	refused := false
	for i := range p.Ships {
		if s := &p.Ships[i]; s.Capture == StageRefused {
			refused = true
			if s.Refusals < captureTries {
				again = append(again, p.parcel(i+1))
			}
		}
	}
	switch {
	case len(again) > 0:
		do(Asks{Capture: again})
	case refused && p.Payment.Stage == PaymentAuthorized:
		do(Asks{Void: []Void{{Reference: refUncollected}}})
	}
}
