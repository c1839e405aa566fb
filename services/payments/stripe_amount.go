package payments

import "strings"

// Stripe counts nearly every currency in the minor units of ISO 4217, as we do. These it does not:
// https://docs.stripe.com/currencies#special-cases
var (
	// stripeHundredths have no minor unit, and are counted in hundredths all the same.
	stripeHundredths = map[string]bool{"ISK": true, "UGX": true}
	// stripeTens have thousandths, of which only tens can be charged.
	stripeTens = map[string]bool{"BHD": true, "JOD": true, "KWD": true, "OMR": true, "TND": true}
)

// stripeAmount is an amount as Stripe counts it; not ok if Stripe can't charge it.
func stripeAmount(amount int64, currency string) (units int64, ok bool) {
	switch currency = strings.ToUpper(currency); {
	case stripeHundredths[currency]:
		return 100 * amount, true
	case stripeTens[currency]:
		return amount, amount%10 == 0
	}
	return amount, true
}

// fromStripe is what Stripe counts as an amount of ours.
func fromStripe(units int64, currency string) int64 {
	if stripeHundredths[strings.ToUpper(currency)] {
		return units / 100
	}
	return units
}
