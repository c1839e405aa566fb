package storefront

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orderlane/orderlane/api/catalog"
	"github.com/orderlane/orderlane/api/inventory"
	"github.com/orderlane/orderlane/e2e/realparts"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/httpapi"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/money"
	"github.com/orderlane/orderlane/pkg/projection"
	"github.com/orderlane/orderlane/pkg/projection/pgstore"
	"github.com/orderlane/orderlane/pkg/projection/sqlitestore"
	"github.com/orderlane/orderlane/pkg/service"
)

// BenchmarkSearch searches a catalogue of 100,000 products with names of three to six words of 20,000,
// which are used as unevenly as words are.
func BenchmarkSearch(b *testing.B) {
	b.Run("sqlite", func(b *testing.B) {
		store, err := sqlitestore.Open(filepath.Join(b.TempDir(), "view.db"), sqlitestore.Options{})
		if err != nil {
			b.Fatal(err)
		}
		defer store.Close()
		benchSearch(b, store)
	})
	b.Run("postgres", func(b *testing.B) {
		store, err := pgstore.Open(b.Context(), realparts.Postgres(b), "storefront", pgstore.Options{})
		if err != nil {
			b.Fatal(err)
		}
		defer store.Close()
		benchSearch(b, store)
	})
}

func benchSearch(b *testing.B, store projection.Store) {
	random := rand.New(rand.NewPCG(1, 2))
	fill(b, store, random, 100_000)
	q := newQueries(&service.Reader{Store: store})
	for _, f := range []struct {
		name   string
		filter func() Filter
		counts bool
	}{
		{"list", func() Filter { return Filter{} }, false},
		{"list of what is in stock", func() Filter { return Filter{InStock: "true"} }, false},
		{"list of a category", func() Filter { return Filter{Category: fmt.Sprint("category ", random.IntN(200))} }, false},
		{"list with counts", func() Filter { return Filter{} }, true},
		{"one word", func() Filter { return Filter{Q: word(random)} }, false},
		{"two words", func() Filter { return Filter{Q: word(random) + " " + word(random)} }, false},
		{"a word and three letters", func() Filter { return Filter{Q: word(random) + " " + word(random)[:3]} }, false},
		{"three letters", func() Filter { return Filter{Q: word(random)[:3]} }, false},
		{"two letters", func() Filter { return Filter{Q: word(random)[:2]} }, false},
		{"one word with counts", func() Filter { return Filter{Q: word(random)} }, true},
		{"one word in stock in category", func() Filter {
			return Filter{Q: word(random), InStock: "true", Category: fmt.Sprint("category ", random.IntN(200))}
		}, false},
		{"commonest word", func() Filter { return Filter{Q: spell(0)} }, false},
	} {
		b.Run(f.name, func(b *testing.B) {
			var times []time.Duration
			found := 0
			for b.Loop() {
				filter := f.filter()
				start := time.Now()
				list, err := q.list(b.Context(), &filter, f.counts, &httpapi.PageParams{Limit: 50}, &httpapi.ReadParams{})
				if err != nil {
					b.Fatal(err)
				}
				times = append(times, time.Since(start))
				found += len(list.Items)
			}
			slices.Sort(times)
			b.ReportMetric(float64(times[len(times)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(times[len(times)*99/100].Microseconds())/1000, "p99-ms")
			b.ReportMetric(float64(found)/float64(len(times)), "found")
		})
	}
}

// spell makes a word of a number: 20,000 different ones of four to eight letters.
func spell(n int) string {
	syllables := []string{"ta", "re", "li", "mo", "su", "ka", "ne", "vi", "do", "pu"}
	var s strings.Builder
	for n += 10; n > 0; n /= 10 {
		s.WriteString(syllables[n%10])
	}
	return s.String()
}

// word draws a word: some are much more frequent than others.
func word(r *rand.Rand) string { return spell(int(20_000 * r.Float64() * r.Float64() * r.Float64())) }

func fill(b *testing.B, store projection.Store, r *rand.Rand, products int) {
	v := newView()
	if err := store.Migrate(b.Context(), viewName, v.Schema(store.Dialect())); err != nil {
		b.Fatal(err)
	}
	text := func(n int) string {
		var s []string
		for range n {
			s = append(s, word(r))
		}
		return strings.Join(s, " ")
	}
	start := time.Now()
	for i := range products {
		sku := fmt.Sprintf("SKU-%06d", i)
		fold := func(topic, category, eventType string, body any) {
			data, err := bus.Encode(body)
			if err != nil {
				b.Fatal(err)
			}
			err = v.Fold(&projection.Record{Record: &kafka.Record{Topic: bus.EventsTopic(topic), Value: data}, Key: category + "-" + sku, Type: eventType, Version: 1})
			if err != nil {
				b.Fatal(err)
			}
		}
		fold(catalog.Service, productCategory, catalog.TypeProductDefined, catalog.ProductDefined{SKU: sku, Version: 1, Details: catalog.Details{
			Name: text(3 + r.IntN(4)), Description: text(20 + r.IntN(20)), Category: fmt.Sprint("category ", r.IntN(200)),
			Price: money.Of(100, "EUR"), TaxClass: catalog.TaxStandard, Attributes: map[string]string{"a": text(1), "b": text(2)},
		}})
		fold(inventory.Service, inventory.Category, inventory.TypeStockReceived, inventory.StockReceived{SKU: sku, Version: 1, Levels: levels(int64(r.IntN(3)))})
		if i%2000 == 1999 || i == products-1 {
			if err := store.Update(b.Context(), func(tx projection.Tx) error { return v.Flush(b.Context(), tx) }); err != nil {
				b.Fatal(err)
			}
			v.Reset()
		}
	}
	asBuild(b, store)
	b.Logf("%d products in %v", products, time.Since(start).Round(time.Millisecond))
}

// asBuild gives the tables the names that a build of a view has them under, and puts SQL views in their places.
func asBuild(b *testing.B, store projection.Store) {
	tables := map[string]string{productsTable: "*", stockTable: "*"}
	statements := []string{}
	if store.Dialect() == projection.SQLite {
		tables[indexTable] = "rowid, *, " + indexTable + "_b1 AS " + indexTable + ", rank"
	} else {
		statements = append(statements, "ANALYZE")
	}
	for table, columns := range tables {
		statements = append(statements, "ALTER TABLE "+table+" RENAME TO "+table+"_b1", "CREATE VIEW "+table+" AS SELECT "+columns+" FROM "+table+"_b1")
	}
	if err := store.Migrate(b.Context(), "as a build", statements); err != nil {
		b.Fatal(err)
	}
}
