package ordering

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/orderlane/orderlane/pkg/es/estest"
	"github.com/orderlane/orderlane/pkg/fault"
)

var (
	ada   = Caller{ID: "c-42", Customer: true}
	staff = Caller{ID: "s-1"}

	// twoLines has two units of line 1 and one of line 2.
	twoLines  = Placed{Customer: "c-42", Lines: []Line{{SKU: "TEA-001", Quantity: 2}, {SKU: "CUP-001", Quantity: 1}}}
	confirmed = Confirmed{Customer: "c-42"}
	all       = []Units{{1, 2}, {2, 1}}
	shipped   = Shipped{Customer: "c-42", Status: StatusShipped, Shipment: "s-1", Units: all}
	delivered = Delivered{Customer: "c-42", Status: StatusDelivered, Shipment: "s-1", Units: all}
	cancelAll = CancelRequested{Customer: "c-42", Lines: []int{1, 2}, All: true}
)

func TestAnOrderIsWhatItWasToldOf(t *testing.T) {
	estest.Of(t, Orders).Given(twoLines).When(Confirm{"1"}).Then(confirmed)
	estest.Of(t, Orders).Given(twoLines, confirmed).When(Confirm{"1"}).Then()
	estest.Of(t, Orders).Given(twoLines).When(Reject{"1", "out_of_stock", "of CUP-001"}).
		Then(Rejected{Customer: "c-42", Reason: "out_of_stock", Detail: "of CUP-001"})
	estest.Of(t, Orders).Given(twoLines, confirmed).When(Reject{"1", "out_of_stock", ""}).Then()
	estest.Of(t, Orders).Given(twoLines, confirmed).When(MarkShipped{"1", "s-1", []Units{{1, 1}}}).
		Then(Shipped{Customer: "c-42", Status: StatusPartiallyShipped, Shipment: "s-1", Units: []Units{{1, 1}}, Partial: true})
	estest.Of(t, Orders).Given(twoLines, confirmed).When(MarkShipped{"1", "s-1", all}).Then(shipped)
	estest.Of(t, Orders).Given(twoLines, confirmed, shipped).When(MarkShipped{"1", "s-1", all}).Then()
	estest.Of(t, Orders).Given(twoLines, confirmed, shipped).When(MarkShipped{"1", "s-2", all}).
		Refused(fault.Conflict("more_than_ordered", ""))
	estest.Of(t, Orders).Given(twoLines, confirmed, shipped).When(MarkDelivered{"1", "s-1", all}).Then(delivered)
	estest.Of(t, Orders).Given(twoLines, confirmed, shipped, delivered).When(MarkDelivered{"1", "s-1", all}).Then()
	estest.Of(t, Orders).Given().When(Confirm{"1"}).Refused(fault.NotFound("order", ""))
}

func TestAnOrderIsCancelledUntilItIsDispatched(t *testing.T) {
	why := CancelRequested{Customer: "c-42", Lines: []int{1, 2}, All: true, Personal: &Personal{CancelReason: "too late"}}
	estest.Of(t, Orders).Given(twoLines).When(RequestCancel{ID: "1", Reason: "too late", By: ada}).Then(why)
	estest.Of(t, Orders).Given(twoLines, confirmed).When(RequestCancel{ID: "1", By: staff}).Then(cancelAll)
	estest.Of(t, Orders).Given(twoLines, cancelAll).When(RequestCancel{ID: "1", By: ada}).Then()
	estest.Of(t, Orders).Given(twoLines, cancelAll).When(Confirm{"1"}).Then()
	estest.Of(t, Orders).Given(twoLines, cancelAll).When(Cancel{ID: "1"}).
		Then(Cancelled{Customer: "c-42", Status: StatusCancelled, Lines: []int{1, 2}})
	estest.Of(t, Orders).Given(twoLines, confirmed, shipped).When(RequestCancel{ID: "1", By: ada}).
		Refused(fault.Conflict("already_dispatched", ""))
	estest.Of(t, Orders).Given(twoLines, Rejected{}).When(RequestCancel{ID: "1", By: ada}).Refused(fault.Conflict("order_rejected", ""))
	estest.Of(t, Orders).Given(twoLines).When(RequestCancel{ID: "1", By: Caller{ID: "c-43", Customer: true}}).
		Refused(fault.NotFound("order", ""))
}

func TestACancellationThatComesTooLateLeavesTheOrderWhatItWas(t *testing.T) {
	estest.Of(t, Orders).Given(twoLines, confirmed, cancelAll).When(MarkShipped{"1", "s-1", all}).
		Then(Shipped{Customer: "c-42", Status: StatusCancelling, Shipment: "s-1", Units: all})
	cancelling := Shipped{Customer: "c-42", Status: StatusCancelling, Shipment: "s-1", Units: all}
	estest.Of(t, Orders).Given(twoLines, confirmed, cancelAll, cancelling).When(RefuseCancel{"1", "already_dispatched"}).
		Then(CancelRefused{Customer: "c-42", Status: StatusShipped, Lines: []int{1, 2}, Reason: "already_dispatched"})
	estest.Of(t, Orders).Given(twoLines, confirmed, cancelAll, cancelling).When(Cancel{ID: "1"}).Then()
	estest.Of(t, Orders).Given(twoLines, confirmed).When(RefuseCancel{"1", "already_dispatched"}).Then()
}

func TestSingleLinesAreCancelled(t *testing.T) {
	one := CancelRequested{Customer: "c-42", Lines: []int{2}}
	estest.Of(t, Orders).Given(twoLines, confirmed).When(RequestCancel{ID: "1", Lines: []int{2, 2}, By: ada}).Then(one)
	estest.Of(t, Orders).Given(twoLines, confirmed, one).When(RequestCancel{ID: "1", Lines: []int{1}, By: ada}).
		Refused(fault.Conflict("cancelling", ""))
	gone := Cancelled{Customer: "c-42", Status: StatusConfirmed, Lines: []int{2}}
	estest.Of(t, Orders).Given(twoLines, confirmed, one).When(Cancel{ID: "1", Lines: []int{2}}).Then(gone)
	estest.Of(t, Orders).Given(twoLines, confirmed, one, gone).When(RequestCancel{ID: "1", Lines: []int{2}, By: ada}).Then()
	estest.Of(t, Orders).Given(twoLines, confirmed, one, gone).When(RequestCancel{ID: "1", By: ada}).
		Then(CancelRequested{Customer: "c-42", Lines: []int{1}, All: true})
	estest.Of(t, Orders).Given(twoLines, confirmed, one, gone).When(MarkShipped{"1", "s-1", []Units{{1, 2}}}).
		Then(Shipped{Customer: "c-42", Status: StatusShipped, Shipment: "s-1", Units: []Units{{1, 2}}})
	for _, line := range []int{0, 3, -1} {
		estest.Of(t, Orders).Given(twoLines).When(RequestCancel{ID: "1", Lines: []int{line}, By: ada}).Refused(fault.Invalid("unknown_line", ""))
	}
}

func TestOnlyWhatIsDeliveredComesBack(t *testing.T) {
	past := []Event{twoLines, confirmed, shipped, delivered}
	wanted := ReturnRequested{Customer: "c-42", Status: StatusDelivered, Return: "r-1", Units: []Units{{1, 1}}}
	because := wanted
	because.Personal = &Personal{ReturnReasons: map[string]string{"1": "chipped"}}
	back := func(units ...Units) RequestReturn {
		return RequestReturn{ID: "1", Return: "r-1", Units: units, By: ada}
	}
	reasoned := back(Units{1, 1})
	reasoned.Reasons = map[string]string{"1": "chipped"}
	estest.Of(t, Orders).Given(past...).When(reasoned).Then(because)
	estest.Of(t, Orders).Given(past...).When(back(Units{1, 3})).Refused(fault.Conflict("more_than_delivered", ""))
	estest.Of(t, Orders).Given(past...).When(back(Units{1, 1}, Units{1, 2})).Refused(fault.Conflict("more_than_delivered", ""))
	estest.Of(t, Orders).Given(past[:3]...).When(back(Units{1, 1})).Refused(fault.Conflict("more_than_delivered", ""))
	estest.Of(t, Orders).Given(past...).When(back()).Refused(fault.Invalid("lines_out_of_range", ""))
	estest.Of(t, Orders).Given(past...).When(back(Units{3, 1})).Refused(fault.Invalid("unknown_line", ""))
	estest.Of(t, Orders).Given(past...).When(back(Units{1, 0})).Refused(fault.Invalid("quantity_out_of_range", ""))
	past = append(past, wanted)
	estest.Of(t, Orders).Given(past...).When(back(Units{1, 1})).Then()
	came := ReturnedUnits{Customer: "c-42", Status: StatusDelivered, Return: "r-1", Part: 2, Units: []Units{{1, 1}}, Partial: true}
	estest.Of(t, Orders).Given(past...).When(MarkReturned{"1", "r-1", 2, []Units{{1, 1}}}).Then(came)
	estest.Of(t, Orders).Given(append(past, came)...).When(MarkReturned{"1", "r-1", 2, []Units{{1, 1}}}).Then()
	estest.Of(t, Orders).Given(past...).When(MarkReturned{"1", "r-1", 2, []Units{{1, 2}}}).Refused(fault.Conflict("more_than_expected", ""))
	estest.Of(t, Orders).Given(past...).When(MarkReturned{"1", "r-9", 2, []Units{{1, 1}}}).Refused(fault.NotFound("return", ""))
}

// TestAnyCommandsKeepTheRules drives an order by whatever commands come, and holds that units
// only go forward and the status is what became of them.
func TestAnyCommandsKeepTheRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := twoLines.evolve(Order{})
		for range rapid.IntRange(0, 30).Draw(t, "commands") {
			before := fmt.Sprintf("%+v", o)
			events, err := anyCommand(t).decide(o)
			if now := fmt.Sprintf("%+v", o); now != before {
				t.Fatalf("deciding changed the order from %s to %s", before, now)
			}
			if err != nil {
				continue
			}
			for _, e := range events {
				o = e.evolve(o)
			}
			for i, l := range o.Lines {
				if l.Shipped > l.Quantity || l.Delivered > l.Shipped || l.WantedBack > l.Delivered || l.Returned > l.WantedBack ||
					l.Cancelled && l.Shipped > 0 {
					t.Fatalf("line %d is %+v", i+1, l)
				}
			}
			if o.Status != StatusCancelling && o.Status != StatusRejected && o.Status != o.progress() {
				t.Fatalf("the order is %s, and its lines are %+v", o.Status, o.Lines)
			}
		}
	})
}

func anyCommand(t *rapid.T) Command {
	units := []Units{{rapid.IntRange(1, 2).Draw(t, "line"), rapid.Int64Range(1, 2).Draw(t, "quantity")}}
	id := fmt.Sprint(rapid.IntRange(1, 4).Draw(t, "id"))
	var lines []int
	if rapid.Bool().Draw(t, "some") {
		lines = []int{units[0].Line}
	}
	return rapid.SampledFrom([]Command{
		ChangeAddress{ID: "1", Address: home, By: ada},
		Confirm{"1"},
		Reject{"1", "out_of_stock", ""},
		RequestCancel{ID: "1", Lines: lines, By: ada},
		Cancel{ID: "1", Lines: lines},
		RefuseCancel{"1", "already_dispatched"},
		MarkShipped{"1", id, units},
		MarkDelivered{"1", id, units},
		RequestReturn{ID: "1", Return: id, Units: slices.Clone(units), By: ada},
		MarkReturned{"1", id, rapid.Int64Range(1, 5).Draw(t, "part"), units},
	}).Draw(t, "command")
}
