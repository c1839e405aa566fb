package ordering

import (
	"fmt"
	"maps"
	"slices"

	"github.com/orderlane/orderlane/pkg/fault"
)

// Command is an intention for an order, and the decision on it.
// A repeat of what is already so decides nothing and is no error.
type Command interface{ decide(Order) ([]Event, error) }

// maxMoves bounds how often an order is sent elsewhere: each time stays in its history.
const maxMoves = 100

// ChangeAddress sends an order elsewhere, until it is confirmed.
type ChangeAddress struct {
	ID      string
	Address Address
	By      Caller
}

func (c ChangeAddress) decide(o Order) ([]Event, error) {
	switch {
	case !o.visibleTo(c.By):
		return nil, fault.NotFound("order", c.ID)
	case o.Status != StatusPlaced:
		return nil, fault.Conflict("already_confirmed", "the address is frozen since the order is %s", o.Status)
	case o.Country != c.Address.Country:
		return nil, fault.Conflict("country_fixed", "the order has the taxes of %s: cancel it, and place another one to %s", o.Country, c.Address.Country).
			With("body.ship_to.country", "is not %s", o.Country)
	case o.Moves >= maxMoves:
		return nil, fault.Conflict("too_many_changes", "the order was sent elsewhere %d times already", maxMoves)
	}
	return []Event{AddressChanged{Country: c.Address.Country, Personal: &Personal{ShipTo: c.Address}}}, nil
}

// RequestCancel asks to give up an order, or some of its lines, until they are dispatched;
// shipping has the last word.
type RequestCancel struct {
	ID     string
	Lines  []int // from 1; none: the whole order
	Reason string
	By     Caller
}

func (c RequestCancel) decide(o Order) ([]Event, error) {
	if !o.visibleTo(c.By) {
		return nil, fault.NotFound("order", c.ID)
	}
	if o.Status == StatusRejected {
		return nil, fault.Conflict("order_rejected", "the order was rejected: there is nothing to cancel")
	}
	wanted, err := c.wanted(o)
	if err != nil || len(wanted) == 0 {
		return nil, err
	}
	if o.Status == StatusCancelling {
		if subset(wanted, o.Cancelling) {
			return nil, nil // it is under way
		}
		return nil, fault.Conflict("cancelling", "other lines of the order are being cancelled: ask again when that is decided")
	}
	for _, line := range wanted {
		if o.Lines[line-1].Shipped > 0 {
			return nil, fault.Conflict("already_dispatched", "line %d is on its way: send it back once it is delivered", line)
		}
	}
	e := CancelRequested{Customer: o.Customer, Lines: wanted, All: len(wanted) == len(o.live())}
	if c.Reason != "" {
		e.Personal = &Personal{CancelReason: c.Reason}
	}
	return []Event{e}, nil
}

// wanted are the lines to give up that are not given up already, in order.
func (c RequestCancel) wanted(o Order) ([]int, error) {
	if len(c.Lines) == 0 {
		return o.live(), nil
	}
	var wanted []int
	for i, line := range c.Lines {
		if line < 1 || line > len(o.Lines) {
			return nil, unknownLine(i, line, o)
		}
		if !o.Lines[line-1].Cancelled && !slices.Contains(wanted, line) {
			wanted = append(wanted, line)
		}
	}
	slices.Sort(wanted)
	return wanted, nil
}

func subset(a, b []int) bool {
	return !slices.ContainsFunc(a, func(n int) bool { return !slices.Contains(b, n) })
}

// Confirm says that stock and money are there. An order that is cancelling is not confirmed.
type Confirm struct{ ID string }

func (c Confirm) decide(o Order) ([]Event, error) {
	switch {
	case o.Status == "":
		return nil, fault.NotFound("order", c.ID)
	case o.Status != StatusPlaced:
		return nil, nil
	}
	return []Event{Confirmed{Customer: o.Customer}}, nil
}

// Reject says that an order can't be met.
type Reject struct{ ID, Reason, Detail string }

func (c Reject) decide(o Order) ([]Event, error) {
	switch {
	case o.Status == "":
		return nil, fault.NotFound("order", c.ID)
	case o.Confirmed, o.Status != StatusPlaced && o.Status != StatusCancelling:
		return nil, nil
	}
	return []Event{Rejected{Customer: o.Customer, Reason: c.Reason, Detail: c.Detail}}, nil
}

// Cancel says that lines, or (none named) all that are not on their way, were given up.
type Cancel struct {
	ID    string
	Lines []int
}

func (c Cancel) decide(o Order) ([]Event, error) {
	if o.Status == "" {
		return nil, fault.NotFound("order", c.ID)
	}
	if o.Status == StatusRejected {
		return nil, nil
	}
	var lines []int
	for i, l := range o.Lines {
		if !l.Cancelled && l.Shipped == 0 && (len(c.Lines) == 0 || slices.Contains(c.Lines, i+1)) {
			lines = append(lines, i+1)
		}
	}
	if len(lines) == 0 {
		return nil, nil
	}
	e := Cancelled{Customer: o.Customer, Lines: lines}
	e.Status = e.evolve(o).progress()
	return []Event{e}, nil
}

// RefuseCancel says that it was too late.
type RefuseCancel struct{ ID, Reason string }

func (c RefuseCancel) decide(o Order) ([]Event, error) {
	switch {
	case o.Status == "":
		return nil, fault.NotFound("order", c.ID)
	case o.Status != StatusCancelling:
		return nil, nil
	}
	return []Event{CancelRefused{Customer: o.Customer, Status: o.progress(), Lines: o.Cancelling, Reason: c.Reason}}, nil
}

// MarkShipped says that a shipment is on its way.
type MarkShipped struct {
	ID, Shipment string
	Units        []Units
}

func (c MarkShipped) decide(o Order) ([]Event, error) {
	if o.Status == "" {
		return nil, fault.NotFound("order", c.ID)
	}
	switch {
	case slices.Contains(o.Shipped, c.Shipment):
		return nil, nil
	case !o.Confirmed:
		return nil, fault.Conflict("not_confirmed", "nothing is shipped of an order that is not confirmed")
	}
	if err := within(o, c.Units, "more_than_ordered", Counts.shippable); err != nil {
		return nil, err
	}
	e := Shipped{Customer: o.Customer, Shipment: c.Shipment, Units: c.Units}
	next := e.evolve(o)
	next.Status = o.Status
	e.Status, e.Partial = next.after(), next.progress() == StatusPartiallyShipped
	return []Event{e}, nil
}

// shippable are the units that may still be put on their way.
func (l Counts) shippable() int64 {
	if l.Cancelled {
		return 0
	}
	return l.Quantity - l.Shipped
}

// MarkDelivered says that a shipment has arrived.
type MarkDelivered struct {
	ID, Shipment string
	Units        []Units
}

func (c MarkDelivered) decide(o Order) ([]Event, error) {
	if o.Status == "" {
		return nil, fault.NotFound("order", c.ID)
	}
	if slices.Contains(o.Delivered, c.Shipment) {
		return nil, nil
	}
	if err := within(o, c.Units, "more_than_shipped", func(l Counts) int64 { return l.Shipped - l.Delivered }); err != nil {
		return nil, err
	}
	e := Delivered{Customer: o.Customer, Shipment: c.Shipment, Units: c.Units}
	next := e.evolve(o)
	next.Status = o.Status
	e.Status, e.Partial = next.after(), next.progress() != StatusDelivered
	return []Event{e}, nil
}

// RequestReturn asks to send delivered units back. Reasons are by position in Units.
type RequestReturn struct {
	ID, Return string
	Units      []Units
	Reasons    map[string]string // by line
	By         Caller
}

func (c RequestReturn) decide(o Order) ([]Event, error) {
	if !o.visibleTo(c.By) {
		return nil, fault.NotFound("order", c.ID)
	}
	if _, ok := o.Returns[c.Return]; ok {
		return nil, nil
	}
	if err := within(o, c.Units, "more_than_delivered", func(l Counts) int64 { return l.Delivered - l.WantedBack }); err != nil {
		return nil, err
	}
	e := ReturnRequested{Customer: o.Customer, Status: o.Status, Return: c.Return, Units: c.Units}
	if len(c.Reasons) > 0 {
		e.Personal = &Personal{ReturnReasons: c.Reasons}
	}
	return []Event{e}, nil
}

// MarkReturned says that goods came back, all of a return or a part; parts are numbered upwards.
type MarkReturned struct {
	ID, Return string
	Part       int64
	Units      []Units
}

func (c MarkReturned) decide(o Order) ([]Event, error) {
	if o.Status == "" {
		return nil, fault.NotFound("order", c.ID)
	}
	known, ok := o.Returns[c.Return]
	switch {
	case !ok:
		return nil, fault.NotFound("return", c.Return)
	case c.Part <= known.Part:
		return nil, nil
	}
	if err := within(o, c.Units, "more_than_expected", func(l Counts) int64 { return l.WantedBack - l.Returned }); err != nil {
		return nil, err
	}
	e := ReturnedUnits{Customer: o.Customer, Return: c.Return, Part: c.Part, Units: c.Units}
	next := o
	next.Returns = maps.Clone(o.Returns)
	next = e.evolve(next)
	next.Status = o.Status
	e.Status, e.Partial = next.after(), next.progress() != StatusReturned
	return []Event{e}, nil
}

// within refuses units of lines that are not there, or, with the code of the rule, more of them
// than are left for it.
func within(o Order, units []Units, code string, left func(Counts) int64) error {
	if len(units) == 0 || len(units) > maxLines {
		return fault.Invalid("lines_out_of_range", "name 1 to %d lines", maxLines)
	}
	sums := make(map[int]int64, len(units))
	for i, u := range units {
		if u.Line < 1 || u.Line > len(o.Lines) {
			return unknownLine(i, u.Line, o)
		}
		if u.Quantity < 1 || u.Quantity > maxQuantity {
			return fault.Invalid("quantity_out_of_range", "a quantity is 1 to %d", maxQuantity).
				With(at(i), "a quantity of %d", u.Quantity)
		}
		sums[u.Line] += u.Quantity
		if there := left(o.Lines[u.Line-1]); sums[u.Line] > there {
			return fault.Conflict(code, "line %d has %d of them left", u.Line, there).With(at(i), "%d are asked for", sums[u.Line])
		}
	}
	return nil
}

func unknownLine(i, line int, o Order) error {
	return fault.Invalid("unknown_line", "the order has lines 1 to %d", len(o.Lines)).With(at(i), "there is no line %d", line)
}

// at is where the line at an index of a request stands.
func at(i int) string { return fmt.Sprintf("body.lines[%d]", i) }
