package commandapi

import (
	"context"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/orderlane/orderlane/api/catalog"
	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/fault"
	"github.com/orderlane/orderlane/pkg/httpapi"
	"github.com/orderlane/orderlane/pkg/money"
)

// SKU is the path parameter of a product.
type SKU struct {
	SKU string `path:"sku" pattern:"^[A-Za-z0-9._-]{1,64}$" patternDescription:"a SKU: 1 to 64 of A-Z a-z 0-9 . _ -" example:"TEA-001"`
}

// OrderID is the path parameter of an order.
type OrderID struct {
	ID string `path:"id" format:"uuid" doc:"The order's id"`
}

// PriceChange is the body of a price change.
type PriceChange struct {
	Price money.Amount `json:"price"`
}

// NewOrder is the body of an order.
type NewOrder struct {
	CustomerID    string            `json:"customer_id,omitempty" minLength:"1" maxLength:"64" pattern:"^[!-~]+$" patternDescription:"visible characters" doc:"For whom; customers order for themselves" example:"c-42"`
	Email         string            `json:"email,omitempty" format:"email" maxLength:"254" doc:"Without it there is no mail" example:"ada@example.com"`
	Currency      string            `json:"currency" pattern:"^[A-Z]{3}$" patternDescription:"an ISO 4217 code" example:"EUR"`
	Lines         []ordering.Wanted `json:"lines" minItems:"1" maxItems:"100"`
	ShipTo        ordering.Address  `json:"ship_to"`
	Delivery      string            `json:"delivery,omitempty" maxLength:"32" default:"standard"`
	DiscountCode  *string           `json:"discount_code,omitempty" maxLength:"64"`
	Payment       *ordering.Payment `json:"payment,omitempty"`
	ExpectedTotal *money.Amount     `json:"expected_total,omitempty" doc:"Refuse the order with 409 price_changed if its total differs"`
}

// NewAddress is the body of a change of address.
type NewAddress struct {
	ShipTo ordering.Address `json:"ship_to"`
}

// defaultPayment is the method of an order that names none.
const defaultPayment = "sandbox_approve"

// commandErrors are the statuses that every command may be answered with, beside 200 and 202.
var commandErrors = []int{400, 401, 403, 404, 409, 412, 413, 415, 422, 429, 503}

func (c *Commands) register(api huma.API) {
	c.registerOrders(api)
	c.registerStock(api)
	c.registerShipping(api)
	c.registerMails(api)
	huma.Register(api, operation(http.MethodPut, "/v1/products/{sku}", "define-product", "Define or revise a product", "products"),
		func(ctx context.Context, in *struct {
			SKU
			httpapi.CommandParams
			Body catalog.Details
		},
		) (*output, error) {
			return c.product(ctx, "PUT", in.SKU.SKU, "", in.CommandParams, catalog.DefineProduct{SKU: in.SKU.SKU, Details: in.Body})
		})
	huma.Register(api, operation(http.MethodPost, "/v1/products/{sku}/price", "change-price", "Change the price of a product", "products"),
		func(ctx context.Context, in *struct {
			SKU
			httpapi.CommandParams
			Body PriceChange
		},
		) (*output, error) {
			return c.product(ctx, "POST", in.SKU.SKU, "/price", in.CommandParams, catalog.ChangePrice{SKU: in.SKU.SKU, Price: in.Body.Price})
		})
	huma.Register(api, operation(http.MethodPost, "/v1/products/{sku}/withdraw", "withdraw-product", "Take a product off sale", "products"),
		func(ctx context.Context, in *struct {
			SKU
			httpapi.CommandParams
			Body struct{}
		},
		) (*output, error) {
			return c.product(ctx, "POST", in.SKU.SKU, "/withdraw", in.CommandParams, catalog.WithdrawProduct{SKU: in.SKU.SKU})
		})
	huma.Register(api, operation(http.MethodPost, "/v1/orders", "place-order", "Place an order", "orders"),
		func(ctx context.Context, in *struct {
			httpapi.CommandParams
			Body NewOrder
		},
		) (*output, error) {
			return c.placeOrder(ctx, in.CommandParams, &in.Body)
		})
	huma.Register(api, operation(http.MethodPost, "/v1/orders/{id}/address", "change-address", "Change where an order goes", "orders"),
		func(ctx context.Context, in *struct {
			OrderID
			httpapi.CommandParams
			Body NewAddress
		},
		) (*output, error) {
			id := httpapi.CanonicalID(in.ID)
			return c.to(ctx, in.CommandParams, "/v1/orders/"+id, "/address", bus.Resource{Type: "order", ID: id},
				ordering.ChangeAddress{OrderID: id, ShipTo: in.Body.ShipTo})
		})
}

// product accepts a command for a product, which is for staff.
func (c *Commands) product(ctx context.Context, method, sku, action string, params httpapi.CommandParams, command bus.Typed) (*output, error) {
	return c.byStaff(ctx, method, params, "/v1/products/"+sku, action, bus.Resource{Type: "product", ID: sku}, command)
}

// placeOrder accepts a new order. Its id follows from the command's, so that the same
// idempotency key leads to the same order.
func (c *Commands) placeOrder(ctx context.Context, params httpapi.CommandParams, body *NewOrder) (*output, error) {
	customer, err := customerOf(httpapi.CallerOf(ctx), body.CustomerID)
	if err != nil {
		return nil, err
	}
	const operation = "POST /v1/orders"
	commandID := c.commandID(ctx, &params, operation)
	orderID := bus.DeriveFrom(commandID, "order").String()
	command := ordering.PlaceOrder{
		OrderID: orderID, CustomerID: customer, Email: body.Email, Currency: body.Currency, Lines: body.Lines,
		ShipTo: body.ShipTo, Delivery: body.Delivery, Payment: ordering.Payment{Method: defaultPayment},
		ExpectedTotal: body.ExpectedTotal,
	}
	if body.DiscountCode != nil {
		command.DiscountCode = strings.ToUpper(*body.DiscountCode)
	}
	if body.Payment != nil {
		command.Payment = *body.Payment
	}
	return c.accept(ctx, commandID, &request{
		CommandParams: params, operation: operation, path: "/v1/orders/" + orderID,
		resource: bus.Resource{Type: "order", ID: orderID}, command: &command,
	})
}

// maxCustomerID bounds customer ids, in characters; NewOrder's schema says so too.
const maxCustomerID = 64

// customerOf says for whom an order is: customers order for themselves, staff names someone.
// A customer is known by the subject of their token, which may be more than a customer id can be.
func customerOf(caller httpapi.Caller, named string) (string, error) {
	invisible := func(r rune) bool { return r < '!' || r > '~' }
	switch {
	case !caller.Staff() && (len(caller.ID) > maxCustomerID || strings.ContainsFunc(caller.ID, invisible)):
		return "", fault.Forbidden("subject_unusable",
			"the subject of your token can't be a customer id, which is 1 to %d visible ASCII characters", maxCustomerID)
	case caller.Staff() && named == "":
		return "", fault.Invalid("validation_failed", "customer_id says for whom the order is").With("body.customer_id", "is missing")
	case caller.Staff() || named == caller.ID:
		return named, nil
	case named == "":
		return caller.ID, nil
	}
	return "", fault.Forbidden("foreign_customer", "customers order for themselves; leave customer_id out")
}
