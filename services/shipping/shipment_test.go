package shipping

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/orderlane/orderlane/pkg/es/estest"
	"github.com/orderlane/orderlane/pkg/fault"
)

var (
	ada   = For{"o-1", "c-42"}
	tea   = Item{1, "TEA-001", 2}
	cup   = Item{2, "CUP-7", 1}
	both  = Created{ada, "main", []Item{tea, cup}}
	sent  = Dispatched{ada, "main", []Item{tea, cup}, "DHL", "00340434"}
	there = Delivered{ada, []Item{tea, cup}}
	gone  = Cancelled{For: ada, Reference: "x-1", Cancelled: []Item{tea, cup}}
	noTea = Cancelled{For: ada, Reference: "x-1", Cancelled: []Item{tea}, Left: []Item{cup}}
	never = Cancelled{For: For{Order: "o-1"}, Reference: "x-1"}
)

func shipment(t *testing.T, given ...ShipmentEvent) estest.History[Shipment, ShipmentEvent, ShipmentCommand] {
	return estest.Of(t, Shipments).Given(given...)
}

func TestAShipmentIsCreatedOnce(t *testing.T) {
	shipment(t).When(Create(both)).Then(both)
	shipment(t, both).When(Create(both)).Then()
	shipment(t, both, sent).When(Create(both)).Then()
}

func TestAShipmentHasItemsFromOneLocation(t *testing.T) {
	for name, c := range map[string]Create{
		"no items":             {ada, "main", nil},
		"no location":          {ada, "", []Item{tea}},
		"no order":             {For{}, "main", []Item{tea}},
		"too many items":       {ada, "main", make([]Item, maxItems+1)},
		"the same line twice":  {ada, "main", []Item{tea, tea}},
		"nothing of a line":    {ada, "main", []Item{{1, "TEA-001", 0}}},
		"too much of a line":   {ada, "main", []Item{{1, "TEA-001", maxQuantity + 1}}},
		"a line without a SKU": {ada, "main", []Item{{1, "", 1}}},
	} {
		t.Run(name, func(t *testing.T) { shipment(t).When(c).Refused(fault.Invalid("items_out_of_range", "")) })
	}
}

func TestAShipmentIsDispatchedOnce(t *testing.T) {
	dispatch := Dispatch{"s-1", "DHL", "00340434"}
	shipment(t, both).When(dispatch).Then(sent)
	shipment(t, both, noTea).When(dispatch).Then(Dispatched{ada, "main", []Item{cup}, "DHL", "00340434"})
	shipment(t, both, sent).When(dispatch).Refused(fault.Conflict("already_dispatched", ""))
	shipment(t, both, sent, there).When(dispatch).Refused(fault.Conflict("already_dispatched", ""))
	shipment(t, both, gone).When(dispatch).Refused(fault.Conflict("shipment_cancelled", ""))
	shipment(t).When(dispatch).Refused(fault.NotFound("shipment", "s-1"))
	shipment(t, both).When(Dispatch{"s-1", "", "1"}).Refused(fault.Invalid("carrier_missing", ""))
}

func TestAShipmentIsDeliveredAfterItWasDispatched(t *testing.T) {
	deliver := Deliver{"s-1"}
	shipment(t, both, sent).When(deliver).Then(there)
	shipment(t, both, sent, there).When(deliver).Then()
	shipment(t, both).When(deliver).Refused(fault.Conflict("not_dispatched", ""))
	shipment(t, both, gone).When(deliver).Refused(fault.Conflict("shipment_cancelled", ""))
	shipment(t).When(deliver).Refused(fault.NotFound("shipment", "s-1"))
}

func TestACancellationIsAnsweredOnceAReference(t *testing.T) {
	cancel := Cancel{"o-1", "x-1", nil}
	shipment(t, both).When(cancel).Then(gone)
	shipment(t, both, gone).When(cancel).Then()
	shipment(t, both, gone).When(Cancel{"o-1", "x-2", nil}).Then(Cancelled{For: ada, Reference: "x-2"})
	shipment(t, both).When(Cancel{"o-1", "", nil}).Refused(fault.Invalid("bad_reference", ""))
}

func TestLinesAreTakenOutOfAShipment(t *testing.T) {
	shipment(t, both).When(Cancel{"o-1", "x-1", []int{1}}).Then(noTea)
	shipment(t, both, noTea).When(Cancel{"o-1", "x-2", []int{1}}).Then(Cancelled{For: ada, Reference: "x-2", Left: []Item{cup}})
	shipment(t, both, noTea).When(Cancel{"o-1", "x-2", []int{2}}).Then(Cancelled{For: ada, Reference: "x-2", Cancelled: []Item{cup}})
}

func TestWhatIsDispatchedIsNotCancelled(t *testing.T) {
	refused := CancelRefused{ada, "x-1", dispatched, "already_dispatched"}
	shipment(t, both, sent).When(Cancel{"o-1", "x-1", []int{1}}).Then(refused)
	shipment(t, both, sent, refused).When(Cancel{"o-1", "x-1", []int{1}}).Then()
	shipment(t, both, sent, there).When(Cancel{"o-1", "x-2", nil}).Then(CancelRefused{ada, "x-2", delivered, "already_dispatched"})
}

func TestAShipmentThatIsCancelledBeforeItIsKnownIsNeverCreated(t *testing.T) {
	shipment(t).When(Cancel{"o-1", "x-1", []int{1}}).Then(never)
	shipment(t, never).When(Create(both)).Then()
	shipment(t, never).When(Cancel{"o-1", "x-2", nil}).Then(Cancelled{For: For{Order: "o-1"}, Reference: "x-2"})
	shipment(t, never).When(Dispatch{"s-1", "DHL", ""}).Refused(fault.Conflict("shipment_cancelled", ""))
}

func TestTheLastReferencesOfCancellationsAreRemembered(t *testing.T) {
	s := both.evolve(Shipment{})
	for i := range maxAnswered + 5 {
		s = CancelRefused{Reference: fmt.Sprint("x-", i)}.evolve(s)
	}
	if len(s.Answered) != maxAnswered || s.Answered[0] != "x-5" || s.Answered[maxAnswered-1] != fmt.Sprint("x-", maxAnswered+4) {
		t.Errorf("%d remembered: %v", len(s.Answered), s.Answered)
	}
}

// TestAShipmentGoesOutWithWhatWasNotCancelled holds the arbitration, whatever comes in which order.
func TestAShipmentGoesOutWithWhatWasNotCancelled(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s Shipment
		var left []Item // what is to go out, by the events
		out, answered := 0, map[string]bool{}
		for range rapid.IntRange(1, 20).Draw(t, "commands") {
			reference := rapid.SampledFrom([]string{"x-1", "x-2", "x-3", "x-4"}).Draw(t, "reference")
			var c ShipmentCommand
			switch rapid.IntRange(0, 4).Draw(t, "command") {
			case 0, 1:
				c = Create(both)
			case 2:
				c = Dispatch{"s-1", "DHL", ""}
			case 3:
				c = Deliver{"s-1"}
			default:
				c = Cancel{"o-1", reference, rapid.SampledFrom([][]int{nil, {1}, {2}, {1, 2}, {3}}).Draw(t, "lines")}
			}
			events, err := c.decide(s)
			if err != nil && (len(events) > 0 || fault.TreatmentOf(err) != fault.Refuse) {
				t.Fatalf("%+v: %d events and %v", c, len(events), err)
			}
			if _, cancels := c.(Cancel); cancels && len(events) == 0 && !answered[reference] {
				t.Fatalf("%+v is not answered", c)
			}
			for _, e := range events {
				switch e := e.(type) {
				case Created:
					if len(answered) > 0 {
						t.Fatal("created after it was cancelled")
					}
					left = slices.Clone(e.Items)
				case Dispatched:
					if out++; out > 1 || len(e.Items) == 0 || !reflect.DeepEqual(e.Items, left) {
						t.Fatalf("%+v goes out, %d times, and %+v is left", e.Items, out, left)
					}
				case Delivered:
					if out != 1 || !reflect.DeepEqual(e.Items, left) {
						t.Fatalf("%+v arrives, and %+v is left", e.Items, left)
					}
				case Cancelled:
					left = slices.DeleteFunc(left, func(i Item) bool { return slices.Contains(e.Cancelled, i) })
					if out > 0 || answered[e.Reference] || len(left) != len(e.Left) {
						t.Fatalf("%+v, dispatched %d times, with %+v left", e, out, left)
					}
					answered[e.Reference] = true
				case CancelRefused:
					if out == 0 || answered[e.Reference] {
						t.Fatalf("%+v, dispatched %d times", e, out)
					}
					answered[e.Reference] = true
				}
				s = e.evolve(s)
			}
		}
	})
}
