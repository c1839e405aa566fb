package ordering

import (
	"bytes"
	_ "embed" // of the default shop
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/orderlane/orderlane/api/catalog"
	"github.com/orderlane/orderlane/pkg/fault"
	"github.com/orderlane/orderlane/pkg/money"
)

// Shop is what the shop charges beside its prices: taxes and delivery. It is immutable.
type Shop struct {
	tax      map[string]rates // by country; "" is for all others
	delivery map[string]delivery
}

// rates are tax rates by tax class, in basis points of the net price.
type rates map[string]int64

// delivery is what a way of delivery costs, in minor units with tax included.
type delivery struct {
	fee  int64
	fees map[string]int64 // by currency, where it is not fee
}

//go:embed shop.yaml
var defaultShop []byte

// DefaultShop is the shop of whoever says nothing else.
func DefaultShop() *Shop {
	shop, err := parseShop(defaultShop)
	if err != nil {
		panic(err) // a test reads it
	}
	return shop
}

// LoadShop reads a shop from a YAML file; the default one, if no file is named.
func LoadShop(path string) (*Shop, error) {
	if path == "" {
		return DefaultShop(), nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the shop's taxes and deliveries: %w", err)
	}
	shop, err := parseShop(data)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return shop, nil
}

// shopFile is the form of the file.
type shopFile struct {
	Tax      map[string]map[string]float64 `yaml:"tax"`
	Delivery map[string]struct {
		Fee  int64            `yaml:"fee"`
		Fees map[string]int64 `yaml:"fees"`
	} `yaml:"delivery"`
}

// otherCountries is the name under which the file has the rates of all countries it does not name.
const otherCountries = "default"

func parseShop(data []byte) (*Shop, error) {
	var f shopFile
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	if err := d.Decode(&f); err != nil {
		return nil, err
	}
	shop := &Shop{tax: make(map[string]rates), delivery: make(map[string]delivery)}
	for country, percents := range f.Tax {
		r, err := parseRates(country, percents)
		if err != nil {
			return nil, err
		}
		shop.tax[strings.TrimPrefix(country, otherCountries)] = r
	}
	if shop.tax[""] == nil {
		return nil, fmt.Errorf("tax.%s is missing: the rates of countries that are not named", otherCountries)
	}
	for name, way := range f.Delivery {
		for currency, fee := range way.Fees {
			if !money.KnownCurrency(currency) || fee < 0 || fee > money.Max {
				return nil, fmt.Errorf("delivery.%s.fees.%s: want a currency of ISO 4217 and a fee of 0 to %d", name, currency, int64(money.Max))
			}
		}
		if way.Fee < 0 || way.Fee > money.Max {
			return nil, fmt.Errorf("delivery.%s.fee is %d: want 0 to %d", name, way.Fee, int64(money.Max))
		}
		shop.delivery[name] = delivery{fee: way.Fee, fees: way.Fees}
	}
	if _, ok := shop.delivery[DefaultDelivery]; !ok {
		return nil, fmt.Errorf("delivery.%s is missing: the delivery of orders that name none", DefaultDelivery)
	}
	return shop, nil
}

func parseRates(country string, percents map[string]float64) (rates, error) {
	if country != otherCountries && len(country) != 2 {
		return nil, fmt.Errorf("tax.%s: want a country code of ISO 3166, or %s", country, otherCountries)
	}
	r := make(rates)
	for _, class := range []string{catalog.TaxStandard, catalog.TaxReduced, catalog.TaxZero} {
		percent, ok := percents[class]
		points := math.Round(percent * 100)
		if !ok || percent < 0 || percent > 100 || math.Abs(points-percent*100) > 1e-6 {
			return nil, fmt.Errorf("tax.%s.%s: want a rate of 0 to 100 percent, with two decimals at the most", country, class)
		}
		r[class] = int64(points)
	}
	if len(percents) != len(r) {
		return nil, fmt.Errorf("tax.%s: there are no tax classes but %s, %s and %s", country,
			catalog.TaxStandard, catalog.TaxReduced, catalog.TaxZero)
	}
	return r, nil
}

// Charges are what a shop charges for an order to a country: data of the decision.
type Charges struct {
	Fee         int64            // of the delivery, tax included
	DeliveryTax int64            // basis points
	Tax         map[string]int64 // basis points, by tax class
}

// Charges returns what the shop charges for a way of delivery to a country.
func (s *Shop) Charges(way, country, currency string) (Charges, error) {
	d, ok := s.delivery[way]
	if !ok {
		return Charges{}, fault.Invalid("unknown_delivery", "there is no delivery %q; choose one of %s",
			way, strings.Join(slices.Sorted(maps.Keys(s.delivery)), ", ")).With("body.delivery", "is unknown")
	}
	r, ok := s.tax[country]
	if !ok {
		r = s.tax[""]
	}
	c := Charges{Fee: d.fee, DeliveryTax: r[catalog.TaxStandard], Tax: r}
	if fee, ok := d.fees[currency]; ok {
		c.Fee = fee
	}
	return c, nil
}
