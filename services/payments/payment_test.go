package payments

import (
	"testing"
	"time"

	"github.com/orderlane/orderlane/pkg/fault"
	"github.com/orderlane/orderlane/pkg/money"
)

func units(line int, quantity int64) []Units { return []Units{{line, quantity}} }

var everything = []Units{{1, 2}, {2, 3}}

func TestAPaymentIsAuthorisedAsAWhole(t *testing.T) {
	s := ordered(t).then("requested 3998, #1 authorize 3998 of #1").is(StatusPending)
	s.answer(ResultDone).then("authorized 3998").is(StatusAuthorized)
	s.answer(ResultDone).then() // a repeat
	s.when(order(money.Of(3998, "EUR"))).then()
}

func TestAPaymentIsDeclinedForTheProvidersReason(t *testing.T) {
	s := ordered(t).when(Report{Operation: Authorizing, N: 1, Result: ResultDeclined, Code: "card_declined"})
	s.then("declined: card_declined").is(StatusDeclined)
	s.answer(ResultDeclined).then()
	s.when(Void{Reference: "v"}).then("voided v: 1:0-2 2:0-3, 0").is(StatusDeclined)
}

func TestAMethodThatNobodyTakesIsDeclined(t *testing.T) {
	r := order(money.Of(3998, "EUR"))
	r.Provider = ""
	payment(t).when(r).then("requested 3998, waits", "declined: unknown_payment_method").is(StatusDeclined).when(r).then()
}

func TestTheCustomerHasSomethingToDo(t *testing.T) {
	s := ordered(t).answer(ResultActionRequired).then("action required").is(StatusRequiresAction)
	s.answer(ResultActionRequired).then()
	s.answer(ResultDone).then("authorized 3998").is(StatusAuthorized)
	s.answer(ResultActionRequired).then()
}

func TestWhatTheCustomerDoesNotCompleteInTimeExpires(t *testing.T) {
	s := ordered(t).answer(ResultActionRequired).woken().then("asked , #1 authorize 3998 of #1, attempt 2")
	for s.p.Declined == "" {
		s.woken()
	}
	s.then("declined: expired", "void expired requested:, 0, #2 void 0 of #1").is(StatusDeclined)
	if s.at.Sub(noon) != 15*time.Minute {
		t.Errorf("it expired after %s", s.at.Sub(noon))
	}
	s.answer(ResultDone).then("voided expired:, 0").nothingHeld().is(StatusDeclined)
	if d := s.p.deadline(); !d.IsZero() {
		t.Errorf("the payment is over, and wakes at %s", d)
	}
}

func TestAnApprovalAfterGivingUpIsVoidedAtOnce(t *testing.T) {
	s := ordered(t).later(time.Hour).when(Wake{}).then("declined: provider_silent", "void provider_silent requested:, 0, #2 void 0 of #1")
	s.answer(ResultDone).then("voided provider_silent:, 0")
	s.later(5 * time.Hour).when(Report{Operation: Authorizing, N: 1, Result: ResultDone, Ref: "pi"}).
		then("void approved_late requested:, 3998, #3 void 3998 of #1")
	s.when(Report{Operation: Authorizing, N: 1, Result: ResultDone, Ref: "pi"}).then()
	s.answer(ResultDone).then("voided approved_late:, 3998").nothingHeld().is(StatusDeclined)
}

func TestAnApprovalOfLessThanWasAskedForIsGivenBack(t *testing.T) {
	ordered(t).when(Report{Operation: Authorizing, N: 1, Result: ResultDone, Ref: "pi", Amount: 3000}).
		then("declined: amount_too_low", "void approved_late requested:, 3000, #2 void 3000 of #1").
		answer(ResultDone).then("voided approved_late:, 3000").nothingHeld().is(StatusDeclined)
}

func TestMoneyIsCapturedPerShipmentAndAddsUp(t *testing.T) {
	s := authorized(t).when(Capture{Reference: "s1", Units: []Units{{1, 1}, {2, 1}}})
	s.then("capture s1 requested: 1:0-1 2:0-1, 2032, #2 capture 2032 of #1") // 12.99 + 3.33 + 4.00 delivery
	s.answer(ResultDone).then("captured s1: 2032").is(StatusPartiallyCaptured)
	s.answer(ResultDone).then()
	s.when(Capture{Reference: "s1", Units: []Units{{1, 1}, {2, 1}}}).then()
	s.when(Capture{Reference: "s2", Units: []Units{{1, 1}, {2, 2}}}).
		then("capture s2 requested: 1:1-2 2:1-3, 1966, #3 capture 1966 of #1, the last")
	s.answer(ResultDone).then("captured s2: 1966").is(StatusCaptured).nothingHeld()
	if p := s.p.Sums; p.Captured != 3998 || p.Tax != -660 || p.Revenue != -3338 || p.Receivable != 0 {
		t.Errorf("the accounts are %+v", p)
	}
}

func TestCapturesFollowOneAnother(t *testing.T) {
	s := authorized(t).when(Capture{Reference: "s1", Units: units(1, 2)}).then("capture s1 requested: 1:0-2, 2998, #2 capture 2998 of #1")
	s.when(Capture{Reference: "s2", Units: units(2, 3)}).then("capture s2 requested: 2:0-3, 1000, waits")
	s.answer(ResultDone).then("captured s1: 2998", "asked s2, #3 capture 1000 of #1, the last")
	s.answer(ResultDone).then("captured s2: 1000").is(StatusCaptured)
}

func TestNoMoreIsCapturedThanIsLeft(t *testing.T) {
	s := authorized(t)
	s.when(Capture{Reference: "s1", Units: units(1, 3)}).then("capture s1 failed: capture_above_authorized")
	s.when(Capture{Reference: "s1", Units: []Units{{1, 1}, {1, 2}}}).then("capture s1 failed: capture_above_authorized")
	s.when(Capture{Reference: "s1", Units: units(7, 1)}).then("capture s1 failed: unknown_line")
	s.when(Capture{Reference: "s1"}).then("capture s1 failed: unknown_line").is(StatusAuthorized)
	ordered(t).when(Capture{Reference: "s1", Units: units(1, 1)}).then("capture s1 failed: payment_not_authorized")
	payment(t).when(Capture{Reference: "s1", Units: units(1, 1)}).then("capture s1 failed: payment_not_authorized")
}

func TestACaptureThatWasRefusedIsTriedAgainWhenItIsAskedForAgain(t *testing.T) {
	s := authorized(t).when(Capture{Reference: "s1", Units: everything}).answer(ResultDeclined)
	s.then("capture s1 failed: capture_declined").is(StatusCaptureFailed)
	s.when(Capture{Reference: "s1", Units: everything}).then("capture s1 requested: 1:0-2 2:0-3, 3998, #3 capture 3998 of #1, the last")
	s.answer(ResultDone).then("captured s1: 3998").is(StatusCaptured)
	if s.p.Sums.Receivable != 0 || s.p.Sums.Revenue != -3338 {
		t.Errorf("the goods were earned once; the accounts are %+v", s.p.Sums)
	}
}

func TestACaptureThatNobodyAnsweredIsNeverASecondOne(t *testing.T) {
	s := authorized(t).when(Capture{Reference: "s1", Units: everything})
	s.woken().then("asked s1, #2 capture 3998 of #1, the last, attempt 2")
	for s.p.Captures[0].State == opAsked {
		s.woken()
	}
	s.then("capture s1 failed: provider_silent").is(StatusCaptureFailed)
	s.when(Capture{Reference: "s1", Units: everything}).
		then("capture s1 requested: 1:0-2 2:0-3, 3998, #2 capture 3998 of #1, the last, attempt 25")
	s.answer(ResultDone).then("captured s1: 3998").is(StatusCaptured)
}

func TestMoneyThatComesAfterGivingUpCounts(t *testing.T) {
	s := authorized(t).when(Capture{Reference: "s1", Units: everything})
	for s.p.Captures[0].State == opAsked {
		s.woken()
	}
	s.answer(ResultDone).then("captured s1: 3998").is(StatusCaptured)
}

func TestAnAuthorisationIsVoided(t *testing.T) {
	s := authorized(t).when(Void{Reference: "v", Reason: "!"}).then("void v! requested: 1:0-2 2:0-3, 3998, #2 void 3998 of #1").is(StatusAuthorized)
	s.when(Void{Reference: "v", Reason: "!"}).then()
	s.answer(ResultDone).then("voided v!: 1:0-2 2:0-3, 3998").is(StatusVoided).nothingHeld()
	s.when(Capture{Reference: "s1", Units: units(1, 1)}).then("capture s1 failed: payment_voided").is(StatusVoided)
	s.when(Void{Reference: "w"}).then("voided w:, 0")
}

func TestAVoidedPaymentRefusesItsLateOriginal(t *testing.T) {
	s := payment(t).when(Void{Reference: "v"}).then("voided v:, 0").is(StatusVoided)
	s.when(order(money.Of(3998, "EUR"))).then("declined: payment_voided").is(StatusVoided)
	s.when(order(money.Of(3998, "EUR"))).then()
}

func TestAPaymentIsVoidedWhileTheProviderIsAsked(t *testing.T) {
	approve := Report{Operation: Authorizing, N: 1, Result: ResultDone, Ref: "pi"}
	for name, tell := range map[string]func(*story){
		"it was never approved": func(s *story) { s.answer(ResultDone).then("voided v: 1:0-2 2:0-3, 0") },
		"it was declined": func(s *story) {
			s.when(Report{Operation: Authorizing, N: 1, Result: ResultDeclined}).then().answer(ResultDone)
		},
		"approved before the void was answered": func(s *story) {
			s.when(approve).then("void approved_late requested:, 3998, #3 void 3998 of #1")
			s.when(Report{Operation: Voiding, N: 2, Reference: "v", Result: ResultDone}).then("voided v: 1:0-2 2:0-3, 0")
			s.when(Void{Reference: "w"}).then("voided w:, 0") // what is held is being let go of
			s.when(Report{Operation: Voiding, N: 3, Result: ResultDone}).then("voided approved_late:, 3998")
		},
		"approved after it": func(s *story) {
			s.answer(ResultDone).when(approve).then("void approved_late requested:, 3998, #3 void 3998 of #1")
			s.answer(ResultDone).then("voided approved_late:, 3998")
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := ordered(t).when(Void{Reference: "v"}).then("void v requested: 1:0-2 2:0-3, 0, #2 void 0 of #1")
			tell(s)
			s.nothingHeld().is(StatusVoided).when(approve)
			if d := s.p.deadline(); name != "it was never approved" && name != "it was declined" && !d.IsZero() {
				t.Errorf("the payment is over, and wakes at %s", d)
			}
		})
	}
}

func TestUnitsAreVoidedAndTheRestIsCaptured(t *testing.T) {
	s := authorized(t).when(Void{Reference: "v", Units: units(2, 2)}).then("voided v: 2:1-3, 667")
	s.when(Capture{Reference: "s1", Units: []Units{{1, 2}, {2, 1}}}).
		then("capture s1 requested: 1:0-2 2:0-1, 3331, #2 capture 3331 of #1, the last")
	s.answer(ResultDone).then("captured s1: 3331").is(StatusCaptured).nothingHeld()
}

func TestUnitsThatAreVoidedBeforeTheApprovalAreNotOursToTake(t *testing.T) {
	s := ordered(t).when(Void{Reference: "v", Units: units(2, 3)}).then("voided v: 2:0-3, 0")
	s.answer(ResultDone).then("authorized 2998")
}

func TestVoidingAllUnitsVoidsThePayment(t *testing.T) {
	s := authorized(t).when(Void{Reference: "v", Units: everything}).answer(ResultDone).is(StatusVoided).nothingHeld()
	s.when(Void{Reference: "w", Units: units(1, 1)}).then("voided w:, 0")
}

func TestTheProviderLetsGoOfTheRestWithTheLastUnits(t *testing.T) {
	s := authorized(t).when(Capture{Reference: "s1", Units: units(1, 2)}).answer(ResultDone)
	s.when(Void{Reference: "v", Units: units(2, 3)}).then("void v requested: 2:0-3, 1000, #3 void 1000 of #1")
	s.answer(ResultDone).then("voided v: 2:0-3, 1000").is(StatusCaptured).nothingHeld()
}

func TestAVoidWaitsForACapture(t *testing.T) {
	s := authorized(t).when(Capture{Reference: "s1", Units: units(1, 1)})
	s.when(Void{Reference: "v"}).then("void v requested: 1:1-2 2:0-3, 0, waits")
	s.when(Capture{Reference: "s2", Units: units(1, 1)}).then("capture s2 failed: payment_voided")
	s.answer(ResultDone).then("captured s1: 1699", "asked v, #3 void 2299 of #1")
	s.answer(ResultDone).then("voided v: 1:1-2 2:0-3, 2299").is(StatusCaptured).nothingHeld()
}

func TestAVoidGivesUpACaptureThatFailed(t *testing.T) {
	s := authorized(t).when(Capture{Reference: "s1", Units: units(1, 1)}).answer(ResultDeclined)
	s.when(Void{Reference: "v"}).answer(ResultDone).then("voided v: 1:1-2 2:0-3, 3998").nothingHeld()
	s.when(Capture{Reference: "s1", Units: units(1, 1)}).then("capture s1 failed: payment_voided")
}

func TestAProviderWithNothingToVoidIsTakenAtItsWord(t *testing.T) {
	authorized(t).when(Void{Reference: "v"}).answer(ResultDeclined).then("voided v: 1:0-2 2:0-3, 3998").is(StatusVoided).nothingHeld()
}

func TestAVoidThatNobodyAnswersIsAskedForAgainUntilTheAuthorisationHasRunOut(t *testing.T) {
	s := authorized(t).when(Void{Reference: "v"}).woken().then("asked v, #2 void 3998 of #1, attempt 2")
	for s.p.Sums.Held > 0 {
		s.woken()
	}
	s.then("voided v: 1:0-2 2:0-3, 3998").is(StatusVoided)
	if v := s.p.Voids[0]; v.Attempt != maxAttempts {
		t.Errorf("it was asked for %d times", v.Attempt)
	}
}

func TestAnOrderThatCostsNothingAsksNoProvider(t *testing.T) {
	r := order(money.Of(0, "EUR"))
	r.Lines, r.Delivery = []Line{{Line: 1, Quantity: 2}}, Worth{}
	s := payment(t).when(r).then("requested 0, waits", "authorized 0").is(StatusAuthorized)
	s.when(Capture{Reference: "s1", Units: units(1, 1)}).then("capture s1 requested: 1:0-1, 0, waits", "captured s1: 0").is(StatusAuthorized)
	s.when(Capture{Reference: "s2", Units: units(1, 1)}).is(StatusCaptured)
	s.when(Refund{Reference: "r1", Units: units(1, 2)}).then("refunded r1: 0").when(Refund{Reference: "r1", Units: units(1, 2)}).then()
	s.when(Refund{Reference: "r2", Units: units(1, 1)}).then("refund r2 failed: refund_above_captured")
	payment(t).when(r).when(Void{Reference: "v"}).then("voided v: 1:0-2, 0").is(StatusVoided)
	if len(s.tasks) > 0 {
		t.Errorf("the provider was asked %+v", s.tasks)
	}
}

func TestWhatDoesNotAddUpIsAFaultOfWhoeverAsks(t *testing.T) {
	for _, change := range []func(*Request){
		func(r *Request) { r.Amount.Amount++ },
		func(r *Request) { r.Lines = nil },
		func(r *Request) { r.Lines[0].Quantity = 0 },
		func(r *Request) { r.Lines[0].Tax = r.Lines[0].Total + 1 },
		func(r *Request) { r.Method = "" },
		func(r *Request) { r.CompleteWithin = 0 },
	} {
		r := order(money.Of(3998, "EUR"))
		change(&r)
		events, err := r.decide(Payment{})
		if _, refused := fault.Of(err); err == nil || refused || len(events) > 0 {
			t.Errorf("%+v: %v, %v", r, events, err)
		}
	}
}
