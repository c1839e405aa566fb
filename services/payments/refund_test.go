package payments

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/orderlane/orderlane/pkg/fault"
	"github.com/orderlane/orderlane/pkg/money"
)

func paidFor(t judge) *story {
	return authorized(t).when(Capture{Reference: "s1", Units: everything}).answer(ResultDone)
}

func euro(cents int64) *money.Amount {
	a := money.Of(cents, "EUR")
	return &a
}

func TestUnitsAreGivenBackAtWhatTheyCost(t *testing.T) {
	s := paidFor(t)
	for _, reference := range []string{"r1", "r2", "r3"} {
		s.when(Refund{Reference: reference, Units: units(2, 1)})
		s.answer(ResultDone).is(StatusPartiallyRefunded)
	}
	if got := s.p.Sums.Refunded; got != -1000 {
		t.Errorf("%d was given back for units that cost 1000", -got)
	}
	s.when(Refund{Reference: "r4", Units: units(1, 2), Delivery: true}).then("refund r4 requested: 1:0-2, 2998, #6 refund 2998 of #1")
	s.answer(ResultDone).then("refunded r4: 2998").is(StatusRefunded)
	if p := s.p.Sums; p.Revenue != 0 || p.Tax != 0 || p.Customer != 0 || p.Receivable != 0 {
		t.Errorf("everything went back, and the accounts are %+v", p)
	}
}

func TestAnAmountIsGivenBackWithItsShareOfTheTax(t *testing.T) {
	s := paidFor(t).when(Refund{Reference: "r1", Amount: euro(1999), Reason: "goodwill", Staff: true})
	s.then("refund r1 requested:, 1999, #3 refund 1999 of #1").is(StatusCaptured)
	if b := s.p.Sums.Balance(); b.Refunding != 1999 {
		t.Errorf("the balance is %+v", b)
	}
	s.answer(ResultDone).then("refunded r1: 1999").is(StatusPartiallyRefunded)
	if p := s.p.Sums; p.Tax != -330 || p.Revenue != -1669 {
		t.Errorf("half of it went back, and the accounts are %+v", p)
	}
}

func TestARefundIsGivenOnce(t *testing.T) {
	s := paidFor(t).when(Refund{Reference: "r1", Units: units(1, 1)})
	s.when(Refund{Reference: "r1", Units: units(1, 1)}).then()
	s.answer(ResultDone).then("refunded r1: 1299").answer(ResultDone).then()
	s.when(Refund{Reference: "r1", Units: units(1, 1)}).then()
}

func TestNoMoreIsGivenBackThanWasCaptured(t *testing.T) {
	above := fault.Conflict("refund_above_captured", "")
	s := paidFor(t)
	for _, r := range []Refund{{Amount: euro(3999)}, {Units: units(1, 3)}, {Units: []Units{{1, 2}, {2, 4}}}} {
		r.Reference, r.Staff = "r1", true
		s.when(r).refused(above)
		r.Staff = false
		s.when(r).then("refund r1 failed: refund_above_captured").is(StatusCaptured)
	}
	s.when(Refund{Reference: "r2", Amount: euro(3998), Staff: true}) // asked for, and not given yet
	s.when(Refund{Reference: "r3", Amount: euro(1), Staff: true}).refused(above)
	s.when(Refund{Reference: "r3", Units: units(1, 1), Staff: true}).refused(above)
	payment(t).when(Refund{Reference: "r1", Amount: euro(1), Staff: true}).refused(fault.NotFound("payment", ""))
	authorized(t).when(Refund{Reference: "r1", Amount: euro(1), Staff: true}).refused(above)
	authorized(t).when(Refund{Reference: "r1", Delivery: true, Staff: true}).refused(above)
	s = paidFor(t).when(Refund{Reference: "r1", Delivery: true})
	s.when(Refund{Reference: "r2", Delivery: true, Staff: true}).refused(above)
}

func TestARefundOfNothingIsRefused(t *testing.T) {
	for _, r := range []Refund{{}, {Amount: euro(0)}, {Amount: euro(-5)}, {Amount: euro(5), Units: units(1, 1)}, {Amount: euro(5), Delivery: true}} {
		r.Staff = true
		paidFor(t).when(r).refused(fault.Invalid("nothing_to_refund", ""))
	}
	dollars := money.Of(5, "USD")
	paidFor(t).when(Refund{Amount: &dollars, Staff: true}).refused(fault.Invalid("wrong_currency", ""))
	paidFor(t).when(Refund{Units: units(9, 1), Staff: true}).refused(fault.Invalid("unknown_line", ""))
	paidFor(t).when(Refund{Units: units(1, -1), Staff: true}).refused(fault.Invalid("unknown_line", ""))
}

func TestWhatWasGivenBackOutOfGoodwillIsNotGivenBackWithTheGoods(t *testing.T) {
	s := paidFor(t).when(Refund{Reference: "r1", Amount: euro(3000), Staff: true}).answer(ResultDone)
	s.when(Refund{Reference: "r2", Units: everything}).then("refund r2 requested: 1:0-2 2:0-3, 998, #4 refund 998 of #1")
	s.answer(ResultDone).is(StatusRefunded)
	if p := s.p.Sums; p.Revenue != 0 || p.Tax != 0 {
		t.Errorf("everything went back, and the accounts are %+v", p)
	}
}

func TestTheTaxIsGivenBackToTheLastCent(t *testing.T) {
	s := paidFor(t).when(Refund{Reference: "r1", Amount: euro(400), Staff: true}).answer(ResultDone) // 66 of tax, as a share
	s.when(Refund{Reference: "r2", Units: everything}).answer(ResultDone).is(StatusRefunded)         // 593 in the goods
	if p := s.p.Sums; p.Revenue != 0 || p.Tax != 0 {
		t.Errorf("everything went back, and the accounts are %+v", p)
	}
}

func TestARefundThatWasRefusedIsAskedForAgain(t *testing.T) {
	s := paidFor(t).when(Refund{Reference: "r1", Units: units(2, 1)}).answer(ResultDeclined)
	s.then("refund r1 failed: refund_declined").is(StatusCaptured)
	s.when(Refund{Reference: "r1", Units: units(2, 1)}).then("refund r1 requested: 2:0-1, 333, #4 refund 333 of #1")
	s.answer(ResultDone).then("refunded r1: 333")
	// Or by another reference.
	s = paidFor(t).when(Refund{Reference: "r1", Units: units(2, 3)}).answer(ResultDeclined)
	s.when(Refund{Reference: "r2", Units: units(2, 3)}).then("refund r2 requested: 2:0-3, 1000, #4 refund 1000 of #1")
}

func TestUnitsInTheMiddleThatTheProviderGivesBackAfterAllAreNotKept(t *testing.T) {
	s := paidFor(t).when(Refund{Reference: "r1", Units: units(2, 1)}).when(Refund{Reference: "r2", Units: units(2, 1)}).answer(ResultDeclined)
	s.when(Report{Operation: Refunding, N: 3, Reference: "r1", Result: ResultDeclined})
	s.when(Report{Operation: Refunding, N: 4, Reference: "r2", Result: ResultDone}) // it has changed its mind
	if kept := s.p.line(2).Kept; !reflect.DeepEqual(kept, []Span{{From: 0, To: 1}, {From: 2, To: 3}}) {
		t.Errorf("kept are %+v", kept)
	}
	s.when(Refund{Reference: "r3", Units: units(2, 2)}).then("refund r3 requested: 2:0-1 2:2-3, 666, #5 refund 666 of #1")
	if kept := s.p.line(2).Kept; len(kept) > 0 {
		t.Errorf("kept are %+v", kept)
	}
}

func TestARefundThatNobodyAnsweredIsNeverASecondOne(t *testing.T) {
	s := paidFor(t).when(Refund{Reference: "r1", Amount: euro(3998)})
	s.woken().then("asked r1, #3 refund 3998 of #1, attempt 2")
	for s.p.Refunds[0].State == opAsked {
		s.woken()
	}
	s.then("refund r1 failed: provider_silent")
	s.when(Refund{Reference: "r2", Amount: euro(1), Staff: true}).refused(fault.Conflict("refund_above_captured", "")) // it may have been given
	s.when(Refund{Reference: "r1", Amount: euro(3998)}).then("asked r1, #3 refund 3998 of #1, attempt 25")
	s.answer(ResultDone).then("refunded r1: 3998").is(StatusRefunded)
	s = paidFor(t).when(Refund{Reference: "r1", Units: units(2, 3)})
	for s.p.Refunds[0].State == opAsked {
		s.woken()
	}
	s.when(Refund{Reference: "r2", Units: units(2, 1), Staff: true}).refused(fault.Conflict("refund_above_captured", ""))
	s.answer(ResultDeclined).then("refund r1 failed: refund_declined")
	s.when(Refund{Reference: "r2", Units: units(2, 1), Staff: true}).then("refund r2 requested: 2:0-1, 333, #4 refund 333 of #1")
}

func TestARefundIsTakenFromEveryAuthorisationThatWasCapturedFrom(t *testing.T) {
	s := renewed(t).answer(ResultDone).then("authorized 1000")
	s.when(Capture{Reference: "s2", Units: units(2, 3)}).answer(ResultDone).is(StatusCaptured)
	s.when(Refund{Reference: "r1", Amount: euro(3500)}).then(
		"refund r1 requested:, 2998, #5 refund 2998 of #1", "refund r1 requested:, 502, #6 refund 502 of #3",
	)
}

// twoPieces is a refund of everything, from two authorisations, as #5 and #6.
func twoPieces(t judge) *story {
	s := renewed(t).answer(ResultDone).when(Capture{Reference: "s2", Units: units(2, 3)}).answer(ResultDone)
	return s.when(Refund{Reference: "r1", Units: everything, Delivery: true}).
		then("refund r1 requested: 1:0-2 2:0-3, 2998, #5 refund 2998 of #1", "refund r1 requested:, 1000, #6 refund 1000 of #3")
}

func piece(n int, result Result) Report {
	return Report{Operation: Refunding, N: n, Reference: "r1", Result: result}
}

func TestARefundIsPaidWhenAllOfItsPiecesAre(t *testing.T) {
	twoPieces(t).when(piece(6, ResultDone)).then("refunded r1: 1000, partial").
		when(Refund{Reference: "r1", Units: everything, Delivery: true}).then().
		when(piece(5, ResultDone)).then("refunded r1: 2998").is(StatusRefunded)
	twoPieces(t).when(piece(6, ResultDeclined)).then("refund r1 failed: refund_declined").
		when(piece(5, ResultDone)).then("refunded r1: 2998, partial")
}

func TestThePieceOfARefundThatWasRefusedIsAskedForAgain(t *testing.T) {
	s := twoPieces(t).when(piece(5, ResultDone)).when(piece(6, ResultDeclined)).is(StatusPartiallyRefunded)
	for range 2 { // by whoever knows what it was of, or only that it was
		n := s.p.LastN + 1
		s.when(Refund{Reference: "r1"}).then(fmt.Sprintf("refund r1 requested:, 1000, #%d refund 1000 of #3", n))
		s.when(Refund{Reference: "r1", Units: everything, Delivery: true}).then()
		s.answer(ResultDeclined).then("refund r1 failed: refund_declined")
	}
	s.when(Refund{Reference: "r1", Units: everything, Delivery: true}).answer(ResultDone).then("refunded r1: 1000").is(StatusRefunded)
	if p := s.p.Sums; p.Revenue != 0 || p.Tax != 0 || p.Customer != 0 || p.Receivable != 0 {
		t.Errorf("everything went back, and the accounts are %+v", p)
	}
	s.when(Refund{Reference: "r1"}).then()

	s = twoPieces(t).when(piece(5, ResultDeclined)).when(piece(6, ResultDone))
	s.when(Refund{Reference: "r2", Amount: euro(1000), Staff: true})
	s.when(Refund{Reference: "r1"}).then("refund r1 requested: 1:0-2 2:0-3, 1998, #8 refund 1998 of #1")
	s = twoPieces(t).when(piece(5, ResultDeclined)).when(piece(6, ResultDone))
	s.when(Refund{Reference: "r2", Units: units(1, 2), Staff: true}).answer(ResultDone) // another way
	s.when(Refund{Reference: "r1"}).then("refund r1 failed: refund_above_captured")
}

func TestThePieceOfARefundThatNobodyAnsweredIsAskedForAgain(t *testing.T) {
	s := twoPieces(t).when(piece(5, ResultDone))
	for s.p.Refunds[1].State == opAsked {
		s.woken()
	}
	s.then("refund r1 failed: provider_silent")
	s.when(Refund{Reference: "r1", Units: everything, Delivery: true}).then("asked r1, #6 refund 1000 of #3, attempt 25")
	s.answer(ResultDone).then("refunded r1: 1000").is(StatusRefunded)
}

// One capture

func oneCapture(t judge) *story {
	return ordered(t).when(Report{Operation: Authorizing, N: 1, Result: ResultDone, Ref: "pi_1", OneCapture: true})
}

func TestWhereOneCaptureIsAllowedItTakesEverything(t *testing.T) {
	s := oneCapture(t).when(Capture{Reference: "s1", Units: units(1, 1)}).
		then("capture s1 requested: 1:0-1, 1699, #2 capture 3998 of #1, the last")
	s.when(Capture{Reference: "s2", Units: units(1, 1)}).then("capture s2 requested: 1:1-2, 1299, waits")
	s.answer(ResultDone).then("captured s1: 3998", "captured s2: 0").is(StatusCaptured).nothingHeld()
	s.when(Capture{Reference: "s3", Units: units(2, 3)}).then("capture s3 requested: 2:0-3, 1000, waits", "captured s3: 0")
	if p := s.p.Sums; p.Receivable != 0 || p.Revenue != -3338 {
		t.Errorf("the accounts are %+v", p)
	}
}

func TestUnitsThatArePaidForInAdvanceAreGivenBackWhenTheyAreVoided(t *testing.T) {
	s := oneCapture(t).when(Capture{Reference: "s1", Units: units(1, 2)}).answer(ResultDone).then("captured s1: 3998")
	s.when(Void{Reference: "v", Units: units(2, 1)}).then("voided v: 2:2-3, 0", "refund v requested: 2:2-3, 333, #3 refund 333 of #1")
	s.answer(ResultDone).then("refunded v: 333")
	s.when(Void{Reference: "w"}).then("voided w: 2:0-2, 0", "refund w requested: 2:0-2, 667, #4 refund 667 of #1")
	s.answer(ResultDone)
	if p := s.p.Sums; p.Receivable != 0 || p.Revenue != -2498 || p.Tax != -500 || p.Refunded != -1000 {
		t.Errorf("the accounts are %+v", p)
	}
}

func TestAVoidWaitsForTheOneCaptureAndIsGivenBack(t *testing.T) {
	s := oneCapture(t).when(Capture{Reference: "s1", Units: units(1, 2)})
	s.when(Void{Reference: "v", Units: units(2, 3)}).then("void v requested: 2:0-3, 0, waits")
	s.answer(ResultDone).then("captured s1: 3998", "voided v: 2:0-3, 0", "refund v requested: 2:0-3, 1000, #3 refund 1000 of #1")
	s.answer(ResultDeclined).then("refund v failed: refund_declined")
	s.when(Refund{Reference: "r1", Units: units(2, 3), Staff: true}).then("refund r1 requested: 2:0-3, 1000, #4 refund 1000 of #1")
	s.answer(ResultDone)
	if p := s.p.Sums; p.Receivable != 0 || p.Revenue != -2498 || p.Tax != -500 {
		t.Errorf("the accounts are %+v", p)
	}
}

func TestACaptureThatFailedIsPaidForByTheOneThatTakesEverything(t *testing.T) {
	s := oneCapture(t).when(Capture{Reference: "s1", Units: units(1, 1)}).answer(ResultDeclined).is(StatusCaptureFailed)
	s.when(Capture{Reference: "s2", Units: units(1, 1)}).then("capture s2 requested: 1:1-2, 1299, #3 capture 3998 of #1, the last")
	s.answer(ResultDone).then("captured s2: 3998", "captured s1: 0").is(StatusCaptured)
}

func TestARenewalPaysForTheCaptureThatFailedForWantOfOne(t *testing.T) {
	s := ordered(t).when(Report{Operation: Authorizing, N: 1, Result: ResultDone, Ref: "pi_1", OneCapture: true, ExpiresAt: noon.Add(week)})
	s.later(week).when(Capture{Reference: "s1", Units: units(1, 2)}).answer(ResultDeclined).is(StatusCaptureFailed)
	s.when(Capture{Reference: "s2", Units: units(2, 3)}).then("capture s2 requested: 2:0-3, 1000, waits", "requested 3998, #3 authorize 3998 of #3")
	s.when(Report{Operation: Authorizing, N: 3, Result: ResultDone, Ref: "pi_2", OneCapture: true}).then("authorized 3998", "asked s2, #4 capture 3998 of #3, the last")
	s.answer(ResultDone).then("captured s2: 3998", "captured s1: 0").is(StatusCaptured).nothingHeld()
}

func TestACaptureThatNobodyAnsweredIsNotPaidForByARenewal(t *testing.T) {
	s := ordered(t).when(Report{Operation: Authorizing, N: 1, Result: ResultDone, Ref: "pi_1", OneCapture: true, ExpiresAt: noon.Add(week)})
	s.when(Capture{Reference: "s1", Units: units(1, 2)})
	for s.p.Captures[0].State == opAsked {
		s.woken()
	}
	s.later(week).when(Capture{Reference: "s2", Units: units(2, 3)}).then("capture s2 requested: 2:0-3, 1000, waits", "requested 1000, #3 authorize 1000 of #3")
	s.when(Report{Operation: Authorizing, N: 3, Result: ResultDone, Ref: "pi_2", OneCapture: true})
	s.answer(ResultDone).then("captured s2: 1000").is(StatusCaptureFailed)
	s.when(Capture{Reference: "s1", Units: units(1, 2)}).then("capture s1 requested: 1:0-2, 2998, #2 capture 3998 of #1, the last, attempt 25")
}

func TestAnAmountAboveWhatWasEarnedIsGivenBackFromWhatWasPaidInAdvance(t *testing.T) {
	s := oneCapture(t).when(Capture{Reference: "s1", Units: units(1, 1)}).answer(ResultDone)
	s.when(Refund{Reference: "r1", Amount: euro(2000), Staff: true}).answer(ResultDone)
	if p := s.p.Sums; p.Revenue != 0 || p.Tax != 0 || p.Receivable != 301-2299 {
		t.Errorf("the accounts are %+v", p)
	}
}
