package shipping

import (
	"fmt"

	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/fault"
)

// Return is what decisions need to know of a return: the fold of its events.
type Return struct {
	Order    string `json:"order"`
	Customer string `json:"customer"`
	Location string `json:"location"`
	Expected []Item `json:"expected,omitzero"` // what is still to come
}

// Returns is the behaviour of returns; their streams are named return-<id>.
var Returns = &es.Aggregate[Return, ReturnEvent, ReturnCommand]{
	Decider: es.Decider[Return, ReturnEvent, ReturnCommand]{
		Category:     "return",
		StateVersion: 1,
		Initial:      func() Return { return Return{} },
		Decide:       func(c ReturnCommand, r Return) ([]ReturnEvent, error) { return c.decide(r) },
		Evolve:       func(e ReturnEvent, r Return) Return { return e.evolve(r) },
	},
	Codec: es.NewCodec[ReturnEvent](
		es.Stored[ReturnOpened, ReturnEvent]("return_opened"),
		es.Stored[ReturnReceived, ReturnEvent]("return_received"),
	),
}

// Events

// ReturnEvent is a fact about a return, and how it changes the return.
type ReturnEvent interface{ evolve(Return) Return }

type (
	// ReturnOpened is goods that are expected back.
	ReturnOpened struct {
		For
		Location string `json:"location"`
		Items    []Item `json:"items"`
	}
	// ReturnReceived is goods that came back, and what is still to come.
	ReturnReceived struct {
		For
		Location string     `json:"location"`
		Items    []Received `json:"items"`
		Expected []Item     `json:"expected,omitzero"`
	}
)

// Received is an item that came back, and whether it goes back into stock.
type Received struct {
	Item
	Restock bool `json:"restock,omitzero"`
}

func (e ReturnOpened) evolve(Return) Return {
	return Return{Order: e.Order, Customer: e.Customer, Location: e.Location, Expected: e.Items}
}

func (e ReturnReceived) evolve(r Return) Return { r.Expected = e.Expected; return r }

// add adds what came back. There is one item of a line that goes back into stock, and one that
// does not, so that whoever acts on the event does so once for each.
func (e *ReturnReceived) add(came Received) {
	for i := range e.Items {
		if e.Items[i].Line == came.Line && e.Items[i].Restock == came.Restock {
			e.Items[i].Quantity += came.Quantity
			return
		}
	}
	e.Items = append(e.Items, came)
}

// Commands

// ReturnCommand is an intention for a return, and the decision on it.
// A repeat of what is already so decides nothing and is no error.
type ReturnCommand interface {
	decide(Return) ([]ReturnEvent, error)
}

// Open expects goods back.
type Open struct {
	For
	Location string
	Items    []Item
}

func (c Open) decide(r Return) ([]ReturnEvent, error) {
	if r.Order != "" {
		return nil, nil
	}
	if err := packable(c.For, c.Location, c.Items); err != nil {
		return nil, err
	}
	return []ReturnEvent{ReturnOpened(c)}, nil
}

// Receive says that goods came back, all that is expected or a part. A line may come twice,
// of which a part goes back into stock and a part does not.
type Receive struct {
	ID    string
	Lines []Arrival
}

// Arrival is a number of units of a line that came back.
type Arrival struct {
	Line     int
	Quantity int64
	Restock  bool
}

func (c Receive) decide(r Return) ([]ReturnEvent, error) {
	switch {
	case r.Order == "":
		return nil, fault.NotFound("return", c.ID)
	case len(c.Lines) == 0 || len(c.Lines) > 2*maxItems:
		return nil, fault.Invalid("lines_out_of_range", "1 to %d lines come back at once", 2*maxItems)
	}
	e := ReturnReceived{For: For{r.Order, r.Customer}, Location: r.Location}
	expected := make(map[int]Item, len(r.Expected))
	for _, item := range r.Expected {
		expected[item.Line] = item
	}
	var refused *fault.Fault
	for i, l := range c.Lines {
		if l.Quantity < 1 || l.Quantity > maxQuantity {
			return nil, fault.Invalid("quantity_out_of_range", "a quantity is 1 to %d", maxQuantity)
		}
		item := expected[l.Line]
		if l.Quantity > item.Quantity {
			if refused == nil {
				refused = fault.Conflict("more_than_expected", "more came back than return %s expects", c.ID)
			}
			refused = refused.With(fmt.Sprintf("body.lines[%d]", i), "%d of line %d are expected, not %d", item.Quantity, l.Line, l.Quantity)
			continue
		}
		item.Quantity -= l.Quantity
		expected[l.Line] = item
		e.add(Received{Item{l.Line, item.SKU, l.Quantity}, l.Restock})
	}
	if refused != nil {
		return nil, refused
	}
	for _, item := range r.Expected { // in the order of the return
		if left := expected[item.Line]; left.Quantity > 0 {
			e.Expected = append(e.Expected, left)
		}
	}
	return []ReturnEvent{e}, nil
}
