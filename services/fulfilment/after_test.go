package fulfilment

import (
	"testing"
	"time"
)

func TestMoneyThatIsRefusedAtDispatchIsAskedForOnceMoreAtTheEnd(t *testing.T) {
	words := "the money for shipment " + main1 + " was refused (card_declined): collect it, or write it off"
	again := Asks{
		Arrived: []Parcel{{Number: 1, ID: main1, Customer: "c-42", Location: "main", Goods: []Goods{teas, oneCup}}},
		Capture: []Parcel{{Number: 1, ID: main1, Customer: "c-42", Location: "main", Goods: []Goods{teas, oneCup}}},
	}
	s := func() *story {
		return tell(t, prepared()...).
			then(dispatched(main1, everything...), SettleCapture{Shipment: main1, Code: "card_declined"}).attention(words).
			waits(StepDelivering, "1 shipment to be delivered", 0).
			then(delivered(main1, everything...)).asks(again).attention("").
			waits(StepCapturing, "the money for 1 shipment to be captured", 30*time.Second)
	}
	s().then(SettleCapture{Shipment: main1}).attention("").ended(StepCompleted)

	s().then(SettleCapture{Shipment: main1, Code: "card_declined"}).asks(Asks{Void: []Void{{Reference: "uncollected"}}}).attention(words).
		then(GiveUpPayment{Reference: "uncollected"}).attention(words).ended(StepCompleted).
		then(SettleCapture{Shipment: main1, Code: "card_declined"}).nothing().
		then(SettleCapture{Shipment: main1}).attention("").ended(StepCompleted) // it was paid after all
}

func TestASilentProviderIsAskedAgainAndNotTakenForARefusal(t *testing.T) {
	tell(t, prepared()...).then(dispatched(main1, everything...)).
		then(SettleCapture{Shipment: main1, Code: "provider_silent"}).nothing().
		late().asks(Asks{Capture: []Parcel{{Number: 1, ID: main1, Customer: "c-42", Location: "main", Goods: []Goods{teas, oneCup}}}})
	tell(t, sold()...).
		then(Returning{Return: "r-1", Items: []Item{{2, 1}}}, ReturnGoods{Return: "r-1", Part: 2, Location: "main", Items: []Item{{2, 1}}, Done: true}).
		then(SettleRefund{Reference: "r-1/2", Code: "provider_silent"}).nothing().
		then(SettleRefund{Reference: "r-1/2", Partial: true}).nothing()
}

func TestACaptureIsAskedForAgainUntilPaymentsAnswers(t *testing.T) {
	capture := Asks{Capture: []Parcel{{Number: 1, ID: main1, Customer: "c-42", Location: "main", Goods: []Goods{teas, oneCup}}}}
	s := tell(t, prepared()...).then(dispatched(main1, everything...), delivered(main1, everything...))
	for _, next := range []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute} {
		s.late().asks(capture).attention("").waits(StepCapturing, "the money for 1 shipment to be captured", next)
	}
	for range 3 {
		s.late().asks(capture).attention("nobody answers: see whether commands are parked").
			waits(StepCapturing, "the money for 1 shipment to be captured", time.Hour)
	}
	s.then(SettleCapture{Shipment: main1}).attention("").ended(StepCompleted)
}

func TestAnAuthorisationThatRanOutAndWasDeclinedIsForStaff(t *testing.T) {
	tell(t, prepared()...).then(MovePayment{To: PaymentDeclined, Version: 5, Code: "card_declined"}).asks(Asks{}).
		attention("the payment ran out and was declined (card_declined): settle it before anything else is dispatched").
		then(MovePayment{To: PaymentAuthorized, Version: 6}).attention("").
		then(MovePayment{To: PaymentDeclined, Version: 5, Code: "card_declined"}).nothing()
}

func TestShippingIsToldAgainOfWhatPeopleDoNotGetDone(t *testing.T) {
	ship := Asks{Ship: []Parcel{{Number: 1, ID: main1, Customer: "c-42", Location: "main", Goods: []Goods{teas, oneCup}}}}
	s := tell(t, prepared()...)
	for _, next := range []time.Duration{24 * time.Hour, 7 * 24 * time.Hour, 30 * 24 * time.Hour, 30 * 24 * time.Hour} {
		s.late().asks(ship).attention("").waits(StepDispatching, "1 shipment to be dispatched", next)
	}
}

func TestATimerThatRingsTooEarlyChangesNothing(t *testing.T) {
	tell(t, start, Wake{At: noon.Add(time.Minute - time.Microsecond)}).nothing().
		then(Wake{At: noon.Add(time.Minute)}).asks(Asks{Reserve: []Goods{teas, oneCup}})
	tell(t, Wake{}).nothing()
}

// sold is an order that was delivered and paid.
func sold() []Command {
	return append(prepared(), dispatched(main1, everything...), delivered(main1, everything...), SettleCapture{Shipment: main1})
}

func TestAReturnIsTakenBackAndPaidOutInParts(t *testing.T) {
	back := Asks{Open: []Parcel{{Number: 1, ID: "r-1", Customer: "c-42", Location: "main", Goods: []Goods{teas, oneCup}}}}
	tell(t, sold()...).
		then(Returning{Return: "r-1", Items: everything}).asks(back).waits(StepReturning, "1 return to come back", time.Hour).
		then(Returning{Return: "r-1", Items: everything}).nothing().
		late().asks(back).
		then(ReturnGoods{Return: "r-1", Part: 2, Location: "north", Items: []Item{{1, 1}}, Restock: []Item{{1, 1}}}).
		asks(Asks{
			Back: &Back{
				Return: "r-1", Part: 2, Location: "north", Items: []Item{{1, 1}},
				Restock: []Goods{{Line: 1, SKU: "TEA", Quantity: 1}},
			},
			Refund: []Repayment{{Reference: "r-1/2", Items: []Item{{1, 1}}}},
		}).
		waits(StepRefunding, "1 return to come back; 1 refund to be paid out", 30*time.Second).
		then(ReturnGoods{Return: "r-1", Part: 2, Location: "north", Items: []Item{{1, 1}}}).nothing().
		then(SettleRefund{Reference: "r-1/2"}).waits(StepReturning, "1 return to come back", time.Hour).
		then(ReturnGoods{Return: "r-1", Part: 3, Location: "north", Items: []Item{{1, 1}, {2, 1}}, Done: true}).
		late().asks(Asks{Refund: []Repayment{{Reference: "r-1/3", Items: []Item{{1, 1}, {2, 1}}}}}).
		then(SettleRefund{Reference: "r-1/3"}).ended(StepCompleted)
}

func TestARefundWaitsForTheMoneyThatIsStillCaptured(t *testing.T) {
	tell(t, prepared()...).then(dispatched(main1, everything...), delivered(main1, everything...)).
		then(Returning{Return: "r-1", Items: []Item{{2, 1}}}, ReturnGoods{Return: "r-1", Part: 2, Location: "main", Items: []Item{{2, 1}}, Done: true}).
		asks(Asks{Back: &Back{Return: "r-1", Part: 2, Location: "main", Items: []Item{{2, 1}}}}).
		then(SettleCapture{Shipment: main1}).asks(Asks{Refund: []Repayment{{Reference: "r-1/2", Items: []Item{{2, 1}}}}})
}

func TestARefundThatIsRefusedIsForStaff(t *testing.T) {
	tell(t, sold()...).
		then(Returning{Return: "r-1", Items: []Item{{2, 1}}}, ReturnGoods{Return: "r-1", Part: 2, Location: "main", Items: []Item{{2, 1}}, Done: true}).
		then(SettleRefund{Reference: "r-1/2", Code: "account_closed"}).
		attention("the refund for return r-1/2 was refused (account_closed): give the money back another way").ended(StepCompleted).
		then(SettleRefund{Reference: "r-1/2"}).attention("")
}

func TestARefundOfOthersThatFailsIsForStaff(t *testing.T) {
	words := "the refund cancel-3 was refused (account_closed): give the money back another way"
	s := func() *story { return tell(t, sold()...) }
	s().then(SettleRefund{Reference: "cancel-3"}).nothing().
		then(SettleRefund{Reference: "cancel-3", Code: "account_closed"}).attention(words).ended(StepCompleted).
		then(SettleRefund{Reference: "cancel-3", Code: "account_closed"}).nothing().
		then(SettleRefund{Reference: "cancel-3"}).attention("").ended(StepCompleted)

	again := Asks{Refund: []Repayment{{Reference: "cancel-3"}}}
	s().then(SettleRefund{Reference: "cancel-3", Code: "provider_silent"}).attention("").
		waits(StepRefunding, "1 refund to be paid out", 30*time.Second).
		late().asks(again).late().asks(again).
		then(SettleRefund{Reference: "cancel-3", Code: "provider_silent"}).nothing().
		then(SettleRefund{Reference: "cancel-3", Code: "account_closed"}).attention(words).ended(StepCompleted)
	s().then(SettleRefund{Reference: "cancel-3", Code: "account_closed"}, SettleRefund{Reference: "cancel-3", Partial: true}).nothing().
		then(SettleRefund{Reference: "cancel-3", Code: "provider_silent"}).attention("").late().asks(again)
	tell(t, SettleRefund{Reference: "cancel-3", Code: "account_closed"}).nothing()
}

func TestAReturnThatNeverComesIsNotWaitedForForEver(t *testing.T) {
	s := tell(t, sold()...).then(Returning{Return: "r-1", Items: []Item{{2, 1}}})
	for range lapse {
		s.late().waits(StepReturning, "1 return to come back", after(s.p.Attempt, peopleAfter))
	}
	s.late().ended(StepCompleted)
	if waited := s.now.Sub(noon); waited < 90*24*time.Hour || waited > 100*24*time.Hour {
		t.Errorf("it was waited for %v", waited)
	}
	s.then(ReturnGoods{Return: "r-1", Part: 2, Location: "main", Items: []Item{{2, 1}}, Done: true}).
		waits(StepRefunding, "1 refund to be paid out", 30*time.Second)
}

func TestEveryStepIsDescribedOnceAndLeadsToOneThatIs(t *testing.T) {
	known := make(map[Step]bool)
	for _, s := range States() {
		if known[s.Step] || s.Means == "" || s.Waits == "" || s.Cancel == "" {
			t.Errorf("%s is described twice, or not in full", s.Step)
		}
		known[s.Step] = true
		if s.Step.Ended() != (s.Waits == "ended") {
			t.Errorf("%s waits for %q", s.Step, s.Waits)
		}
	}
	for _, s := range States() {
		for _, n := range s.Next {
			if !known[n] {
				t.Errorf("%s leads to %s, which is not described", s.Step, n)
			}
		}
	}
}
