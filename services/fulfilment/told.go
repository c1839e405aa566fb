package fulfilment

import (
	"context"
	"slices"
	"time"

	inventory "github.com/orderlane/orderlane/api/inventory"
	ordering "github.com/orderlane/orderlane/api/ordering"
	payments "github.com/orderlane/orderlane/api/payments"
	shipping "github.com/orderlane/orderlane/api/shipping"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/es"
)

// hearing turns forwarded events into facts for processes.
type hearing struct {
	engine *es.Engine
	clock  func() time.Time
}

// told is the handler of events of type E, each of which is a fact for an order.
func told[E any](h hearing, fact func(e *E, at time.Time) (order string, c Command)) bus.Handler {
	return bus.Handle(func(ctx context.Context, e *E) error {
		order, c := fact(e, h.clock())
		_, creates := c.(Start)
		return bus.Submit(ctx, h.engine, Processes, order, c, creates)
	})
}

func (h hearing) ordering() []bus.Handler {
	moved := func(c *ordering.Change, to OrderStage, at time.Time) (string, Command) {
		return c.OrderID, MoveOrder{To: to, Version: c.Version, At: at}
	}
	return []bus.Handler{
		told(h, func(e *ordering.OrderPlaced, at time.Time) (string, Command) { return e.OrderID, startOf(e, at) }),
		told(h, func(e *ordering.OrderConfirmed, at time.Time) (string, Command) {
			return moved(&e.Change, OrderConfirmed, at)
		}),
		told(h, func(e *ordering.OrderRejected, at time.Time) (string, Command) {
			return moved(&e.Change, OrderRejected, at)
		}),
		told(h, func(e *ordering.OrderCancelled, at time.Time) (string, Command) {
			return moved(&e.Change, OrderCancelled, at)
		}),
		told(h, func(e *ordering.OrderCancelRefused, at time.Time) (string, Command) {
			return moved(&e.Change, OrderCancelRefused, at)
		}),
		told(h, func(e *ordering.OrderCancelRequested, at time.Time) (string, Command) {
			return e.OrderID, Cancelling{Version: e.Version, Lines: e.Lines, At: at}
		}),
		told(h, func(e *ordering.ReturnRequested, at time.Time) (string, Command) {
			var wanted sums
			for _, u := range e.Lines {
				wanted.add(u.Line, u.Quantity)
			}
			return e.OrderID, Returning{Return: e.ReturnID, Items: wanted, At: at}
		}),
		told(h, func(e *ordering.DiscountRedeemed, at time.Time) (string, Command) {
			return e.OrderID, MoveDiscount{To: StageDone, At: at}
		}),
		told(h, func(e *ordering.DiscountRedemptionRefused, at time.Time) (string, Command) {
			return e.OrderID, MoveDiscount{To: StageRefused, At: at}
		}),
		told(h, func(e *ordering.DiscountReleased, at time.Time) (string, Command) {
			return e.OrderID, MoveDiscount{To: StageReleased, At: at}
		}),
	}
}

func startOf(e *ordering.OrderPlaced, at time.Time) Start {
	s := Start{
		Order: e.OrderID, Customer: e.CustomerID, Currency: e.Currency, Method: e.PaymentMethod,
		Delivery: Price{e.Totals.Delivery, e.Totals.DeliveryTax}, Code: e.DiscountCode, At: at,
	}
	for _, l := range e.Lines {
		s.Lines = append(s.Lines, Ordered{SKU: l.SKU, Quantity: l.Quantity, Price: Price{l.Total, l.Tax}, Backorder: l.Backorder})
	}
	return s
}

func (h hearing) inventory() []bus.Handler {
	return []bus.Handler{
		told(h, func(e *inventory.StockReserved, at time.Time) (string, Command) {
			return e.OrderID, MoveStock{Line: e.Line.Line, To: StockReserved, Version: e.Version, At: at}
		}),
		told(h, func(e *inventory.StockBackordered, at time.Time) (string, Command) {
			return e.OrderID, MoveStock{Line: e.Line.Line, To: StockWaiting, Version: e.Version, At: at}
		}),
		told(h, func(e *inventory.StockReservationRefused, at time.Time) (string, Command) {
			return e.OrderID, MoveStock{Line: e.Line.Line, To: StockRefused, Version: e.Version, Reason: e.Reason, At: at}
		}),
		told(h, func(e *inventory.StockAllocated, at time.Time) (string, Command) {
			parts := make([]Part, len(e.Parts))
			for i, p := range e.Parts {
				parts[i] = Part(p)
			}
			return e.OrderID, MoveStock{Line: e.Line.Line, To: StockAllocated, Version: e.Version, Parts: parts, At: at}
		}),
		told(h, func(e *inventory.StockReleased, at time.Time) (string, Command) {
			return e.OrderID, MoveStock{
				Line: e.Line.Line, To: StockReleased, Version: e.Version, Lapsed: e.Reason == inventory.ReasonExpired, At: at,
			}
		}),
	}
}

func (h hearing) payments() []bus.Handler {
	return []bus.Handler{
		told(h, func(e *payments.PaymentActionRequired, at time.Time) (string, Command) {
			return e.OrderID, MovePayment{To: PaymentAction, Version: e.Version, At: at}
		}),
		told(h, func(e *payments.PaymentAuthorized, at time.Time) (string, Command) {
			return e.OrderID, MovePayment{To: PaymentAuthorized, Version: e.Version, At: at}
		}),
		told(h, func(e *payments.PaymentDeclined, at time.Time) (string, Command) {
			return e.OrderID, MovePayment{To: PaymentDeclined, Version: e.Version, Code: e.Code, At: at}
		}),
		told(h, func(e *payments.PaymentVoided, at time.Time) (string, Command) {
			return e.OrderID, GiveUpPayment{Reference: e.Reference, At: at}
		}),
		told(h, func(e *payments.PaymentCaptured, at time.Time) (string, Command) {
			return e.OrderID, SettleCapture{Shipment: e.Reference, At: at}
		}),
		told(h, func(e *payments.PaymentCaptureFailed, at time.Time) (string, Command) {
			return e.OrderID, SettleCapture{Shipment: e.Reference, Code: codeOf(e.Code), At: at}
		}),
		told(h, func(e *payments.PaymentRefunded, at time.Time) (string, Command) {
			return e.OrderID, SettleRefund{Reference: e.Reference, Partial: e.Partial, At: at}
		}),
		told(h, func(e *payments.PaymentRefundFailed, at time.Time) (string, Command) {
			return e.OrderID, SettleRefund{Reference: e.Reference, Code: codeOf(e.Code), At: at}
		}),
	}
}

// codeOf is why something was refused: there is always a reason.
func codeOf(code string) string {
	if code == "" {
		return "refused"
	}
	return code
}

func (h hearing) shipping() []bus.Handler {
	return []bus.Handler{
		told(h, func(e *shipping.ShipmentDispatched, at time.Time) (string, Command) {
			return e.OrderID, MoveShipment{Shipment: e.ShipmentID, To: ShipmentDispatched, Items: shipped(e.Items), At: at}
		}),
		told(h, func(e *shipping.ShipmentDelivered, at time.Time) (string, Command) {
			return e.OrderID, MoveShipment{Shipment: e.ShipmentID, To: ShipmentDelivered, Items: shipped(e.Items), At: at}
		}),
		told(h, func(e *shipping.ShipmentCancelled, at time.Time) (string, Command) {
			return e.OrderID, AnswerStop{Shipment: e.ShipmentID, Reference: e.Reference, Left: shipped(e.Left), At: at}
		}),
		told(h, func(e *shipping.ShipmentCancelRefused, at time.Time) (string, Command) {
			return e.OrderID, AnswerStop{Shipment: e.ShipmentID, Reference: e.Reference, Late: true, At: at}
		}),
		told(h, func(e *shipping.ReturnReceived, at time.Time) (string, Command) {
			var came, restock sums
			for _, i := range e.Items {
				came.add(i.Line, i.Quantity)
				if i.Restock {
					restock.add(i.Line, i.Quantity)
				}
			}
			return e.OrderID, ReturnGoods{
				Return: e.ReturnID, Part: e.Version, Location: e.Location, Items: came, Restock: restock,
				Done: len(e.Expected) == 0, At: at,
			}
		}),
	}
}

func shipped(all []shipping.Item) []Item {
	var items []Item
	for _, i := range all {
		items = append(items, Item{Line: i.Line, Quantity: i.Quantity})
	}
	return items
}

// sums are units, once a line.
type sums []Item

func (s *sums) add(line int, quantity int64) {
	i := slices.IndexFunc(*s, func(i Item) bool { return i.Line == line })
	if i < 0 {
		*s = append(*s, Item{Line: line, Quantity: quantity})
		return
	}
	(*s)[i].Quantity += quantity
}
