package inventory

import (
	"container/list"
	"slices"
	"time"
)

// claim is a line's place in the stock: it is reserved, allocated, or waits.
type claim struct {
	line    Line
	parts   []Part    // what is kept for it and where, never changed in place: events hold it too
	expires time.Time // while it is reserved and not allocated
	shipped []string  // shipments that took a part of it

	wants   int64         // what it waits for
	waiting *list.Element // its place in the queue, nil if it does not wait
	firm    bool          // allocated
	at      int           // its index among those that expire or are firm
}

// part is what is kept for the line at a location.
func (c *claim) part(location string) int64 {
	for _, p := range c.parts {
		if p.Location == location {
			return p.Quantity
		}
	}
	return 0
}

// without returns the parts that are left when a shipment has taken some.
func (c *claim) without(location string, quantity int64) []Part {
	var left []Part
	for _, p := range c.parts {
		if p.Location == location {
			p.Quantity -= quantity
		}
		if p.Quantity > 0 {
			left = append(left, p)
		}
	}
	return left
}

// claims are claims in no order, each of which knows its index.
type claims []*claim

func (s *claims) add(c *claim) {
	c.at = len(*s)
	*s = append(*s, c)
}

func (s *claims) remove(c *claim) {
	last := len(*s) - 1
	moved := (*s)[last]
	(*s)[c.at], moved.at = moved, c.at
	(*s)[last] = nil
	*s = (*s)[:last]
}

// expiring are reservations as a heap by their expiry, each of which knows its index: what
// is due is found, and any of them taken out, without looking at the others.
type expiring struct{ claims }

func (h *expiring) first() *claim {
	if len(h.claims) == 0 {
		return nil
	}
	return h.claims[0]
}

func (h *expiring) add(c *claim) {
	h.claims.add(c)
	h.up(c.at)
}

func (h *expiring) remove(c *claim) {
	i := c.at
	h.claims.remove(c)
	if i < len(h.claims) {
		h.down(i)
		h.up(i)
	}
}

// due appends up to limit of those that have expired at a time, without taking them out.
func (h *expiring) due(found []*claim, at time.Time, limit int) []*claim {
	for todo := []int{0}; len(todo) > 0 && len(found) < limit; {
		i := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if i >= len(h.claims) || h.claims[i].expires.After(at) {
			continue // nor has anything below it expired
		}
		found = append(found, h.claims[i])
		todo = append(todo, 2*i+2, 2*i+1)
	}
	return found
}

func (h *expiring) before(i, j int) bool { return h.claims[i].expires.Before(h.claims[j].expires) }

func (h *expiring) swap(i, j int) {
	h.claims[i], h.claims[j] = h.claims[j], h.claims[i]
	h.claims[i].at, h.claims[j].at = i, j
}

func (h *expiring) up(i int) {
	for parent := (i - 1) / 2; i > 0 && h.before(i, parent); parent = (i - 1) / 2 {
		h.swap(i, parent)
		i = parent
	}
}

func (h *expiring) down(i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(h.claims); child++ {
			if h.before(child, least) {
				least = child
			}
		}
		if least == i {
			return
		}
		h.swap(i, least)
		i = least
	}
}

// queue are the lines that wait, in order of their arrival.
type queue struct {
	waiting list.List
	wanted  int64 // by all of them
}

func (q *queue) first() *claim { return claimOf(q.waiting.Front()) }

func claimOf(e *list.Element) *claim {
	if e == nil {
		return nil
	}
	return e.Value.(*claim)
}

func (q *queue) add(c *claim) {
	c.waiting = q.waiting.PushBack(c)
	q.wanted += c.wants
}

func (q *queue) remove(c *claim) {
	q.waiting.Remove(c.waiting)
	q.wanted -= c.wants
	c.waiting, c.wants = nil, 0
}

// leave takes a claim out of wherever it is; it stays known.
func (s *Stock) leave(c *claim) {
	switch {
	case c.waiting != nil:
		s.queue.remove(c)
	case c.firm:
		s.firm.remove(c)
	default:
		s.expiring.remove(c)
	}
}

// drop forgets a line's claim, if it has one.
func (s *Stock) drop(line Line) {
	if c := s.lines[line]; c != nil {
		s.leave(c)
		delete(s.lines, line)
	}
}

// Bounds of what a stock remembers of lines that have no claim any more. Messages are repeated
// within minutes as a rule, and parked commands are retried within hours: later ones do no
// lasting harm, since a reservation that nobody wants expires.
const (
	maxGone = 4096 // released and expired lines
	maxDone = 100  // dispatched lines: what repeats do there is refused anyhow
	maxBack = 1000 // references of what was taken back
	recall  = 24 * time.Hour
)

// mark names something that has happened to a line.
type mark struct {
	Line
	ref string
}

// past is what is remembered of it.
type past struct {
	expired  int64 // the quantity that was reserved; 0: the line was released
	released time.Time
}

// memory remembers the last marks, up to a bound.
type memory struct {
	limit int
	of    map[mark]past
	order []mark // the oldest first
}

func newMemory(limit int) memory { return memory{limit: limit, of: make(map[mark]past)} }

func (m *memory) has(k mark) bool { _, ok := m.of[k]; return ok }

func (m *memory) put(k mark, p past) {
	if !m.has(k) {
		m.order = append(m.order, k)
	}
	m.of[k] = p
	if len(m.order) > m.limit {
		m.forget(1)
	}
}

// prune forgets what happened before a time. What it looks at it forgets, but for one mark.
func (m *memory) prune(before time.Time) {
	n := 0
	for n < len(m.order) && m.of[m.order[n]].released.Before(before) {
		n++
	}
	m.forget(n)
}

// forget drops the oldest marks. The array behind them is left when append grows it.
func (m *memory) forget(n int) {
	for _, k := range m.order[:n] {
		delete(m.of, k)
	}
	clear(m.order[:n])
	m.order = m.order[n:]
}

// released is what is remembered of a line that has no claim any more.
func (s *Stock) released(line Line) (p past, known bool) {
	p, known = s.gone.of[mark{Line: line}]
	return p, known
}

// ended notes that a line was released, or has expired with a quantity.
func (s *Stock) ended(line Line, expired int64, at time.Time) {
	s.gone.prune(at.Add(-recall))
	s.gone.put(mark{Line: line}, past{expired: expired, released: at})
}

func (c *claim) tookPart(shipment string) bool { return slices.Contains(c.shipped, shipment) }
