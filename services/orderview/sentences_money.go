package orderview

import (
	"fmt"

	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/api/payments"
	"github.com/orderlane/orderlane/pkg/bus"
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
	payments.TypePaymentDeclined: failed(func(e *payments.PaymentDeclined) (what, code string) {
		return "The payment was declined", e.Code
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
	payments.TypePaymentCaptureFailed: failed(func(e *payments.PaymentCaptureFailed) (what, code string) {
		return fmt.Sprintf("%s could not be taken", e.Amount), e.Code
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
	payments.TypePaymentRefundFailed: failed(func(e *payments.PaymentRefundFailed) (what, code string) {
		return fmt.Sprintf("%s could not be given back", e.Amount), e.Code
	}),
}

// failed tells everyone what a provider did not do, and the customer why only if that is fit for them.
func failed[E any](say func(e *E) (what, code string)) telling {
	return telling{everyone, func(_ *document, event []byte, to audience) (string, error) {
		var e E
		if err := bus.Decode(event, &e); err != nil {
			return "", err
		}
		what, code := say(&e)
		if to == everyone {
			code = fit(code)
		}
		return what + because(code) + ".", nil
	}}
}

// codeRefused stands for every reason of a bank that is not for customers: one who pays with another's
// card is not to be told that it is known to be lost, or that they are suspected.
const codeRefused = "refused_by_bank"

// fitForCustomers are the codes, ours and of providers, by which customers can help themselves.
var fitForCustomers = map[string]bool{
	"expired": true, "provider_silent": true, "payment_voided": true, "unknown_payment_method": true, "authorization_expired": true,
	"amount_not_supported": true, "card_declined": true, "insufficient_funds": true, "expired_card": true, "incorrect_number": true,
	"incorrect_cvc": true, "incorrect_zip": true, "card_not_supported": true, "currency_not_supported": true,
	"authentication_required": true, "payment_intent_authentication_failure": true,
}

// fit is what the customer is told of why a provider said no.
func fit(code string) string {
	if code == "" || fitForCustomers[code] {
		return code
	}
	return codeRefused
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
