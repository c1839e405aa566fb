package fulfilment

import (
	"testing"
	"time"
)

var everything = []Item{{1, 2}, {2, 1}}

func TestAnOrderGoesFromPlacedToDelivered(t *testing.T) {
	parcel := Parcel{Number: 1, ID: main1, Customer: "c-42", Location: "main", Goods: []Goods{teas, oneCup}}
	s := tell(t, start).
		asks(Asks{Reserve: []Goods{teas, oneCup}}).waits(StepReserving, "stock for 2 lines to be reserved", time.Minute).
		then(reserved(2)).asks(Asks{}).waits(StepReserving, "stock for 1 line to be reserved", time.Minute).
		then(reserved(1)).asks(Asks{Pay: bill}).waits(StepPaying, "the payment to be authorised", time.Minute).
		then(authorized).asks(Asks{Allocate: []Goods{teas, oneCup}}).
		waits(StepAllocating, "stock for 2 lines to be allocated", 30*time.Second).
		then(allocated(1, Part{"main", 2})).asks(Asks{}).
		then(allocated(2, Part{"main", 1})).asks(Asks{Confirm: true}).
		waits(StepConfirming, "the order to be confirmed", 30*time.Second).
		then(confirmed).asks(Asks{Ship: []Parcel{parcel}}).waits(StepDispatching, "1 shipment to be dispatched", time.Hour).
		then(dispatched(main1, everything...)).asks(Asks{Shipped: []Parcel{parcel}}).
		waits(StepDelivering, "the money for 1 shipment to be captured; 1 shipment to be delivered", 30*time.Second).
		then(SettleCapture{Shipment: main1}).asks(Asks{}).waits(StepDelivering, "1 shipment to be delivered", 0).
		then(delivered(main1, everything...)).asks(Asks{Arrived: []Parcel{parcel}}).ended(StepCompleted)
	if s.count != 10 {
		t.Errorf("it took %d events, and each costs every service that listens", s.count)
	}
}

func TestAnOrderFromTwoLocationsHasTwoShipments(t *testing.T) {
	north := shipmentID(order, "north", 2)
	tell(t, placedAndPaid()...).
		then(allocated(1, Part{"main", 1}, Part{"north", 1}), allocated(2, Part{"north", 1}), confirmed).
		asks(Asks{Ship: []Parcel{
			{Number: 1, ID: main1, Customer: "c-42", Location: "main", Goods: []Goods{{Line: 1, SKU: "TEA", Quantity: 1}}},
			{Number: 2, ID: north, Customer: "c-42", Location: "north", Goods: []Goods{{Line: 1, SKU: "TEA", Quantity: 1}, oneCup}},
		}}).
		then(dispatched(north, Item{1, 1}, Item{2, 1}), SettleCapture{Shipment: north}, delivered(north, Item{1, 1}, Item{2, 1})).
		waits(StepDispatching, "1 shipment to be dispatched", time.Hour).
		then(dispatched(main1, Item{1, 1}), delivered(main1, Item{1, 1})).
		waits(StepCapturing, "the money for 1 shipment to be captured", 30*time.Second).
		then(SettleCapture{Shipment: main1}).ended(StepCompleted)
}

func TestAnOrderWithoutEnoughStockIsRejectedAndAllIsReleased(t *testing.T) {
	fail := &Failure{"out_of_stock", "line 2: there is not enough of CUP"}
	tell(t, start, reserved(1), refused(2)).
		asks(Asks{Fail: fail, Drop: []int{1, 2}, Release: []Goods{tea, cup}}).
		waits(StepRejecting, "the stock of 2 lines to be released; the order to be marked as rejected", 30*time.Second).
		then(MoveOrder{To: OrderRejected, Version: 2}, released(1)).
		waits(StepRejecting, "the stock of 1 line to be released", 30*time.Second).
		then(released(2)).ended(StepRejected)
}

func TestADeclinedPaymentRejectsTheOrder(t *testing.T) {
	for code, reason := range map[string]Failure{
		"card_declined":   {"payment_declined", "card_declined"},
		"expired":         {"payment_expired", "the customer has not completed the payment in time"},
		"provider_silent": {"timed_out", "the payment provider has not answered"},
	} {
		tell(t, start, reserved(1), reserved(2), MovePayment{To: PaymentDeclined, Version: 2, Code: code}).
			asks(Asks{Fail: &reason, Drop: []int{1, 2}, Release: []Goods{tea, cup}}). // there is no money to give up
			then(released(1), released(2), MoveOrder{To: OrderRejected, Version: 2}).ended(StepRejected)
	}
}

func TestACustomerWhoHasToCompleteThePaymentIsWaitedFor(t *testing.T) {
	tell(t, start, reserved(1), reserved(2), MovePayment{To: PaymentAction, Version: 2}).
		waits(StepPaying, "the customer to complete the payment", time.Minute).
		then(MovePayment{To: PaymentAuthorized, Version: 3}).waits(StepAllocating, "stock for 2 lines to be allocated", 30*time.Second)
}

func TestACustomerHasAsLongToPayAsPaymentsGivesThem(t *testing.T) {
	s := tell(t, start, reserved(1), reserved(2), MovePayment{To: PaymentAction, Version: 2})
	for s.now.Before(noon.Add(24 * time.Hour)) {
		s.late().asks(Asks{Pay: bill}).attention("")
	}
	if s.waits(StepPaying, "the customer to complete the payment", time.Hour); s.count > 40 {
		t.Errorf("it took %d events to wait for a day", s.count)
	}
	s.then(MovePayment{To: PaymentDeclined, Version: 3, Code: "expired"}).
		then(released(1), released(2), MoveOrder{To: OrderRejected, Version: 2}).ended(StepRejected)
}

func TestASilentPaymentIsGivenUpAfterTwentyMinutes(t *testing.T) {
	tell(t, start, reserved(1), reserved(2)).
		late().asks(Asks{Pay: bill}).waits(StepPaying, "the payment to be authorised", 4*time.Minute).
		late().asks(Asks{Pay: bill}).waits(StepPaying, "the payment to be authorised", 15*time.Minute).
		late().asks(Asks{
		Fail: &Failure{"timed_out", "nobody has answered about the payment to be authorised"}, Drop: []int{1, 2},
		Release: []Goods{tea, cup}, Void: []Void{{Reference: "rejected"}},
	}).
		then(authorized).nothing(). // too late: payments gives it up
		then(released(1), released(2), MoveOrder{To: OrderRejected, Version: 2}).
		waits(StepRejecting, "the payment to be given up", 30*time.Second).
		then(GiveUpPayment{Reference: "rejected"}).ended(StepRejected)
}

func TestAPaymentThatIsDeclinedWhileItIsGivenUpIsGivenUp(t *testing.T) {
	tell(t, start, reserved(1), reserved(2)).late().late().late().
		then(released(1), released(2), MoveOrder{To: OrderRejected, Version: 2}).
		then(MovePayment{To: PaymentDeclined, Version: 2, Code: "card_declined"}).ended(StepRejected)
}

func TestStockThatNobodyReservesIsAskedForThreeTimes(t *testing.T) {
	tell(t, start, reserved(1)).
		late().asks(Asks{Reserve: []Goods{oneCup}}).waits(StepReserving, "stock for 1 line to be reserved", time.Minute).
		late().asks(Asks{Reserve: []Goods{oneCup}}).
		late().asks(Asks{
		Fail: &Failure{"timed_out", "nobody has answered about stock for 1 line to be reserved"}, Drop: []int{1, 2},
		Release: []Goods{tea, cup},
	}).
		then(reserved(2)).nothing().
		then(released(2), released(1), MoveOrder{To: OrderRejected, Version: 2}).ended(StepRejected)
}

func TestAReservationThatExpiredIsFoundOutWhenItIsAllocated(t *testing.T) {
	expired := MoveStock{Line: 2, To: StockReleased, Version: 12, Reason: "expired", Lapsed: true}
	gone := MoveStock{Line: 2, To: StockRefused, Version: 13, Reason: "expired"}
	tell(t, start, reserved(1), reserved(2), expired).nothing().
		then(authorized, allocated(1, Part{"main", 2}), gone).
		asks(Asks{
			Fail: &Failure{"out_of_stock", "line 2: there is not enough of CUP"}, Drop: []int{1, 2},
			Release: []Goods{tea, cup}, Void: []Void{{Reference: "rejected"}},
		}).
		then(expired).nothing().
		then(released(1), MoveOrder{To: OrderRejected, Version: 2}, GiveUpPayment{Reference: "rejected"}).
		then(MoveStock{Line: 2, To: StockReleased, Version: 14, Reason: "expired", Lapsed: true}).nothing(). // not the answer
		then(released(2)).ended(StepRejected)
}

func TestADiscountIsRedeemedBeforeTheOrderIsConfirmed(t *testing.T) {
	cheaper := start
	cheaper.Code = "TEA10"
	tell(t, cheaper, reserved(1), reserved(2)).asks(Asks{Pay: bill, Redeem: "TEA10"}).
		waits(StepPaying, "the payment to be authorised; the discount code to be redeemed", time.Minute).
		then(authorized).asks(Asks{}).waits(StepPaying, "the discount code to be redeemed", time.Minute).
		then(MoveDiscount{To: StageDone}).asks(Asks{Allocate: []Goods{teas, oneCup}})

	tell(t, cheaper, reserved(1), reserved(2), authorized, MoveDiscount{To: StageRefused}).
		asks(Asks{
			Fail: &Failure{Reason: "discount_used_up"}, Drop: []int{1, 2}, Release: []Goods{tea, cup},
			Void: []Void{{Reference: "rejected"}},
		})

	tell(t, cheaper, reserved(1), reserved(2), MoveDiscount{To: StageDone}, Cancelling{Version: 2}).
		asks(Asks{Drop: []int{1, 2}, Release: []Goods{tea, cup}, Void: []Void{{Reference: "cancel-2"}}, GiveBack: "TEA10"}).
		then(released(1), released(2), GiveUpPayment{Reference: "cancel-2"}).asks(Asks{}).
		then(MoveDiscount{To: StageReleased}).asks(Asks{Cancel: &CancelDone{}}).
		then(MoveOrder{To: OrderCancelled, Version: 3}).ended(StepCancelled)
}

func TestABackOrderedLineShipsOnItsOwnOnceItIsThere(t *testing.T) {
	patient := start
	patient.Lines = []Ordered{start.Lines[0], {SKU: "CUP", Quantity: 1, Price: Price{900, 150}, Backorder: true}}
	waiting := MoveStock{Line: 2, To: StockWaiting, Version: 10}
	second := Parcel{Number: 2, ID: main2, Customer: "c-42", Location: "main", Goods: []Goods{oneCup}}
	tell(t, patient, reserved(1), waiting).asks(Asks{Pay: bill}).
		waits(StepPaying, "the payment to be authorised; stock to come in for 1 line", time.Minute).
		then(authorized).asks(Asks{Allocate: []Goods{teas}}).
		then(allocated(1, Part{"main", 2})).asks(Asks{Confirm: true}).
		then(confirmed, dispatched(main1, Item{1, 2}), SettleCapture{Shipment: main1}, delivered(main1, Item{1, 2})).
		waits(StepAwaitingStock, "stock to come in for 1 line", 0).
		then(MoveStock{Line: 2, To: StockReserved, Version: 11}).asks(Asks{Allocate: []Goods{oneCup}}).
		then(allocated(2, Part{"main", 1})).asks(Asks{Ship: []Parcel{second}}).
		then(dispatched(main2, Item{2, 1}), SettleCapture{Shipment: main2}, delivered(main2, Item{2, 1})).ended(StepCompleted)
}

func TestABackOrderedLineWhoseReservationExpiredIsReservedAgain(t *testing.T) {
	patient := start
	patient.Lines = []Ordered{start.Lines[0], {SKU: "CUP", Quantity: 1, Backorder: true}}
	tell(t, patient, reserved(1), reserved(2), authorized, MoveStock{Line: 2, To: StockRefused, Version: 12, Reason: "expired"}).
		asks(Asks{Reserve: []Goods{{Line: 2, SKU: "CUP", Quantity: 1, Backorder: true}}}).
		then(MoveStock{Line: 2, To: StockWaiting, Version: 13}, allocated(1, Part{"main", 2})).asks(Asks{Confirm: true}).
		then(confirmed, MoveStock{Line: 2, To: StockRefused, Version: 14, Reason: "unknown"}).
		attention("line 2 can't be reserved: take in more of CUP, or cancel the line").
		waits(StepDispatching, "staff to decide about 1 line that can't be reserved; 1 shipment to be dispatched", time.Hour).
		then(Cancelling{Version: 3, Lines: []int{2}}).
		asks(Asks{Drop: []int{2}, Release: []Goods{cup}, Void: []Void{{"cancel-3", []Item{{2, 1}}}}})
}

func TestWhatInventoryHasSaidLastOfALineCounts(t *testing.T) {
	patient := start
	patient.Lines = []Ordered{{SKU: "TEA", Quantity: 2, Backorder: true}}
	again := []Goods{{Line: 1, SKU: "TEA", Quantity: 2}}
	// Allocating is asked for twice: the first time the reservation has expired, the second time there are goods.
	tell(t, patient, reserved(1), authorized).late().asks(Asks{Allocate: again}).
		then(MoveStock{Line: 1, To: StockRefused, Version: 12, Reason: "expired"}).
		waits(StepReserving, "stock for 1 line to be reserved", time.Minute).
		then(allocated(1, Part{"main", 2})).asks(Asks{Confirm: true}).
		then(MoveStock{Line: 1, To: StockWaiting, Version: 19}).nothing().
		then(reserved(1)).nothing()
	// What is told twice is old by then.
	tell(t, patient, reserved(1), authorized, MoveStock{Line: 1, To: StockRefused, Version: 12, Reason: "expired"}).
		then(reserved(1)).nothing().
		then(MoveStock{Line: 1, To: StockReserved, Version: 13}).asks(Asks{Allocate: again})
	tell(t, patient, MoveStock{Line: 1, To: StockWaiting, Version: 9}, authorized, reserved(1)).
		then(MoveStock{Line: 1, To: StockWaiting, Version: 11}).waits(StepConfirming, "the order to be confirmed; stock to come in for 1 line", 30*time.Second)
}

func TestAnOrderIsTakenUpOnce(t *testing.T) {
	other := start
	other.Customer = "c-43"
	tell(t, start, other).nothing()
}

func TestWhatIsToldOfAnOrderBeforeTheOrderIsKept(t *testing.T) {
	tell(t, Cancelling{Version: 2}).asks(Asks{}).waits(StepAnnounced, "the order itself", 0).
		then(start).asks(Asks{Drop: []int{1, 2}, Cancel: &CancelDone{}}). // nothing was asked for, so nothing is to be undone
		then(MoveOrder{To: OrderCancelled, Version: 3}).ended(StepCancelled)

	tell(t, Cancelling{Version: 2, Lines: []int{2}}, start).
		asks(Asks{Drop: []int{2}, Cancel: &CancelDone{Lines: []int{2}}, Reserve: []Goods{teas}}).
		then(reserved(1)).asks(Asks{Pay: &Bill{
		Customer: "c-42", Method: "sandbox_approve", Currency: "EUR", Delivery: Price{400, 67}, Lines: []Due{{1, 2, Price{2598, 433}}},
	}})

	tell(t, reserved(1), authorized, confirmed, MoveDiscount{To: StageDone}, dispatched(main1), SettleCapture{Shipment: main1}, Wake{}).nothing().
		then(start).asks(Asks{Reserve: []Goods{teas, oneCup}})
}

func TestAReturnThatIsToldBeforeTheOrderIsOpenedWithTheOrder(t *testing.T) {
	s := tell(t, Returning{Return: "r-1", Items: []Item{{1, 1}}}).asks(Asks{}).waits(StepAnnounced, "the order itself; 1 return to come back", 0)
	s.p.Until = noon.Add(time.Hour) // of a version that set a timer
	s.then(Wake{At: noon.Add(time.Hour)}).nothing().
		then(start).asks(Asks{
		Reserve: []Goods{teas, oneCup},
		Open:    []Parcel{{Number: 1, ID: "r-1", Customer: "c-42", Goods: []Goods{{Line: 1, SKU: "TEA", Quantity: 1}}}},
	})
}
