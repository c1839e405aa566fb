package payments

import (
	"testing"
	"time"

	"github.com/orderlane/orderlane/pkg/es/estest"
	"github.com/orderlane/orderlane/pkg/money"
)

func TestTheStatesOfAPaymentAreAsDrawn(t *testing.T) {
	const process, staff, provider, clock = "fulfilment", "staff, fulfilment", "provider", "clock"
	var attempts []estest.Attempt[Command]
	attempt := func(name, by string, c Command) {
		attempts = append(attempts, estest.Attempt[Command]{Name: name, By: by, Command: c})
	}
	// told is an answer to any of the operations that can be under way.
	told := func(name string, r Report, first, last int) {
		for r.At = noon; first <= last; first++ {
			r.N = first
			attempt(name, provider, r)
		}
	}
	attempt("authorise", process, Request{
		Customer: "c-42", Provider: "sandbox", Method: "sandbox_approve", Amount: money.Of(300, "EUR"), CompleteWithin: 15 * time.Minute,
		Lines: []Line{{Line: 1, Quantity: 2, Total: 300}}, At: noon,
	})
	told("approved", Report{Operation: Authorizing, Result: ResultDone}, 1, 1)
	told("declined", Report{Operation: Authorizing, Result: ResultDeclined}, 1, 1)
	told("the customer has to act", Report{Operation: Authorizing, Result: ResultActionRequired}, 1, 1)
	attempt("capture a shipment", process, Capture{Reference: "s1", Units: units(1, 1), At: noon})
	attempt("capture the other shipment", process, Capture{Reference: "s2", Units: units(1, 1), At: noon})
	told("captured", Report{Operation: Capturing, Reference: "s1", Result: ResultDone}, 2, 3)
	told("captured", Report{Operation: Capturing, Reference: "s2", Result: ResultDone}, 3, 3)
	told("capture refused", Report{Operation: Capturing, Reference: "s1", Result: ResultDeclined}, 2, 2)
	told("capture refused", Report{Operation: Capturing, Reference: "s2", Result: ResultDeclined}, 3, 3)
	attempt("void what is left", process, Void{Reference: "v", At: noon})
	told("voided", Report{Operation: Voiding, Reference: "v", Result: ResultDone}, 2, 3)
	told("voided", Report{Operation: Voiding, Result: ResultDone}, 2, 3)
	attempt("refund a unit", staff, Refund{Reference: "r1", Units: units(1, 1), At: noon})
	attempt("refund the other unit", staff, Refund{Reference: "r2", Units: units(1, 1), At: noon})
	told("refunded", Report{Operation: Refunding, Reference: "r1", Result: ResultDone}, 3, 4)
	told("refunded", Report{Operation: Refunding, Reference: "r2", Result: ResultDone}, 5, 5)
	attempt("nobody answers in time", clock, Wake{At: noon.Add(15 * time.Minute)})
	estest.Draw(t, Payments, estest.Machine[Payment, Event, Command]{
		Title: "A payment",
		Intro: "The states of an order's payment, here of one line with two units that go out in two shipments. What is asked of the\nprovider is a state only where something else can happen meanwhile.",
		Status: func(p Payment) string {
			if p.LastN == 0 && p.Declined == "" && !p.Closed && !p.requested() {
				return ""
			}
			return string(p.status())
		},
		Attempts: attempts,
	}, "../../docs/states/payment.md")
}
