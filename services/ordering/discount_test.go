package ordering

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/orderlane/orderlane/pkg/es/estest"
	"github.com/orderlane/orderlane/pkg/fault"
	"github.com/orderlane/orderlane/pkg/money"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func TestADiscountCodeIsDefinedAndRevised(t *testing.T) {
	ten := Terms{Percent: 10, MaxUses: 100}
	estest.Of(t, Discounts).Given().When(Define{ten}).Then(Defined{ten})
	estest.Of(t, Discounts).Given(Defined{ten}).When(Define{ten}).Then()
	estest.Of(t, Discounts).Given(Defined{ten}).When(Define{Terms{Percent: 20, MaxUses: 5}}).Then(Defined{Terms{Percent: 20, MaxUses: 5}})
	estest.Of(t, Discounts).Given(Defined{ten}).When(Define{Terms{Percent: 10}}).Refused(fault.Conflict("discount_limit_fixed", ""))
	for code, terms := range map[string]Terms{
		"discount_ambiguous":    {},
		"percent_out_of_range":  {Percent: 101},
		"amount_out_of_range":   {Amount: money.Of(-1, "EUR")},
		"validity_out_of_range": {Percent: 1, ValidFrom: noon, ValidUntil: noon},
		"max_uses_out_of_range": {Percent: 1, MaxUses: maxUses + 1},
	} {
		estest.Of(t, Discounts).Given().When(Define{terms}).Refused(fault.Invalid(code, ""))
	}
}

func TestALimitedCodeIsUsedNoMoreOftenThanItMay(t *testing.T) {
	once := Defined{Terms{Percent: 10, MaxUses: 1}}
	estest.Of(t, Discounts).Given(once).When(Redeem{"o-1"}).Then(Redeemed{"o-1", 1})
	estest.Of(t, Discounts).Given(once, Redeemed{"o-1", 1}).When(Redeem{"o-1"}).Then()
	estest.Of(t, Discounts).Given(once, Redeemed{"o-1", 1}).When(Redeem{"o-2"}).Then(RedemptionRefused{"o-2", "used_up"})
	estest.Of(t, Discounts).Given(once, Redeemed{"o-1", 1}).When(Release{"o-1"}).Then(Released{"o-1", 0})
	estest.Of(t, Discounts).Given(once, Released{"o-1", 0}).When(Release{"o-1"}).Then()
	estest.Of(t, Discounts).Given().When(Redeem{"o-1"}).Then(RedemptionRefused{"o-1", "unknown"})
}

func TestARedemptionThatComesAfterItsReleaseIsRefused(t *testing.T) {
	estest.Of(t, Discounts).Given(Defined{Terms{Percent: 10, MaxUses: 1}}, Released{"o-1", 0}).
		When(Redeem{"o-1"}).Then(RedemptionRefused{"o-1", "released"})
}

func TestAnyRedemptionsAndReleasesKeepTheCount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.Int64Range(1, 3).Draw(t, "limit")
		d := Defined{Terms{Percent: 10, MaxUses: limit}}.evolve(Discount{})
		for range rapid.IntRange(0, 30).Draw(t, "commands") {
			order := rapid.StringMatching("o-[1-6]").Draw(t, "order")
			var c DiscountCommand = Redeem{order}
			if rapid.Bool().Draw(t, "release") {
				c = Release{order}
			}
			events, err := c.decide(d)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range events {
				d = e.evolve(d)
			}
			var users int64
			for _, uses := range d.Orders {
				if uses {
					users++
				}
			}
			if d.Uses != users || users > limit {
				t.Fatalf("%d uses are counted, %d orders use it, %d may", d.Uses, users, limit)
			}
		}
	})
}

func TestACodeIsGoodWithinItsTermsOnly(t *testing.T) {
	at := func(change func(*Discount)) Discount {
		d := Discount{Terms: Terms{Percent: 10, ValidFrom: noon, ValidUntil: noon.Add(time.Hour), MaxUses: 2}}
		change(&d)
		return d
	}
	for code, c := range map[string]struct {
		discount Discount
		at       time.Time
	}{
		"":                        {at(func(*Discount) {}), noon},
		"unknown_discount_code":   {Discount{}, noon},
		"discount_not_valid_yet":  {at(func(*Discount) {}), noon.Add(-1)},
		"discount_expired":        {at(func(*Discount) {}), noon.Add(time.Hour)},
		"discount_used_up":        {at(func(d *Discount) { d.Uses = 2 }), noon},
		"discount_wrong_currency": {at(func(d *Discount) { d.Terms.Percent, d.Terms.Amount = 0, money.Of(1, "USD") }), noon},
	} {
		err := c.discount.usable("SPRING", c.at, "EUR")
		if f, _ := fault.Of(err); (f == nil) != (code == "") || f != nil && f.Code != code {
			t.Errorf("got %v, want %q", err, code)
		}
	}
}

func TestADiscountNeverTakesOffMoreThanThereIs(t *testing.T) {
	for _, c := range []struct {
		terms     Terms
		sum, want int64
	}{
		{Terms{Percent: 10}, 999, 100},
		{Terms{Percent: 100}, 1, 1},
		{Terms{Percent: 50}, maxLines * money.Max, maxLines * money.Max / 2},
		{Terms{Amount: money.Of(500, "EUR")}, 400, 400},
		{Terms{Amount: money.Of(500, "EUR")}, 900, 500},
	} {
		if got := c.terms.off(c.sum); got != c.want {
			t.Errorf("%+v takes %d off %d, want %d", c.terms, got, c.sum, c.want)
		}
	}
}
