package catalog

import (
	"testing"

	"github.com/orderlane/orderlane/pkg/es/estest"
	"github.com/orderlane/orderlane/pkg/fault"
	"github.com/orderlane/orderlane/pkg/money"
)

var tea = Details{Name: "Assam tea, 250 g", Price: money.Of(1299, "EUR"), TaxClass: "standard", Attributes: map[string]string{"origin": "India"}}

func TestAProductIsDefinedAndRevised(t *testing.T) {
	estest.Of(t, Products).Given().When(Define{tea}).Then(Defined{tea})
	dearer := tea
	dearer.Price = money.Of(1399, "EUR")
	estest.Of(t, Products).Given(Defined{tea}).When(Define{dearer}).Then(Defined{dearer})
}

func TestDefiningTheSameTwiceChangesNothing(t *testing.T) {
	estest.Of(t, Products).Given(Defined{tea}).When(Define{tea}).Then()
}

func TestDefiningAWithdrawnProductPutsItBackOnSale(t *testing.T) {
	estest.Of(t, Products).Given(Defined{tea}, Withdrawn{}).When(Define{tea}).Then(Defined{tea})
}

func TestAProductNeedsAPriceAndAName(t *testing.T) {
	for code, change := range map[string]func(*Details){
		"unknown_currency":     func(d *Details) { d.Price.Currency = "EUX" },
		"price_out_of_range":   func(d *Details) { d.Price.Amount = -1 },
		"product_without_name": func(d *Details) { d.Name = "" },
	} {
		d := tea
		change(&d)
		estest.Of(t, Products).Given().When(Define{d}).Refused(fault.Invalid(code, ""))
	}
}

func TestThePriceOfAProductChanges(t *testing.T) {
	change := ChangePrice{"TEA-001", money.Of(1399, "EUR")}
	changed := PriceChanged{Price: change.Price, Previous: tea.Price}
	estest.Of(t, Products).Given(Defined{tea}).When(change).Then(changed)
	estest.Of(t, Products).Given(Defined{tea}, changed).When(change).Then()
}

func TestAPriceChangesOnSaleAndInItsCurrencyOnly(t *testing.T) {
	change := ChangePrice{"TEA-001", money.Of(1399, "EUR")}
	estest.Of(t, Products).Given().When(change).Refused(fault.NotFound("product", "TEA-001"))
	estest.Of(t, Products).Given(Defined{tea}, Withdrawn{}).When(change).Refused(fault.Conflict("product_withdrawn", ""))
	estest.Of(t, Products).Given(Defined{tea}).When(ChangePrice{"TEA-001", money.Of(1, "USD")}).
		Refused(fault.Conflict("currency_differs", ""))
	estest.Of(t, Products).Given(Defined{tea}).When(ChangePrice{"TEA-001", money.Of(-1, "EUR")}).
		Refused(fault.Invalid("price_out_of_range", ""))
}

func TestWithdrawingTwiceChangesNothing(t *testing.T) {
	withdraw := Withdraw{"TEA-001"}
	estest.Of(t, Products).Given(Defined{tea}).When(withdraw).Then(Withdrawn{})
	estest.Of(t, Products).Given(Defined{tea}, Withdrawn{}).When(withdraw).Then()
	estest.Of(t, Products).Given().When(withdraw).Refused(fault.NotFound("product", "TEA-001"))
}
