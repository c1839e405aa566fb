package commandapi

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/orderlane/orderlane/api/inventory"
	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/api/payments"
	"github.com/orderlane/orderlane/api/shipping"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/httpapi"
	"github.com/orderlane/orderlane/pkg/money"
)

// ShipmentID is the path parameter of a shipment.
type ShipmentID struct {
	ID string `path:"id" format:"uuid" doc:"The shipment's id"`
}

// ReturnID is the path parameter of a return.
type ReturnID struct {
	ID string `path:"id" format:"uuid" doc:"The return's id"`
}

// DiscountCode is the path parameter of a discount code.
type DiscountCode struct {
	Code string `path:"code" pattern:"^[A-Z0-9-]{3,32}$" patternDescription:"a code: 3 to 32 of A-Z 0-9 -" example:"SPRING-26"`
}

// Cancellation is the body of a request to cancel.
type Cancellation struct {
	Lines  []int  `json:"lines,omitempty" maxItems:"100" doc:"Lines to give up, from 1; none: the whole order"`
	Reason string `json:"reason,omitempty" maxLength:"500" example:"changed my mind"`
}

// NewReturn is the body of a request to send goods back.
type NewReturn struct {
	Lines []ordering.WantedReturn `json:"lines" minItems:"1" maxItems:"100"`
}

// NewRefund is the body of a refund: an amount, or lines.
type NewRefund struct {
	Amount *money.Amount    `json:"amount,omitempty" doc:"Or lines"`
	Lines  []payments.Units `json:"lines,omitempty" maxItems:"100" doc:"Or an amount"`
	Reason string           `json:"reason" minLength:"1" maxLength:"200" example:"goodwill"`
}

// Receipt is the body of goods that come in.
type Receipt struct {
	Location string `json:"location" pattern:"^[A-Za-z0-9._-]{1,64}$" patternDescription:"a location: 1 to 64 of A-Z a-z 0-9 . _ -" example:"main"`
	Quantity int64  `json:"quantity" minimum:"1" maximum:"1000000000"`
}

// Adjustment is the body of a count's correction.
type Adjustment struct {
	Location string `json:"location" pattern:"^[A-Za-z0-9._-]{1,64}$" patternDescription:"a location: 1 to 64 of A-Z a-z 0-9 . _ -" example:"main"`
	Quantity int64  `json:"quantity" minimum:"-1000000000" maximum:"1000000000" doc:"The difference" example:"-3"`
	Reason   string `json:"reason" minLength:"1" maxLength:"200" example:"breakage"`
}

// SafetyStock is the body of how much is never sold.
type SafetyStock struct {
	Quantity int64 `json:"quantity" minimum:"0" maximum:"1000000000"`
}

// Dispatch is the body of handing a shipment to a carrier.
type Dispatch struct {
	Carrier  string `json:"carrier" minLength:"1" maxLength:"64" example:"DHL"`
	Tracking string `json:"tracking,omitempty" maxLength:"64" example:"00340434"`
}

// Reception is the body of goods that came back.
type Reception struct {
	Lines []shipping.Received `json:"lines" minItems:"1" maxItems:"100"`
}

// registerOrders registers what happens to orders after they were placed.
func (c *Commands) registerOrders(api huma.API) {
	huma.Register(api, operation(http.MethodPost, "/v1/orders/{id}/cancel", "cancel-order", "Give up an order, or some of its lines, until they are dispatched", "orders"),
		func(ctx context.Context, in *struct {
			OrderID
			httpapi.CommandParams
			Body Cancellation
		},
		) (*output, error) {
			id := httpapi.CanonicalID(in.ID)
			return c.to(ctx, in.CommandParams, "/v1/orders/"+id, "/cancel", bus.Resource{Type: "order", ID: id},
				ordering.RequestCancel{OrderID: id, Lines: in.Body.Lines, Reason: in.Body.Reason})
		})
	huma.Register(api, operation(http.MethodPost, "/v1/orders/{id}/returns", "request-return", "Ask to send delivered goods back", "returns"),
		func(ctx context.Context, in *struct {
			OrderID
			httpapi.CommandParams
			Body NewReturn
		},
		) (*output, error) {
			id := httpapi.CanonicalID(in.ID)
			operation := "POST /v1/orders/" + id + "/returns"
			command := c.commandID(ctx, &in.CommandParams, operation)
			returnID := bus.DeriveFrom(command, "return").String()
			return c.accept(ctx, command, &request{
				CommandParams: in.CommandParams, operation: operation, path: "/v1/returns/" + returnID, stream: "order-" + id,
				resource: bus.Resource{Type: shipping.CategoryReturn, ID: returnID},
				command:  ordering.RequestReturn{OrderID: id, ReturnID: returnID, Lines: in.Body.Lines},
			})
		})
	huma.Register(api, operation(http.MethodPost, "/v1/orders/{id}/refunds", "refund-order", "Give money back: an amount, or that of lines", "payments"),
		func(ctx context.Context, in *struct {
			OrderID
			httpapi.CommandParams
			Body NewRefund
		},
		) (*output, error) {
			if err := staffOnly(ctx); err != nil {
				return nil, err
			}
			id := httpapi.CanonicalID(in.ID)
			operation := "POST /v1/orders/" + id + "/refunds"
			command := c.commandID(ctx, &in.CommandParams, operation)
			return c.accept(ctx, command, &request{
				CommandParams: in.CommandParams, operation: operation, path: "/v1/payments/" + id,
				resource: bus.Resource{Type: payments.Category, ID: id},
				command: payments.RefundPayment{
					OrderID: id, Reference: command.String(), Amount: in.Body.Amount, Lines: in.Body.Lines, Reason: in.Body.Reason,
				},
			})
		})
	huma.Register(api, operation(http.MethodPut, "/v1/discounts/{code}", "define-discount", "Define or revise a discount code", "discounts"),
		func(ctx context.Context, in *struct {
			DiscountCode
			httpapi.CommandParams
			Body ordering.DiscountTerms
		},
		) (*output, error) {
			return c.byStaff(ctx, http.MethodPut, in.CommandParams, "/v1/discounts/"+in.Code, "", bus.Resource{Type: ordering.CategoryDiscount, ID: in.Code},
				ordering.DefineDiscount{Code: in.Code, Terms: in.Body})
		})
}

// registerStock registers what staff does with stock.
func (c *Commands) registerStock(api huma.API) {
	stock := func(ctx context.Context, params httpapi.CommandParams, sku, action string, command bus.Typed) (*output, error) {
		return c.byStaff(ctx, http.MethodPost, params, "/v1/stock/"+sku, action, bus.Resource{Type: inventory.Category, ID: sku}, command)
	}
	huma.Register(api, operation(http.MethodPost, "/v1/stock/{sku}/receive", "receive-stock", "Take goods in", "stock"),
		func(ctx context.Context, in *struct {
			SKU
			httpapi.CommandParams
			Body Receipt
		},
		) (*output, error) {
			return stock(ctx, in.CommandParams, in.SKU.SKU, "/receive",
				inventory.ReceiveStock{SKU: in.SKU.SKU, Location: in.Body.Location, Quantity: in.Body.Quantity})
		})
	huma.Register(api, operation(http.MethodPost, "/v1/stock/{sku}/adjust", "adjust-stock", "Correct a count", "stock"),
		func(ctx context.Context, in *struct {
			SKU
			httpapi.CommandParams
			Body Adjustment
		},
		) (*output, error) {
			return stock(ctx, in.CommandParams, in.SKU.SKU, "/adjust", inventory.AdjustStock{
				SKU: in.SKU.SKU, Location: in.Body.Location, Quantity: in.Body.Quantity, Reason: in.Body.Reason,
			})
		})
	huma.Register(api, operation(http.MethodPost, "/v1/stock/{sku}/safety", "set-safety-stock", "Set how much is never sold", "stock"),
		func(ctx context.Context, in *struct {
			SKU
			httpapi.CommandParams
			Body SafetyStock
		},
		) (*output, error) {
			return stock(ctx, in.CommandParams, in.SKU.SKU, "/safety",
				inventory.SetSafetyStock{SKU: in.SKU.SKU, Quantity: in.Body.Quantity})
		})
}

// registerShipping registers what staff does with shipments and returns.
func (c *Commands) registerShipping(api huma.API) {
	shipment := func(ctx context.Context, params httpapi.CommandParams, id, action string, command bus.Typed) (*output, error) {
		return c.byStaff(ctx, http.MethodPost, params, "/v1/shipments/"+id, action, bus.Resource{Type: shipping.CategoryShipment, ID: id}, command)
	}
	huma.Register(api, operation(http.MethodPost, "/v1/shipments/{id}/dispatch", "dispatch-shipment", "Hand a shipment to a carrier", "shipments"),
		func(ctx context.Context, in *struct {
			ShipmentID
			httpapi.CommandParams
			Body Dispatch
		},
		) (*output, error) {
			id := httpapi.CanonicalID(in.ID)
			return shipment(ctx, in.CommandParams, id, "/dispatch",
				shipping.DispatchShipment{ShipmentID: id, Carrier: in.Body.Carrier, Tracking: in.Body.Tracking})
		})
	huma.Register(api, operation(http.MethodPost, "/v1/shipments/{id}/deliver", "deliver-shipment", "Say that a shipment has arrived", "shipments"),
		func(ctx context.Context, in *struct {
			ShipmentID
			httpapi.CommandParams
			Body struct{}
		},
		) (*output, error) {
			id := httpapi.CanonicalID(in.ID)
			return shipment(ctx, in.CommandParams, id, "/deliver", shipping.DeliverShipment{ShipmentID: id})
		})
	huma.Register(api, operation(http.MethodPost, "/v1/returns/{id}/receive", "receive-return", "Say that goods came back", "returns"),
		func(ctx context.Context, in *struct {
			ReturnID
			httpapi.CommandParams
			Body Reception
		},
		) (*output, error) {
			id := httpapi.CanonicalID(in.ID)
			return c.byStaff(ctx, http.MethodPost, in.CommandParams, "/v1/returns/"+id, "/receive",
				bus.Resource{Type: shipping.CategoryReturn, ID: id}, shipping.ReceiveReturn{ReturnID: id, Lines: in.Body.Lines})
		})
}

// operation describes a command.
func operation(method, path, id, summary, tag string) huma.Operation {
	return huma.Operation{
		OperationID: id, Method: method, Path: path, Summary: summary, Tags: []string{tag},
		DefaultStatus: http.StatusAccepted, Errors: commandErrors,
	}
}

// to accepts a command that is posted to an action of the resource at path.
func (c *Commands) to(ctx context.Context, params httpapi.CommandParams, path, action string, resource bus.Resource, command bus.Typed) (*output, error) {
	r := &request{CommandParams: params, operation: http.MethodPost + " " + path + action, path: path, resource: resource, command: command}
	return c.accept(ctx, c.commandID(ctx, &r.CommandParams, r.operation), r)
}

// byStaff accepts a command that is for staff.
func (c *Commands) byStaff(ctx context.Context, method string, params httpapi.CommandParams, path, action string, resource bus.Resource, command bus.Typed) (*output, error) {
	if err := staffOnly(ctx); err != nil {
		return nil, err
	}
	r := &request{CommandParams: params, operation: method + " " + path + action, path: path, resource: resource, command: command}
	return c.accept(ctx, c.commandID(ctx, &r.CommandParams, r.operation), r)
}

func staffOnly(ctx context.Context) error {
	_, err := httpapi.RequireCaller(ctx, httpapi.RoleStaff, httpapi.RoleService)
	return err
}
