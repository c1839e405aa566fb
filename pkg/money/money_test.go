package money

import (
	"errors"
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

func TestAmountsOfTwoCurrenciesDoNotAdd(t *testing.T) {
	if _, err := Of(1, "EUR").Add(Of(1, "USD")); !errors.Is(err, ErrCurrency) {
		t.Fatalf("got %v, want %v", err, ErrCurrency)
	}
}

func TestNoMoneyAddsToAnyCurrency(t *testing.T) {
	got, err := Amount{}.Add(Of(5, "EUR"))
	if err != nil || got != Of(5, "EUR") {
		t.Fatalf("got %v, %v", got, err)
	}
}

func TestArithmeticIsExactOrRefused(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.Int64().Draw(t, "a"), rapid.Int64().Draw(t, "b")
		sum, err := Of(a, "EUR").Add(Of(b, "EUR"))
		exact(t, "sum", new(big.Int).Add(big.NewInt(a), big.NewInt(b)), sum, err)
		product, err := Of(a, "EUR").Times(b)
		exact(t, "product", new(big.Int).Mul(big.NewInt(a), big.NewInt(b)), product, err)
	})
}

func exact(t *rapid.T, what string, want *big.Int, got Amount, err error) {
	switch {
	case err == nil && want.Cmp(big.NewInt(got.Amount)) != 0:
		t.Fatalf("%s is %d, want %s", what, got.Amount, want)
	case err != nil && want.IsInt64() && want.Int64() > -math.MaxInt64/2 && want.Int64() < math.MaxInt64/2 && want.Sign() != 0:
		t.Fatalf("%s is refused with %v, want %s", what, err, want)
	}
}

func TestAmountsReadAsPeopleWriteThem(t *testing.T) {
	for want, a := range map[string]Amount{"12.99 EUR": Of(1299, "EUR"), "1299 JPY": Of(1299, "JPY")} {
		if got := a.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestOnlyCurrenciesOfTheListAreKnown(t *testing.T) {
	if !Of(1, "EUR").Valid() || Of(1, "EUX").Valid() || Of(Max+1, "EUR").Valid() {
		t.Fatal("EUR is a currency, EUX is none, and amounts are bounded")
	}
}
