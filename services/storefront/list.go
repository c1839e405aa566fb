package storefront

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/orderlane/orderlane/pkg/httpapi"
	"github.com/orderlane/orderlane/pkg/projection"
)

// Filter is what a list of products is narrowed to.
type Filter struct {
	Q        string `query:"q" maxLength:"200" doc:"Words: products that have them all, as words or their beginnings, in name, category, SKU, attributes or description; those with all in the name first. Accents, case and punctuation make no difference. One letter is only found as a word, and of descriptions so are two and three. At most 16 words" example:"assam te"`
	Category string `query:"category" maxLength:"64" doc:"Only products of this category"`
	InStock  string `query:"in_stock" enum:"true,false" doc:"Only products that are available (true), or that are not (false), whether they can be ordered all the same (backorder) or not"`
}

// key names the filter, for cursors.
func (f *Filter) key(words search) string {
	return strings.Join([]string{strings.Join(words, " "), f.Category, f.InStock}, "\x00")
}

// where narrows a statement on products p and stock s.
func (f *Filter) where(s *statement) {
	if f.Category != "" {
		s.WriteString(" AND p.category = " + s.Arg(f.Category))
	}
	switch f.InStock {
	case "true":
		s.WriteString(" AND " + inStock)
	case "false":
		s.WriteString(" AND NOT (" + inStock + ")")
	}
}

// place is where a product stands in a list: in a search by what words it has where, by the
// length of its name, and by its key; in other lists by its key.
type place struct {
	tier, nameWords int64
	key             string
}

// cursor is the cursor of what comes behind the place.
func (p *place) cursor(filter string) string {
	return httpapi.EncodeCursor(filter, strconv.FormatInt(p.tier, 10), strconv.FormatInt(p.nameWords, 10), p.key)
}

// placeAfter is the place that a page begins behind, or nil.
func placeAfter(page *httpapi.PageParams, filter string) (*place, error) {
	values, err := page.After(filter, 3)
	if values == nil || err != nil {
		return nil, err
	}
	// A cursor can be made by hand. It leads to some place then.
	tier, _ := strconv.ParseInt(values[0], 10, 64)
	nameWords, _ := strconv.ParseInt(values[1], 10, 64)
	return &place{tier, nameWords, values[2]}, nil
}

// Products is the body of a list of products.
type Products struct {
	httpapi.List[Product]
	Total  *int64  `json:"total,omitempty" doc:"How many products all pages have; with counts=true"`
	Facets *Facets `json:"facets,omitempty" doc:"How many products there are to filter by; with counts=true"`
}

func (q *queries) registerList(api huma.API) {
	huma.Register(api, huma.Operation{
		OperationID: "list-products", Method: http.MethodGet, Path: "/v1/products",
		Summary: "Products on sale: search results, the best first, or all, by SKU", Tags: []string{"products"}, Errors: queryErrors,
	}, func(ctx context.Context, in *struct {
		Filter
		Counts bool `query:"counts" doc:"Count too: once, for the first page, since all results must be looked at"`
		httpapi.PageParams
		httpapi.ReadParams
	},
	) (*struct{ Body *Products }, error) {
		list, err := q.list(ctx, &in.Filter, in.Counts, &in.PageParams, &in.ReadParams)
		return &struct{ Body *Products }{list}, err
	})
}

// list returns a page of the products on sale. What a page shows is as of now. A product keeps
// its place when its price, its stock or other products change; one that is renamed between
// two pages may be shown on both or on neither, and so may one that begins or ceases to meet a filter.
func (q *queries) list(ctx context.Context, f *Filter, counts bool, page *httpapi.PageParams, p *httpapi.ReadParams) (*Products, error) {
	words, err := newSearch(f.Q)
	if err != nil {
		return nil, err
	}
	key := f.key(words)
	after, err := placeAfter(page, key)
	if err != nil {
		return nil, err
	}
	if err := q.Fresh(ctx, p); err != nil {
		return nil, err
	}
	var s statement
	if len(words) == 0 {
		s.page(f, after, page.Limit+1)
	} else {
		s.results(words, q.Store.Dialect(), f, after, page.Limit+1)
	}
	out := &Products{List: httpapi.List[Product]{Items: []Product{}}}
	var last place
	err = q.Store.Query(ctx, s.String(), s.Args, func(row projection.Row) error {
		if len(out.Items) == page.Limit {
			out.NextCursor = last.cursor(key)
			return nil
		}
		found, err := read(row)
		if err != nil {
			return err
		}
		last = place{row.Int(5), row.Int(6), row.Text(0)}
		out.Items = append(out.Items, *found)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if counts {
		err = q.count(ctx, words, f, out)
	}
	return out, err
}

// statement is an SQL text under way, with its arguments.
type statement struct{ projection.Statement }

// page is all products on sale, by SKU; none of them has a better place than another.
func (s *statement) page(f *Filter, after *place, limit int) {
	s.WriteString(selected + ", CAST(0 AS BIGINT), CAST(0 AS BIGINT) FROM " + productsTable + " p" + joinStock + " WHERE p.on_sale")
	f.where(s)
	if after != nil {
		s.WriteString(" AND p.key > " + s.Arg(after.key))
	}
	s.WriteString(" ORDER BY p.key LIMIT " + s.Arg(limit))
}

// results is what a search finds, the best first: tier after tier, up to the one that completes
// the page, so that a word that is in every description costs no more than one that is in names.
func (s *statement) results(words search, d projection.Dialect, f *Filter, after *place, limit int) {
	tiers, from := words.tiers(d), 0
	if after != nil {
		from = int(min(max(after.tier, 0), int64(len(tiers)-1)))
	}
	s.WriteString("WITH page AS MATERIALIZED (")
	for i := from; i < len(tiers); i++ {
		if i > from {
			s.WriteString(" UNION ALL ")
		}
		fmt.Fprintf(s, "SELECT * FROM (SELECT p.key AS key, CAST(%d AS BIGINT) AS tier, p.name_words AS name_words%s", i, s.found(tiers[i], d))
		f.where(s)
		if after != nil && i == from {
			s.WriteString(" AND (p.name_words, p.key) > (CAST(" + s.Arg(after.nameWords) + " AS BIGINT), " + s.Arg(after.key) + ")")
		}
		s.WriteString(" ORDER BY p.name_words, p.key LIMIT " + s.Arg(limit) + ") AS t" + strconv.Itoa(i))
	}
	s.WriteString(" LIMIT " + s.Arg(limit) + ") " + selected + ", h.tier, h.name_words FROM page h CROSS JOIN " +
		productsTable + " p" + joinStock + " WHERE p.key = h.key ORDER BY h.tier, h.name_words, h.key")
}

// found is the rest of a select from products p and stock s that a query of full text finds.
func (s *statement) found(query string, d projection.Dialect) string {
	if d == projection.Postgres {
		return " FROM " + productsTable + " p" + joinStock + " WHERE p.lexemes @@ " + s.Arg(query) + "::tsquery"
	}
	// The index says which products to look at (CROSS JOIN), and not the other way round. It is asked by a
	// hidden column of its own name.
	return " FROM " + indexTable + " w CROSS JOIN " + productsTable + " p ON p.id = w.rowid" + joinStock +
		" WHERE w." + indexTable + " MATCH " + s.Arg(query)
}
