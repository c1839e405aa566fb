package api

import (
	"github.com/orderlane/orderlane/api/catalog"
	"github.com/orderlane/orderlane/api/fulfilment"
	"github.com/orderlane/orderlane/api/inventory"
	"github.com/orderlane/orderlane/api/notifications"
	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/api/payments"
	"github.com/orderlane/orderlane/api/shipping"
)

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
	{
		Name: inventory.Service, Summary: "Stock per product and location, and what of it is kept for whom.",
		Commands: []Message{
			{inventory.TypeReceiveStock, inventory.ReceiveStock{}, "Take goods in at a location."},
			{inventory.TypeAdjustStock, inventory.AdjustStock{}, "Correct a count, up or down."},
			{inventory.TypeSetSafetyStock, inventory.SetSafetyStock{}, "Set how much is never sold."},
			{inventory.TypeReserveStock, inventory.ReserveStock{}, "From fulfilment: keep stock for a line of an order."},
			{inventory.TypeAllocateStock, inventory.AllocateStock{}, "From fulfilment: make a reservation firm."},
			{inventory.TypeReleaseStock, inventory.ReleaseStock{}, "From fulfilment: give a reservation up."},
			{inventory.TypeDispatchStock, inventory.DispatchStock{}, "From fulfilment: goods left for a customer."},
			{inventory.TypeTakeBackStock, inventory.TakeBackStock{}, "From fulfilment: goods came back into stock."},
		},
		Events: []Message{
			{inventory.TypeStockReceived, inventory.StockReceived{}, "Goods came in."},
			{inventory.TypeStockAdjusted, inventory.StockAdjusted{}, "A count was corrected."},
			{inventory.TypeSafetyStockSet, inventory.SafetyStockSet{}, "How much is never sold was set."},
			{inventory.TypeStockReserved, inventory.StockReserved{}, "A line's whole quantity is kept for it."},
			{inventory.TypeStockBackordered, inventory.StockBackordered{}, "A line waits for stock."},
			{inventory.TypeStockReservationRefused, inventory.StockReservationRefused{}, "Nothing is kept for a line, and why."},
			{inventory.TypeStockAllocated, inventory.StockAllocated{}, "A reservation is firm."},
			{inventory.TypeStockReleased, inventory.StockReleased{}, "Nothing is kept for a line any more, and why."},
			{inventory.TypeStockDispatched, inventory.StockDispatched{}, "Goods left for a customer."},
			{inventory.TypeStockReturned, inventory.StockReturned{}, "Goods came back into stock."},
		},
	},
	{
		Name: payments.Service, Summary: "The money of orders: what is held, taken and given back.",
		Commands: []Message{
			{payments.TypeRequestPayment, payments.RequestPayment{}, "From fulfilment: ask for an order's amount to be authorised."},
			{payments.TypeCapturePayment, payments.CapturePayment{}, "From fulfilment: take the money for what was dispatched."},
			{payments.TypeVoidPayment, payments.VoidPayment{}, "From fulfilment: give up what was not taken, of lines or of all."},
			{payments.TypeRefundPayment, payments.RefundPayment{}, "Give money back: an amount, or the shares of units."},
			{payments.TypeReportPayment, payments.ReportPayment{}, "From gateways and webhooks: what a provider answered."},
		},
		Events: []Message{
			{payments.TypePaymentRequested, payments.PaymentRequested{}, "A provider is asked to authorise an amount."},
			{payments.TypePaymentActionRequired, payments.PaymentActionRequired{}, "The customer has something to do; what with is on the personal topic."},
			{payments.TypePaymentAuthorized, payments.PaymentAuthorized{}, "The amount is ours to take."},
			{payments.TypePaymentDeclined, payments.PaymentDeclined{}, "The provider said no, or nobody answered in time."},
			{payments.TypePaymentCaptureRequested, payments.PaymentCaptureRequested{}, "The provider is asked for a part of the money."},
			{payments.TypePaymentCaptured, payments.PaymentCaptured{}, "Money was taken."},
			{payments.TypePaymentCaptureFailed, payments.PaymentCaptureFailed{}, "The provider refused to give the money."},
			{payments.TypePaymentVoidRequested, payments.PaymentVoidRequested{}, "The provider is asked to give up an authorisation."},
			{payments.TypePaymentVoided, payments.PaymentVoided{}, "An amount will not be taken."},
			{payments.TypePaymentRefundRequested, payments.PaymentRefundRequested{}, "The provider is asked to give money back."},
			{payments.TypePaymentRefunded, payments.PaymentRefunded{}, "Money was given back."},
			{payments.TypePaymentRefundFailed, payments.PaymentRefundFailed{}, "The provider refused to give money back."},
		},
		Personal: []Message{
			{payments.TypePersonal, payments.Personal{}, "What only the customer may see of a payment."},
		},
		Tasks: []Message{
			{payments.TypeCallProvider, payments.CallProvider{}, "Ask a payment provider for an operation, or what became of it."},
		},
	},
	{
		Name: shipping.Service, Summary: "What goes out to customers, and what comes back.",
		Commands: []Message{
			{shipping.TypeCreateShipment, shipping.CreateShipment{}, "From fulfilment: prepare what goes out from one location."},
			{shipping.TypeDispatchShipment, shipping.DispatchShipment{}, "Hand a shipment to a carrier."},
			{shipping.TypeDeliverShipment, shipping.DeliverShipment{}, "A shipment has arrived."},
			{shipping.TypeCancelShipment, shipping.CancelShipment{}, "From fulfilment: take lines out of a shipment, or give it up."},
			{shipping.TypeOpenReturn, shipping.OpenReturn{}, "From fulfilment: expect goods back."},
			{shipping.TypeReceiveReturn, shipping.ReceiveReturn{}, "Goods came back, all of a return or a part."},
		},
		Events: []Message{
			{shipping.TypeShipmentCreated, shipping.ShipmentCreated{}, "What will go out from where."},
			{shipping.TypeShipmentDispatched, shipping.ShipmentDispatched{}, "A shipment is on its way."},
			{shipping.TypeShipmentDelivered, shipping.ShipmentDelivered{}, "A shipment has arrived."},
			{shipping.TypeShipmentCancelled, shipping.ShipmentCancelled{}, "Items will not go out."},
			{shipping.TypeShipmentCancelRefused, shipping.ShipmentCancelRefused{}, "It was too late to cancel."},
			{shipping.TypeReturnOpened, shipping.ReturnOpened{}, "What is expected back."},
			{shipping.TypeReturnReceived, shipping.ReturnReceived{}, "What came back."},
		},
	},
	{
		Name: fulfilment.Service, Summary: "The process of each order: what it waits for, and what comes next. Its commands are other services' events.",
		Events: []Message{
			{fulfilment.TypeFulfilmentStarted, fulfilment.Progress{}, "Inventory is asked for the lines of a new order."},
			{fulfilment.TypeLineReserved, fulfilment.LineMoved{}, "Stock is kept for a line."},
			{fulfilment.TypeLineBackordered, fulfilment.LineMoved{}, "A line waits for stock."},
			{fulfilment.TypeLineRefused, fulfilment.LineMoved{}, "There is no stock for a line."},
			{fulfilment.TypeLineExpired, fulfilment.LineMoved{}, "A line's reservation had expired, and could not be made anew."},
			{fulfilment.TypeLineAllocated, fulfilment.LineMoved{}, "A line's stock does not expire any more."},
			{fulfilment.TypeLineReleased, fulfilment.LineMoved{}, "Nothing is kept for a line any more."},
			{fulfilment.TypePaymentActionAwaited, fulfilment.PaymentMoved{}, "The customer has to complete the payment."},
			{fulfilment.TypePaymentSecured, fulfilment.PaymentMoved{}, "The money is held."},
			{fulfilment.TypePaymentRefused, fulfilment.PaymentMoved{}, "The money is not held."},
			{fulfilment.TypePaymentGivenUp, fulfilment.PaymentGivenUp{}, "Money will not be taken."},
			{fulfilment.TypeDiscountSecured, fulfilment.Progress{}, "The discount code counts."},
			{fulfilment.TypeDiscountRefused, fulfilment.Progress{}, "The discount code does not count after all."},
			{fulfilment.TypeDiscountGivenBack, fulfilment.Progress{}, "Others may use the discount code."},
			{fulfilment.TypeConfirmationNoted, fulfilment.Progress{}, "The order is confirmed: shipments are prepared."},
			{fulfilment.TypeRejectionNoted, fulfilment.Progress{}, "The order is rejected."},
			{fulfilment.TypeCancelTakenUp, fulfilment.CancelTakenUp{}, "Lines, or the order, are to be given up if it is not too late."},
			{fulfilment.TypeCancellationNoted, fulfilment.Progress{}, "Lines, or the order, are given up."},
			{fulfilment.TypeCancelRefusalNoted, fulfilment.Progress{}, "It was too late to give up; the order goes on."},
			{fulfilment.TypeShipmentKeptBack, fulfilment.ShipmentMoved{}, "Lines of a shipment, or all of it, will not go out."},
			{fulfilment.TypeShipmentNotKeptBack, fulfilment.ShipmentMoved{}, "A shipment had left before it could be kept back."},
			{fulfilment.TypeDispatchNoted, fulfilment.ShipmentMoved{}, "A shipment has left: its money is to be captured."},
			{fulfilment.TypeDeliveryNoted, fulfilment.ShipmentMoved{}, "A shipment has arrived."},
			{fulfilment.TypeCaptureDone, fulfilment.CaptureSettled{}, "A shipment's money was taken."},
			{fulfilment.TypeCaptureRefused, fulfilment.CaptureSettled{}, "A shipment's money was refused."},
			{fulfilment.TypeReturnTakenUp, fulfilment.ReturnMoved{}, "Goods are expected back."},
			{fulfilment.TypeGoodsTakenBack, fulfilment.ReturnMoved{}, "Goods came back: their money is to be given back."},
			{fulfilment.TypeReturnsLapsed, fulfilment.Progress{}, "Returns are not waited for any more."},
			{fulfilment.TypeRefundDone, fulfilment.RefundSettled{}, "Money was given back."},
			{fulfilment.TypeRefundRefused, fulfilment.RefundSettled{}, "Money could not be given back."},
			{fulfilment.TypeAskedAgain, fulfilment.AskedAgain{}, "Nobody has answered in time: everything open was asked for again."},
			{fulfilment.TypeFulfilmentGivenUp, fulfilment.Progress{}, "Nobody has answered for too long: the order is rejected."},
		},
	},
	{
		Name: notifications.Service, Summary: "Mails to customers about their orders. Its commands are other services' events, too.",
		Commands: []Message{
			{notifications.TypeResendMail, notifications.ResendMail{}, "Send a mail again."},
			{notifications.TypeReportMail, notifications.ReportMail{}, "From the gateway: what became of a mail."},
		},
		Events: []Message{
			{notifications.TypeMailRequested, notifications.MailRequested{}, "A mail is to be sent, for the first time or again."},
			{notifications.TypeMailSent, notifications.MailSent{}, "A mail is out."},
			{notifications.TypeMailFailed, notifications.MailFailed{}, "A mail was given up, and why."},
			{notifications.TypeMailSkipped, notifications.MailSkipped{}, "There was nobody to send a mail to, and why."},
		},
		Tasks: []Message{
			{notifications.TypeSendMail, notifications.SendMail{}, "Write a mail and send it."},
		},
	},
}
