// Package money holds amounts of money as whole minor units with a currency, so that
// sums are exact. It is part of the domain's language: commands, events and views all
// carry it.
package money

import (
	"errors"
	"fmt"
	"math"
	"math/bits"

	"github.com/bojanz/currency"
)

// Amount is a number of minor units (cents, for EUR) of one currency. The zero value is
// no money of no currency.
type Amount struct {
	Amount   int64  `json:"amount" doc:"Minor units, such as cents" example:"1299"`
	Currency string `json:"currency" doc:"ISO 4217 code" example:"EUR" pattern:"^[A-Z]{3}$"`
}

// Max bounds a single amount, in minor units: far above any order, and far below where
// sums of the allowed number of lines could overflow.
const Max = 1_000_000_000_000

// The errors of arithmetic.
var (
	ErrCurrency = errors.New("money: amounts of two currencies")
	ErrOverflow = errors.New("money: amount out of range")
)

// Of returns n minor units of a currency.
func Of(n int64, currencyCode string) Amount { return Amount{Amount: n, Currency: currencyCode} }

// Valid reports whether the currency is one of ISO 4217 and the amount within ±Max.
func (a Amount) Valid() bool {
	return KnownCurrency(a.Currency) && a.Amount >= -Max && a.Amount <= Max
}

// KnownCurrency reports whether code is a currency of ISO 4217.
func KnownCurrency(code string) bool { return currency.IsValid(code) }

// Add returns a + b. Adding the zero Amount gives the other one.
func (a Amount) Add(b Amount) (Amount, error) {
	switch {
	case a == Amount{}:
		return b, nil
	case b == Amount{}:
		return a, nil
	case a.Currency != b.Currency:
		return Amount{}, fmt.Errorf("%w: %s and %s", ErrCurrency, a.Currency, b.Currency)
	}
	sum := a.Amount + b.Amount
	if (sum > a.Amount) != (b.Amount > 0) && b.Amount != 0 {
		return Amount{}, ErrOverflow
	}
	return Amount{Amount: sum, Currency: a.Currency}, nil
}

// Times returns n times a.
func (a Amount) Times(n int64) (Amount, error) {
	if a.Amount < 0 || n < 0 {
		if a.Amount == math.MinInt64 || n == math.MinInt64 {
			return Amount{}, ErrOverflow
		}
	}
	hi, lo := bits.Mul64(magnitude(a.Amount), magnitude(n))
	if hi != 0 || lo > math.MaxInt64 {
		return Amount{}, ErrOverflow
	}
	product := int64(lo)
	if (a.Amount < 0) != (n < 0) {
		product = -product
	}
	return Amount{Amount: product, Currency: a.Currency}, nil
}

func magnitude(n int64) uint64 {
	if n < 0 {
		return uint64(-n)
	}
	return uint64(n)
}

// String writes the amount for people: 12.99 EUR, 1299 JPY.
func (a Amount) String() string {
	amount, err := currency.NewAmountFromInt64(a.Amount, a.Currency)
	if err != nil {
		return fmt.Sprintf("%d %s", a.Amount, a.Currency)
	}
	return amount.String()
}
