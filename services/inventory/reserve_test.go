package inventory

import (
	"testing"
	"time"

	"github.com/orderlane/orderlane/pkg/es/estest"
	"github.com/orderlane/orderlane/pkg/fault"
)

// fourOfTen is a reservation of four of the ten.
var fourOfTen = Reserved{Line: one, Quantity: 4, Parts: main(4), Expires: expires, After: after("main", 10, 4, 6)}

func TestALineIsReservedOnce(t *testing.T) {
	estest.Of(t, Stocks).Given(ten).When(Reserve{one, 4, false, noon, hold}).Then(fourOfTen)
	estest.Of(t, Stocks).Given(ten, fourOfTen).When(Reserve{one, 4, false, noon, hold}).Then()
	estest.Of(t, Stocks).Given(ten, fourOfTen).When(Reserve{Line{"o-1", 2}, 6, false, noon, hold}).
		Then(Reserved{Line: Line{"o-1", 2}, Quantity: 6, Parts: main(6), Expires: expires, After: after("main", 10, 10, 0)})
}

func TestReservationsExpireAtWholeSeconds(t *testing.T) {
	reserved := fourOfTen
	reserved.Expires = expires.Add(time.Second)
	estest.Of(t, Stocks).Given(ten).When(Reserve{one, 4, false, noon.Add(1), hold}).Then(reserved)
}

func TestALineIsReservedInWholeOrNotAtAll(t *testing.T) {
	estest.Of(t, Stocks).Given(ten, fourOfTen).When(Reserve{two, 7, false, noon, hold}).
		Then(ReservationRefused{two, 7, 6, "out_of_stock"})
	estest.Of(t, Stocks).Given().When(Reserve{two, 1, false, noon, hold}).Then(ReservationRefused{two, 1, 0, "out_of_stock"})
}

func TestAReservationThatMakesNoSenseIsRefused(t *testing.T) {
	for code, c := range map[string]Command{
		"quantity_out_of_range": Reserve{one, 0, true, noon, hold},
		"bad_name":              Reserve{Line{"an order", 1}, 1, true, noon, hold},
		"reason_too_long":       Release{one, string(make([]byte, maxReason+1)), noon, hold},
	} {
		estest.Of(t, Stocks).Given(ten).When(c).Refused(fault.Invalid(code, ""))
	}
	for _, c := range []Command{
		Allocate{Line{"o-1", 0}, 1, noon, hold},
		Release{Line{"", 1}, "", noon, hold},
		TakeBack{Line{"o\n", 1}, "r", "r", "main", 1, noon, hold},
	} {
		estest.Of(t, Stocks).Given(ten).When(c).Refused(fault.Invalid("bad_name", ""))
	}
	estest.Of(t, Stocks).Given(ten).When(Allocate{one, -1, noon, hold}).Refused(fault.Invalid("quantity_out_of_range", ""))
}

func TestOneLocationServesALineIfOneCan(t *testing.T) {
	stock := []Event{
		Received{"main", 10, after("main", 10, 0, 10)},
		Received{"north", 5, after("north", 5, 0, 15)},
		Received{"south", 7, after("south", 7, 0, 22)},
	}
	for quantity, want := range map[int64][]Part{
		4:  {{"north", 4}}, // the least left over
		5:  {{"north", 5}},
		6:  {{"south", 6}},
		8:  {{"main", 8}},
		11: {{"main", 10}, {"south", 1}}, // the fewest locations
		22: {{"main", 10}, {"south", 7}, {"north", 5}},
	} {
		events, err := Reserve{one, quantity, false, noon, hold}.decide(fold(stock...))
		if err != nil || len(events) != 1 {
			t.Fatalf("%d: %v, %v", quantity, events, err)
		}
		got := events[0].(Reserved)
		if len(got.Parts) != len(want) || len(got.Levels) != len(want) {
			t.Fatalf("%d come from %v, want %v", quantity, got.Parts, want)
		}
		for i := range want {
			if got.Parts[i] != want[i] {
				t.Errorf("%d come from %v, want %v", quantity, got.Parts, want)
			}
		}
	}
}

func TestAnAllocatedLineDoesNotExpire(t *testing.T) {
	firm := Allocated{one, 4, main(4), After{Available: 6}}
	estest.Of(t, Stocks).Given(ten, fourOfTen).When(Allocate{one, 4, noon, hold}).Then(firm)
	estest.Of(t, Stocks).Given(ten, fourOfTen, firm).When(Allocate{one, 4, noon, hold}).Then()
	estest.Of(t, Stocks).Given(ten, fourOfTen).Deadline(expires)
	estest.Of(t, Stocks).Given(ten, fourOfTen, firm).Deadline(time.Time{})
}

var expired = Released{
	Line: one, Quantity: 4, Parts: main(4), Reason: "expired", Expired: true, At: expires, After: after("main", 10, 0, 10),
}

func TestAWakeReleasesWhatHasExpired(t *testing.T) {
	later := Reserved{Line: two, Quantity: 1, Parts: main(1), Expires: expires.Add(time.Second), After: after("main", 10, 5, 5)}
	released := expired
	released.After = after("main", 10, 1, 9)
	estest.Of(t, Stocks).Given(ten, fourOfTen, later).Deadline(expires).
		WhenWoken(func(due time.Time) Command { return Wake{due, hold} }).Then(released)
	estest.Of(t, Stocks).Given(ten, fourOfTen, later).When(Wake{expires.Add(-1), hold}).Then()
	estest.Of(t, Stocks).Given(ten, fourOfTen, later, released).Deadline(later.Expires)
}

func TestAnExpiredReservationIsMadeAnewWhenItIsAllocated(t *testing.T) {
	late := expires.Add(time.Minute)
	anew := fourOfTen
	anew.Expires = late.Add(hold)
	firm := Allocated{one, 4, main(4), After{Available: 6}}
	estest.Of(t, Stocks).Given(ten, fourOfTen, expired).When(Allocate{one, 0, late, hold}).Then(anew, firm)
	// One that is forgotten too, if the line's quantity is said.
	estest.Of(t, Stocks).Given(ten).When(Allocate{one, 4, late, hold}).Then(anew, firm)
	estest.Of(t, Stocks).Given(ten).When(Allocate{one, 0, late, hold}).Then(ReservationRefused{one, 0, 10, "unknown"})
}

func TestAnExpiredReservationIsRefusedWhenTheStockIsGone(t *testing.T) {
	gone := Adjusted{"main", -7, "theft", after("main", 3, 0, 3)}
	estest.Of(t, Stocks).Given(ten, fourOfTen, expired, gone).When(Allocate{one, 0, expires, hold}).
		Then(ReservationRefused{one, 4, 3, "expired"})
	estest.Of(t, Stocks).Given(ten, fourOfTen, expired).When(Reserve{one, 4, false, noon, hold}).Then(fourOfTen)
}

func TestAReleaseGivesBackAndRefusesWhatComesLate(t *testing.T) {
	released := Released{Line: one, Quantity: 4, Parts: main(4), Reason: "declined", At: noon, After: after("main", 10, 0, 10)}
	estest.Of(t, Stocks).Given(ten, fourOfTen).When(Release{one, "declined", noon, hold}).Then(released)
	given := estest.Of(t, Stocks).Given(ten, fourOfTen, released)
	given.When(Release{one, "declined", noon, hold}).Then()
	given.When(Reserve{one, 4, true, noon, hold}).Then(ReservationRefused{one, 4, 10, "released"})
	given.When(Allocate{one, 4, noon, hold}).Then(ReservationRefused{one, 4, 10, "released"})
}

func TestAReleaseOfAnUnknownLineRefusesItsReservation(t *testing.T) {
	released := Released{Line: one, Reason: "declined", At: noon, After: After{Available: 10}}
	estest.Of(t, Stocks).Given(ten).When(Release{one, "declined", noon, hold}).Then(released)
	estest.Of(t, Stocks).Given(ten, released).When(Reserve{one, 4, false, noon, hold}).
		Then(ReservationRefused{one, 4, 10, "released"})
	// An expired one is released for good too.
	estest.Of(t, Stocks).Given(ten, fourOfTen, expired).When(Release{one, "declined", noon, hold}).Then(released)
	estest.Of(t, Stocks).Given(ten, fourOfTen, expired, released).When(Allocate{one, 4, noon, hold}).
		Then(ReservationRefused{one, 4, 10, "released"})
}

func TestReleasedLinesAreRememberedForADay(t *testing.T) {
	s := fold(ten, Released{Line: one, Reason: "declined", At: noon, After: After{Available: 10}})
	Released{Line: two, Reason: "declined", At: noon.Add(recall)}.evolve(s)
	if _, known := s.released(one); !known {
		t.Error("it is forgotten within a day")
	}
	Released{Line: three, Reason: "declined", At: noon.Add(recall + time.Second)}.evolve(s)
	if _, known := s.released(one); known {
		t.Error("it is known after a day")
	}
	if _, known := s.released(two); !known {
		t.Error("a later one is forgotten too")
	}
}

func TestNoMoreLinesAreRememberedThanTheBound(t *testing.T) {
	m := newMemory(3)
	for i := range 10 {
		m.put(mark{Line: Line{"o", i}}, past{})
		m.put(mark{Line: Line{"o", i}}, past{})
	}
	if len(m.of) != 3 || len(m.order) != 3 || !m.has(mark{Line: Line{"o", 7}}) || m.has(mark{Line: Line{"o", 6}}) {
		t.Errorf("it remembers %v", m.order)
	}
}

var (
	tight   = Reserved{Line: one, Quantity: 10, Parts: main(10), Expires: expires, After: after("main", 10, 10, 0)}
	waits   = Backordered{two, 5, 0}
	waitsII = Backordered{three, 1, 0}
)

func TestALineThatMayWaitIsReservedWhenEnoughHasComeIn(t *testing.T) {
	estest.Of(t, Stocks).Given(ten, tight).When(Reserve{two, 5, true, noon, hold}).Then(waits)
	given := estest.Of(t, Stocks).Given(ten, tight, waits)
	given.When(Reserve{two, 5, true, noon, hold}).Then()
	given.When(Allocate{two, 5, noon, hold}).Then(waits) // it is told again
	given.When(Receive{"main", 4, noon, hold}).Then(Received{"main", 4, after("main", 14, 10, 4)})
	given.When(Receive{"main", 5, noon, hold}).Then(Received{"main", 5, after("main", 15, 10, 5)},
		Reserved{Line: two, Quantity: 5, Parts: main(5), Expires: expires, After: after("main", 15, 15, 0)})
	given.When(Adjust{"main", 6, "found", noon, hold}).Then(Adjusted{"main", 6, "found", after("main", 16, 10, 6)},
		Reserved{Line: two, Quantity: 5, Parts: main(5), Expires: expires, After: after("main", 16, 15, 1)})
	given.When(TakeBack{three, "r-1", "r-1", "main", 5, noon, hold}).
		Then(Returned{three, "r-1", "r-1", "main", 5, after("main", 15, 10, 5)},
			Reserved{Line: two, Quantity: 5, Parts: main(5), Expires: expires, After: after("main", 15, 15, 0)})
	given.When(Release{one, "declined", noon, hold}).
		Then(Released{Line: one, Quantity: 10, Parts: main(10), Reason: "declined", At: noon, After: after("main", 10, 0, 10)},
			Reserved{Line: two, Quantity: 5, Parts: main(5), Expires: expires, After: after("main", 10, 5, 5)})
	given.When(Wake{expires, hold}).
		Then(Released{Line: one, Quantity: 10, Parts: main(10), Reason: "expired", Expired: true, At: expires, After: after("main", 10, 0, 10)},
			Reserved{Line: two, Quantity: 5, Parts: main(5), Expires: expires.Add(hold), Woken: expires, After: after("main", 10, 5, 5)})
}

func TestNobodyOvertakesALineThatWaits(t *testing.T) {
	given := estest.Of(t, Stocks).Given(ten, tight, waits, waitsII)
	given.When(Receive{"main", 4, noon, hold}).Then(Received{"main", 4, after("main", 14, 10, 4)})
	four := Received{"main", 4, after("main", 14, 10, 4)}
	given = estest.Of(t, Stocks).Given(ten, tight, waits, waitsII, four)
	given.When(Reserve{Line{"o-4", 1}, 1, false, noon, hold}).Then(ReservationRefused{Line{"o-4", 1}, 1, 0, "out_of_stock"})
	given.When(Reserve{Line{"o-4", 1}, 1, true, noon, hold}).Then(Backordered{Line{"o-4", 1}, 1, 0})
	given.When(Allocate{Line{"o-4", 1}, 1, noon, hold}).Then(ReservationRefused{Line{"o-4", 1}, 1, 0, "expired"})
	// The first gives up its place, and the next ones get what is there.
	given.When(Release{two, "cancelled", noon, hold}).
		Then(Released{Line: two, Reason: "cancelled", At: noon, After: After{Available: 4}},
			Reserved{Line: three, Quantity: 1, Parts: main(1), Expires: expires, After: after("main", 14, 11, 3)})
}

func TestALowerSafetyStockServesWhoWaits(t *testing.T) {
	set := SafetyStockSet{8, After{Available: 2}}
	estest.Of(t, Stocks).Given(ten, set, Backordered{two, 5, 2}).When(SetSafetyStock{5, noon, hold}).
		Then(SafetyStockSet{5, After{Available: 5}},
			Reserved{Line: two, Quantity: 5, Parts: main(5), Expires: expires, After: after("main", 10, 5, 0)})
}

// fold folds events in memory.
func fold(events ...Event) *Stock {
	s := NewStock()
	for _, e := range events {
		e.evolve(s)
	}
	return s
}
