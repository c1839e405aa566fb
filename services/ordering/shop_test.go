package ordering

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orderlane/orderlane/pkg/fault"
)

func TestTaxAndDeliveryGoByWhereAnOrderGoes(t *testing.T) {
	shop := DefaultShop()
	for _, c := range []struct {
		way, country, currency string
		fee, reduced           int64
	}{
		{"standard", "GB", "EUR", 400, 500},
		{"express", "DE", "EUR", 900, 700},
		{"standard", "FR", "JPY", 600, 550},
		{"standard", "ZZ", "EUR", 400, 500},
	} {
		got, err := shop.Charges(c.way, c.country, c.currency)
		if err != nil || got.Fee != c.fee || got.Tax["reduced"] != c.reduced || got.DeliveryTax != got.Tax["standard"] {
			t.Errorf("%s to %s in %s: %+v, %v", c.way, c.country, c.currency, got, err)
		}
	}
	_, err := shop.Charges("pigeon", "GB", "EUR")
	if f, _ := fault.Of(err); f == nil || f.Code != "unknown_delivery" || !strings.Contains(f.Detail, "express, standard") {
		t.Errorf("got %v", err)
	}
}

func TestAShopThatMakesNoSenseIsNotTaken(t *testing.T) {
	const good = "tax: {default: {standard: 20, reduced: 5, zero: 0}}\ndelivery: {standard: {fee: 1}}\n"
	for says, change := range map[string][2]string{
		"":                           {"", ""},
		"tax.default is missing":     {"default", "GB"},
		"want a country code":        {"default", "Great Britain"},
		"tax.default.reduced":        {"reduced: 5", "reduced: 101"},
		"two decimals":               {"reduced: 5", "reduced: 5.555"},
		"no tax classes but":         {"zero: 0", "zero: 0, luxury: 30"},
		"delivery.standard is missi": {"delivery: {standard", "delivery: {slow"},
		"delivery.standard.fee":      {"fee: 1", "fee: -1"},
		"delivery.standard.fees.EUX": {"fee: 1", "fee: 1, fees: {EUX: 1}"},
		"field price not found":      {"fee: 1", "price: 1"},
	} {
		path := filepath.Join(t.TempDir(), "shop.yaml")
		if err := os.WriteFile(path, []byte(strings.Replace(good, change[0], change[1], 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := LoadShop(path)
		if (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("want %q, got %v", says, err)
		}
	}
	if _, err := LoadShop(filepath.Join(t.TempDir(), "none.yaml")); err == nil {
		t.Error("a file that is not there is taken")
	}
}
