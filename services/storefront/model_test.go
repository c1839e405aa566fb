package storefront

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/orderlane/orderlane/api/catalog"
	"github.com/orderlane/orderlane/api/inventory"
	"github.com/orderlane/orderlane/pkg/httpapi"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/money"
	"github.com/orderlane/orderlane/pkg/projection"
)

// model is what a search does, said without an index: by a look at each product.
type model struct {
	w         *world
	products  map[string]*product
	available map[string]int64
	stocks    map[string]int64 // versions
	run       int              // tells the products of one from those of others
}

// vocabulary is what names and queries are made of: words that begin others, or are spelt in several ways.
var vocabulary = []string{"tea", "Tea-Pot", "teapot", "te", "t", "assam", "assâm", "as", "cafe", "Café", "250", "25", "2.5", "紅茶", "or", "x"}

func (m *model) texts(t *rapid.T, name string, most int) string {
	return strings.Join(rapid.SliceOfN(rapid.SampledFrom(vocabulary), 0, most).Draw(t, name), " ")
}

// define makes or revises a product.
func (m *model) define(t *rapid.T, sku string) kafka.Record {
	p := &product{SKU: sku, OnSale: true, Details: catalog.Details{
		Name:     rapid.SampledFrom(vocabulary).Draw(t, "name") + " " + m.texts(t, "rest of the name", 3),
		Category: fmt.Sprintf("%s %d", rapid.SampledFrom(vocabulary[:4]).Draw(t, "category"), m.run), Description: m.texts(t, "description", 3),
		Attributes: map[string]string{"a": m.texts(t, "attribute", 2)}, Price: money.Of(1, "EUR"), TaxClass: catalog.TaxStandard,
	}}
	m.products[sku] = p
	return m.w.described(sku, p.Details)
}

// stock sets what there is of a product.
func (m *model) stock(sku string, n int64) kafka.Record {
	m.available[sku] = n
	m.stocks[sku]++
	return m.w.stocked(sku, m.stocks[sku], inventory.TypeStockReceived, inventory.StockReceived{SKU: sku, Version: m.stocks[sku], Levels: levels(n)})
}

func (m *model) withdraw(sku string) kafka.Record {
	m.products[sku].OnSale = false
	return m.w.withdrawn(sku)
}

// begins says that a word of the text is the word, or begins with it.
func begins(text, word string, whole bool, least int) (found bool) {
	letters := utf8.RuneCountInString(word)
	words(text, true, func(w string) {
		found = found || w == word || !whole && letters >= least && strings.HasPrefix(w, word)
	})
	return found
}

// tier is the first of the ranking's conditions that a product meets; false if it is no result.
func tier(p *product, s search) (int, bool) {
	count := func(whole bool, texts ...string) (n int) {
		for _, word := range s {
			if slices.ContainsFunc(texts, func(text string) bool { return begins(text, word, whole, 2) }) {
				n++
			}
		}
		return n
	}
	d := p.Details
	everywhere := 0
	for _, word := range s {
		if begins(d.Description, word, false, 4) || slices.ContainsFunc([]string{d.Name, d.Category, p.SKU, d.Attributes["a"]}, func(text string) bool {
			return begins(text, word, false, 2)
		}) {
			everywhere++
		}
	}
	switch {
	case everywhere < len(s):
		return 0, false
	case count(true, d.Name) == len(s):
		return 0, true
	case count(false, d.Name) == len(s):
		return 1, true
	case count(false, d.Name, d.Category, p.SKU) == len(s):
		return 2, true
	case count(false, d.Name, d.Category, p.SKU, d.Attributes["a"]) == len(s):
		return 3, true
	case count(false, d.Name) > 0:
		return 4, true
	}
	return 5, true
}

// found are the SKUs that a list has, in its order, and what it counts.
func (m *model) found(t *rapid.T, f Filter) (skus []string, counts Products) {
	s, err := newSearch(f.Q)
	if err != nil {
		t.Fatal(err)
	}
	type result struct {
		tier, words int
		sku         string
	}
	var results []result
	counts.Total, counts.Facets = new(int64), &Facets{Categories: []CategoryCount{}}
	categories := map[string]int64{}
	for sku, p := range m.products {
		place, ok := 0, true
		if len(s) > 0 {
			place, ok = tier(p, s)
		}
		if !ok || !p.OnSale {
			continue
		}
		inStock := m.available[sku] > 0
		ofCategory, ofStock := f.Category == "" || f.Category == p.Details.Category, f.InStock == "" || f.InStock == fmt.Sprint(inStock)
		if ofStock {
			categories[p.Details.Category]++
		}
		if ofCategory && inStock {
			counts.Facets.InStock++
		} else if ofCategory {
			counts.Facets.OutOfStock++
		}
		if !ofCategory || !ofStock {
			continue
		}
		r := result{place, 0, sku}
		if len(s) > 0 {
			words(p.Details.Name, false, func(string) { r.words++ })
		}
		results = append(results, r)
	}
	slices.SortFunc(results, func(a, b result) int {
		return cmp.Or(a.tier-b.tier, a.words-b.words, strings.Compare(a.sku, b.sku))
	})
	for _, r := range results {
		skus = append(skus, r.sku)
	}
	*counts.Total = int64(len(skus))
	for category, n := range categories {
		counts.Facets.Categories = append(counts.Facets.Categories, CategoryCount{category, n})
	}
	counts.Facets.cut(maxCategories)
	return skus, counts
}

// pages reads a list to its end; between is called between two pages.
func (m *model) pages(t *rapid.T, f Filter, between func()) (skus []string) {
	q := newQueries(m.w.Reader)
	page := &httpapi.PageParams{Limit: rapid.IntRange(1, 4).Draw(t, "limit")}
	for {
		list, err := q.list(m.w.t.Context(), &f, false, page, &httpapi.ReadParams{})
		if err != nil {
			t.Fatal(err)
		}
		for i := range list.Items {
			skus = append(skus, list.Items[i].SKU)
		}
		if page.Cursor = list.NextCursor; page.Cursor == "" {
			return skus
		}
		between()
	}
}

func drawFilter(t *rapid.T, run int) Filter {
	return Filter{
		Q:        strings.Join(rapid.SliceOfN(rapid.SampledFrom(vocabulary), 0, 3).Draw(t, "q"), " "),
		Category: rapid.SampledFrom([]string{"", fmt.Sprint("tea ", run)}).Draw(t, "of category"),
		InStock:  rapid.SampledFrom([]string{"", "true", "false"}).Draw(t, "in stock"),
	}
}

// withModel runs a property on a shop of its own in each store: other runs' products are withdrawn.
func withModel(t *testing.T, property func(t *rapid.T, m *model)) {
	onEachStore(t, func(t *testing.T, w *world) {
		run := 0
		rapid.Check(t, func(t *rapid.T) {
			run++
			m := &model{w: w, run: run, products: map[string]*product{}, available: map[string]int64{}, stocks: map[string]int64{}}
			defer func() {
				var gone []kafka.Record
				for _, p := range m.products {
					if p.OnSale {
						gone = append(gone, m.withdraw(p.SKU))
					}
				}
				w.FoldAll(gone...)
			}()
			var made []kafka.Record
			for i := range rapid.IntRange(1, 8).Draw(t, "products") {
				made = append(made, m.define(t, fmt.Sprintf("R%dP%d", run, i)))
			}
			w.FoldAll(made...)
			property(t, m)
		})
	})
}

// sku draws a product that there is.
func (m *model) sku(t *rapid.T) string {
	return fmt.Sprintf("R%dP%d", m.run, rapid.IntRange(0, len(m.products)-1).Draw(t, "product"))
}

func TestASearchFindsRanksAndCountsWhatALookAtEachProductDoes(t *testing.T) {
	withModel(t, func(t *rapid.T, m *model) {
		for range rapid.IntRange(0, 4).Draw(t, "changes") {
			sku := m.sku(t)
			switch rapid.SampledFrom([]string{"define", "stock", "withdraw", "price", "forget"}).Draw(t, "change") {
			case "define":
				m.w.Fold(m.define(t, sku))
			case "stock":
				m.w.Fold(m.stock(sku, int64(rapid.IntRange(-1, 2).Draw(t, "available"))))
			case "withdraw":
				if m.products[sku].OnSale {
					m.w.Fold(m.withdraw(sku))
				}
			case "price":
				m.w.Fold(m.w.repriced(sku, 7))
			case "forget":
				m.repair(t, sku)
			}
		}
		for range 2 {
			f := drawFilter(t, m.run)
			want, counts := m.found(t, f)
			if got := m.pages(t, f, func() {}); !slices.Equal(got, want) {
				t.Fatalf("%+v finds %q, want %q", f, got, want)
			}
			list, err := newQueries(m.w.Reader).list(m.w.t.Context(), &f, true, &httpapi.PageParams{Limit: 1}, &httpapi.ReadParams{})
			if err != nil {
				t.Fatal(err)
			}
			got, wanted := fmt.Sprintf("%d %+v", *list.Total, *list.Facets), fmt.Sprintf("%d %+v", *counts.Total, *counts.Facets)
			if got != wanted {
				t.Fatalf("%+v counts %s, want %s", f, got, wanted)
			}
		}
	})
}

// repair takes a product out of the view, after which nothing finds it, and folds it anew.
func (m *model) repair(t *rapid.T, sku string) {
	ctx := m.w.t.Context()
	err := m.w.Store.Update(ctx, func(tx projection.Tx) error {
		return newView().Forget(ctx, tx, "catalog.events.v1", productCategory+"-"+sku)
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := m.pages(t, Filter{Q: sku}, func() {}); slices.Contains(got, sku) {
		t.Fatalf("%s is still found", sku)
	}
	if err := m.w.Projection.Repair(ctx, productCategory+"-"+sku); err != nil {
		t.Fatal(err)
	}
}

func TestPagesShowEveryUnchangedProductOnceWhateverElseChangesBetweenThem(t *testing.T) {
	withModel(t, func(t *rapid.T, m *model) {
		f := drawFilter(t, m.run)
		want, _ := m.found(t, f)
		moved := map[string]bool{}
		got := m.pages(t, f, func() {
			for range rapid.IntRange(0, 3).Draw(t, "changes") {
				sku := m.sku(t)
				switch rapid.SampledFrom([]string{"price", "price", "stock", "withdraw", "define", "new"}).Draw(t, "change") {
				case "price":
					m.w.Fold(m.w.repriced(sku, 9)) // moves nothing
				case "stock":
					n := int64(rapid.IntRange(0, 1).Draw(t, "available"))
					moved[sku] = moved[sku] || f.InStock != "" && n > 0 != (m.available[sku] > 0)
					m.w.Fold(m.stock(sku, n))
				case "withdraw":
					moved[sku] = true
					if m.products[sku].OnSale {
						m.w.Fold(m.withdraw(sku))
					}
				case "define":
					moved[sku] = true
					m.w.Fold(m.define(t, sku))
				case "new":
					sku = fmt.Sprintf("R%dP%d", m.run, len(m.products))
					moved[sku] = true
					m.w.Fold(m.define(t, sku))
				}
			}
		})
		unmoved := func(skus []string) []string {
			return slices.DeleteFunc(slices.Clone(skus), func(sku string) bool { return moved[sku] })
		}
		if !slices.Equal(unmoved(got), unmoved(want)) {
			t.Fatalf("%+v: of what has not moved, pages show %q, want %q", f, unmoved(got), unmoved(want))
		}
	})
}
