package orderview

import (
	"fmt"

	"github.com/orderlane/orderlane/api/notifications"
	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/api/shipping"
)

var shippingTold = map[string]telling{
	shipping.TypeShipmentCreated: tell(everyone, func(o *document, e *shipping.ShipmentCreated) string {
		return fmt.Sprintf("A shipment of %s is prepared at %s.", o.goods(shipped(e.Items)), e.Location)
	}),
	shipping.TypeShipmentDispatched: tell(everyone, func(o *document, e *shipping.ShipmentDispatched) string {
		tracking := ""
		if e.Tracking != "" {
			tracking = ", tracking number " + e.Tracking
		}
		return fmt.Sprintf("A shipment of %s was handed to %s%s.", o.goods(shipped(e.Items)), e.Carrier, tracking)
	}),
	shipping.TypeShipmentDelivered: tell(everyone, func(o *document, e *shipping.ShipmentDelivered) string {
		return fmt.Sprintf("The shipment of %s was delivered.", o.goods(shipped(e.Items)))
	}),
	shipping.TypeShipmentCancelled: tell(everyone, func(o *document, e *shipping.ShipmentCancelled) string {
		if e.Status == shipping.StatusCancelled {
			return "The shipment will not go out."
		}
		return fmt.Sprintf("%s will not go out with the shipment.", o.goods(shipped(e.Cancelled)))
	}),
	shipping.TypeShipmentCancelRefused: tell(staffOnly, func(_ *document, e *shipping.ShipmentCancelRefused) string {
		return "The shipment could not be kept back" + because(e.Reason) + "."
	}),
	shipping.TypeReturnOpened: tell(everyone, func(o *document, e *shipping.ReturnOpened) string {
		return fmt.Sprintf("A return of %s is expected at %s.", o.goods(shipped(e.Items)), e.Location)
	}),
	shipping.TypeReturnReceived: tell(everyone, func(o *document, e *shipping.ReturnReceived) string {
		items := make([]shipping.Item, len(e.Items))
		for i, item := range e.Items {
			items[i] = item.Item
		}
		return fmt.Sprintf("%s came back to %s%s.", o.goods(shipped(items)), e.Location, ifso(len(e.Expected) > 0, "; the rest is still expected"))
	}),
}

// shipped are units as ordering counts them.
func shipped(items []shipping.Item) []ordering.Units {
	out := make([]ordering.Units, len(items))
	for i, item := range items {
		out[i] = ordering.Units{Line: item.Line, Quantity: item.Quantity}
	}
	return out
}

// mailAbout says what a mail tells the customer.
var mailAbout = map[notifications.Kind]string{
	notifications.KindOrderConfirmed:     "that the order is confirmed",
	notifications.KindOrderRejected:      "that the order was rejected",
	notifications.KindOrderCancelled:     "that lines were cancelled",
	notifications.KindShipmentDispatched: "that goods are on their way",
	notifications.KindPaymentRefunded:    "that money was given back",
}

// mail names a mail.
func mail(kind notifications.Kind) string {
	if about := mailAbout[kind]; about != "" {
		return "The mail saying " + about
	}
	return "The mail about " + words(string(kind))
}

var mailsTold = map[string]telling{
	notifications.TypeMailRequested: tell(staffOnly, func(_ *document, e *notifications.MailRequested) string {
		return mail(e.Kind) + " is to be sent" + ifso(e.Send > 1, " again") + "."
	}),
	notifications.TypeMailSent: tell(everyone, func(_ *document, e *notifications.MailSent) string {
		return mail(e.Kind) + " was sent."
	}),
	notifications.TypeMailFailed: tell(staffOnly, func(_ *document, e *notifications.MailFailed) string {
		return mail(e.Kind) + " could not be sent" + because(e.Reason) + "."
	}),
	notifications.TypeMailSkipped: tell(staffOnly, func(_ *document, e *notifications.MailSkipped) string {
		return mail(e.Kind) + " was not sent" + because(e.Reason) + "."
	}),
}
