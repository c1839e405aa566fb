package storefront

import (
	"context"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/orderlane/orderlane/api/catalog"
	"github.com/orderlane/orderlane/api/inventory"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/fault"
	"github.com/orderlane/orderlane/pkg/httpapi"
	"github.com/orderlane/orderlane/pkg/projection"
	"github.com/orderlane/orderlane/pkg/service"
)

// Service is the service's name on the command line.
const Service = "storefront"

// Add adds the storefront to a process: it consumes catalog.events.v1 and inventory.events.v1,
// and answers queries for products and stock.
func Add(p *service.Platform) {
	q := newQueries(p.AddRead(Service, newView()))
	q.register(p.API)
}

// Product is a product as clients see it.
type Product struct {
	SKU     string `json:"sku"`
	OnSale  bool   `json:"on_sale"`
	Version int64  `json:"version"`
	catalog.Details
	Available int64 `json:"available" doc:"What there is to be ordered"`

	Stale *service.Stale `json:"stale,omitempty" doc:"There if the view could not take up an event of this product or of its stock"`

	shown httpapi.Tokens // the versions of all that is shown
}

// queries answer the service's reads.
type queries struct {
	*service.Reader
	counts chan struct{} // one for each that counts
}

func newQueries(r *service.Reader) *queries { return &queries{r, make(chan struct{}, maxCounts)} }

// queryErrors are the statuses that every query may be answered with, beside 200.
var queryErrors = []int{400, 401, 404, 422, 429, 503}

func (q *queries) register(api huma.API) {
	q.registerStock(api)
	huma.Register(api, huma.Operation{
		OperationID: "get-product", Method: http.MethodGet, Path: "/v1/products/{sku}",
		Summary: "A product", Tags: []string{"products"}, Errors: queryErrors,
	}, func(ctx context.Context, in *struct {
		SKU string `path:"sku" pattern:"^[A-Za-z0-9._-]{1,64}$" patternDescription:"a SKU: 1 to 64 of A-Z a-z 0-9 . _ -"`
		httpapi.Conditional
	},
	) (*httpapi.Tagged[Product], error) {
		p, err := q.product(ctx, in.SKU, &in.ReadParams)
		return httpapi.Answer(unless(&in.Conditional, err == nil && p.Stale != nil), p, err, func(p *Product) httpapi.Tokens { return p.shown })
	})
	q.registerList(api)
}

// unless is the condition of a query, unless the answer is stale: that is said whatever the caller
// has already.
func unless(c *httpapi.Conditional, stale bool) *httpapi.Conditional {
	if stale {
		return nil
	}
	return c
}

// product reads one product, on sale or not.
func (q *queries) product(ctx context.Context, sku string, p *httpapi.ReadParams) (*Product, error) {
	if err := q.Fresh(ctx, p); err != nil {
		return nil, err
	}
	stream := productCategory + "-" + sku
	var found *Product
	err := q.Store.Query(ctx, selected+" FROM "+productsTable+" p"+joinStock+" WHERE p.key = $1", []any{stream},
		func(row projection.Row) (err error) {
			found, err = read(row)
			return err
		})
	if err != nil {
		return nil, err
	}
	if found == nil {
		return nil, fault.NotFound("product", sku)
	}
	if found.Stale, err = q.Stale(ctx, stream); err == nil && found.Stale == nil {
		found.Stale, err = q.Stale(ctx, inventory.Category+"-"+sku)
	}
	return found, err
}

// selected are the columns that read takes.
const selected = "SELECT p.key, p.version, p.doc, s.available, s.version"

// joinStock joins what there is of products. It is a table of its own, written from a topic of its own, which
// another instance may fold; either of the two may know of a product first. So no row has both: they
// meet here, when somebody asks.
var joinStock = " LEFT JOIN " + stockTable + " s ON s.key = 'stock-' || substr(p.key, 9)"

// inStock says of joined stock that there is some to be ordered.
const inStock = "COALESCE(s.available, 0) > 0"

func read(row projection.Row) (*Product, error) {
	var p product
	if err := bus.Decode([]byte(row.Text(2)), &p); err != nil {
		return nil, fmt.Errorf("storefront: read a product: %w", err)
	}
	shown := httpapi.Tokens{{Stream: row.Text(0), Version: row.Int(1)}}
	if !row.Null(4) {
		shown = append(shown, httpapi.Token{Stream: inventory.Category + "-" + p.SKU, Version: row.Int(4)})
	}
	return &Product{
		SKU: p.SKU, OnSale: p.OnSale, Version: row.Int(1), Details: p.Details, Available: row.Int(3), shown: shown,
	}, nil
}
