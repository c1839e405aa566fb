package ordering

import (
	"fmt"

	api "github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/money"
)

// public translates a stored event of an order or a discount code into its public one.
func public(r *es.Record) (name string, body any, err error) {
	if bus.ResourceOf(r.Stream).Type == Discounts.Category {
		return publicDiscount(r)
	}
	event, err := Orders.Codec.Decode(r)
	if err != nil {
		return "", nil, err
	}
	id := bus.ResourceOf(r.Stream).ID
	change := func(status Status, customer string) api.Change {
		return api.Change{OrderID: id, Version: r.Version, Status: api.Status(status), CustomerID: customer, At: r.Time}
	}
	switch e := event.(type) {
	case Placed:
		return "order_placed", &api.OrderPlaced{
			OrderID: id, Version: r.Version, Number: number(r.Position), CustomerID: e.Customer,
			Status: api.StatusPlaced, PaymentStatus: api.PaymentPending, Currency: e.Currency, PlacedAt: r.Time,
			Country: e.Country, Delivery: e.Delivery, PaymentMethod: e.Payment, DiscountCode: e.Discount,
			Lines: publicLines(e.Lines), Totals: api.Totals(e.Totals),
		}, nil
	case AddressChanged:
		return "order_address_changed", &api.OrderAddressChanged{
			OrderID: id, Version: r.Version, Status: api.StatusPlaced, Country: e.Country,
		}, nil
	case Confirmed:
		return "order_confirmed", &api.OrderConfirmed{Change: change(StatusConfirmed, e.Customer)}, nil
	case Rejected:
		return "order_rejected", &api.OrderRejected{Change: change(StatusRejected, e.Customer), Reason: e.Reason, Detail: e.Detail}, nil
	case CancelRequested:
		body := &api.OrderCancelRequested{Change: change(StatusCancelling, e.Customer), Lines: e.Lines}
		if e.All {
			body.Lines = nil
		}
		return "order_cancel_requested", body, nil
	case CancelRefused:
		return "order_cancel_refused", &api.OrderCancelRefused{Change: change(e.Status, e.Customer), Lines: e.Lines, Reason: e.Reason}, nil
	case Cancelled:
		return "order_cancelled", &api.OrderCancelled{
			Change: change(e.Status, e.Customer), Lines: e.Lines, Partial: e.Status != StatusCancelled,
		}, nil
	case Shipped:
		return "order_shipped", &api.OrderShipped{
			Change: change(e.Status, e.Customer), ShipmentID: e.Shipment, Lines: publicUnits(e.Units), Partial: e.Partial,
		}, nil
	case Delivered:
		return "order_delivered", &api.OrderDelivered{
			Change: change(e.Status, e.Customer), ShipmentID: e.Shipment, Lines: publicUnits(e.Units), Partial: e.Partial,
		}, nil
	case ReturnRequested:
		return "return_requested", &api.ReturnRequested{
			Change: change(e.Status, e.Customer), ReturnID: e.Return, Lines: publicUnits(e.Units),
		}, nil
	case ReturnedUnits:
		return "order_returned", &api.OrderReturned{
			Change: change(e.Status, e.Customer), ReturnID: e.Return, Lines: publicUnits(e.Units), Partial: e.Partial,
		}, nil
	}
	return "", nil, fmt.Errorf("ordering: %T has no public event", event)
}

func publicLines(lines []Line) []api.Line {
	out := make([]api.Line, len(lines))
	for i, l := range lines {
		out[i] = api.Line{
			Line: i + 1, SKU: l.SKU, Name: l.Name, Quantity: l.Quantity, UnitPrice: l.UnitPrice,
			Discount: l.Discount, Tax: l.Tax, Total: l.Total, TaxRate: l.TaxRate, Backorder: l.Backorder,
		}
	}
	return out
}

func publicUnits(units []Units) []api.Units {
	out := make([]api.Units, len(units))
	for i, u := range units {
		out[i] = api.Units(u)
	}
	return out
}

func publicDiscount(r *es.Record) (name string, body any, err error) {
	event, err := Discounts.Codec.Decode(r)
	if err != nil {
		return "", nil, err
	}
	code := bus.ResourceOf(r.Stream).ID
	switch e := event.(type) {
	case Defined:
		terms := api.DiscountTerms{
			Percent: int(e.Terms.Percent), ValidFrom: e.Terms.ValidFrom, ValidUntil: e.Terms.ValidUntil, MaxUses: e.Terms.MaxUses,
		}
		if (e.Terms.Amount != money.Amount{}) {
			terms.Amount = &e.Terms.Amount
		}
		return "discount_defined", &api.DiscountDefined{Code: code, Version: r.Version, Terms: terms}, nil
	case Redeemed:
		return "discount_redeemed", &api.DiscountRedeemed{Code: code, Version: r.Version, OrderID: e.Order, Uses: e.Uses}, nil
	case RedemptionRefused:
		return "discount_redemption_refused", &api.DiscountRedemptionRefused{
			Code: code, Version: r.Version, OrderID: e.Order, Reason: e.Reason,
		}, nil
	case Released:
		return "discount_released", &api.DiscountReleased{Code: code, Version: r.Version, OrderID: e.Order, Uses: e.Uses}, nil
	}
	return "", nil, fmt.Errorf("ordering: %T has no public event", event)
}
