// Package inventory decides on stock: what there is of a SKU at each location, for which lines
// of orders it is kept, and which lines wait for it.
package inventory

import (
	"time"

	"github.com/orderlane/orderlane/pkg/es"
)

// Bounds of one SKU's stock.
const (
	maxLocations = 64                // a reservation looks at all of them
	maxQuantity  = 1_000_000_000     // of one command
	maxOnHand    = 1_000_000_000_000 // at one location; sums of all stay far from the end of int64
	maxLines     = 50_000            // reserved, allocated and waiting: the state is in memory
	maxReason    = 800               // bytes, which are 200 characters at least
)

// Stock is what decisions need to know of a SKU's stock: the fold of its events. Evolving
// changes it in place, and costs the same however many lines there are: in a flash sale
// thousands of them want one SKU.
type Stock struct {
	shelf shelf
	lines map[Line]*claim // of all that is reserved, allocated or waits

	expiring expiring // reserved, the first to expire first
	firm     claims   // allocated
	queue    queue    // waiting, in order of arrival

	gone memory // released and expired lines
	done memory // dispatched lines
	back memory // what was taken back

	// woken is when a wake last changed something. The deadline is always after it, so that each
	// wake that leaves something to do is followed by another one.
	woken time.Time
}

// NewStock is the stock of a SKU that nothing is known of.
func NewStock() *Stock {
	return &Stock{
		lines: make(map[Line]*claim), gone: newMemory(maxGone), done: newMemory(maxDone), back: newMemory(maxBack),
	}
}

// Stocks is the behaviour of stock; its streams are named stock-<sku>.
var Stocks = &es.Aggregate[*Stock, Event, Command]{
	Decider: es.Decider[*Stock, Event, Command]{
		Category:     "stock",
		StateVersion: 1,
		Initial:      NewStock,
		Decide:       func(c Command, s *Stock) ([]Event, error) { return c.decide(s) },
		Evolve:       func(e Event, s *Stock) *Stock { e.evolve(s); return s },
		Deadline:     func(s *Stock) time.Time { return s.deadline() },
	},
	Codec: es.NewCodec[Event](
		es.Stored[Received, Event]("stock_received"),
		es.Stored[Adjusted, Event]("stock_adjusted"),
		es.Stored[SafetyStockSet, Event]("safety_stock_set"),
		es.Stored[Reserved, Event]("stock_reserved"),
		es.Stored[Backordered, Event]("stock_backordered"),
		es.Stored[ReservationRefused, Event]("stock_reservation_refused"),
		es.Stored[Allocated, Event]("stock_allocated"),
		es.Stored[Released, Event]("stock_released"),
		es.Stored[Dispatched, Event]("stock_dispatched"),
		es.Stored[Returned, Event]("stock_returned"),
	),
}

// Line names an order's line, which has one claim on stock at the most.
type Line struct {
	Order  string `json:"order"`
	Number int    `json:"line"`
}

// deadline is when something has to be done unasked: a reservation expires, or, since one
// decision has a bound, lines that wait are still to be given what is there.
func (s *Stock) deadline() time.Time {
	var at time.Time
	if first := s.expiring.first(); first != nil {
		at = first.expires
	}
	if next := s.queue.first(); next != nil && next.wants <= s.shelf.available() {
		at = epoch // at once
	}
	if at.IsZero() || at.After(s.woken) {
		return at
	}
	return s.woken.Add(time.Millisecond)
}

// epoch is a time that has passed, and that every log can store.
var epoch = time.Unix(0, 0).UTC()

// unclaimed is what is available to a line that comes now: what is there is promised to the
// lines that wait.
func (s *Stock) unclaimed() int64 { return max(0, s.shelf.available()-s.queue.wanted) }
