// Package shipping decides on shipments, which go to customers, and on returns, which come
// back. It has the last word on whether something can still be cancelled.
package shipping

import (
	"slices"

	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/fault"
)

// Bounds of a shipment and of a return.
const (
	maxItems    = 100    // as many as an order has lines
	maxQuantity = 10_000 // of an item
	maxText     = 200    // bytes of a carrier, a tracking number or a reference
	maxAnswered = 100    // references of cancellations that are remembered
)

// Shipment is what decisions need to know of a shipment: the fold of its events.
type Shipment struct {
	Status   Status   `json:"status"`
	Order    string   `json:"order"`
	Customer string   `json:"customer,omitzero"`
	Location string   `json:"location,omitzero"`
	Items    []Item   `json:"items,omitzero"`    // what goes out, without what was cancelled
	Answered []string `json:"answered,omitzero"` // the last references of cancellations
}

// Status is how far a shipment has come.
type Status string

// The statuses of a shipment; none is a shipment that nobody knows.
const (
	created    Status = "created"
	dispatched Status = "dispatched"
	delivered  Status = "delivered"
	cancelled  Status = "cancelled"
)

// Item is a number of units of an order's line.
type Item struct {
	Line     int    `json:"line"`
	SKU      string `json:"sku"`
	Quantity int64  `json:"quantity"`
}

// Shipments is the behaviour of shipments; their streams are named shipment-<id>.
var Shipments = &es.Aggregate[Shipment, ShipmentEvent, ShipmentCommand]{
	Decider: es.Decider[Shipment, ShipmentEvent, ShipmentCommand]{
		Category:     "shipment",
		StateVersion: 1,
		Initial:      func() Shipment { return Shipment{} },
		Decide:       func(c ShipmentCommand, s Shipment) ([]ShipmentEvent, error) { return c.decide(s) },
		Evolve:       func(e ShipmentEvent, s Shipment) Shipment { return e.evolve(s) },
	},
	Codec: es.NewCodec[ShipmentEvent](
		es.Stored[Created, ShipmentEvent]("shipment_created"),
		es.Stored[Dispatched, ShipmentEvent]("shipment_dispatched"),
		es.Stored[Delivered, ShipmentEvent]("shipment_delivered"),
		es.Stored[Cancelled, ShipmentEvent]("shipment_cancelled"),
		es.Stored[CancelRefused, ShipmentEvent]("shipment_cancel_refused"),
	),
}

// Events

// ShipmentEvent is a fact about a shipment, and how it changes the shipment.
type ShipmentEvent interface{ evolve(Shipment) Shipment }

// For says whom a shipment is for; every event of one does, for whoever reads no other.
type For struct {
	Order    string `json:"order"`
	Customer string `json:"customer,omitzero"`
}

type (
	// Created is a shipment that is to be packed.
	Created struct {
		For
		Location string `json:"location"`
		Items    []Item `json:"items"`
	}
	// Dispatched is a shipment that is on its way.
	Dispatched struct {
		For
		Location string `json:"location"`
		Items    []Item `json:"items"`
		Carrier  string `json:"carrier"`
		Tracking string `json:"tracking,omitzero"`
	}
	// Delivered is a shipment that has arrived.
	Delivered struct {
		For
		Items []Item `json:"items"`
	}
	// Cancelled takes items out; nothing is left of a shipment that is given up.
	Cancelled struct {
		For
		Reference string `json:"reference"`
		Cancelled []Item `json:"cancelled,omitzero"`
		Left      []Item `json:"left,omitzero"`
	}
	// CancelRefused says that it was too late to cancel.
	CancelRefused struct {
		For
		Reference string `json:"reference"`
		Status    Status `json:"status"`
		Reason    string `json:"reason"`
	}
)

func (e Created) evolve(s Shipment) Shipment {
	return Shipment{Status: created, Order: e.Order, Customer: e.Customer, Location: e.Location, Items: e.Items}
}

func (e Dispatched) evolve(s Shipment) Shipment { s.Status = dispatched; return s }

func (e Delivered) evolve(s Shipment) Shipment { s.Status = delivered; return s }

func (e Cancelled) evolve(s Shipment) Shipment {
	s.Order, s.Items = e.Order, e.Left
	if len(e.Left) == 0 {
		s.Status = cancelled
	}
	return s.answered(e.Reference)
}

func (e CancelRefused) evolve(s Shipment) Shipment { return s.answered(e.Reference) }

// answered remembers the reference of a cancellation.
func (s Shipment) answered(reference string) Shipment {
	from := max(0, len(s.Answered)-maxAnswered+1)
	s.Answered = append(slices.Clone(s.Answered[from:]), reference)
	return s
}

// Commands

// ShipmentCommand is an intention for a shipment, and the decision on it.
// A repeat of what is already so decides nothing and is no error.
type ShipmentCommand interface {
	decide(Shipment) ([]ShipmentEvent, error)
}

// Create prepares what goes out from one location. A shipment that was cancelled before stays
// cancelled.
type Create struct {
	For
	Location string
	Items    []Item
}

func (c Create) decide(s Shipment) ([]ShipmentEvent, error) {
	if s.Status != "" {
		return nil, nil
	}
	if err := packable(c.For, c.Location, c.Items); err != nil {
		return nil, err
	}
	return []ShipmentEvent{Created(c)}, nil
}

// Dispatch hands a shipment to a carrier, which happens once.
type Dispatch struct {
	ID       string
	Carrier  string
	Tracking string
}

func (c Dispatch) decide(s Shipment) ([]ShipmentEvent, error) {
	switch {
	case s.Status == "":
		return nil, fault.NotFound("shipment", c.ID)
	case s.Status == cancelled:
		return nil, errCancelled(c.ID)
	case s.Status != created:
		return nil, fault.Conflict("already_dispatched", "shipment %s is %s", c.ID, s.Status)
	case c.Carrier == "" || len(c.Carrier) > maxText || len(c.Tracking) > maxText:
		return nil, fault.Invalid("carrier_missing", "a carrier has 1 to %d bytes, and a tracking number that many at the most", maxText)
	}
	return []ShipmentEvent{Dispatched{s.who(), s.Location, s.Items, c.Carrier, c.Tracking}}, nil
}

// Deliver says that a shipment has arrived.
type Deliver struct{ ID string }

func (c Deliver) decide(s Shipment) ([]ShipmentEvent, error) {
	switch s.Status {
	case dispatched:
		return []ShipmentEvent{Delivered{s.who(), s.Items}}, nil
	case delivered:
		return nil, nil
	case created:
		return nil, fault.Conflict("not_dispatched", "shipment %s was not dispatched yet", c.ID)
	case cancelled:
		return nil, errCancelled(c.ID)
	}
	return nil, fault.NotFound("shipment", c.ID)
}

// Cancel takes lines out of a shipment, or, without lines, all that is left, unless it was
// dispatched. It is answered by an event, once a reference; also where nothing is there to
// take out, and for a shipment that nobody knows, which is then never created.
type Cancel struct {
	Order     string
	Reference string
	Lines     []int
}

func (c Cancel) decide(s Shipment) ([]ShipmentEvent, error) {
	if c.Reference == "" || len(c.Reference) > maxText || len(c.Lines) > maxItems {
		return nil, fault.Invalid("bad_reference", "a reference has 1 to %d bytes, and there are %d lines at the most", maxText, maxItems)
	}
	if slices.Contains(s.Answered, c.Reference) {
		return nil, nil
	}
	if s.Status == "" {
		return []ShipmentEvent{Cancelled{For: For{Order: c.Order}, Reference: c.Reference}}, nil
	}
	if s.Status == dispatched || s.Status == delivered {
		return []ShipmentEvent{CancelRefused{s.who(), c.Reference, s.Status, "already_dispatched"}}, nil
	}
	e := Cancelled{For: s.who(), Reference: c.Reference}
	for _, item := range s.Items {
		if len(c.Lines) == 0 || slices.Contains(c.Lines, item.Line) {
			e.Cancelled = append(e.Cancelled, item)
		} else {
			e.Left = append(e.Left, item)
		}
	}
	return []ShipmentEvent{e}, nil
}

func (s Shipment) who() For { return For{s.Order, s.Customer} }

func errCancelled(id string) error {
	return fault.Conflict("shipment_cancelled", "shipment %s was cancelled", id)
}

// packable refuses what makes no shipment and no return.
func packable(who For, location string, items []Item) error {
	if who.Order == "" || location == "" || len(items) == 0 || len(items) > maxItems {
		return fault.Invalid("items_out_of_range", "1 to %d items of an order go from or to a location", maxItems)
	}
	seen := make(map[int]bool, len(items))
	for _, i := range items {
		if i.Line < 1 || i.SKU == "" || i.Quantity < 1 || i.Quantity > maxQuantity || seen[i.Line] {
			return fault.Invalid("items_out_of_range", "an item is 1 to %d of a line that no other item is of: %+v", maxQuantity, i)
		}
		seen[i.Line] = true
	}
	return nil
}
