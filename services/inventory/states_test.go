package inventory

import (
	"testing"

	"github.com/orderlane/orderlane/pkg/es/estest"
)

func TestTheStatesOfALineInStockAreAsDrawn(t *testing.T) {
	const staff, process = "staff", "fulfilment"
	attempt := func(name, by string, c Command) estest.Attempt[Command] {
		return estest.Attempt[Command]{Name: name, By: by, Command: c}
	}
	estest.Draw(t, Stocks, estest.Machine[*Stock, Event, Command]{
		Title: "A line's claim on stock",
		Intro: "The states of what inventory keeps for one line of an order, of two units here. A line that has expired or was released\nis remembered for a day, and a dispatched one for as long as a repeat of its messages may come.",
		Status: func(s *Stock) string {
			k := s.lines[one]
			before, known := s.released(one)
			switch {
			case k != nil && k.waiting != nil:
				return "waiting"
			case k != nil && k.firm:
				return "allocated"
			case k != nil:
				return "reserved"
			case known && before.expired == 0:
				return "released"
			case s.done.has(mark{Line: one}):
				return "dispatched"
			case known:
				return "expired"
			}
			return ""
		},
		Attempts: []estest.Attempt[Command]{
			// Once, so that there is an end to the states.
			attempt("goods come in", staff, TakeBack{two, "r-1", "r-1", "main", 2, noon, hold}),
			attempt("raise the safety stock", staff, SetSafetyStock{2, noon, hold}),
			attempt("lower the safety stock", staff, SetSafetyStock{0, noon, hold}),
			attempt("reserve", process, Reserve{one, 2, false, noon, hold}),
			attempt("reserve, or wait", process, Reserve{one, 2, true, noon, hold}),
			attempt("allocate", process, Allocate{one, 2, noon, hold}),
			attempt("release", process, Release{one, "cancelled", noon, hold}),
			attempt("dispatch a unit", process, Dispatch{one, "s-1", "main", 1}),
			attempt("dispatch the other unit", process, Dispatch{one, "s-2", "main", 1}),
			attempt("time passes", "clock", Wake{expires, hold}),
		},
	}, "../../docs/states/stock.md")
}
