// Package fulfilment manages the life of an order: a process per order, which is told what
// happens in the other services and asks them for what comes next, from the reservation of
// stock until everything is delivered, or given back.
//
// In the flow it is a service like any other. What it is told are events of other services,
// forwarded as commands; what it asks for are commands to them, named by its stored events.
// Each event records a fact and what follows from it (Next), and what follows is decided by a
// plan that looks at the state alone: so facts may come in any order, late, or twice.
package fulfilment

import (
	"slices"
	"time"

	"github.com/orderlane/orderlane/pkg/es"
)

// Process is what decisions need to know of the fulfilment of an order: the fold of its events.
type Process struct {
	Order    string `json:"order,omitzero"` // id; none until the order was told of
	Customer string `json:"customer,omitzero"`
	Currency string `json:"currency,omitzero"`
	Method   string `json:"method,omitzero"` // of payment
	Delivery Price  `json:"delivery,omitzero"`
	Code     string `json:"code,omitzero"` // of a discount
	Lines    []Line `json:"lines,omitzero"`

	Payment  Payment     `json:"payment,omitzero"`
	Voids    []Void      `json:"voids,omitzero"` // asked for, and not answered
	Discount Stage       `json:"discount,omitzero"`
	Confirm  Stage       `json:"confirm,omitzero"`
	Failed   *Failure    `json:"failed,omitzero"` // the order is rejected
	TimedOut bool        `json:"timed_out,omitzero"`
	Closed   bool        `json:"closed,omitzero"` // ordering knows that the order came to nothing
	Cancels  []Cancel    `json:"cancels,omitzero"`
	Asked    int64       `json:"asked,omitzero"` // version of the last request to cancel
	Ships    []Shipment  `json:"ships,omitzero"` // the place is the number, from 1
	Returns  []Return    `json:"returns,omitzero"`
	Refunds  []Repayment `json:"refunds,omitzero"` // that are not done

	Attempt int       `json:"attempt,omitzero"` // how often was asked again since something last moved
	Until   time.Time `json:"until,omitzero"`   // when to do something about what is waited for
}

// Line is a line of the order, and what is known of its stock.
type Line struct {
	SKU       string `json:"sku"`
	Quantity  int64  `json:"n"`
	Price     Price  `json:"price,omitzero"`
	Backorder bool   `json:"backorder,omitzero"`

	Stock   Stock  `json:"stock,omitzero"`
	Seen    int64  `json:"seen,omitzero"` // version of the SKU's stock that it is of
	Parts   []Part `json:"parts,omitzero"`
	Billed  bool   `json:"billed,omitzero"`  // is part of the payment
	Dropped bool   `json:"dropped,omitzero"` // is given up
}

// Price is an amount of the order's currency, and the tax in it, in minor units.
type Price struct {
	Total int64 `json:"total,omitzero"`
	Tax   int64 `json:"tax,omitzero"`
}

// Part is a quantity at one location.
type Part struct {
	Location string `json:"at"`
	Quantity int64  `json:"n"`
}

// Stock is how far inventory has come with a line.
type Stock string

// The stages of a line's stock. Dispatching is the shipments' matter.
const (
	StockIdle       Stock = "" // nothing was asked for
	StockReserving  Stock = "reserving"
	StockReserved   Stock = "reserved" // and may expire: allocating makes it anew then
	StockWaiting    Stock = "waiting"  // back-ordered
	StockRefused    Stock = "refused"
	StockAllocating Stock = "allocating"
	StockExpired    Stock = "expired" // before it was allocated, and nothing was left
	StockAllocated  Stock = "allocated"
	StockReleasing  Stock = "releasing"
	StockReleased   Stock = "released" // nothing is held
)

// Stage is how far a question to another service has come.
type Stage string

// The stages. Releasing and released are for what is given back.
const (
	StageAsked     Stage = "asked"
	StageDone      Stage = "done"
	StageRefused   Stage = "refused"
	StageReleasing Stage = "releasing"
	StageReleased  Stage = "released"
)

// Payment is what is known of the order's payment.
type Payment struct {
	Stage PaymentStage `json:"stage,omitzero"`
	Seen  int64        `json:"seen,omitzero"` // version of the payment that it is of
	Code  string       `json:"code,omitzero"` // why it was declined
}

// PaymentStage is how far payments has come.
type PaymentStage string

// The stages of a payment. Captures are the shipments' matter.
const (
	PaymentAsked      PaymentStage = "asked"
	PaymentAction     PaymentStage = "action" // the customer has something to do
	PaymentAuthorized PaymentStage = "authorized"
	PaymentDeclined   PaymentStage = "declined"
	PaymentVoiding    PaymentStage = "voiding"
	PaymentVoided     PaymentStage = "voided"
)

// Shipment is what goes out from one location. Items of one that is not dispatched can be
// taken out again.
type Shipment struct {
	Location string        `json:"at"`
	Items    []Item        `json:"items,omitzero"`
	Stage    ShipmentStage `json:"stage,omitzero"`
	Stop     *Question     `json:"stop,omitzero"` // that shipping was asked and has not answered
	Capture  Stage         `json:"capture,omitzero"`
	Refusals int           `json:"refusals,omitzero"`
	Code     string        `json:"code,omitzero"` // why the capture was refused
	Told     bool          `json:"told,omitzero"` // ordering knows that it was delivered
}

// Question is whether lines of a shipment can be kept back.
type Question struct {
	Reference string `json:"ref"`
	Lines     []int  `json:"lines"`
}

// Item is a number of units of a line.
type Item struct {
	Line     int   `json:"line"`
	Quantity int64 `json:"n"`
}

// ShipmentStage is how far shipping has come.
type ShipmentStage string

// The stages of a shipment.
const (
	ShipmentPreparing  ShipmentStage = ""
	ShipmentDispatched ShipmentStage = "dispatched"
	ShipmentDelivered  ShipmentStage = "delivered"
	ShipmentCancelled  ShipmentStage = "cancelled"
)

// Cancel is a request to give up lines, or (none named) the whole order. Requests are worked
// off one after the other.
type Cancel struct {
	Version int64       `json:"v"` // of the request in the order's stream
	Lines   []int       `json:"lines,omitzero"`
	Stage   CancelStage `json:"stage,omitzero"`
	Late    bool        `json:"late,omitzero"` // something was dispatched meanwhile
	Over    bool        `json:"over,omitzero"` // ordering does not wait for an answer any more
}

// CancelStage is how far a request to cancel has come.
type CancelStage string

// The stages of a request to cancel.
const (
	CancelStopping CancelStage = "stopping" // shipping is asked
	CancelUndoing  CancelStage = "undoing"  // stock and money are given back
	CancelClosing  CancelStage = "closing"  // ordering is told that it is done
	CancelRefusing CancelStage = "refusing" // ordering is told that it was too late
)

// Return is what a customer sends back.
type Return struct {
	ID     string `json:"id"`
	Items  []Item `json:"items,omitzero"`
	Opened bool   `json:"opened,omitzero"`
	Part   int64  `json:"part,omitzero"` // the last one that came back
	Done   bool   `json:"done,omitzero"` // all came back, or it is not waited for any more
}

// Repayment is money to give back: for a part of a return, or (without items) a refund that others
// have asked for and that has failed.
type Repayment struct {
	Reference string `json:"ref"`
	Items     []Item `json:"items"`
	Stage     Stage  `json:"stage,omitzero"`
	Code      string `json:"code,omitzero"` // why it was refused
}

// Failure is why an order is rejected.
type Failure struct {
	Reason string `json:"reason"`
	Detail string `json:"detail,omitzero"`
}

// Processes is the behaviour of the process; its streams are named fulfilment-<order id>.
var Processes = &es.Aggregate[Process, Event, Command]{
	Decider: es.Decider[Process, Event, Command]{
		Category:     "fulfilment",
		StateVersion: 1,
		Initial:      func() Process { return Process{} },
		Decide:       func(c Command, p Process) ([]Event, error) { return c.decide(p) },
		Evolve:       func(e Event, p Process) Process { p.apply(e); p.follow(e.next()); return p },
		Deadline:     func(p Process) time.Time { return p.Until },
	},
	Codec: es.NewCodec[Event](
		es.Stored[*Started, Event]("started"),
		es.Stored[*StockMoved, Event]("stock_moved"),
		es.Stored[*PaymentMoved, Event]("payment_moved"),
		es.Stored[*PaymentGivenUp, Event]("payment_given_up"),
		es.Stored[*CaptureSettled, Event]("capture_settled"),
		es.Stored[*RefundSettled, Event]("refund_settled"),
		es.Stored[*DiscountMoved, Event]("discount_moved"),
		es.Stored[*OrderMoved, Event]("order_moved"),
		es.Stored[*CancelTakenUp, Event]("cancel_taken_up"),
		es.Stored[*ShipmentMoved, Event]("shipment_moved"),
		es.Stored[*ReturnTakenUp, Event]("return_taken_up"),
		es.Stored[*GoodsReturned, Event]("goods_returned"),
		es.Stored[*ReturnsLapsed, Event]("returns_lapsed"),
		es.Stored[*AskedAgain, Event]("asked_again"),
		es.Stored[*GaveUp, Event]("gave_up"),
	),
}

// Event is a fact that the process was told, how it changes the process, and what follows.
type Event interface {
	fact(*Process)
	next() *Next
}

// Command tells the process a fact. Whatever it is, it can come in every state: what is
// known already, or too late to matter, decides nothing and is no error.
type Command interface {
	decide(Process) ([]Event, error)
}

// apply takes over the fact of an event, without what follows from it.
func (p *Process) apply(e Event) {
	p.Attempt = 0 // something moved; if not, the fact says so
	e.fact(p)
}

// record returns the event with what follows from it; what the event asks for already is kept.
func (p Process) record(at time.Time, e Event) ([]Event, error) {
	q := p.clone()
	q.apply(e)
	*e.next() = q.plan(at, e.next().Asks)
	return []Event{e}, nil
}

// clone returns a process that shares nothing with p that a plan may change.
func (p Process) clone() Process {
	p.Lines = slices.Clone(p.Lines)
	p.Voids = slices.Clone(p.Voids)
	p.Cancels = slices.Clone(p.Cancels)
	p.Ships = slices.Clone(p.Ships)
	p.Returns = slices.Clone(p.Returns)
	p.Refunds = slices.Clone(p.Refunds)
	return p
}

// line returns a line by its number, or nil if the order has none such.
func (p *Process) line(n int) *Line {
	if n < 1 || n > len(p.Lines) {
		return nil
	}
	return &p.Lines[n-1]
}

// live are the numbers of the lines that are not given up.
func (p *Process) live() []int {
	var lines []int
	for i := range p.Lines {
		if !p.Lines[i].Dropped {
			lines = append(lines, i+1)
		}
	}
	return lines
}

// without returns a list without one of its items, in place; nil once it is empty.
func without[T any](list []T, i int) []T {
	if list = slices.Delete(list, i, i+1); len(list) == 0 {
		return nil
	}
	return list
}
