// Package ordering decides on orders: it places them at the prices of its own price list,
// takes back what customers think better of, and keeps the status that fulfilment tells it.
// It also keeps the shop's discount codes.
package ordering

import (
	"slices"

	"github.com/orderlane/orderlane/pkg/es"
)

// Order is what decisions need to know of an order: the fold of its events.
type Order struct {
	Status   Status   `json:"status"`
	Customer string   `json:"customer"`
	Country  string   `json:"country"` // whose taxes are in its prices
	Lines    []Counts `json:"lines"`

	Confirmed  bool                `json:"confirmed,omitzero"`
	Moves      int                 `json:"moves,omitzero"`      // how often it was sent elsewhere
	Cancelling []int               `json:"cancelling,omitzero"` // lines asked to be given up; from 1
	Shipped    []string            `json:"shipped,omitzero"`    // shipments that were told of
	Delivered  []string            `json:"delivered,omitzero"`
	Returns    map[string]Returned `json:"returns,omitzero"` // by return
}

// Counts are the units of a line, by what became of them. What is delivered was shipped, what
// is wanted back was delivered, and what is returned was wanted back.
type Counts struct {
	Quantity   int64 `json:"quantity"`
	Cancelled  bool  `json:"cancelled,omitzero"`
	Shipped    int64 `json:"shipped,omitzero"`
	Delivered  int64 `json:"delivered,omitzero"`
	WantedBack int64 `json:"wanted_back,omitzero"`
	Returned   int64 `json:"returned,omitzero"`
}

// Returned is how much of a return was told of: its parts are numbered upwards.
type Returned struct {
	Part int64 `json:"part,omitzero"`
}

// Status is how far an order has come.
type Status string

// The statuses. An order that is cancelling goes on to what it was, less the lines given up.
const (
	StatusPlaced           Status = "placed"
	StatusConfirmed        Status = "confirmed"
	StatusPartiallyShipped Status = "partially_shipped"
	StatusShipped          Status = "shipped"
	StatusDelivered        Status = "delivered"
	StatusRejected         Status = "rejected"
	StatusCancelling       Status = "cancelling"
	StatusCancelled        Status = "cancelled"
	StatusReturned         Status = "returned"
)

// Orders is the behaviour of orders; their streams are named order-<id>.
var Orders = &es.Aggregate[Order, Event, Command]{
	Decider: es.Decider[Order, Event, Command]{
		Category:     "order",
		StateVersion: 3,
		Initial:      func() Order { return Order{} },
		Decide:       func(c Command, o Order) ([]Event, error) { return c.decide(o) },
		Evolve:       func(e Event, o Order) Order { return e.evolve(o) },
	},
	Codec: es.NewCodec[Event](
		es.Stored[Placed, Event]("order_placed"),
		es.Stored[AddressChanged, Event]("order_address_changed"),
		es.Stored[Confirmed, Event]("order_confirmed"),
		es.Stored[Rejected, Event]("order_rejected"),
		es.Stored[CancelRequested, Event]("order_cancel_requested"),
		es.Stored[CancelRefused, Event]("order_cancel_refused"),
		es.Stored[Cancelled, Event]("order_cancelled"),
		es.Stored[Shipped, Event]("order_shipped"),
		es.Stored[Delivered, Event]("order_delivered"),
		es.Stored[ReturnRequested, Event]("return_requested"),
		es.Stored[ReturnedUnits, Event]("order_returned"),
	),
}

// Caller is who asks for something.
type Caller struct {
	ID       string
	Customer bool // sees only what is their own
}

func (o Order) visibleTo(c Caller) bool {
	return o.Status != "" && (!c.Customer || c.ID == o.Customer)
}

// progress is the status that follows from what became of the lines that are not cancelled.
func (o Order) progress() Status {
	var live, shipped, delivered, returned int64
	for _, l := range o.Lines {
		if !l.Cancelled {
			live, shipped, delivered, returned = live+l.Quantity, shipped+l.Shipped, delivered+l.Delivered, returned+l.Returned
		}
	}
	switch {
	case live == 0:
		return StatusCancelled
	case returned == live:
		return StatusReturned
	case delivered == live:
		return StatusDelivered
	case shipped == live:
		return StatusShipped
	case shipped > 0:
		return StatusPartiallyShipped
	case o.Confirmed:
		return StatusConfirmed
	}
	return StatusPlaced
}

// after is the status once something became of lines: cancelling goes on until it is decided.
func (o Order) after() Status {
	if o.Status == StatusCancelling {
		return StatusCancelling
	}
	return o.progress()
}

// live are the numbers of the lines that are not cancelled.
func (o Order) live() []int {
	var lines []int
	for i, l := range o.Lines {
		if !l.Cancelled {
			lines = append(lines, i+1)
		}
	}
	return lines
}

// copied returns the order with lines of its own, so that evolving leaves no trace in the
// state that was decided on.
func (o Order) copied() Order {
	o.Lines = slices.Clone(o.Lines)
	return o
}

// Events

// Event is a fact about an order, and how it changes the order. Status is what the order is
// from then on.
type Event interface{ evolve(Order) Order }

type (
	// Placed is a new order, with its prices and totals frozen.
	Placed struct {
		Customer string `json:"customer"`
		Currency string `json:"currency"`
		Country  string `json:"country"`
		Delivery string `json:"delivery"`
		Payment  string `json:"payment"`
		Discount string `json:"discount,omitzero"` // code
		Lines    []Line `json:"lines"`
		Totals   Totals `json:"totals"`

		Personal *Personal `json:"-"`
	}
	// AddressChanged sends the order elsewhere.
	AddressChanged struct {
		Country string `json:"country"`

		Personal *Personal `json:"-"`
	}
	// Confirmed has stock and money.
	Confirmed struct {
		Customer string `json:"customer"`
	}
	// Rejected can't be met.
	Rejected struct {
		Customer string `json:"customer"`
		Reason   string `json:"reason"`
		Detail   string `json:"detail,omitzero"`
	}
	// CancelRequested asks to give up lines; All says that these are all there are.
	CancelRequested struct {
		Customer string `json:"customer"`
		Lines    []int  `json:"lines"`
		All      bool   `json:"all,omitzero"`

		Personal *Personal `json:"-"`
	}
	// CancelRefused leaves the order what it was.
	CancelRefused struct {
		Customer string `json:"customer"`
		Status   Status `json:"status"`
		Lines    []int  `json:"lines"`
		Reason   string `json:"reason"`
	}
	// Cancelled gives up lines.
	Cancelled struct {
		Customer string `json:"customer"`
		Status   Status `json:"status"`
		Lines    []int  `json:"lines"`
	}
	// Shipped puts units on their way.
	Shipped struct {
		Customer string  `json:"customer"`
		Status   Status  `json:"status"`
		Shipment string  `json:"shipment"`
		Units    []Units `json:"units"`
		Partial  bool    `json:"partial,omitzero"`
	}
	// Delivered has units arrived.
	Delivered struct {
		Customer string  `json:"customer"`
		Status   Status  `json:"status"`
		Shipment string  `json:"shipment"`
		Units    []Units `json:"units"`
		Partial  bool    `json:"partial,omitzero"`
	}
	// ReturnRequested wants units back.
	ReturnRequested struct {
		Customer string  `json:"customer"`
		Status   Status  `json:"status"`
		Return   string  `json:"return"`
		Units    []Units `json:"units"`

		Personal *Personal `json:"-"`
	}
	// ReturnedUnits has units back.
	ReturnedUnits struct {
		Customer string  `json:"customer"`
		Status   Status  `json:"status"`
		Return   string  `json:"return"`
		Part     int64   `json:"part"`
		Units    []Units `json:"units"`
		Partial  bool    `json:"partial,omitzero"`
	}
)

// Units are some of the units of a line, from 1.
type Units struct {
	Line     int   `json:"line"`
	Quantity int64 `json:"quantity"`
}

// Personal is what is stored apart from the events: who and where the customer is, and what
// they wrote.
type Personal struct {
	ShipTo Address `json:"ship_to,omitzero"`
	Email  string  `json:"email,omitzero"`
	// CancelReason is why the customer thought better of it.
	CancelReason string `json:"cancel_reason,omitzero"`
	// ReturnReasons say what was wrong, by line, of the last return.
	ReturnReasons map[string]string `json:"return_reasons,omitzero"`
}

// Address is where an order goes.
type Address struct {
	Name       string `json:"name"`
	Street     string `json:"street"`
	PostalCode string `json:"postal_code,omitzero"`
	City       string `json:"city"`
	Country    string `json:"country"`
}

// PersonalPayload is stored apart from the event.
func (e Placed) PersonalPayload() any { return payload(e.Personal) }

// PersonalPayload is stored apart from the event.
func (e AddressChanged) PersonalPayload() any { return payload(e.Personal) }

// PersonalPayload is stored apart from the event.
func (e CancelRequested) PersonalPayload() any { return payload(e.Personal) }

// PersonalPayload is stored apart from the event.
func (e ReturnRequested) PersonalPayload() any { return payload(e.Personal) }

func payload(p *Personal) any {
	if p == nil {
		return nil
	}
	return p
}

func (e Placed) evolve(o Order) Order {
	o.Status, o.Customer, o.Country = StatusPlaced, e.Customer, e.Country
	o.Lines = make([]Counts, len(e.Lines))
	for i, l := range e.Lines {
		o.Lines[i].Quantity = l.Quantity
	}
	return o
}

func (e AddressChanged) evolve(o Order) Order {
	o.Moves++
	return o
}

func (e Confirmed) evolve(o Order) Order {
	o.Status, o.Confirmed = StatusConfirmed, true
	return o
}

func (e Rejected) evolve(o Order) Order {
	o.Status, o.Cancelling = StatusRejected, nil
	return o
}

func (e CancelRequested) evolve(o Order) Order {
	o.Status, o.Cancelling = StatusCancelling, e.Lines
	return o
}

func (e CancelRefused) evolve(o Order) Order {
	o.Status, o.Cancelling = e.Status, nil
	return o
}

func (e Cancelled) evolve(o Order) Order {
	o = o.copied()
	for _, line := range e.Lines {
		o.Lines[line-1].Cancelled = true
	}
	o.Status, o.Cancelling = e.Status, nil
	return o
}

func (e Shipped) evolve(o Order) Order {
	o = o.copied()
	for _, u := range e.Units {
		o.Lines[u.Line-1].Shipped += u.Quantity
	}
	o.Status, o.Shipped = e.Status, append(slices.Clip(o.Shipped), e.Shipment)
	return o
}

func (e Delivered) evolve(o Order) Order {
	o = o.copied()
	for _, u := range e.Units {
		o.Lines[u.Line-1].Delivered += u.Quantity
	}
	o.Status, o.Delivered = e.Status, append(slices.Clip(o.Delivered), e.Shipment)
	return o
}

func (e ReturnRequested) evolve(o Order) Order {
	o = o.copied()
	for _, u := range e.Units {
		o.Lines[u.Line-1].WantedBack += u.Quantity
	}
	if o.Returns == nil {
		o.Returns = make(map[string]Returned)
	}
	o.Returns[e.Return] = Returned{}
	return o
}

func (e ReturnedUnits) evolve(o Order) Order {
	o = o.copied()
	for _, u := range e.Units {
		o.Lines[u.Line-1].Returned += u.Quantity
	}
	o.Status = e.Status
	o.Returns[e.Return] = Returned{Part: e.Part}
	return o
}
