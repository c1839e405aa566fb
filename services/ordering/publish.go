package ordering

import (
	"fmt"

	api "github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/es"
)

// public translates a stored event of an order into its public one.
func public(r *es.Record) (name string, body any, err error) {
	event, err := Orders.Codec.Decode(r)
	if err != nil {
		return "", nil, err
	}
	id := bus.ResourceOf(r.Stream).ID
	switch e := event.(type) {
	case Placed:
		return "order_placed", &api.OrderPlaced{
			OrderID: id, Version: r.Version, Number: number(r.Position), CustomerID: e.Customer,
			Status: api.StatusPlaced, PaymentStatus: api.PaymentPending, Currency: e.Currency, PlacedAt: r.Time,
			Country: e.Country, Delivery: e.Delivery, PaymentMethod: e.Payment, Lines: publicLines(e.Lines),
			Totals: api.Totals{Lines: e.Totals.Lines, Delivery: e.Totals.Delivery, Tax: e.Totals.Tax, Total: e.Totals.Total},
		}, nil
	case AddressChanged:
		return "order_address_changed", &api.OrderAddressChanged{
			OrderID: id, Version: r.Version, Status: api.StatusPlaced, Country: e.Country,
		}, nil
	}
	return "", nil, fmt.Errorf("ordering: %T has no public event", event)
}

func publicLines(lines []Line) []api.Line {
	out := make([]api.Line, len(lines))
	for i, l := range lines {
		out[i] = api.Line{
			Line: i + 1, SKU: l.SKU, Name: l.Name, Quantity: l.Quantity,
			UnitPrice: l.UnitPrice, Tax: l.Tax, Total: l.Total,
		}
	}
	return out
}
