package payments

import (
	"testing"
	"time"
)

const week = 7 * 24 * time.Hour

// renewed is a payment of which the teas were captured, and the authorisation of the pots has run out.
func renewed(t judge) *story {
	s := authorized(t).when(Capture{Reference: "s1", Units: units(1, 2)}).answer(ResultDone)
	s.woken().then("requested 1000, #3 authorize 1000 of #3")
	if ahead := noon.Add(week).Sub(s.at); ahead != time.Hour {
		t.Fatalf("it was renewed %s before it ran out", ahead)
	}
	if call := s.tasks[len(s.tasks)-1]; call.Replaces != 1 || call.ReplacesRef == "" {
		t.Fatalf("the provider is not told to let go of the old one: %+v", call)
	}
	return s
}

func TestAnAuthorisationIsRenewedBeforeItRunsOut(t *testing.T) {
	s := renewed(t).answer(ResultDone).then("authorized 1000").is(StatusPartiallyCaptured)
	s.when(Capture{Reference: "s2", Units: units(2, 3)}).then("capture s2 requested: 2:0-3, 1000, #4 capture 1000 of #3, the last")
	s.answer(ResultDone).is(StatusCaptured).nothingHeld()
}

func TestACaptureWaitsForTheRenewal(t *testing.T) {
	s := renewed(t).when(Capture{Reference: "s2", Units: units(2, 1)}).then("capture s2 requested: 2:0-1, 333, waits")
	s.answer(ResultDone).then("authorized 1000", "asked s2, #4 capture 333 of #3")
}

func TestAnAuthorisationThatRanOutIsRenewedByTheCaptureThatNeedsIt(t *testing.T) {
	s := authorized(t).later(week).when(Capture{Reference: "s1", Units: everything})
	s.then("capture s1 requested: 1:0-2 2:0-3, 3998, waits", "requested 3998, #2 authorize 3998 of #2")
	s.answer(ResultDone).then("authorized 3998", "asked s1, #3 capture 3998 of #2, the last")
	s.answer(ResultDone).is(StatusCaptured).nothingHeld()
}

func TestARenewalThatIsDeclinedFailsTheCapturesThatWaitForIt(t *testing.T) {
	s := renewed(t).when(Capture{Reference: "s2", Units: units(2, 3)}).answer(ResultDeclined)
	s.then("declined: declined", "capture s2 failed: declined").is(StatusCaptureFailed).nothingHeld()
	s.when(Capture{Reference: "s2", Units: units(2, 3)}).
		then("capture s2 requested: 2:0-3, 1000, waits", "requested 1000, #4 authorize 1000 of #4")
	s.answer(ResultDone).then("authorized 1000", "asked s2, #5 capture 1000 of #4, the last")
}

func TestARenewalThatNobodyAnswersIsGivenUpAndVoided(t *testing.T) {
	s := renewed(t)
	for s.p.Declined == "" {
		s.woken()
	}
	s.then("declined: provider_silent", "void provider_silent requested:, 0, #4 void 0 of #3")
	s.answer(ResultDone).then("voided provider_silent:, 0").is(StatusPartiallyCaptured).nothingHeld()
	s.when(Void{Reference: "v"}).then("voided v: 2:0-3, 0").is(StatusCaptured)
}

func TestACaptureThatWaitedForARenewalInVainIsTriedAgain(t *testing.T) {
	s := renewed(t).when(Capture{Reference: "s2", Units: units(2, 3)})
	for s.p.Declined == "" {
		s.woken()
	}
	s.then("declined: provider_silent", "capture s2 failed: provider_silent", "void provider_silent requested:, 0, #4 void 0 of #3")
	s.when(Capture{Reference: "s2", Units: units(2, 3)}).then("capture s2 requested: 2:0-3, 1000, waits", "requested 1000, #5 authorize 1000 of #5")
}

func TestARenewalIsVoided(t *testing.T) {
	s := renewed(t).when(Void{Reference: "v"}).then("void v requested: 2:0-3, 0, #4 void 0 of #3")
	s.answer(ResultDone).then("voided v: 2:0-3, 0").is(StatusCaptured).nothingHeld()
}

func TestAVoidWaitsForTheCapturesThatWaitForTheRenewal(t *testing.T) {
	s := renewed(t).when(Capture{Reference: "s2", Units: units(2, 1)}).when(Void{Reference: "v"}).then("void v requested: 2:1-3, 0, waits")
	s.answer(ResultDone).then("authorized 333", "asked s2, #4 capture 333 of #3, the last")
	s.answer(ResultDone).then("captured s2: 333", "voided v: 2:1-3, 0").is(StatusCaptured).nothingHeld()
}

func TestUnitsThatAreVoidedBeforeTheRenewalAreNotHeldByIt(t *testing.T) {
	s := renewed(t).when(Capture{Reference: "s2", Units: units(2, 1)}).when(Void{Reference: "v", Units: units(2, 1)}).then("void v requested: 2:2-3, 0, waits")
	s.answer(ResultDone).then("authorized 667", "asked s2, #4 capture 333 of #3")
	s.answer(ResultDeclined).then("capture s2 failed: capture_declined", "voided v: 2:2-3, 0")
	if held := s.p.Sums.Held; held != 667 {
		t.Errorf("%d is held for two pots", held)
	}
}

func TestWhatIsHeldForACaptureThatFailedRunsOut(t *testing.T) {
	s := authorized(t).when(Capture{Reference: "s1", Units: everything}).answer(ResultDeclined)
	s.woken().then("voided authorization_expired:, 3998").nothingHeld().is(StatusCaptureFailed)
	if s.at != noon.Add(week) {
		t.Errorf("it ran out at %s", s.at)
	}
}

func TestAnAuthorisationIsNotRenewedForEver(t *testing.T) {
	s := authorized(t)
	for range maxAuthorizations {
		s.woken()
		s.when(Report{Operation: Authorizing, N: s.tasks[len(s.tasks)-1].N, Result: ResultDone, ExpiresAt: s.at.Add(week)})
	}
	s.when(Wake{}).then()
	s.later(2*week).when(Capture{Reference: "s1", Units: everything}).
		then("capture s1 requested: 1:0-2 2:0-3, 3998, waits", "capture s1 failed: authorization_expired")
}
