package orderview

import (
	"fmt"

	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/api/payments"
	"github.com/orderlane/orderlane/pkg/money"
)

// amount is minor units of a currency as people write them.
func amount(n int64, currency string) string { return money.Of(n, currency).String() }

var paymentsTold = map[string]telling{
	payments.TypePaymentRequested: tell(staffOnly, func(_ *document, e *payments.PaymentRequested) string {
		return fmt.Sprintf("The provider %s was asked to authorise %s%s%s.", e.Provider, e.Amount,
			ifso(e.Again, " again, since the authorisation had run out"), attempt(e.Attempt))
	}),
	payments.TypePaymentActionRequired: plain(everyone, "The customer has to confirm the payment with their bank."),
	payments.TypePaymentAuthorized: tell(everyone, func(_ *document, e *payments.PaymentAuthorized) string {
		return fmt.Sprintf("Payment of %s was authorised.", e.Amount)
	}),
	payments.TypePaymentDeclined: tell(everyone, func(_ *document, e *payments.PaymentDeclined) string {
		return "The payment was declined" + because(e.Code) + "."
	}),
	payments.TypePaymentCaptureRequested: tell(staffOnly, func(_ *document, e *payments.PaymentCaptureRequested) string {
		return fmt.Sprintf("The provider was asked for %s%s.", e.Amount, attempt(e.Attempt))
	}),
	payments.TypePaymentCaptured: tell(everyone, func(o *document, e *payments.PaymentCaptured) string {
		if e.Amount.Amount == 0 {
			return o.goods(paid(e.Lines)) + " had been paid for already."
		}
		return fmt.Sprintf("%s was taken for %s.", e.Amount, o.goods(paid(e.Lines)))
	}),
	payments.TypePaymentCaptureFailed: tell(everyone, func(_ *document, e *payments.PaymentCaptureFailed) string {
		return fmt.Sprintf("%s could not be taken%s.", e.Amount, because(e.Code))
	}),
	payments.TypePaymentVoidRequested: tell(staffOnly, func(_ *document, e *payments.PaymentVoidRequested) string {
		return fmt.Sprintf("The provider was asked to give up %s%s.", e.Amount, attempt(e.Attempt))
	}),
	payments.TypePaymentVoided: tell(everyone, func(_ *document, e *payments.PaymentVoided) string {
		if e.Amount.Amount == 0 {
			return "Nothing will be taken."
		}
		return fmt.Sprintf("%s that was authorised will not be taken.", e.Amount)
	}),
	// Why staff give money back is for staff.
	payments.TypePaymentRefundRequested: tell(staffOnly, func(_ *document, e *payments.PaymentRefundRequested) string {
		return fmt.Sprintf("The provider was asked to give back %s%s%s.", e.Amount, because(e.Reason), attempt(e.Attempt))
	}),
	payments.TypePaymentRefunded: tell(everyone, func(_ *document, e *payments.PaymentRefunded) string {
		return fmt.Sprintf("%s was given back%s.", e.Amount, ifso(e.Partial, "; the rest of it is still to come"))
	}),
	payments.TypePaymentRefundFailed: tell(everyone, func(_ *document, e *payments.PaymentRefundFailed) string {
		return fmt.Sprintf("%s could not be given back%s.", e.Amount, because(e.Code))
	}),
}

// attempt says how often a provider was asked, from the second time on.
func attempt(n int) string {
	if n < 2 {
		return ""
	}
	return fmt.Sprintf(" (attempt %d)", n)
}

// paid are units as ordering counts them.
func paid(units []payments.Units) []ordering.Units {
	out := make([]ordering.Units, len(units))
	for i, u := range units {
		out[i] = ordering.Units(u)
	}
	return out
}
