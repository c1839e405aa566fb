package fulfilment

import (
	inventory "github.com/orderlane/orderlane/api/inventory"
	ordering "github.com/orderlane/orderlane/api/ordering"
	payments "github.com/orderlane/orderlane/api/payments"
	shipping "github.com/orderlane/orderlane/api/shipping"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/money"
)

// asks returns what a stored event asks of other services, as its Next says.
func asks(r *es.Record) ([]bus.Ask, error) {
	event, err := Processes.Codec.Decode(r)
	if err != nil {
		return nil, err
	}
	a := &asking{order: bus.ResourceOf(r.Stream).ID, of: &event.next().Asks}
	a.ordering()
	a.stock()
	a.money()
	a.shipping()
	return a.all, nil
}

// asking makes the messages of what an event asks for.
type asking struct {
	order string
	of    *Asks
	all   []bus.Ask
}

func (a *asking) ask(service, category, id string, body bus.Typed) {
	a.all = append(a.all, bus.Ask{Service: service, Stream: category + "-" + id, Body: body})
}

const (
	categoryOrder   = "order" // the first part of the names of ordering's streams
	reasonCancelled = "cancelled"
)

func (a *asking) tellOrder(body bus.Typed) {
	a.ask(ordering.Service, categoryOrder, a.order, body)
}

// ordering is told what became of the order. What was cancelled is told before the confirmation
// that was waiting for it, and what has left before what has arrived.
func (a *asking) ordering() {
	if f := a.of.Fail; f != nil {
		a.tellOrder(ordering.RejectOrder{OrderID: a.order, Reason: f.Reason, Detail: f.Detail})
	}
	if c := a.of.Cancel; c != nil {
		a.tellOrder(ordering.CancelOrder{OrderID: a.order, Lines: c.Lines})
	}
	if reason := a.of.Refuse; reason != "" {
		a.tellOrder(ordering.RefuseCancel{OrderID: a.order, Reason: reason})
	}
	if a.of.Confirm {
		a.tellOrder(ordering.ConfirmOrder{OrderID: a.order})
	}
	for _, s := range a.of.Shipped {
		a.tellOrder(ordering.MarkShipped{OrderID: a.order, ShipmentID: s.ID, Lines: units[ordering.Units](itemsOf(s.Goods))})
	}
	for _, s := range a.of.Arrived {
		a.tellOrder(ordering.MarkDelivered{OrderID: a.order, ShipmentID: s.ID, Lines: units[ordering.Units](itemsOf(s.Goods))})
	}
	if b := a.of.Back; b != nil {
		a.tellOrder(ordering.MarkReturned{OrderID: a.order, ReturnID: b.Return, Part: b.Part, Lines: units[ordering.Units](b.Items)})
	}
	if code := a.of.Redeem; code != "" {
		a.ask(ordering.Service, ordering.CategoryDiscount, code, ordering.RedeemDiscount{Code: code, OrderID: a.order})
	}
	if code := a.of.GiveBack; code != "" {
		a.ask(ordering.Service, ordering.CategoryDiscount, code, ordering.ReleaseDiscount{Code: code, OrderID: a.order})
	}
}

func (a *asking) stock() {
	line := func(g Goods) inventory.Line { return inventory.Line{OrderID: a.order, Line: g.Line} }
	ask := func(g Goods, body bus.Typed) { a.ask(inventory.Service, inventory.Category, g.SKU, body) }
	for _, g := range a.of.Reserve {
		ask(g, inventory.ReserveStock{SKU: g.SKU, Line: line(g), Quantity: g.Quantity, Backorder: g.Backorder})
	}
	for _, g := range a.of.Allocate {
		ask(g, inventory.AllocateStock{SKU: g.SKU, Line: line(g), Quantity: g.Quantity})
	}
	reason := reasonCancelled
	if a.of.Fail != nil {
		reason = refRejected
	}
	for _, g := range a.of.Release {
		ask(g, inventory.ReleaseStock{SKU: g.SKU, Line: line(g), Reason: reason})
	}
	for _, s := range a.of.Shipped {
		for _, g := range s.Goods {
			ask(g, inventory.DispatchStock{SKU: g.SKU, Line: line(g), ShipmentID: s.ID, Location: s.Location, Quantity: g.Quantity})
		}
	}
	if b := a.of.Back; b != nil {
		for _, g := range b.Restock {
			ask(g, inventory.TakeBackStock{
				SKU: g.SKU, Line: line(g), ReturnID: b.Return, Reference: partOf(b.Return, b.Part), Location: b.Location, Quantity: g.Quantity,
			})
		}
	}
}

func (a *asking) money() {
	ask := func(body bus.Typed) { a.ask(payments.Service, payments.Category, a.order, body) }
	if b := a.of.Pay; b != nil {
		sum := b.Delivery.Total
		lines := make([]payments.Line, len(b.Lines))
		for i, l := range b.Lines {
			sum += l.Total
			lines[i] = payments.Line{Line: l.Line, Quantity: l.Quantity, Total: l.Total, Tax: l.Tax}
		}
		ask(payments.RequestPayment{
			OrderID: a.order, CustomerID: b.Customer, Method: b.Method, Amount: money.Of(sum, b.Currency), Lines: lines,
			Delivery: b.Delivery.Total, DeliveryTax: b.Delivery.Tax,
		})
	}
	for _, v := range a.of.Void {
		ask(payments.VoidPayment{
			OrderID: a.order, Reference: v.Reference, Lines: units[payments.Units](v.Items), Reason: reasonOf(v.Reference),
		})
	}
	for _, parcels := range [][]Parcel{a.of.Shipped, a.of.Capture} {
		for _, s := range parcels {
			ask(payments.CapturePayment{OrderID: a.order, Reference: s.ID, Lines: units[payments.Units](itemsOf(s.Goods))})
		}
	}
	for _, r := range a.of.Refund {
		ask(payments.RefundPayment{OrderID: a.order, Reference: r.Reference, Lines: units[payments.Units](r.Items), Reason: "returned"})
	}
}

func (a *asking) shipping() {
	for _, s := range a.of.Ship {
		a.ask(shipping.Service, shipping.CategoryShipment, s.ID, shipping.CreateShipment{
			ShipmentID: s.ID, OrderID: a.order, CustomerID: s.Customer, Location: s.Location, Items: items(s.Goods),
		})
	}
	for _, s := range a.of.Stop {
		a.ask(shipping.Service, shipping.CategoryShipment, s.Shipment, shipping.CancelShipment{
			ShipmentID: s.Shipment, OrderID: a.order, Reference: s.Reference, Lines: s.Lines,
		})
	}
	for _, r := range a.of.Open {
		a.ask(shipping.Service, shipping.CategoryReturn, r.ID, shipping.OpenReturn{
			ReturnID: r.ID, OrderID: a.order, CustomerID: r.Customer, Location: r.Location, Items: items(r.Goods),
		})
	}
}

// reasonOf is why money is given up, in a word.
func reasonOf(reference string) string {
	if reference == refRejected || reference == refUncollected {
		return reference
	}
	return reasonCancelled
}

func items(goods []Goods) []shipping.Item {
	all := make([]shipping.Item, len(goods))
	for i, g := range goods {
		all[i] = shipping.Item{Line: g.Line, SKU: g.SKU, Quantity: g.Quantity}
	}
	return all
}

// units are items in the words of another contract.
func units[U ordering.Units | payments.Units](items []Item) []U {
	var all []U
	for _, i := range items {
		all = append(all, U(i))
	}
	return all
}
