package catalog

import (
	"fmt"

	api "github.com/orderlane/orderlane/api/catalog"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/es"
)

// public translates a stored event of a product into its public one.
func public(r *es.Record) (name string, body any, err error) {
	event, err := Products.Codec.Decode(r)
	if err != nil {
		return "", nil, err
	}
	sku := bus.ResourceOf(r.Stream).ID
	switch e := event.(type) {
	case Defined:
		return "product_defined", &api.ProductDefined{SKU: sku, Version: r.Version, Details: api.Details(e.Details)}, nil
	case PriceChanged:
		return "product_price_changed", &api.ProductPriceChanged{SKU: sku, Version: r.Version, Price: e.Price, Previous: e.Previous}, nil
	case Withdrawn:
		return "product_withdrawn", &api.ProductWithdrawn{SKU: sku, Version: r.Version}, nil
	}
	return "", nil, fmt.Errorf("catalog: %T has no public event", event)
}
