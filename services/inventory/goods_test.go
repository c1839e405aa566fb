package inventory

import (
	"strings"
	"testing"
	"time"

	"github.com/orderlane/orderlane/pkg/es/estest"
	"github.com/orderlane/orderlane/pkg/fault"
)

const hold = 30 * time.Minute

var (
	noon    = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	expires = noon.Add(hold)
	one     = Line{"o-1", 1}
	two     = Line{"o-2", 1}
	three   = Line{"o-3", 1}
)

// after is what an event leaves at one location.
func after(location string, onHand, reserved, available int64) After {
	return After{Levels: []Level{{location, onHand, reserved}}, Available: available}
}

func main(quantity int64) []Part { return []Part{{"main", quantity}} }

// ten is a stock of ten at main.
var ten = Received{"main", 10, after("main", 10, 0, 10)}

func TestGoodsComeIn(t *testing.T) {
	estest.Of(t, Stocks).Given().When(Receive{"main", 10, noon, hold}).Then(ten)
	estest.Of(t, Stocks).Given(ten).When(Receive{"main", 5, noon, hold}).Then(Received{"main", 5, after("main", 15, 0, 15)})
	estest.Of(t, Stocks).Given(ten).When(Receive{"north", 5, noon, hold}).Then(Received{"north", 5, after("north", 5, 0, 15)})
}

func TestWhatCannotComeInIsRefused(t *testing.T) {
	for code, c := range map[string]Receive{
		"quantity_out_of_range": {Location: "main"},
		"bad_location":          {Location: "aisle 3", Quantity: 1},
	} {
		estest.Of(t, Stocks).Given(ten).When(c).Refused(fault.Invalid(code, ""))
	}
	full := Received{"main", maxOnHand, after("main", maxOnHand, 0, maxOnHand)}
	estest.Of(t, Stocks).Given(full).When(Receive{"main", 1, noon, hold}).Refused(fault.Conflict("stock_out_of_range", ""))
}

func TestASkuIsKeptAtABoundedNumberOfLocations(t *testing.T) {
	var given []Event
	for i := range maxLocations {
		location := strings.Repeat("x", i+1)
		given = append(given, Received{location, 1, after(location, 1, 0, int64(i+1))})
	}
	estest.Of(t, Stocks).Given(given...).When(Receive{"main", 1, noon, hold}).Refused(fault.Conflict("too_many_locations", ""))
	estest.Of(t, Stocks).Given(given...).When(Receive{"x", 1, noon, hold}).Then(Received{"x", 1, after("x", 2, 0, maxLocations+1)})
}

func TestACountIsCorrectedWithAReason(t *testing.T) {
	estest.Of(t, Stocks).Given(ten).When(Adjust{"main", -3, "breakage", noon, hold}).
		Then(Adjusted{"main", -3, "breakage", after("main", 7, 0, 7)})
	estest.Of(t, Stocks).Given(ten).When(Adjust{"main", 2, "found", noon, hold}).
		Then(Adjusted{"main", 2, "found", after("main", 12, 0, 12)})
	estest.Of(t, Stocks).Given(ten).When(Adjust{"main", -3, "", noon, hold}).Refused(fault.Invalid("reason_missing", ""))
	estest.Of(t, Stocks).Given(ten).When(Adjust{"main", 0, "breakage", noon, hold}).Refused(fault.Invalid("quantity_out_of_range", ""))
}

func TestACountIsNeverBelowZeroNorBelowWhatIsReserved(t *testing.T) {
	reserved := Reserved{Line: one, Quantity: 4, Parts: main(4), Expires: expires, After: after("main", 10, 4, 6)}
	given := estest.Of(t, Stocks).Given(ten, reserved)
	given.When(Adjust{"main", -11, "theft", noon, hold}).Refused(fault.Conflict("stock_would_be_negative", ""))
	given.When(Adjust{"north", -1, "theft", noon, hold}).Refused(fault.Conflict("stock_would_be_negative", ""))
	given.When(Adjust{"main", -7, "theft", noon, hold}).Refused(fault.Conflict("stock_is_reserved", ""))
	given.When(Adjust{"main", -6, "theft", noon, hold}).Then(Adjusted{"main", -6, "theft", after("main", 4, 4, 0)})
}

func TestSafetyStockIsNotAvailable(t *testing.T) {
	set := SafetyStockSet{8, After{Available: 2}}
	estest.Of(t, Stocks).Given(ten).When(SetSafetyStock{8, noon, hold}).Then(set)
	estest.Of(t, Stocks).Given(ten, set).When(SetSafetyStock{8, noon, hold}).Then()
	estest.Of(t, Stocks).Given(ten, set).When(Reserve{one, 3, false, noon, hold}).
		Then(ReservationRefused{one, 3, 2, "out_of_stock"})
	estest.Of(t, Stocks).Given(ten).When(SetSafetyStock{11, noon, hold}).Then(SafetyStockSet{11, After{}})
	estest.Of(t, Stocks).Given(ten).When(SetSafetyStock{-1, noon, hold}).Refused(fault.Invalid("quantity_out_of_range", ""))
}

// allocated is a stock of ten at main and five at north, of which a line has twelve.
func allocated() []Event {
	parts := []Part{{"main", 10}, {"north", 2}}
	levels := After{[]Level{{"main", 10, 10}, {"north", 5, 2}}, 3}
	return []Event{
		ten,
		Received{"north", 5, after("north", 5, 0, 15)},
		Reserved{Line: one, Quantity: 12, Parts: parts, Expires: expires, After: levels},
		Allocated{one, 12, parts, After{Available: 3}},
	}
}

func TestAllocatedGoodsAreDispatchedInParts(t *testing.T) {
	given := estest.Of(t, Stocks).Given(allocated()...)
	first := Dispatched{one, "s-1", "main", 4, after("main", 6, 6, 3)}
	given.When(Dispatch{one, "s-1", "main", 4}).Then(first)
	given = estest.Of(t, Stocks).Given(append(allocated(), first)...)
	given.When(Dispatch{one, "s-1", "main", 4}).Then() // once a shipment
	given.When(Dispatch{one, "s-2", "main", 7}).Refused(fault.Conflict("more_than_allocated", ""))
	given.When(Dispatch{one, "s-2", "main", 6}).Then(Dispatched{one, "s-2", "main", 6, after("main", 0, 0, 3)})
	given.When(Dispatch{one, "s-2", "south", 1}).Refused(fault.Conflict("more_than_allocated", ""))
	given.When(Dispatch{one, "s-2", "main", 0}).Refused(fault.Invalid("quantity_out_of_range", ""))
	given.When(Dispatch{one, "s 2", "main", 1}).Refused(fault.Invalid("bad_name", ""))
}

func TestADispatchedLineStaysDispatched(t *testing.T) {
	all := append(allocated(),
		Dispatched{one, "s-1", "main", 10, after("main", 0, 0, 3)},
		Dispatched{one, "s-2", "north", 2, after("north", 3, 0, 3)})
	given := estest.Of(t, Stocks).Given(all...)
	given.When(Dispatch{one, "s-2", "north", 2}).Then()
	given.When(Reserve{one, 1, false, noon, hold}).Then()
	given.When(Allocate{one, 1, noon, hold}).Then()
	given.When(Release{one, "late", noon, hold}).
		Then(Released{Line: one, Reason: "late", At: noon, After: After{Available: 3}})
}

func TestOnlyWhatIsAllocatedIsDispatched(t *testing.T) {
	given := estest.Of(t, Stocks).Given(allocated()[:3]...)
	given.When(Dispatch{one, "s-1", "main", 4}).Refused(fault.Conflict("not_allocated", ""))
	given.When(Dispatch{two, "s-1", "main", 4}).Refused(fault.Conflict("not_allocated", ""))
}

func TestAReleaseAfterAPartWasDispatchedGivesTheRestFree(t *testing.T) {
	first := Dispatched{one, "s-1", "main", 10, after("main", 0, 0, 3)}
	estest.Of(t, Stocks).Given(append(allocated(), first)...).When(Release{one, "cancelled", noon, hold}).
		Then(Released{Line: one, Quantity: 2, Parts: []Part{{"north", 2}}, Reason: "cancelled", At: noon, After: after("north", 5, 0, 5)})
}

func TestReturnedGoodsGoBackIntoStockOnceAReference(t *testing.T) {
	back := Returned{one, "r-1", "r-1/1", "main", 2, after("main", 12, 0, 12)}
	estest.Of(t, Stocks).Given(ten).When(TakeBack{one, "r-1", "r-1/1", "main", 2, noon, hold}).Then(back)
	given := estest.Of(t, Stocks).Given(ten, back)
	given.When(TakeBack{one, "r-1", "r-1/1", "main", 2, noon, hold}).Then()
	given.When(TakeBack{one, "r-1", "r-1/2", "main", 1, noon, hold}).
		Then(Returned{one, "r-1", "r-1/2", "main", 1, after("main", 13, 0, 13)})
	given.When(TakeBack{one, "r-1", "", "main", 1, noon, hold}).Refused(fault.Invalid("bad_name", ""))
	given.When(TakeBack{one, "r-1", "r-1/2", "main", 0, noon, hold}).Refused(fault.Invalid("quantity_out_of_range", ""))
}
