package storefront

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/orderlane/orderlane/pkg/projection"
)

// maxCategories bounds the categories that are counted in an answer.
const maxCategories = 50

// maxCounts bounds how many answers are counted at once: counting looks at all results, and other queries
// are to find a connection free meanwhile.
const maxCounts = 2

// Facets are how many products a list would have with another filter: each is counted with all
// filters but its own.
type Facets struct {
	Categories []CategoryCount `json:"categories" doc:"The largest first, at most 50"`
	InStock    int64           `json:"in_stock"`
	OutOfStock int64           `json:"out_of_stock"`
}

// CategoryCount is how many products are of a category.
type CategoryCount struct {
	Category string `json:"category"`
	Count    int64  `json:"count"`
}

// count fills in the total and the facets of a list. It reads what there is a moment after
// the page, so a change between the two shows in one of them.
func (q *queries) count(ctx context.Context, words search, f *Filter, out *Products) error {
	var s statement
	s.WriteString("SELECT p.category, " + inStock + ", count(*)")
	if len(words) == 0 {
		s.WriteString(" FROM " + productsTable + " p" + joinStock + " WHERE p.on_sale")
	} else {
		s.WriteString(s.found(words.results(q.Store.Dialect()), q.Store.Dialect()))
	}
	s.WriteString(" GROUP BY 1, 2 ORDER BY 1")
	select {
	case q.counts <- struct{}{}:
		defer func() { <-q.counts }()
	case <-ctx.Done():
		return ctx.Err()
	}
	out.Total, out.Facets = new(int64), &Facets{Categories: []CategoryCount{}}
	err := q.Store.Query(ctx, s.String(), s.Args, func(row projection.Row) error {
		out.add(f, row.Text(0), row.Bool(1), row.Int(2))
		return nil
	})
	out.Facets.cut(maxCategories)
	return err
}

// add counts products of one category that are in stock, or that are not. Categories come
// one after the other.
func (p *Products) add(f *Filter, category string, inStock bool, n int64) {
	ofCategory := f.Category == "" || f.Category == category
	ofStock := f.InStock == "" || f.InStock == "true" == inStock
	if ofCategory && ofStock {
		*p.Total += n
	}
	switch {
	case !ofCategory:
	case inStock:
		p.Facets.InStock += n
	default:
		p.Facets.OutOfStock += n
	}
	if !ofStock || category == "" { // products of no category can't be filtered by it
		return
	}
	all := p.Facets.Categories
	if last := len(all) - 1; last >= 0 && all[last].Category == category {
		all[last].Count += n
		return
	}
	if len(all) > 20*maxCategories {
		p.Facets.cut(maxCategories)
	}
	p.Facets.Categories = append(p.Facets.Categories, CategoryCount{category, n})
}

// cut leaves the largest categories, in their order.
func (f *Facets) cut(n int) {
	slices.SortFunc(f.Categories, func(a, b CategoryCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Category, b.Category))
	})
	f.Categories = f.Categories[:min(n, len(f.Categories))]
}
