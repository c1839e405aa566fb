package inventory

import (
	"time"

	"github.com/orderlane/orderlane/pkg/fault"
)

// Why nothing is kept for a line.
const (
	reasonOutOfStock = "out_of_stock"
	reasonExpired    = "expired"
	reasonReleased   = "released"
	reasonUnknown    = "unknown"
)

// maxEvents bounds what one command decides. What is left is done by a wake that follows.
const maxEvents = 500

// plan is a decision of several events: each is decided on the levels that the ones before
// it leave.
type plan struct {
	stock  *Stock
	shelf  *shelf // a draft
	at     time.Time
	hold   time.Duration
	woken  time.Time // at, if it is a wake
	events []Event
}

func (s *Stock) plan(at time.Time, hold time.Duration) *plan {
	return &plan{stock: s, shelf: s.shelf.draft(), at: at, hold: hold}
}

func (p *plan) add(e Event) { p.events = append(p.events, e) }

// reserve keeps an available quantity for a line. Reservations expire at whole seconds, so
// that the many of one second need one wake.
func (p *plan) reserve(line Line, quantity int64) Reserved {
	parts := p.shelf.pick(quantity)
	expires := p.at.Add(p.hold).UTC()
	if whole := expires.Truncate(time.Second); whole.Before(expires) {
		expires = whole.Add(time.Second)
	}
	e := Reserved{line, quantity, parts, expires, p.woken, p.shelf.reserve(parts, 1)}
	p.add(e)
	return e
}

// serve reserves for the lines that wait, in order of their arrival, until one does not fit:
// a later one that would fit does not overtake it, or a large line would wait for ever. The
// line that this decision gives up is passed over.
func (p *plan) serve(except *claim) {
	for e := p.stock.queue.waiting.Front(); e != nil && len(p.events) < maxEvents; e = e.Next() {
		c := claimOf(e)
		if c == except {
			continue
		}
		if c.wants > p.shelf.available() {
			return
		}
		p.reserve(c.line, c.wants)
	}
}

// Reserve keeps a line's quantity for it, all of it or nothing, until Hold after At.
// Backorder says that it may wait for stock.
type Reserve struct {
	Line
	Quantity  int64
	Backorder bool
	At        time.Time
	Hold      time.Duration
}

func (c Reserve) decide(s *Stock) ([]Event, error) {
	if err := named(c.Line); err != nil {
		return nil, err
	}
	if c.Quantity < 1 || c.Quantity > maxQuantity {
		return nil, fault.Invalid("quantity_out_of_range", "a quantity is 1 to %d", maxQuantity)
	}
	if s.lines[c.Line] != nil || s.done.has(mark{Line: c.Line}) {
		return nil, nil
	}
	if before, known := s.released(c.Line); known && before.expired == 0 {
		return s.refuse(c.Line, c.Quantity, reasonReleased), nil
	}
	switch {
	case len(s.lines) >= maxLines:
		return s.refuse(c.Line, c.Quantity, reasonOutOfStock), nil
	case s.fits(c.Quantity):
		p := s.plan(c.At, c.Hold)
		p.reserve(c.Line, c.Quantity)
		return p.events, nil
	case c.Backorder:
		return []Event{Backordered{c.Line, c.Quantity, s.unclaimed()}}, nil
	}
	return s.refuse(c.Line, c.Quantity, reasonOutOfStock), nil
}

// fits reports whether a line that comes now can be reserved: nothing is there for it while
// others wait, since they came first.
func (s *Stock) fits(quantity int64) bool {
	return s.queue.first() == nil && quantity <= s.shelf.available()
}

func (s *Stock) refuse(line Line, quantity int64, reason string) []Event {
	return []Event{ReservationRefused{line, quantity, s.unclaimed(), reason}}
}

// Allocate makes a reservation firm. One that has expired is made anew, with its quantity or,
// if that is forgotten, the given one.
type Allocate struct {
	Line
	Quantity int64 // 0: not known
	At       time.Time
	Hold     time.Duration
}

func (c Allocate) decide(s *Stock) ([]Event, error) {
	if err := named(c.Line); err != nil {
		return nil, err
	}
	if c.Quantity < 0 || c.Quantity > maxQuantity {
		return nil, fault.Invalid("quantity_out_of_range", "a quantity is 1 to %d", maxQuantity)
	}
	k := s.lines[c.Line]
	switch {
	case k == nil:
		return c.anew(s), nil
	case k.firm:
		return nil, nil
	case k.waiting != nil: // say again what it is, to whoever did not hear
		return []Event{Backordered{c.Line, k.wants, s.unclaimed()}}, nil
	}
	return []Event{Allocated{c.Line, total(k.parts), k.parts, After{Available: s.shelf.available()}}}, nil
}

// anew reserves for a line that has no reservation any more, and allocates it.
func (c Allocate) anew(s *Stock) []Event {
	before, known := s.released(c.Line)
	quantity := c.Quantity
	if before.expired > 0 {
		quantity = before.expired
	}
	switch {
	case s.done.has(mark{Line: c.Line}):
		return nil
	case known && before.expired == 0:
		return s.refuse(c.Line, quantity, reasonReleased)
	case quantity == 0:
		return s.refuse(c.Line, quantity, reasonUnknown)
	case !s.fits(quantity) || len(s.lines) >= maxLines:
		return s.refuse(c.Line, quantity, reasonExpired)
	}
	p := s.plan(c.At, c.Hold)
	reserved := p.reserve(c.Line, quantity)
	p.add(Allocated{c.Line, quantity, reserved.Parts, After{Available: reserved.Available}})
	return p.events
}

// Release gives up what is kept for a line, allocated or not, or its place among those that
// wait. If nothing is, an event says so all the same: it refuses the reservation if that comes
// later.
type Release struct {
	Line
	Reason string
	At     time.Time
	Hold   time.Duration
}

func (c Release) decide(s *Stock) ([]Event, error) {
	if err := named(c.Line); err != nil {
		return nil, err
	}
	if len(c.Reason) > maxReason {
		return nil, fault.Invalid("reason_too_long", "a reason has %d bytes at the most", maxReason)
	}
	k := s.lines[c.Line]
	if before, known := s.released(c.Line); k == nil && known && before.expired == 0 {
		return nil, nil
	}
	p := s.plan(c.At, c.Hold)
	p.release(c.Line, k, c.Reason, false)
	p.serve(k)
	return p.events, nil
}

// release gives free what a claim has; there may be none.
func (p *plan) release(line Line, k *claim, reason string, expired bool) {
	var parts []Part
	if k != nil {
		parts = k.parts
	}
	p.add(Released{line, total(parts), parts, reason, expired, p.at.UTC().Truncate(time.Millisecond), p.shelf.reserve(parts, -1)})
}

// Wake releases the reservations that have expired by At, and goes on with what an earlier
// decision was too long for.
type Wake struct {
	At   time.Time
	Hold time.Duration
}

func (c Wake) decide(s *Stock) ([]Event, error) {
	p := s.plan(c.At.Truncate(time.Millisecond), c.Hold)
	p.woken = p.at.UTC()
	for _, k := range s.expiring.due(nil, p.at, maxEvents) {
		p.release(k.line, k, reasonExpired, true)
	}
	p.serve(nil)
	return p.events, nil
}
