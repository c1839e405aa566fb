package fulfilment

import (
	"testing"
	"time"
)

func TestAnOrderIsCancelledBeforeThereAreShipments(t *testing.T) {
	undo := Asks{Drop: []int{1, 2}, Release: []Goods{tea, cup}}
	paid := undo
	paid.Void = []Void{{Reference: "cancel-2"}}
	for name, c := range map[string]struct {
		before []Command
		undo   Asks
	}{
		"while stock is reserved":   {[]Command{start, reserved(1)}, undo},
		"while it is paid":          {[]Command{start, reserved(1), reserved(2)}, paid},
		"while the customer pays":   {[]Command{start, reserved(1), reserved(2), MovePayment{To: PaymentAction, Version: 1}}, paid},
		"while stock is allocated":  {append(placedAndPaid(), allocated(2, Part{"main", 1})), paid},
		"while it is confirmed":     {append(placedAndPaid(), allocated(1, Part{"main", 2}), allocated(2, Part{"main", 1})), paid},
		"while the discount counts": {placedAndPaid(), paid},
	} {
		t.Run(name, func(t *testing.T) {
			s := tell(t, c.before...).then(Cancelling{Version: 2}).asks(c.undo).
				then(released(1), released(2))
			if len(c.undo.Void) > 0 {
				s.waits(StepUndoing, "the payment to be given up", 30*time.Second).then(GiveUpPayment{Reference: "cancel-2"})
			}
			s.asks(Asks{Cancel: &CancelDone{}}).waits(StepAnswering, "the order to be marked as cancelled", 30*time.Second).
				then(authorized).nothing(). // too late
				then(confirmed).nothing().
				then(reserved(1)).nothing().
				then(allocated(1, Part{"main", 2})).nothing().
				then(MoveOrder{To: OrderCancelled, Version: 3}).ended(StepCancelled)
		})
	}
}

func TestALineThatIsMadeFirmAfterItWasReleasedIsReleasedOnceMore(t *testing.T) {
	late := func(to Stock) MoveStock {
		return MoveStock{Line: 1, To: to, Version: 95, Parts: []Part{{"main", 2}}}
	}
	for _, to := range []Stock{StockReserved, StockWaiting, StockAllocated} {
		tell(t, start, reserved(1), Cancelling{Version: 2}, released(1), released(2), MoveOrder{To: OrderCancelled, Version: 3}).
			ended(StepCancelled).
			then(late(to)).asks(Asks{Release: []Goods{tea}}).waits(StepUndoing, "the stock of 1 line to be released", 30*time.Second).
			late().asks(Asks{Release: []Goods{tea}}).
			then(MoveStock{Line: 1, To: StockReleased, Version: 96}).ended(StepCancelled).
			then(late(to)).nothing()
	}
	tell(t, start, refused(2), released(1), released(2), MoveOrder{To: OrderRejected, Version: 2}).ended(StepRejected).
		then(late(StockAllocated)).asks(Asks{Release: []Goods{tea}}).waits(StepRejecting, "the stock of 1 line to be released", 30*time.Second)
}

func TestALineIsCancelledAndTheOthersGoOn(t *testing.T) {
	tell(t, start, reserved(1), Cancelling{Version: 2, Lines: []int{2}}).
		asks(Asks{Drop: []int{2}, Release: []Goods{cup}, Pay: &Bill{
			Customer: "c-42", Method: "sandbox_approve", Currency: "EUR", Delivery: Price{400, 67}, Lines: []Due{{1, 2, Price{2598, 433}}},
		}}).
		then(released(2)).asks(Asks{Cancel: &CancelDone{Lines: []int{2}}}).
		then(authorized, allocated(1, Part{"main", 2})).asks(Asks{}). // ordering would not confirm an order that it cancels
		then(MoveOrder{To: OrderCancelled, Version: 3}).asks(Asks{Confirm: true}).
		then(MoveOrder{To: OrderConfirmed, Version: 4}).
		asks(Asks{Ship: []Parcel{{Number: 1, ID: main1, Customer: "c-42", Location: "main", Goods: []Goods{teas}}}}).
		then(dispatched(main1, Item{1, 2}), SettleCapture{Shipment: main1}, delivered(main1, Item{1, 2})).ended(StepCompleted)
}

func TestALineThatWasBilledIsVoided(t *testing.T) {
	tell(t, append(placedAndPaid(), allocated(1, Part{"main", 2}), allocated(2, Part{"main", 1}))...).
		waits(StepConfirming, "the order to be confirmed", 30*time.Second).
		then(Cancelling{Version: 2, Lines: []int{2}}).
		asks(Asks{Drop: []int{2}, Release: []Goods{cup}, Void: []Void{{"cancel-2", []Item{{2, 1}}}}}).
		then(GiveUpPayment{Reference: "cancel-2"}, released(2)).asks(Asks{Cancel: &CancelDone{Lines: []int{2}}}).
		then(MoveOrder{To: OrderCancelled, Version: 3}).asks(Asks{Confirm: true}) // again: the first time it was cancelling
}

func TestWhatIsCancelledAfterTheAuthorisationRanOutIsVoidedToo(t *testing.T) {
	declined := MovePayment{To: PaymentDeclined, Version: 5, Code: "card_declined"}
	tell(t, prepared()...).then(declined, Cancelling{Version: 3, Lines: []int{2}}).
		then(AnswerStop{Shipment: main1, Reference: "cancel-3", Left: []Item{{1, 2}}}).
		asks(Asks{Drop: []int{2}, Release: []Goods{cup}, Void: []Void{{"cancel-3", []Item{{2, 1}}}}}).
		then(released(2)).waits(StepUndoing, "the payment to be given up; 1 shipment to be dispatched", 30*time.Second).
		then(GiveUpPayment{Reference: "cancel-3"}).asks(Asks{Cancel: &CancelDone{Lines: []int{2}}})
	tell(t, prepared()...).then(declined, Cancelling{Version: 3}, AnswerStop{Shipment: main1, Reference: "cancel-3"}).
		asks(Asks{Drop: []int{1, 2}, Release: []Goods{tea, cup}, Void: []Void{{Reference: "cancel-3"}}}).
		then(released(1), released(2), GiveUpPayment{Reference: "cancel-3"}, MoveOrder{To: OrderCancelled, Version: 4}).
		ended(StepCancelled)
	// It runs out while the void is on its way: that is answered all the same.
	tell(t, prepared()...).then(Cancelling{Version: 3, Lines: []int{2}}).
		then(AnswerStop{Shipment: main1, Reference: "cancel-3", Left: []Item{{1, 2}}}, declined, released(2)).
		waits(StepUndoing, "the payment to be given up; 1 shipment to be dispatched", 30*time.Second).
		late().asks(Asks{Void: []Void{{"cancel-3", []Item{{2, 1}}}}})
}

func TestARefusalThatHitsTheNextRequestHoldsUpNothing(t *testing.T) {
	north := shipmentID(order, "north", 2)
	s := func() *story {
		return tell(t, placedAndPaid()...).
			then(allocated(1, Part{"main", 2}), allocated(2, Part{"north", 1}), confirmed, dispatched(main1, Item{1, 2})).
			then(Cancelling{Version: 3, Lines: []int{1}}).late().asks(Asks{
			Refuse: "already_dispatched", Capture: []Parcel{{Number: 1, ID: main1, Customer: "c-42", Location: "main", Goods: []Goods{teas}}},
		}).
			then(SettleCapture{Shipment: main1}, MoveOrder{To: OrderCancelRefused, Version: 4}).
			then(Cancelling{Version: 5, Lines: []int{2}}).
			asks(Asks{Stop: []Stop{{Number: 2, Shipment: north, Question: Question{"cancel-5", []int{2}}}}}).
			then(MoveOrder{To: OrderCancelRefused, Version: 6}). // by the question of before, asked again
			waits(StepStopping, "shipping to say whether 1 shipment can still be kept back; 1 shipment to be delivered", 30*time.Second).
			late().asks(Asks{Stop: []Stop{{Number: 2, Shipment: north, Question: Question{"cancel-5", []int{2}}}}}).
			then(MoveOrder{To: OrderCancelRefused, Version: 6}).nothing()
	}
	s().then(AnswerStop{Shipment: north, Reference: "cancel-5"}).
		asks(Asks{Drop: []int{2}, Release: []Goods{cup}, Void: []Void{{"cancel-5", []Item{{2, 1}}}}}).
		then(Cancelling{Version: 7, Lines: []int{2}}). // the customer, who was told no, asks once more
		then(released(2), GiveUpPayment{Reference: "cancel-5"}).asks(Asks{Cancel: &CancelDone{Lines: []int{2}}}).
		then(MoveOrder{To: OrderCancelled, Version: 8}).asks(Asks{Forget: 1}).
		then(delivered(main1, Item{1, 2})).ended(StepCompleted)

	s().then(dispatched(north, Item{2, 1})).
		asks(Asks{Forget: 1, Shipped: []Parcel{{Number: 2, ID: north, Customer: "c-42", Location: "north", Goods: []Goods{oneCup}}}})
}

func TestTheLastLineThatIsCancelledIsTheWholeOrder(t *testing.T) {
	tell(t, placedAndPaid()...).
		then(Cancelling{Version: 2, Lines: []int{2}}, released(2), GiveUpPayment{Reference: "cancel-2"}, MoveOrder{To: OrderCancelled, Version: 3}).
		then(Cancelling{Version: 4, Lines: []int{1}}).
		asks(Asks{Drop: []int{1}, Release: []Goods{tea}, Void: []Void{{Reference: "cancel-4"}}}). // the delivery fee too
		then(released(1), GiveUpPayment{Reference: "cancel-4"}).asks(Asks{Cancel: &CancelDone{}}).
		then(MoveOrder{To: OrderCancelled, Version: 3}).nothing(). // the answer to the request before
		then(MoveOrder{To: OrderCancelled, Version: 5}).ended(StepCancelled)
}

func TestShippingHasTheLastWordAboutACancel(t *testing.T) {
	stop := Asks{Stop: []Stop{{Number: 1, Shipment: main1, Question: Question{"cancel-3", []int{1, 2}}}}}
	tell(t, prepared()...).then(Cancelling{Version: 3}).asks(stop).
		waits(StepStopping, "shipping to say whether 1 shipment can still be kept back", 30*time.Second).
		late().asks(stop).
		then(AnswerStop{Shipment: main1, Reference: "cancel-3"}).
		asks(Asks{Drop: []int{1, 2}, Release: []Goods{tea, cup}, Void: []Void{{Reference: "cancel-3"}}}).
		then(released(1), released(2), GiveUpPayment{Reference: "cancel-3"}, MoveOrder{To: OrderCancelled, Version: 4}).
		ended(StepCancelled)

	tell(t, prepared()...).then(Cancelling{Version: 3}).
		then(dispatched(main1, everything...)).
		asks(Asks{Refuse: "already_dispatched", Shipped: []Parcel{{Number: 1, ID: main1, Customer: "c-42", Location: "main", Goods: []Goods{teas, oneCup}}}}).
		then(AnswerStop{Shipment: main1, Reference: "cancel-3", Late: true}).nothing().
		then(MoveOrder{To: OrderCancelRefused, Version: 4}, SettleCapture{Shipment: main1}, delivered(main1, everything...)).
		ended(StepCompleted)
}

func TestALineOfAShipmentIsTakenOut(t *testing.T) {
	tell(t, prepared()...).then(Cancelling{Version: 3, Lines: []int{2}}).
		asks(Asks{Stop: []Stop{{Number: 1, Shipment: main1, Question: Question{"cancel-3", []int{2}}}}}).
		then(AnswerStop{Shipment: main1, Reference: "cancel-3", Left: []Item{{1, 2}}}).
		asks(Asks{Drop: []int{2}, Release: []Goods{cup}, Void: []Void{{"cancel-3", []Item{{2, 1}}}}}).
		then(released(2), GiveUpPayment{Reference: "cancel-3"}, MoveOrder{To: OrderCancelled, Version: 4}).
		waits(StepDispatching, "1 shipment to be dispatched", time.Hour).
		then(dispatched(main1, Item{1, 2})).
		asks(Asks{Shipped: []Parcel{{Number: 1, ID: main1, Customer: "c-42", Location: "main", Goods: []Goods{teas}}}})
}

func TestWhatWasKeptBackGoesOutAgainIfAnotherShipmentHasLeft(t *testing.T) {
	north := shipmentID(order, "north", 2)
	tell(t, placedAndPaid()...).then(allocated(1, Part{"main", 2}), allocated(2, Part{"north", 1}), confirmed, Cancelling{Version: 3}).
		waits(StepStopping, "shipping to say whether 2 shipments can still be kept back", 30*time.Second).
		then(AnswerStop{Shipment: main1, Reference: "cancel-3"}).asks(Asks{}).
		then(AnswerStop{Shipment: north, Reference: "cancel-3", Late: true}).
		asks(Asks{Refuse: "already_dispatched", Ship: []Parcel{{
			Number: 3, ID: shipmentID(order, "main", 3), Customer: "c-42", Location: "main", Goods: []Goods{teas},
		}}}).
		waits(StepAnswering, "the order to be marked as not cancelled; 2 shipments to be dispatched", 30*time.Second).
		late().asks(Asks{Refuse: "already_dispatched"}).
		then(MoveOrder{To: OrderCancelRefused, Version: 4}).waits(StepDispatching, "2 shipments to be dispatched", time.Hour)
}

func TestWhatIsOnItsWayIsNotCancelled(t *testing.T) {
	north := shipmentID(order, "north", 2)
	two := append(placedAndPaid(), allocated(1, Part{"main", 2}), allocated(2, Part{"north", 1}), confirmed, dispatched(main1, Item{1, 2}))
	tell(t, two...).then(Cancelling{Version: 3}).asks(Asks{Refuse: "already_dispatched"})
	tell(t, two...).then(Cancelling{Version: 3, Lines: []int{1}}).asks(Asks{Refuse: "already_dispatched"})
	tell(t, two...).then(Cancelling{Version: 3, Lines: []int{2}}).
		asks(Asks{Stop: []Stop{{Number: 2, Shipment: north, Question: Question{"cancel-3", []int{2}}}}})
	tell(t, prepared()...).then(dispatched(main1, everything...), delivered(main1, everything...), SettleCapture{Shipment: main1}).
		then(Cancelling{Version: 3}).asks(Asks{Refuse: "already_dispatched"}).
		then(MoveOrder{To: OrderCancelRefused, Version: 4}).ended(StepCompleted)
}

func TestAConfirmationIsAskedForAgain(t *testing.T) {
	tell(t, append(placedAndPaid(), allocated(1, Part{"main", 2}), allocated(2, Part{"main", 1}))...).
		late().asks(Asks{Confirm: true}).waits(StepConfirming, "the order to be confirmed", time.Minute)
}

func TestRequestsToCancelAreWorkedOffOneAfterTheOther(t *testing.T) {
	tell(t, prepared()...).
		then(Cancelling{Version: 3, Lines: []int{2}}, Cancelling{Version: 4, Lines: []int{1}}).asks(Asks{}).
		then(Cancelling{Version: 3, Lines: []int{2}}).nothing().
		then(AnswerStop{Shipment: main1, Reference: "cancel-3", Left: []Item{{1, 2}}}, released(2), GiveUpPayment{Reference: "cancel-3"}).
		then(MoveOrder{To: OrderCancelled, Version: 5}).
		asks(Asks{Stop: []Stop{{Number: 1, Shipment: main1, Question: Question{"cancel-4", []int{1}}}}})
}

func TestAnOrderThatIsRejectedIsNotCancelledToo(t *testing.T) {
	tell(t, start, reserved(1), Cancelling{Version: 2, Lines: []int{1}}, refused(2)).
		asks(Asks{Fail: &Failure{"out_of_stock", "line 2: there is not enough of CUP"}, Drop: []int{2}, Release: []Goods{cup}}).
		then(Cancelling{Version: 3}).nothing().
		then(MoveOrder{To: OrderCancelled, Version: 3}).nothing(). // ordering was not told that a line is cancelled
		then(released(1), released(2)).waits(StepRejecting, "the order to be marked as rejected", 30*time.Second).
		then(MoveOrder{To: OrderRejected, Version: 4}).ended(StepRejected)

	tell(t, start, Cancelling{Version: 2, Lines: []int{1}}, released(1)).asks(Asks{Cancel: &CancelDone{Lines: []int{1}}}).
		then(refused(2), MoveOrder{To: OrderCancelled, Version: 3}).
		waits(StepRejecting, "the stock of 1 line to be released; the order to be marked as rejected", 30*time.Second)
}
