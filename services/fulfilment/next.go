package fulfilment

import (
	"slices"
	"time"
)

// Next is what follows from a fact: what is asked of other services, and what is waited for.
// Every stored event says it, so that what is published and asked depends on the event alone.
type Next struct {
	Asks      Asks      `json:"asks,omitzero"`
	Step      Step      `json:"step"`
	Waiting   string    `json:"waiting,omitzero"` // for what, in words
	Until     time.Time `json:"until,omitzero"`
	Attention string    `json:"attention,omitzero"` // what staff have to do
}

func (n *Next) next() *Next { return n }

// Asks are questions and messages to other services; what each becomes is in asks.go. Those
// that are answered are asked again until they are; receivers know repeats by their content.
type Asks struct {
	Forget   int         `json:"forget,omitzero"` // requests to cancel: nobody is asked or told any more
	Fail     *Failure    `json:"fail,omitzero"`   // reject the order
	Stop     []Stop      `json:"stop,omitzero"`   // shipments, if they are still there
	Drop     []int       `json:"drop,omitzero"`   // lines: nobody is asked, but they are given up from here on
	Release  []Goods     `json:"release,omitzero"`
	Void     []Void      `json:"void,omitzero"`
	GiveBack string      `json:"give_back,omitzero"` // the use of a discount code
	Cancel   *CancelDone `json:"cancel,omitzero"`    // tell ordering that lines are given up
	Refuse   string      `json:"refuse,omitzero"`    // tell ordering that it is too late, and why
	Reserve  []Goods     `json:"reserve,omitzero"`
	Pay      *Bill       `json:"pay,omitzero"`
	Redeem   string      `json:"redeem,omitzero"` // a discount code
	Allocate []Goods     `json:"allocate,omitzero"`
	Confirm  bool        `json:"confirm,omitzero"` // tell ordering that stock and money are there
	Ship     []Parcel    `json:"ship,omitzero"`
	Shipped  []Parcel    `json:"shipped,omitzero"` // tell inventory and ordering, not answered; capture the money
	Capture  []Parcel    `json:"capture,omitzero"` // again
	Arrived  []Parcel    `json:"arrived,omitzero"` // tell ordering, not answered
	Open     []Parcel    `json:"open,omitzero"`    // returns
	Back     *Back       `json:"back,omitzero"`    // tell inventory and ordering, not answered
	Refund   []Repayment `json:"refund,omitzero"`
}

// Goods are the units of a line.
type Goods struct {
	Line      int    `json:"line"`
	SKU       string `json:"sku"`
	Quantity  int64  `json:"n,omitzero"`
	Backorder bool   `json:"backorder,omitzero"`
}

// Bill is what the customer pays.
type Bill struct {
	Customer string `json:"customer"`
	Method   string `json:"method"`
	Currency string `json:"currency"`
	Delivery Price  `json:"delivery,omitzero"`
	Lines    []Due  `json:"lines"`
}

// Due is what a line costs.
type Due struct {
	Line     int   `json:"line"`
	Quantity int64 `json:"n"`
	Price
}

// Void is money not to be taken: of lines, or (none) of all.
type Void struct {
	Reference string `json:"ref"`
	Items     []Item `json:"items,omitzero"`
}

// Stop is the question whether lines of a shipment can be kept back.
type Stop struct {
	Number   int    `json:"no"`
	Shipment string `json:"id"`
	Question
}

// CancelDone names the lines that were given up; none: all.
type CancelDone struct {
	Lines []int `json:"lines,omitzero"`
}

// Parcel is a shipment, or a return.
type Parcel struct {
	Number   int     `json:"no"` // from 1
	ID       string  `json:"id"`
	Customer string  `json:"customer,omitzero"`
	Location string  `json:"at,omitzero"`
	Goods    []Goods `json:"goods"`
}

// Back is what came back of a return.
type Back struct {
	Return   string  `json:"return"`
	Part     int64   `json:"part"`
	Location string  `json:"at"`
	Restock  []Goods `json:"restock,omitzero"`
	Items    []Item  `json:"items"`
}

// add appends what b asks for.
func (a *Asks) add(b Asks) {
	a.Forget += b.Forget
	set(&a.Fail, b.Fail)
	a.Stop = append(a.Stop, b.Stop...)
	a.Drop = append(a.Drop, b.Drop...)
	a.Release = append(a.Release, b.Release...)
	a.Void = append(a.Void, b.Void...)
	set(&a.GiveBack, b.GiveBack)
	set(&a.Cancel, b.Cancel)
	set(&a.Refuse, b.Refuse)
	a.Reserve = append(a.Reserve, b.Reserve...)
	set(&a.Pay, b.Pay)
	set(&a.Redeem, b.Redeem)
	a.Allocate = append(a.Allocate, b.Allocate...)
	set(&a.Confirm, b.Confirm)
	a.Ship = append(a.Ship, b.Ship...)
	a.Shipped = append(a.Shipped, b.Shipped...)
	a.Capture = append(a.Capture, b.Capture...)
	a.Arrived = append(a.Arrived, b.Arrived...)
	a.Open = append(a.Open, b.Open...)
	set(&a.Back, b.Back)
	a.Refund = append(a.Refund, b.Refund...)
}

func set[T comparable](to *T, from T) {
	var none T
	if from != none {
		*to = from
	}
}

// follow takes over what follows from a fact.
func (p *Process) follow(n *Next) {
	p.mark(&n.Asks)
	p.Until = n.Until
}

// mark notes what was asked. Marking the same twice is marking it once, since questions are
// asked again.
func (p *Process) mark(a *Asks) {
	p.markUndoing(a)
	for _, g := range a.Reserve {
		p.line(g.Line).Stock = StockReserving
	}
	if a.Pay != nil {
		if p.Payment.Stage != PaymentAction {
			p.Payment.Stage = PaymentAsked
		}
		for _, d := range a.Pay.Lines {
			p.line(d.Line).Billed = true
		}
	}
	if a.Redeem != "" {
		p.Discount = StageAsked
	}
	for _, g := range a.Allocate {
		p.line(g.Line).Stock = StockAllocating
	}
	if a.Confirm {
		p.Confirm = StageAsked
	}
	p.markParcels(a)
}

func (p *Process) markUndoing(a *Asks) {
	for range a.Forget {
		p.answered()
	}
	if a.Fail != nil {
		p.Failed = a.Fail
	}
	for _, s := range a.Stop {
		p.Ships[s.Number-1].Stop = &Question{s.Reference, s.Lines}
		// It is asked again, although ordering has answered meanwhile, so that it is known what is left.
		if len(p.Cancels) > 0 && p.Cancels[0].reference() == s.Reference {
			p.Cancels[0].Stage = CancelStopping
		}
	}
	for _, n := range a.Drop {
		p.line(n).Dropped = true
	}
	if len(a.Drop) > 0 && p.Failed == nil {
		p.Cancels[0].Stage, p.Cancels[0].Lines = CancelUndoing, a.Drop
	}
	for _, g := range a.Release {
		p.line(g.Line).Stock = StockReleasing
	}
	for _, v := range a.Void {
		if !slices.ContainsFunc(p.Voids, func(w Void) bool { return w.Reference == v.Reference }) {
			p.Voids = append(p.Voids, v)
		}
		if len(v.Items) == 0 {
			p.Payment.Stage = PaymentVoiding
		}
	}
	if a.GiveBack != "" {
		p.Discount = StageReleasing
	}
	if a.Cancel != nil {
		p.Cancels[0].Stage = CancelClosing
	}
	if a.Refuse != "" {
		p.Cancels[0].Stage = CancelRefusing
	}
}

func (p *Process) markParcels(a *Asks) {
	for _, s := range a.Ship {
		if s.Number > len(p.Ships) {
			p.Ships = append(p.Ships, Shipment{Location: s.Location, Items: itemsOf(s.Goods)})
		}
	}
	for _, s := range slices.Concat(a.Shipped, a.Capture) {
		p.Ships[s.Number-1].Capture = StageAsked
	}
	for _, s := range a.Arrived {
		p.Ships[s.Number-1].Told = true
	}
	for _, r := range a.Open {
		p.Returns[r.Number-1].Opened = true
	}
	for _, r := range a.Refund {
		if i := p.refund(r.Reference); i >= 0 {
			p.Refunds[i].Stage = StageAsked
		}
	}
}

// refund returns the place of a refund that is not done, or -1.
func (p *Process) refund(reference string) int {
	return slices.IndexFunc(p.Refunds, func(r Repayment) bool { return r.Reference == reference })
}

func itemsOf(goods []Goods) []Item {
	items := make([]Item, len(goods))
	for i, g := range goods {
		items[i] = Item{Line: g.Line, Quantity: g.Quantity}
	}
	return items
}
