package inventory

import (
	"fmt"

	api "github.com/orderlane/orderlane/api/inventory"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/es"
)

// public translates a stored event of a stock into its public one.
func public(r *es.Record) (name string, body any, err error) {
	event, err := Stocks.Codec.Decode(r)
	if err != nil {
		return "", nil, err
	}
	sku := bus.ResourceOf(r.Stream).ID
	switch e := event.(type) {
	case Received:
		return "stock_received", &api.StockReceived{
			SKU: sku, Version: r.Version, Location: e.Location, Quantity: e.Quantity, Levels: levels(e.After),
		}, nil
	case Adjusted:
		return "stock_adjusted", &api.StockAdjusted{
			SKU: sku, Version: r.Version, Location: e.Location, Quantity: e.Quantity, Reason: e.Reason, Levels: levels(e.After),
		}, nil
	case SafetyStockSet:
		return "safety_stock_set", &api.SafetyStockSet{
			SKU: sku, Version: r.Version, Quantity: e.Quantity, Levels: levels(e.After),
		}, nil
	case Reserved:
		return "stock_reserved", &api.StockReserved{
			SKU: sku, Version: r.Version, Line: line(e.Line), Quantity: e.Quantity, Parts: parts(e.Parts),
			ExpiresAt: e.Expires, Levels: levels(e.After),
		}, nil
	case Backordered:
		return "stock_backordered", &api.StockBackordered{
			SKU: sku, Version: r.Version, Line: line(e.Line), Quantity: e.Quantity, Available: e.Available,
		}, nil
	case ReservationRefused:
		return "stock_reservation_refused", &api.StockReservationRefused{
			SKU: sku, Version: r.Version, Line: line(e.Line), Quantity: e.Quantity, Available: e.Available, Reason: e.Reason,
		}, nil
	case Allocated:
		return "stock_allocated", &api.StockAllocated{
			SKU: sku, Version: r.Version, Line: line(e.Line), Quantity: e.Quantity, Parts: parts(e.Parts), Levels: levels(e.After),
		}, nil
	case Released:
		return "stock_released", &api.StockReleased{
			SKU: sku, Version: r.Version, Line: line(e.Line), Quantity: e.Quantity, Parts: parts(e.Parts),
			Reason: e.Reason, Levels: levels(e.After),
		}, nil
	case Dispatched:
		return "stock_dispatched", &api.StockDispatched{
			SKU: sku, Version: r.Version, Line: line(e.Line), ShipmentID: e.Shipment, Location: e.Location,
			Quantity: e.Quantity, Levels: levels(e.After),
		}, nil
	case Returned:
		return "stock_returned", &api.StockReturned{
			SKU: sku, Version: r.Version, Line: line(e.Line), ReturnID: e.Return, Reference: e.Reference,
			Location: e.Location, Quantity: e.Quantity, Levels: levels(e.After),
		}, nil
	}
	return "", nil, fmt.Errorf("inventory: %T has no public event", event)
}

func line(l Line) api.Line { return api.Line{OrderID: l.Order, Line: l.Number} }

func parts(stored []Part) []api.Part {
	out := make([]api.Part, len(stored))
	for i, p := range stored {
		out[i] = api.Part(p)
	}
	return out
}

func levels(a After) api.Levels {
	out := api.Levels{Locations: make([]api.Level, len(a.Levels)), Available: a.Available}
	for i, l := range a.Levels {
		out.Locations[i] = api.Level(l)
	}
	return out
}
