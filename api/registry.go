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
		},
		Events: []Message{
			{ordering.TypeOrderPlaced, ordering.OrderPlaced{}, "An order was placed; its prices and totals are frozen."},
			{ordering.TypeOrderAddressChanged, ordering.OrderAddressChanged{}, "An order goes elsewhere."},
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
