// Package api is the registry of what Orderlane says in public: every service with its
// topics and message types. Topics are created from it, and the contracts beside it
// (openapi.json, asyncapi.yaml, schemas) are generated from it and the Go types, by
// `make generate`.
package api

import (
	_ "embed" // of the AsyncAPI document

	"github.com/orderlane/orderlane/api/catalog"
	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/pkg/bus"
)

// AsyncAPI is the AsyncAPI 3.1 document of all topics, as YAML.
//
//go:embed asyncapi.yaml
var AsyncAPI []byte

// Message is a type of message on a topic.
type Message struct {
	Type    string // ce_type
	Body    any    // the zero value of its Go type
	Summary string
}

// Service is a service that decides commands, with all that is on its topics.
type Service struct {
	Name     string
	Summary  string
	Commands []Message
	Events   []Message
	Personal []Message // empty: it keeps nothing personal
}

// Services are the services that decide commands.
var Services = []Service{
	{
		Name: catalog.Service, Summary: "Products and their prices.",
		Commands: []Message{
			{catalog.TypeDefineProduct, catalog.DefineProduct{}, "Define or revise a product, and put it on sale."},
			{catalog.TypeChangePrice, catalog.ChangePrice{}, "Change the price of a product on sale."},
			{catalog.TypeWithdrawProduct, catalog.WithdrawProduct{}, "Take a product off sale."},
		},
		Events: []Message{
			{catalog.TypeProductDefined, catalog.ProductDefined{}, "A product is on sale, new or revised."},
			{catalog.TypeProductPriceChanged, catalog.ProductPriceChanged{}, "A product has another price."},
			{catalog.TypeProductWithdrawn, catalog.ProductWithdrawn{}, "A product is off sale."},
		},
	},
	{
		Name: ordering.Service, Summary: "Orders, from placing on.",
		Commands: []Message{
			{ordering.TypePlaceOrder, ordering.PlaceOrder{}, "Place an order at the prices of the price list."},
			{ordering.TypeChangeAddress, ordering.ChangeAddress{}, "Send an order elsewhere, until it is confirmed."},
			{ordering.TypeRequestCancel, ordering.RequestCancel{}, "Ask to give up an order or lines of it, until they are dispatched."},
			{ordering.TypeRequestReturn, ordering.RequestReturn{}, "Ask to send delivered units back."},
			{ordering.TypeConfirmOrder, ordering.ConfirmOrder{}, "From fulfilment: stock and money are there."},
			{ordering.TypeRejectOrder, ordering.RejectOrder{}, "From fulfilment: the order can't be met."},
			{ordering.TypeCancelOrder, ordering.CancelOrder{}, "From fulfilment: lines were given up, and nothing is held for them."},
			{ordering.TypeRefuseCancel, ordering.RefuseCancel{}, "From fulfilment: it was too late to cancel."},
			{ordering.TypeMarkShipped, ordering.MarkShipped{}, "From fulfilment: a shipment is on its way."},
			{ordering.TypeMarkDelivered, ordering.MarkDelivered{}, "From fulfilment: a shipment has arrived."},
			{ordering.TypeMarkReturned, ordering.MarkReturned{}, "From fulfilment: goods came back."},
			{ordering.TypeDefineDiscount, ordering.DefineDiscount{}, "Define or revise a discount code."},
			{ordering.TypeRedeemDiscount, ordering.RedeemDiscount{}, "From fulfilment: use a discount code up for an order."},
			{ordering.TypeReleaseDiscount, ordering.ReleaseDiscount{}, "From fulfilment: give a discount code's use back."},
		},
		Events: []Message{
			{ordering.TypeOrderPlaced, ordering.OrderPlaced{}, "An order was placed; its prices and totals are frozen."},
			{ordering.TypeOrderAddressChanged, ordering.OrderAddressChanged{}, "An order goes elsewhere."},
			{ordering.TypeOrderConfirmed, ordering.OrderConfirmed{}, "Stock and money are there."},
			{ordering.TypeOrderRejected, ordering.OrderRejected{}, "An order was not met, and why."},
			{ordering.TypeOrderCancelRequested, ordering.OrderCancelRequested{}, "Somebody wants to give up an order or lines of it."},
			{ordering.TypeOrderCancelRefused, ordering.OrderCancelRefused{}, "It was too late to cancel; the order is what it was."},
			{ordering.TypeOrderCancelled, ordering.OrderCancelled{}, "Lines of an order, or all of it, were given up."},
			{ordering.TypeOrderShipped, ordering.OrderShipped{}, "Units are on their way."},
			{ordering.TypeOrderDelivered, ordering.OrderDelivered{}, "Units have arrived."},
			{ordering.TypeReturnRequested, ordering.ReturnRequested{}, "A customer wants to send units back."},
			{ordering.TypeOrderReturned, ordering.OrderReturned{}, "Units came back."},
			{ordering.TypeDiscountDefined, ordering.DiscountDefined{}, "What a discount code takes off from now on."},
			{ordering.TypeDiscountRedeemed, ordering.DiscountRedeemed{}, "An order used a discount code."},
			{ordering.TypeDiscountRedemptionRefused, ordering.DiscountRedemptionRefused{}, "An order may not use a discount code after all."},
			{ordering.TypeDiscountReleased, ordering.DiscountReleased{}, "An order does not use a discount code any more."},
		},
		Personal: []Message{
			{ordering.TypePersonal, ordering.Personal{}, "All that is personal of an order now; a tombstone once it is erased."},
		},
	},
}

// Outcomes are the messages on the outcomes topic.
var Outcomes = []Message{
	{bus.TypeOutcome, bus.Outcome{}, "How a command ended."},
	{bus.TypeReply, bus.Outcome{}, "An answer to one caller that is not the command's outcome."},
}

// DeadLetters are the messages on dead-letter topics.
var DeadLetters = []Message{
	{bus.TypeDeadLetter, bus.DeadLetter{}, "A message that a consumer could not handle: ids only."},
}
