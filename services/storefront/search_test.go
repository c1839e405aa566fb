package storefront

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/orderlane/orderlane/api/catalog"
	"github.com/orderlane/orderlane/api/inventory"
	"github.com/orderlane/orderlane/pkg/httpapi"
	"github.com/orderlane/orderlane/pkg/money"
	"github.com/orderlane/orderlane/pkg/projection"
)

// found are the SKUs that a list has, or the problem.
func (w *world) found(parameters ...string) string {
	w.t.Helper()
	query := url.Values{}
	for i := 0; i < len(parameters); i += 2 {
		query.Set(parameters[i], parameters[i+1])
	}
	a := w.api.Get(customer, "/v1/products?"+query.Encode())
	if a.Status != 200 {
		return fmt.Sprint(a.Status, " ", a.Code())
	}
	var list Products
	a.Into(&list)
	skus := make([]string, len(list.Items))
	for i := range list.Items {
		skus[i] = list.Items[i].SKU
	}
	return strings.Join(skus, " ")
}

// shop is a small catalog.
func (w *world) shop() {
	for _, p := range []struct {
		sku, name, category, description string
		attributes                       map[string]string
	}{
		{"TEA-001", "Assam tea, 250 g", "tea", "Strong and black; some like it with milk.", map[string]string{"origin": "India", "leaf": "TGFOP"}},
		{"TEA-002", "Sencha", "tea", "Green, from the first harvest.", map[string]string{"origin": "Japan"}},
		{"TEA-003", "Tea", "gifts", "A surprise from Assam or elsewhere.", nil},
		{"POT-1.7L", "Teapot of cast iron", "pots", "Keeps a pot of Earl Grey warm.", map[string]string{"material": "cast iron"}},
		{"CUP-7", "Tasse Café Crème", "cups", "For coffee, and for tea as well.", map[string]string{"material": "bone-china"}},
		{"X_WI-FI", "Wi-Fi kettle", "kettles", "Sæson's l'Électronique: ½ litre, 2.5 kW", map[string]string{"colour": "Weiß"}},
		{"CHA", "紅茶 アッサム", "tea", "Straße, ŁÓDŹ, ΟΔΟΣ, Ænima, smörgåsbord", nil},
	} {
		w.Fold(w.described(p.sku, catalog.Details{
			Name: p.name, Category: p.category, Description: p.description, Attributes: p.attributes,
			Price: money.Of(100, "EUR"), TaxClass: catalog.TaxStandard,
		}))
	}
}

func TestEachStoreFindsTheSameBestFirst(t *testing.T) {
	onEachStore(t, func(t *testing.T, w *world) {
		w.shop()
		for q, want := range map[string]string{
			// the name as a whole, then its beginning, then category and SKU, then descriptions
			"tea":   "TEA-003 TEA-001 POT-1.7L TEA-002 CHA CUP-7",
			"assam": "TEA-001 TEA-003",
			// prefixes, of every word
			"te":        "TEA-003 POT-1.7L TEA-001 TEA-002 CHA",
			"ass":       "TEA-001",
			"assa":      "TEA-001 TEA-003",
			"ca ir":     "POT-1.7L",
			"cr ca":     "CUP-7",
			"harv":      "TEA-002",
			"har":       "",
			"milk":      "TEA-001",
			"t":         "",
			"g":         "TEA-001",
			"7":         "CUP-7",
			"250":       "TEA-001",
			"assam tea": "TEA-001 TEA-003",
			"tea assam": "TEA-001 TEA-003",
			"tea milk":  "TEA-001",
			"tea cocoa": "",
			"tea tea":   "TEA-003 TEA-001 POT-1.7L TEA-002 CHA CUP-7",
			"india":     "TEA-001",
			"material":  "", // names of attributes are not what they say
			// accents, case, letters with other spellings
			"CAFÉ":         "CUP-7",
			"cafe creme":   "CUP-7",
			"cafe\u0301":   "CUP-7",
			"WEISS":        "X_WI-FI",
			"lodz":         "CHA",
			"strasse":      "CHA",
			"οδος":         "CHA",
			"aenima":       "CHA",
			"smorgasbord":  "CHA",
			"saeson":       "X_WI-FI",
			"ＣＡＦＥ":         "CUP-7",
			"electronique": "X_WI-FI",
			// punctuation
			"wi-fi":      "X_WI-FI",
			"wifi":       "X_WI-FI",
			"bone china": "CUP-7",
			"bonechina":  "CUP-7",
			"2,5":        "X_WI-FI",
			// SKUs, in pieces and in one
			"TEA-001":  "TEA-001",
			"tea001":   "TEA-001",
			"001":      "TEA-001",
			"00":       "TEA-002 TEA-003 TEA-001",
			"pot-1.7l": "POT-1.7L",
			"pot17":    "POT-1.7L",
			"1.7l":     "POT-1.7L",
			"x_wi":     "X_WI-FI",
			// scripts without spaces
			"紅":    "CHA",
			"茶":    "CHA",
			"アッサム": "CHA",
			"茶紅":   "CHA",
			"緑茶":   "",
		} {
			if got := w.found("q", q); got != want {
				t.Errorf("%q finds %q, want %q", q, got, want)
			}
		}
	})
}

func TestWhatIsSearchedForIsWordsAndNeverALanguage(t *testing.T) {
	onEachStore(t, func(t *testing.T, w *world) {
		w.shop()
		w.Fold(w.described("OR", catalog.Details{Name: "And or not near tea", Price: money.Of(1, "EUR"), TaxClass: catalog.TaxStandard}))
		for q, words := range map[string]string{
			`"tea"`: "tea", `"tea`: "tea", `te*`: "te", `*te`: "te", `^tea`: "tea", `-tea`: "tea", `+tea`: "tea", `!tea`: "tea", `tea:*`: "tea",
			`name:tea`: "name tea", `words : tea`: "words tea", `{words}: tea`: "words tea", `tea OR assam`: "tea or assam", `tea | assam`: "tea assam",
			`tea AND NOT assam`: "tea and not assam", `NEAR(tea assam, 2)`: "near tea assam 2", `tea <-> assam`: "tea assam", `tea & !assam`: "tea assam",
			`tea'); DROP TABLE x; --`: "tea drop table x", `' OR '1'='1`: "or 1", `tea\`: "tea", `\'tea`: "tea", `$1 tea`: "1 tea", `te%`: "te", `t_a`: "t a",
			"AND": "and", "OR": "or", "NOT": "not", "NEAR": "near",
		} {
			if got, want := w.found("q", q), w.found("q", words); got != want {
				t.Errorf("%q finds %q, and %q finds %q", q, got, words, want)
			}
		}
		if got := w.found("q", "OR"); got != "OR TEA-003" {
			t.Errorf("a word that is an operator finds %q", got)
		}
	})
}

func TestAQueryThatCannotBeAnsweredIsRefused(t *testing.T) {
	onEachStore(t, func(t *testing.T, w *world) {
		w.shop()
		for _, test := range []struct {
			parameters []string
			want       string
		}{
			{[]string{"q", "?!"}, "422 query_without_words"},
			{[]string{"q", " "}, "422 query_without_words"},
			{[]string{"q", strings.Repeat("é", 201)}, "422 validation_failed"},
			{[]string{"q", strings.Repeat("é", 200)}, ""},
			{[]string{"q", "a b c d e f g h i j k l m n o p"}, ""},
			{[]string{"q", "a b c d e f g h i j k l m n o p q"}, "422 too_many_words"},
			{[]string{"q", strings.Repeat("tea ", 50)}, w.found("q", "tea")},
			{[]string{"in_stock", "maybe"}, "422 validation_failed"},
			{[]string{"category", strings.Repeat("x", 65)}, "422 validation_failed"},
			{[]string{"colour", "red"}, "422 validation_failed"},
			{[]string{"counts", "many"}, "422 validation_failed"},
			{[]string{"cursor", "AAAA"}, "400 bad_cursor"},
			// cursors are not signed, so anybody can make one: it leads anywhere in the list, and to no error
			{[]string{"q", "tea", "cursor", httpapi.EncodeCursor("tea\x00\x00", "99", "-1", "")}, "CUP-7"},
			{[]string{"q", "tea", "cursor", httpapi.EncodeCursor("tea\x00\x00", "-99", "x", "")}, w.found("q", "tea")},
		} {
			if got := w.found(test.parameters...); got != test.want {
				t.Errorf("%q: %q, want %q", test.parameters, got, test.want)
			}
		}
		for _, escaped := range []string{"category=%00", "category=%ff", "q=tea%00", "q=tea%ff", "cursor=%00"} {
			if a := w.api.Get(customer, "/v1/products?"+escaped); a.Status != 422 && a.Status != 400 {
				t.Errorf("%s: %d %s", escaped, a.Status, a.Body)
			}
		}
		forged := httpapi.EncodeCursor("\x00\x00", "0", "0", "\x00\xff")
		if a := w.api.Get(customer, "/v1/products?cursor="+forged); a.Status != 400 {
			t.Errorf("a cursor that is no text: %d %s", a.Status, a.Body)
		}
	})
}

func TestAWordIsFoundHoweverLongItIs(t *testing.T) {
	onEachStore(t, func(t *testing.T, w *world) {
		long := strings.Repeat("lang", 49)
		w.Fold(w.described("LONG", catalog.Details{Name: long, Price: money.Of(1, "EUR"), TaxClass: catalog.TaxStandard, Description: strings.Repeat("x1y2-", 800)}))
		for _, q := range []string{long, long[:64], long[:63], long[:20], "x1y2"} {
			if got := w.found("q", q); got != "LONG" {
				t.Errorf("%q finds %q", q, got)
			}
		}
	})
}

func TestWhatNeverHappenedIsNotFound(t *testing.T) {
	onEachStore(t, func(t *testing.T, w *world) {
		w.Fold(
			w.described("TEA", catalog.Details{Name: "Assam", Price: money.Of(1, "EUR")}),
			w.described("TEA", catalog.Details{Name: "Coffee", Price: money.Of(1, "EUR")}),
			w.described("CUP", catalog.Details{Name: "Coffee cup", Price: money.Of(1, "EUR")}),
		)
		if got := w.found("q", "coffee"); got != "TEA CUP" {
			t.Errorf("before: %q", got)
		}
		w.Fold(w.restored(1)...)
		w.versions = map[string]int64{"TEA": 1}
		w.Fold(w.described("POT", catalog.Details{Name: "Pot for Assam", Price: money.Of(1, "EUR")}))
		for q, want := range map[string]string{"coffee": "", "cup": "", "assam": "TEA POT", "": "POT TEA"} {
			if got := w.found("q", q); got != want {
				t.Errorf("%q finds %q, want %q", q, got, want)
			}
		}
	})
}

func TestCountsSayWhatOtherFiltersWouldShow(t *testing.T) {
	onEachStore(t, func(t *testing.T, w *world) {
		w.shop()
		for _, sku := range []string{"TEA-001", "CUP-7", "X_WI-FI"} {
			w.Fold(w.stocked(sku, 1, inventory.TypeStockReceived, inventory.StockReceived{SKU: sku, Version: 1, Levels: levels(3)}))
		}
		w.Fold(w.withdrawn("CHA"), w.described("NONE", catalog.Details{Name: "Of no category", Price: money.Of(1, "EUR")}))
		for query, want := range map[string]string{
			"":                               "7: [{tea 2} {cups 1} {gifts 1} {kettles 1} {pots 1}], 3 in stock, 4 not",
			"category=tea":                   "2: [{tea 2} {cups 1} {gifts 1} {kettles 1} {pots 1}], 1 in stock, 1 not",
			"in_stock=true":                  "3: [{cups 1} {kettles 1} {tea 1}], 3 in stock, 4 not",
			"q=tea":                          "5: [{tea 2} {cups 1} {gifts 1} {pots 1}], 2 in stock, 3 not",
			"q=tea&limit=1":                  "5: [{tea 2} {cups 1} {gifts 1} {pots 1}], 2 in stock, 3 not",
			"q=tea&category=tea":             "2: [{tea 2} {cups 1} {gifts 1} {pots 1}], 1 in stock, 1 not",
			"q=tea&category=a&in_stock=true": "0: [{cups 1} {tea 1}], 0 in stock, 0 not",
			"q=cocoa":                        "0: [], 0 in stock, 0 not",
		} {
			var list Products
			w.api.Get(customer, "/v1/products?counts=true&"+query).Into(&list)
			got := fmt.Sprintf("%d: %v, %d in stock, %d not", *list.Total, list.Facets.Categories, list.Facets.InStock, list.Facets.OutOfStock)
			if got != want {
				t.Errorf("%s: %s, want %s", query, got, want)
			}
		}
		if a := w.api.Get(customer, "/v1/products?q=tea"); strings.Contains(a.Body, "total") || strings.Contains(a.Body, "facets") {
			t.Errorf("who has not asked for counts gets them: %s", a.Body)
		}
	})
}

func TestTheLargestCategoriesAreCounted(t *testing.T) {
	var list Products
	list.Total, list.Facets = new(int64), &Facets{}
	for i := range 2000 {
		for _, inStock := range []bool{false, true} {
			list.add(&Filter{}, fmt.Sprintf("category %04d", i), inStock, int64(i*7%2000))
		}
	}
	list.Facets.cut(maxCategories)
	got := list.Facets.Categories
	if len(got) != maxCategories || got[0].Count != 2*1999 || got[49].Count != 2*1950 || *list.Total != 1999*2000 {
		t.Errorf("%d in all, %v", *list.Total, got)
	}
}

func TestTwoProductsOfOneIDAreNotMixedUp(t *testing.T) {
	w := newWorld(t)
	insert := func(key string) error {
		return w.Store.Update(t.Context(), func(tx projection.Tx) error {
			_, err := tx.Exec(t.Context(), "INSERT INTO "+productsTable+" (key, version, doc, id, on_sale, words) VALUES ($1, 1, '{}', 7, TRUE, 'atea')", key)
			return err
		})
	}
	if err := insert("product-A"); err != nil {
		t.Fatal(err)
	}
	var refused *projection.StoreError
	if err := insert("product-B"); !errors.As(err, &refused) || !refused.Data {
		t.Errorf("the second is taken: %v", err)
	}
}

// FuzzSearch: whatever is asked, the databases are asked for quoted words of letters and digits.
func FuzzSearch(f *testing.F) {
	for _, q := range []string{"tea", `"te*" NEAR(a b)`, "a'b & !c:*", "ｅ́ß½ ﷺ 紅茶 \x00\xff", strings.Repeat("ŉ", 200)} {
		f.Add(q)
	}
	w := newWorld(f)
	w.shop()
	products := newQueries(w.Reader)
	f.Fuzz(func(t *testing.T, q string) {
		if len([]rune(q)) > 200 {
			return
		}
		s, err := newSearch(q)
		if err != nil || s == nil {
			return
		}
		for _, word := range s {
			if strings.ContainsFunc(word, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsNumber(r) }) || len([]rune(word)) > maxWord {
				t.Errorf("%q is no word", word)
			}
		}
		again, err := newSearch(strings.Join(s, " "))
		if err != nil || !slices.Equal(again, s) {
			t.Errorf("the words %q of a query are %q when they are searched for", s, again)
		}
		if _, err := products.list(t.Context(), &Filter{Q: q}, true, &httpapi.PageParams{Limit: 2}, &httpapi.ReadParams{}); err != nil {
			t.Errorf("%q: %v", q, err)
		}
	})
}
