package shipping

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/orderlane/orderlane/pkg/es/estest"
	"github.com/orderlane/orderlane/pkg/fault"
)

var (
	opened  = ReturnOpened{ada, "main", []Item{tea, cup}}
	oneBack = ReturnReceived{ada, "main", []Received{{Item{1, "TEA-001", 1}, true}}, []Item{{1, "TEA-001", 1}, cup}}
)

func returning(t *testing.T, given ...ReturnEvent) estest.History[Return, ReturnEvent, ReturnCommand] {
	return estest.Of(t, Returns).Given(given...)
}

func TestAReturnIsOpenedOnce(t *testing.T) {
	returning(t).When(Open(opened)).Then(opened)
	returning(t, opened).When(Open(opened)).Then()
	returning(t).When(Open{ada, "main", nil}).Refused(fault.Invalid("items_out_of_range", ""))
}

func TestAReturnComesBackInParts(t *testing.T) {
	returning(t, opened).When(Receive{"r-1", []Arrival{{1, 1, true}}}).Then(oneBack)
	returning(t, opened, oneBack).When(Receive{"r-1", []Arrival{{2, 1, false}, {1, 1, false}}}).
		Then(ReturnReceived{ada, "main", []Received{{cup, false}, {Item{1, "TEA-001", 1}, false}}, nil})
}

func TestOfOneLineAPartGoesBackIntoStock(t *testing.T) {
	returning(t, opened).When(Receive{"r-1", []Arrival{{1, 1, true}, {1, 1, false}}}).
		Then(ReturnReceived{ada, "main", []Received{{Item{1, "TEA-001", 1}, true}, {Item{1, "TEA-001", 1}, false}}, []Item{cup}})
}

func TestALineThatIsNamedTwiceIsOneItem(t *testing.T) {
	returning(t, opened).When(Receive{"r-1", []Arrival{{1, 1, true}, {2, 1, true}, {1, 1, true}}}).
		Then(ReturnReceived{ada, "main", []Received{{tea, true}, {cup, true}}, nil})
}

func TestNoMoreComesBackThanIsExpected(t *testing.T) {
	for name, lines := range map[string][]Arrival{
		"too much of a line": {{1, 3, true}},
		"in two parts":       {{1, 1, true}, {1, 2, false}},
		"another line":       {{3, 1, true}},
	} {
		t.Run(name, func(t *testing.T) {
			returning(t, opened).When(Receive{"r-1", lines}).Refused(fault.Conflict("more_than_expected", ""))
		})
	}
	returning(t, opened, oneBack).When(Receive{"r-1", []Arrival{{1, 2, true}}}).Refused(fault.Conflict("more_than_expected", ""))
	_, err := Receive{"r-1", []Arrival{{2, 1, true}, {1, 3, true}, {4, 1, true}}}.decide(opened.evolve(Return{}))
	f, _ := fault.Of(err)
	if f == nil || len(f.Fields) != 2 || f.Fields[0].Location != "body.lines[1]" || f.Fields[1].Message != "0 of line 4 are expected, not 1" {
		t.Errorf("got %+v", f)
	}
}

func TestAnArrivalThatMakesNoSenseIsRefused(t *testing.T) {
	returning(t).When(Receive{"r-1", []Arrival{{1, 1, true}}}).Refused(fault.NotFound("return", "r-1"))
	returning(t, opened).When(Receive{"r-1", nil}).Refused(fault.Invalid("lines_out_of_range", ""))
	returning(t, opened).When(Receive{"r-1", []Arrival{{1, 0, true}}}).Refused(fault.Invalid("quantity_out_of_range", ""))
}

func TestWhatCameBackAndWhatIsExpectedAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := opened.evolve(Return{})
		back := map[int]int64{}
		for range rapid.IntRange(1, 8).Draw(t, "arrivals") {
			lines := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Arrival {
				return Arrival{rapid.IntRange(1, 3).Draw(t, "line"), rapid.Int64Range(0, 2).Draw(t, "quantity"), rapid.Bool().Draw(t, "restock")}
			}), 0, 3).Draw(t, "lines")
			events, err := Receive{"r-1", lines}.decide(r)
			if (err == nil) != (len(events) == 1) || err != nil && fault.TreatmentOf(err) != fault.Refuse {
				t.Fatalf("%+v: %d events and %v", lines, len(events), err)
			}
			for _, e := range events {
				for _, item := range e.(ReturnReceived).Items {
					back[item.Line] += item.Quantity
				}
				r = e.evolve(r)
			}
			expected := map[int]int64{}
			for _, item := range r.Expected {
				expected[item.Line] = item.Quantity
			}
			for _, item := range []Item{tea, cup, {3, "", 0}} {
				if expected[item.Line] < 0 || back[item.Line]+expected[item.Line] != item.Quantity {
					t.Fatalf("%d of line %d came back, and %d are expected", back[item.Line], item.Line, expected[item.Line])
				}
			}
		}
	})
}
