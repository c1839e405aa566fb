package ordering

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/orderlane/orderlane/pkg/es/estest"
	"github.com/orderlane/orderlane/pkg/fault"
	"github.com/orderlane/orderlane/pkg/money"
)

var (
	home    = Address{Name: "Ada Lovelace", Street: "12 St James Square", City: "London", Country: "GB"}
	tea     = Offer{Known: true, Name: "Assam tea, 250 g", Price: money.Of(1299, "EUR"), TaxClass: "standard"}
	charges = Charges{Fee: 400, DeliveryTax: 2000, Tax: map[string]int64{"standard": 2000, "reduced": 500, "zero": 0}}
	place   = Place{
		Customer: "c-42", Currency: "EUR", Wanted: []Wanted{{"TEA-001", 2, tea}}, Charges: charges,
		Personal: Personal{ShipTo: home, Email: "ada@example.com"}, Delivery: "standard", Payment: "sandbox_approve",
	}
	placed = Placed{
		Customer: "c-42", Currency: "EUR", Country: "GB", Delivery: "standard", Payment: "sandbox_approve",
		Lines:    []Line{{SKU: "TEA-001", Name: "Assam tea, 250 g", Quantity: 2, UnitPrice: 1299, Tax: 433, Total: 2598, TaxRate: 2000}},
		Totals:   Totals{Lines: 2598, Delivery: 400, Tax: 500, Total: 2998, DeliveryTax: 67},
		Personal: &Personal{ShipTo: home, Email: "ada@example.com"},
	}
)

func with(change func(*Place)) Place {
	p := place
	p.Wanted = append([]Wanted(nil), place.Wanted...)
	change(&p)
	return p
}

func TestAnOrderIsPlacedAtThePricesOfThePriceList(t *testing.T) {
	estest.Of(t, Orders).Given().When(place).Then(placed)
}

func TestAnOrderIsPlacedOnce(t *testing.T) {
	estest.Of(t, Orders).Given(placed).When(place).Refused(fault.Conflict("order_exists", ""))
}

func TestTheTotalMustBeTheExpectedOne(t *testing.T) {
	expect := func(amount int64, currency string) Place {
		return with(func(p *Place) { total := money.Of(amount, currency); p.ExpectedTotal = &total })
	}
	estest.Of(t, Orders).Given().When(expect(2998, "EUR")).Then(placed)
	estest.Of(t, Orders).Given().When(expect(2997, "EUR")).Refused(fault.Conflict("price_changed", ""))
	estest.Of(t, Orders).Given().When(expect(2998, "USD")).Refused(fault.Conflict("price_changed", ""))
}

func TestWhatCannotBeOrderedIsRefusedByName(t *testing.T) {
	for code, c := range map[string]struct {
		kind   func(code, format string, args ...any) *fault.Fault
		change func(*Place)
	}{
		"unknown_product":       {fault.Invalid, func(p *Place) { p.Wanted[0].Offer = Offer{} }},
		"product_withdrawn":     {fault.Conflict, func(p *Place) { p.Wanted[0].Offer.Withdrawn = true }},
		"wrong_currency":        {fault.Invalid, func(p *Place) { p.Currency = "USD" }},
		"unknown_currency":      {fault.Invalid, func(p *Place) { p.Currency = "EUX" }},
		"quantity_out_of_range": {fault.Invalid, func(p *Place) { p.Wanted[0].Quantity = 0 }},
		"lines_out_of_range":    {fault.Invalid, func(p *Place) { p.Wanted = make([]Wanted, 101) }},
		"customer_missing":      {fault.Invalid, func(p *Place) { p.Customer = "" }},
		"total_out_of_range":    {fault.Invalid, func(p *Place) { p.Wanted[0].Offer.Price.Amount = money.Max }},
	} {
		estest.Of(t, Orders).Given().When(with(c.change)).Refused(c.kind(code, ""))
	}
}

func TestTheTotalOfAnOrderIsBoundedToo(t *testing.T) {
	dear := tea
	dear.Price.Amount = money.Max
	estest.Of(t, Orders).Given().When(with(func(p *Place) { p.Wanted = []Wanted{{"A", 1, dear}, {"B", 1, dear}} })).
		Refused(fault.Invalid("total_out_of_range", ""))
}

func TestARefusalNamesEveryLineThatIsWrong(t *testing.T) {
	_, err := with(func(p *Place) {
		p.Wanted = []Wanted{{"TEA-001", 1, tea}, {"NO-1", 1, Offer{}}, {"NO-2", 1, Offer{}}}
	}).decide(Order{})
	f, _ := fault.Of(err)
	if f == nil || len(f.Fields) != 2 || f.Fields[0].Location != "body.lines[1]" || f.Fields[1].Message != `there is no product "NO-2"` {
		t.Fatalf("got %+v", f)
	}
}

func TestTheAddressOfAPlacedOrderChangesWithinItsCountry(t *testing.T) {
	away := home
	away.City = "Leeds"
	changed := AddressChanged{Country: "GB", Personal: &Personal{ShipTo: away}}
	for _, by := range []Caller{{ID: "c-42", Customer: true}, {ID: "s-1"}} {
		estest.Of(t, Orders).Given(placed).When(ChangeAddress{"1", away, by}).Then(changed)
	}
	away.Country = "FR" // whose taxes are others
	estest.Of(t, Orders).Given(placed).When(ChangeAddress{"1", away, Caller{ID: "s-1"}}).Refused(fault.Conflict("country_fixed", ""))
}

func TestAnOrderIsSentElsewhereSoManyTimesOnly(t *testing.T) {
	given := []Event{placed}
	for range maxMoves - 1 {
		given = append(given, AddressChanged{Country: "GB"})
	}
	change := ChangeAddress{"1", home, Caller{ID: "c-42", Customer: true}}
	changed := AddressChanged{Country: "GB", Personal: &Personal{ShipTo: home}}
	estest.Of(t, Orders).Given(given...).When(change).Then(changed)
	estest.Of(t, Orders).Given(append(given, changed)...).When(change).Refused(fault.Conflict("too_many_changes", ""))
}

func TestAForeignOrderIsNotThere(t *testing.T) {
	change := ChangeAddress{"1", home, Caller{ID: "c-43", Customer: true}}
	estest.Of(t, Orders).Given(placed).When(change).Refused(fault.NotFound("order", "1"))
	estest.Of(t, Orders).Given().When(change).Refused(fault.NotFound("order", "1"))
}

func TestAnOrderAddsUpToItsTotal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := place
		c.Wanted = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Wanted {
			offer := tea
			offer.Price.Amount = rapid.Int64Range(0, 1_000_000).Draw(t, "price")
			offer.TaxClass = rapid.SampledFrom([]string{"standard", "reduced", "zero"}).Draw(t, "class")
			return Wanted{"SKU", rapid.Int64Range(1, maxQuantity).Draw(t, "quantity"), offer}
		}), 1, maxLines).Draw(t, "lines")
		if rapid.Bool().Draw(t, "discounted") {
			c.Discount = &Promised{Code: "SPRING", Terms: Terms{
				Percent: rapid.Int64Range(0, 100).Draw(t, "percent"),
				Amount:  money.Of(rapid.Int64Range(1, money.Max).Draw(t, "amount"), "EUR"),
			}}
		}
		events, err := c.decide(Order{})
		if err != nil {
			t.Fatal(err)
		}
		e := events[0].(Placed)
		var lines, discount, tax, total int64
		for _, l := range e.Lines {
			if l.Total != l.Quantity*l.UnitPrice-l.Discount || l.Discount < 0 || l.Total < 0 || l.Tax < 0 || l.Tax > l.Total {
				t.Fatalf("line %+v does not add up", l)
			}
			lines, discount, tax, total = lines+l.Quantity*l.UnitPrice, discount+l.Discount, tax+l.Tax, total+l.Total
		}
		sums := e.Totals
		want := Totals{
			Lines: lines, Delivery: charges.Fee, Discount: discount, DeliveryTax: includedTax(charges.Fee, charges.DeliveryTax),
			Tax: tax + sums.DeliveryTax, Total: total + sums.Delivery,
		}
		if sums != want {
			t.Fatalf("totals are %+v, and the lines add up to %+v", sums, want)
		}
	})
}

func TestNothingPersonalIsInAnEvent(t *testing.T) {
	r, err := Orders.Codec.Encode(placed)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"Ada", "ada@", "James", "London"} {
		if contains(r.Data, word) {
			t.Errorf("the event says %q: %s", word, r.Data)
		}
		if word != "London" && !contains(r.Personal, word) {
			t.Errorf("the personal payload lacks %q: %s", word, r.Personal)
		}
	}
}

func contains(data []byte, word string) bool {
	for i := range data {
		if len(data)-i >= len(word) && string(data[i:i+len(word)]) == word {
			return true
		}
	}
	return false
}

func TestOrderNumbersNeverRepeat(t *testing.T) {
	seen := map[string]int64{}
	for p := int64(1); p <= 200_000; p++ {
		n := number(p)
		if before, ok := seen[n]; ok {
			t.Fatalf("positions %d and %d share the number %s", before, p, n)
		}
		seen[n] = p
	}
	if n := number(1); len(n) != 9 || n[4] != '-' {
		t.Fatalf("got %q", n)
	}
}
