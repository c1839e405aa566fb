package audit

import (
	"time"

	"github.com/orderlane/orderlane/api/fulfilment"
	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/api/payments"
	"github.com/orderlane/orderlane/api/shipping"
	"github.com/orderlane/orderlane/pkg/bus"
)

// order is what all topics say of one order.
type order struct {
	id      string
	placed  *ordering.OrderPlaced
	status  ordering.Status
	version int64
	last    time.Time // when anything last happened to it

	payment   *payments.Progress
	ledger    map[payments.Account]int64
	given     int64 // what cancelled lines would have cost
	process   *fulfilment.Progress
	kept      map[int]int64 // units reserved or allocated, by line
	expires   map[int]time.Time
	shipments map[string]shipping.Status
}

func (p *part) order(id string, at time.Time) *order {
	o := p.orders[id]
	if o == nil {
		o = &order{
			id: id, ledger: map[payments.Account]int64{}, kept: map[int]int64{}, expires: map[int]time.Time{},
			shipments: map[string]shipping.Status{},
		}
		p.orders[id] = o
	}
	if at.After(o.last) {
		o.last = at
	}
	return o
}

// fold folds one event into what it is of.
func (p *part) fold(e *bus.Envelope, data []byte) error {
	switch bus.ResourceOf(e.Subject).Type {
	case "order":
		return p.foldOrder(e, data)
	case payments.Category:
		return p.foldPayment(e, data)
	case fulfilment.Category:
		return p.foldProcess(e, data)
	case "stock":
		return p.foldStock(e, data)
	case shipping.CategoryShipment:
		return p.foldShipment(e, data)
	}
	return nil
}

func (p *part) foldOrder(e *bus.Envelope, data []byte) error {
	o := p.order(bus.ResourceOf(e.Subject).ID, e.Time)
	o.version = e.StreamVersion
	if e.Type == ordering.TypeOrderPlaced {
		o.placed = &ordering.OrderPlaced{}
		if err := bus.Decode(data, o.placed); err != nil {
			return err
		}
		o.status = o.placed.Status
		p.judgeTotals(o, e)
		return nil
	}
	var change ordering.Change
	if err := bus.Decode(data, &change); err != nil {
		return err
	}
	o.status = change.Status
	if e.Type != ordering.TypeOrderCancelled || o.placed == nil {
		return nil
	}
	var cancelled ordering.OrderCancelled
	if err := bus.Decode(data, &cancelled); err != nil {
		return err
	}
	for _, line := range cancelled.Lines {
		if line >= 1 && line <= len(o.placed.Lines) {
			o.given += o.placed.Lines[line-1].Total
		}
	}
	return nil
}

func (p *part) foldPayment(e *bus.Envelope, data []byte) error {
	o := p.order(bus.ResourceOf(e.Subject).ID, e.Time)
	o.payment = &payments.Progress{}
	if err := bus.Decode(data, o.payment); err != nil {
		return err
	}
	var sum int64
	for _, posting := range o.payment.Ledger {
		sum += posting.Amount
		o.ledger[posting.Account] += posting.Amount
	}
	b := o.payment.Balance
	switch {
	case sum != 0:
		p.found(e.Time, "every movement of money balances", e.ID, "%s: its postings add up to %d", e.Type, sum)
	case b.Captured > b.Authorized:
		p.found(e.Time, "captured <= authorised", e.ID, "%d of %d", b.Captured, b.Authorized)
	case b.Refunded+b.Refunding > b.Captured:
		p.found(e.Time, "refunded <= captured", e.ID, "%d and %d on its way, of %d", b.Refunded, b.Refunding, b.Captured)
	}
	return nil
}

func (p *part) foldProcess(e *bus.Envelope, data []byte) error {
	o := p.order(bus.ResourceOf(e.Subject).ID, e.Time)
	o.process = &fulfilment.Progress{}
	return bus.Decode(data, o.process)
}

func (p *part) foldShipment(e *bus.Envelope, data []byte) error {
	var s struct {
		OrderID string          `json:"order_id"`
		Status  shipping.Status `json:"status"`
	}
	if err := bus.Decode(data, &s); err != nil {
		return err
	}
	if p.mine(s.OrderID) {
		p.order(s.OrderID, e.Time).shipments[e.Subject] = s.Status
	}
	return nil
}

// judgeTotals holds that an order adds up to its total, to the minor unit.
func (p *part) judgeTotals(o *order, e *bus.Envelope) {
	t := o.placed.Totals
	var lines, discount, tax, total int64
	for _, l := range o.placed.Lines {
		lines, discount, tax, total = lines+l.Quantity*l.UnitPrice, discount+l.Discount, tax+l.Tax, total+l.Total
	}
	if lines != t.Lines || discount != t.Discount || tax+t.DeliveryTax != t.Tax || total+t.Delivery != t.Total || t.Lines+t.Delivery-t.Discount != t.Total {
		p.found(e.Time, "an order adds up to its total", e.Subject,
			"lines %d, discount %d, tax %d, delivery %d (tax %d): the totals say %+v", lines, discount, tax, t.Delivery, t.DeliveryTax, t)
	}
}

// judgeOrders judges every order to which nothing has happened for a while.
func (p *part) judgeOrders() {
	for id, o := range p.orders {
		if o.placed != nil {
			p.report.Orders++
		}
		if p.Now.Sub(o.last) < p.Grace {
			continue
		}
		p.report.Judged++
		if o.placed == nil {
			p.found(o.last, "what happens to an order happens to one that was placed", id, "it was never placed")
			continue
		}
		p.judgeProcess(o)
		p.judgeMoney(o)
		p.judgeKept(o)
	}
}

// judgeProcess holds that every process ends, in time.
func (p *part) judgeProcess(o *order) {
	f := o.process
	switch {
	case f == nil:
		p.found(o.last, "every order is seen to", "order-"+o.id, "nothing has begun to fulfil it")
	case !f.Ended && f.Attention == "" && !f.Until.IsZero() && p.Now.Sub(f.Until) > p.Grace:
		p.found(o.last, "every process goes on, in time", "order-"+o.id, "it waits for %s since %s, which was to be until %s",
			f.WaitingFor, f.At.Format(time.RFC3339), f.Until.Format(time.RFC3339))
	case f.Ended && !o.ended():
		p.found(o.last, "a process ends with its order", "order-"+o.id, "its fulfilment has ended, and it is %s", o.status)
	}
}

// ended reports whether the order itself needs nothing more.
func (o *order) ended() bool {
	switch o.status {
	case ordering.StatusDelivered, ordering.StatusRejected, ordering.StatusCancelled, ordering.StatusReturned:
		return true
	}
	return false
}

// judgeMoney holds that an order that has come to nothing has cost nothing, that one that was
// delivered was paid, and that in the end nobody owes anybody anything. Where staff have to see to
// it, that is not so yet.
func (p *part) judgeMoney(o *order) {
	if !o.ended() || o.process == nil || !o.process.Ended || o.process.Attention != "" {
		return
	}
	var b payments.Balance
	if o.payment != nil {
		b = o.payment.Balance
	}
	where, cost := "payment-"+o.id, o.placed.Totals.Total-o.given
	held, owed := o.ledger[payments.AccountHeld], o.ledger[payments.AccountReceivable]
	kept := b.Captured - b.Refunded
	nothing := o.status == ordering.StatusRejected || o.status == ordering.StatusCancelled
	switch {
	case held != 0:
		p.found(o.last, "nothing is held of an order that has ended", where, "%d are held", held)
	case nothing && kept != 0:
		p.found(o.last, "an order that came to nothing costs nothing", where, "%d were kept", kept)
	case !nothing && (kept > cost || kept < 0):
		p.found(o.last, "an order costs its total at the most", where, "%d were kept of %d", kept, cost)
	case o.status == ordering.StatusDelivered && b.Captured == 0 && cost > 0:
		p.found(o.last, "what was delivered was paid", where, "nothing was taken of %d", cost)
	case owed != 0:
		p.found(o.last, "in the end nobody owes anything", where, "the customer owes %d", owed)
	}
}

// judgeKept holds that no reservation outlives its order or its expiry.
func (p *part) judgeKept(o *order) {
	for line, units := range o.kept {
		switch {
		case units == 0:
		case units < 0:
			p.found(o.last, "no more leaves stock than was kept", "order-"+o.id, "line %d: %d", line, units)
		case o.ended() && o.process != nil && o.process.Ended:
			p.found(o.last, "no reservation outlives its order", "order-"+o.id, "%d units of line %d are still kept, and it is %s", units, line, o.status)
		case !o.expires[line].IsZero() && p.Now.Sub(o.expires[line]) > p.Grace:
			p.found(o.last, "no reservation outlives its expiry", "order-"+o.id, "%d units of line %d are still kept since %s",
				units, line, o.expires[line].Format(time.RFC3339))
		}
	}
}
