package inventory

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"pgregory.net/rapid"

	"github.com/orderlane/orderlane/pkg/fault"
)

// ledger is the stock as a slow bookkeeper knows it: from the events alone, and by adding up.
type ledger struct {
	onHand   map[string]int64 // received + returned - dispatched +- adjusted
	kept     map[Line][]Part
	firm     map[Line]bool
	expires  map[Line]time.Time
	ended    map[Line]string // released or dispatched: never to be reserved again
	waiting  []Line
	wants    map[Line]int64
	returned map[string]bool
	safety   int64
}

func newLedger() *ledger {
	return &ledger{
		onHand: map[string]int64{}, kept: map[Line][]Part{}, firm: map[Line]bool{}, expires: map[Line]time.Time{},
		ended: map[Line]string{}, wants: map[Line]int64{}, returned: map[string]bool{},
	}
}

// book books an event, and returns which rule it breaks.
func (l *ledger) book(event Event) error {
	switch e := event.(type) {
	case Received:
		l.onHand[e.Location] += e.Quantity
	case Adjusted:
		l.onHand[e.Location] += e.Quantity
	case SafetyStockSet:
		l.safety = e.Quantity
	case Reserved:
		return l.bookReserved(e)
	case Backordered:
		if l.wants[e.Line] == 0 {
			l.waiting = append(l.waiting, e.Line)
			l.wants[e.Line] = e.Quantity
		}
	case Allocated:
		if l.kept[e.Line] == nil || l.firm[e.Line] || !slices.Equal(e.Parts, l.kept[e.Line]) || total(e.Parts) != e.Quantity {
			return fmt.Errorf("%+v allocates what is not reserved so: %v", e, l.kept[e.Line])
		}
		l.firm[e.Line] = true
	case Released:
		if !slices.Equal(e.Parts, l.kept[e.Line]) || total(e.Parts) != e.Quantity {
			return fmt.Errorf("%+v releases what is not reserved so: %v", e, l.kept[e.Line])
		}
		if e.Expired && (l.firm[e.Line] || l.kept[e.Line] == nil || l.expires[e.Line].After(e.At)) {
			return fmt.Errorf("%+v has not expired", e)
		}
		l.drop(e.Line)
		if !e.Expired {
			l.ended[e.Line] = "released"
		}
	case Dispatched:
		return l.bookDispatched(e)
	case Returned:
		k := fmt.Sprint(e.Line, e.Reference)
		if l.returned[k] {
			return fmt.Errorf("%s was taken back twice", k)
		}
		l.returned[k] = true
		l.onHand[e.Location] += e.Quantity
	}
	return nil
}

func (l *ledger) bookReserved(e Reserved) error {
	switch {
	case l.kept[e.Line] != nil:
		return fmt.Errorf("%+v is reserved twice", e.Line)
	case l.ended[e.Line] != "":
		return fmt.Errorf("%+v is reserved, and was %s", e.Line, l.ended[e.Line])
	case len(l.waiting) > 0 && l.waiting[0] != e.Line:
		return fmt.Errorf("%+v overtakes %+v", e.Line, l.waiting[0])
	case total(e.Parts) != e.Quantity:
		return fmt.Errorf("%+v is not whole", e)
	case e.Quantity > l.available():
		return fmt.Errorf("%+v is oversold: %d are available", e, l.available())
	}
	l.drop(e.Line)
	l.kept[e.Line], l.expires[e.Line] = e.Parts, e.Expires
	return nil
}

func (l *ledger) bookDispatched(e Dispatched) error {
	if !l.firm[e.Line] {
		return fmt.Errorf("%+v was not allocated", e)
	}
	l.onHand[e.Location] -= e.Quantity
	var left []Part
	for _, p := range l.kept[e.Line] {
		if p.Location == e.Location {
			p.Quantity -= e.Quantity
		}
		if p.Quantity != 0 {
			left = append(left, p)
		}
	}
	if l.kept[e.Line] = left; left == nil {
		l.drop(e.Line)
		l.ended[e.Line] = "dispatched"
	}
	return nil
}

func (l *ledger) drop(line Line) {
	delete(l.kept, line)
	delete(l.firm, line)
	delete(l.expires, line)
	delete(l.wants, line)
	l.waiting = slices.DeleteFunc(l.waiting, func(w Line) bool { return w == line })
}

func (l *ledger) available() int64 {
	free := -l.safety
	for _, n := range l.onHand {
		free += n
	}
	for _, parts := range l.kept {
		free -= total(parts)
	}
	return max(0, free)
}

// agree compares the ledger with the stock, and both with the rules.
func (l *ledger) agree(s *Stock) error {
	reserved := map[string]int64{}
	for _, parts := range l.kept {
		for _, p := range parts {
			reserved[p.Location] += p.Quantity
		}
	}
	if len(s.shelf.levels) != len(l.onHand) {
		return fmt.Errorf("%d locations, want %d", len(s.shelf.levels), len(l.onHand))
	}
	for _, level := range s.shelf.levels {
		if want := (Level{level.Location, l.onHand[level.Location], reserved[level.Location]}); level != want {
			return fmt.Errorf("%+v, want %+v", level, want)
		}
		if level.OnHand < 0 || level.Reserved < 0 || level.Reserved > level.OnHand {
			return fmt.Errorf("%+v can't be", level)
		}
	}
	if s.shelf.available() != l.available() {
		return fmt.Errorf("%d are available, want %d", s.shelf.available(), l.available())
	}
	if len(s.lines) != len(l.kept)+len(l.waiting) || len(s.firm) != len(l.firm) || s.queue.waiting.Len() != len(l.waiting) {
		return fmt.Errorf("%d lines, %d firm, %d waiting; want %d, %d, %d", len(s.lines), len(s.firm), s.queue.waiting.Len(),
			len(l.kept)+len(l.waiting), len(l.firm), len(l.waiting))
	}
	if len(l.waiting) > 0 && l.wants[l.waiting[0]] <= l.available() {
		return fmt.Errorf("%+v waits for %d, and %d are available", l.waiting[0], l.wants[l.waiting[0]], l.available())
	}
	return nil
}

// anyCommand draws a command over few lines and locations, so that they meet.
func anyCommand(t *rapid.T, at time.Time) Command {
	line := Line{rapid.SampledFrom([]string{"o-1", "o-2", "o-3", "o-4"}).Draw(t, "order"), rapid.IntRange(1, 2).Draw(t, "line")}
	location := rapid.SampledFrom([]string{"main", "north", "south"}).Draw(t, "location")
	quantity := rapid.Int64Range(1, 9).Draw(t, "quantity")
	reference := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "reference")
	switch rapid.IntRange(0, 9).Draw(t, "command") {
	case 0:
		return Receive{location, quantity, at, hold}
	case 1:
		return Adjust{location, rapid.Int64Range(-9, 9).Draw(t, "difference"), "count", at, hold}
	case 2:
		return SetSafetyStock{quantity / 3, at, hold}
	case 3, 4:
		return Reserve{line, quantity, rapid.Bool().Draw(t, "backorder"), at, hold}
	case 5, 6:
		return Allocate{line, rapid.Int64Range(0, 3).Draw(t, "again"), at, hold}
	case 7:
		return Release{line, "cancelled", at, hold}
	case 8:
		return Dispatch{line, reference, location, quantity/3 + 1}
	}
	return TakeBack{line, "r-1", reference, location, quantity, at, hold}
}

func encoded(t *rapid.T, s *Stock) string {
	data, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestStockKeepsItsRulesWhateverHappens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, l, now := NewStock(), newLedger(), noon
		step := func(c Command) (decided int) {
			before := encoded(t, s)
			events, err := c.decide(s)
			if again := encoded(t, s); again != before {
				t.Fatalf("deciding %+v changed\n%s to\n%s", c, before, again)
			}
			if err != nil && (len(events) > 0 || fault.TreatmentOf(err) != fault.Refuse) {
				t.Fatalf("%+v: %d events and %v", c, len(events), err)
			}
			for _, e := range events {
				e.evolve(s)
				if err := l.book(e); err != nil {
					t.Fatalf("%+v: %v", c, err)
				}
			}
			if err := l.agree(s); err != nil {
				t.Fatalf("after %+v: %v", c, err)
			}
			return len(events)
		}
		for range rapid.IntRange(1, 60).Draw(t, "commands") {
			step(anyCommand(t, now))
			if rapid.IntRange(0, 4).Draw(t, "stored") == 0 {
				back := NewStock()
				if err := json.Unmarshal([]byte(encoded(t, s)), &back); err != nil {
					t.Fatal(err)
				}
				if got := encoded(t, back); got != encoded(t, s) {
					t.Fatalf("stored as %s, read as %s", encoded(t, s), got)
				}
				s = back
			}
			if rapid.IntRange(0, 3).Draw(t, "time passes") > 0 {
				continue
			}
			now = now.Add(time.Duration(rapid.IntRange(1, 3000).Draw(t, "seconds")) * time.Second)
			for due := s.deadline(); !due.IsZero() && !due.After(now); due = s.deadline() {
				if step(Wake{now, hold}) == 0 {
					t.Fatalf("the deadline %s is due, and nothing is to be done", due)
				}
				if next := s.deadline(); next.Equal(due) {
					t.Fatalf("the deadline stays %s", due)
				}
			}
			for line, at := range l.expires {
				if !l.firm[line] && !at.After(now) {
					t.Fatalf("%+v outlives its expiry at %s", line, at)
				}
			}
		}
	})
}
