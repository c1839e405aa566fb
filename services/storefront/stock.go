package storefront

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/orderlane/orderlane/api/inventory"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/fault"
	"github.com/orderlane/orderlane/pkg/httpapi"
	"github.com/orderlane/orderlane/pkg/projection"
	"github.com/orderlane/orderlane/pkg/service"
)

var stockTable = projection.TableName(viewName, viewVersion, "stock")

// stock is what is kept of a product's stock.
type stock struct {
	SKU       string                     `json:"sku"`
	Locations map[string]inventory.Level `json:"locations"`
	Safety    int64                      `json:"safety,omitzero"`
	Available int64                      `json:"available"`
}

// Stock is a product's stock as staff sees it.
type Stock struct {
	SKU       string            `json:"sku"`
	Version   int64             `json:"version"`
	OnHand    int64             `json:"on_hand"`
	Reserved  int64             `json:"reserved"`
	Safety    int64             `json:"safety" doc:"Never sold of what is on hand"`
	Available int64             `json:"available" doc:"What can still be reserved"`
	Locations []inventory.Level `json:"locations"`
	Stale     *service.Stale    `json:"stale,omitempty" doc:"There if the view could not take up an event of this stock"`
}

func newStock() *projection.Documents[stock] {
	return projection.NewDocuments(projection.Collection[stock]{
		Table: stockTable, Topic: bus.EventsTopic(inventory.Service),
		Columns: []projection.Column{{Name: "available", Kind: projection.Int}},
		Values:  func(row []any, _ string, s *stock) []any { return append(row, s.Available) },
	})
}

// foldStock folds any of inventory's events: those that change what there is say what there
// is then.
func (v *view) foldStock(r *projection.Record) error {
	var e struct {
		SKU      string            `json:"sku"`
		Quantity int64             `json:"quantity"`
		Levels   *inventory.Levels `json:"levels"`
	}
	if err := bus.Decode(r.Value, &e); err != nil {
		return fmt.Errorf("decode %s: %w", r.Type, err)
	}
	v.stock.Change(r, func(s *stock) error {
		s.SKU = e.SKU
		if r.Type == inventory.TypeSafetyStockSet {
			s.Safety = e.Quantity
		}
		if e.Levels == nil {
			return nil
		}
		s.Available = e.Levels.Available
		for _, l := range e.Levels.Locations {
			if s.Locations == nil {
				s.Locations = make(map[string]inventory.Level)
			}
			s.Locations[l.Location] = l
		}
		return nil
	})
	return nil
}

// stock reads what there is of one product, for staff.
func (q *queries) stock(ctx context.Context, sku string, p *httpapi.ReadParams) (*Stock, error) {
	if _, err := httpapi.RequireCaller(ctx, httpapi.RoleStaff, httpapi.RoleService); err != nil {
		return nil, err
	}
	if err := q.Fresh(ctx, p); err != nil {
		return nil, err
	}
	var found *Stock
	err := q.Store.Query(ctx, "SELECT version, doc FROM "+stockTable+" WHERE key = $1", []any{inventory.Category + "-" + sku},
		func(row projection.Row) error {
			var s stock
			if err := bus.Decode([]byte(row.Text(1)), &s); err != nil {
				return fmt.Errorf("storefront: read the stock of %s: %w", sku, err)
			}
			found = &Stock{SKU: s.SKU, Version: row.Int(0), Safety: s.Safety, Available: s.Available, Locations: []inventory.Level{}}
			for _, name := range slices.Sorted(maps.Keys(s.Locations)) {
				l := s.Locations[name]
				found.OnHand, found.Reserved = found.OnHand+l.OnHand, found.Reserved+l.Reserved
				found.Locations = append(found.Locations, l)
			}
			return nil
		})
	switch {
	case err != nil:
		return nil, err
	case found == nil:
		return nil, fault.NotFound(inventory.Category, sku)
	}
	found.Stale, err = q.Stale(ctx, inventory.Category+"-"+sku)
	return found, err
}

func (q *queries) registerStock(api huma.API) {
	huma.Register(api, huma.Operation{
		OperationID: "get-stock", Method: "GET", Path: "/v1/stock/{sku}",
		Summary: "What there is of a product, per location", Tags: []string{"stock"}, Errors: append([]int{403}, queryErrors...),
	}, func(ctx context.Context, in *struct {
		SKU string `path:"sku" pattern:"^[A-Za-z0-9._-]{1,64}$" patternDescription:"a SKU: 1 to 64 of A-Z a-z 0-9 . _ -"`
		httpapi.Conditional
	},
	) (*httpapi.Tagged[Stock], error) {
		s, err := q.stock(ctx, in.SKU, &in.ReadParams)
		return httpapi.Answer(unless(&in.Conditional, err == nil && s.Stale != nil), s, err, func(s *Stock) httpapi.Tokens {
			return httpapi.Tokens{{Stream: inventory.Category + "-" + s.SKU, Version: s.Version}}
		})
	})
}
