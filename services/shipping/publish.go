package shipping

import (
	"fmt"

	api "github.com/orderlane/orderlane/api/shipping"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/es"
)

// public translates a stored event of a shipment or of a return into its public one.
func public(r *es.Record) (name string, body any, err error) {
	switch of := bus.ResourceOf(r.Stream); of.Type {
	case Shipments.Category:
		return publicShipment(r, of.ID)
	case Returns.Category:
		return publicReturn(r, of.ID)
	}
	return "", nil, fmt.Errorf("shipping: %s is neither a shipment nor a return", r.Stream)
}

func publicShipment(r *es.Record, id string) (name string, body any, err error) {
	event, err := Shipments.Codec.Decode(r)
	if err != nil {
		return "", nil, err
	}
	switch e := event.(type) {
	case Created:
		return "shipment_created", &api.ShipmentCreated{
			ShipmentID: id, Version: r.Version, OrderID: e.Order, CustomerID: e.Customer, Status: api.StatusCreated,
			Location: e.Location, Items: items(e.Items), At: r.Time,
		}, nil
	case Dispatched:
		return "shipment_dispatched", &api.ShipmentDispatched{
			ShipmentID: id, Version: r.Version, OrderID: e.Order, CustomerID: e.Customer, Status: api.StatusDispatched,
			Location: e.Location, Items: items(e.Items), Carrier: e.Carrier, Tracking: e.Tracking, At: r.Time,
		}, nil
	case Delivered:
		return "shipment_delivered", &api.ShipmentDelivered{
			ShipmentID: id, Version: r.Version, OrderID: e.Order, CustomerID: e.Customer, Status: api.StatusDelivered,
			Items: items(e.Items), At: r.Time,
		}, nil
	case Cancelled:
		status := api.StatusCreated
		if len(e.Left) == 0 {
			status = api.StatusCancelled
		}
		return "shipment_cancelled", &api.ShipmentCancelled{
			ShipmentID: id, Version: r.Version, OrderID: e.Order, CustomerID: e.Customer, Reference: e.Reference,
			Status: status, Cancelled: items(e.Cancelled), Left: items(e.Left), At: r.Time,
		}, nil
	case CancelRefused:
		return "shipment_cancel_refused", &api.ShipmentCancelRefused{
			ShipmentID: id, Version: r.Version, OrderID: e.Order, Reference: e.Reference, Status: api.Status(e.Status),
			Reason: e.Reason, At: r.Time,
		}, nil
	}
	return "", nil, fmt.Errorf("shipping: %T has no public event", event)
}

func publicReturn(r *es.Record, id string) (name string, body any, err error) {
	event, err := Returns.Codec.Decode(r)
	if err != nil {
		return "", nil, err
	}
	switch e := event.(type) {
	case ReturnOpened:
		return "return_opened", &api.ReturnOpened{
			ReturnID: id, Version: r.Version, OrderID: e.Order, CustomerID: e.Customer, Status: api.ReturnExpected,
			Location: e.Location, Items: items(e.Items), At: r.Time,
		}, nil
	case ReturnReceived:
		status := api.ReturnInPart
		if len(e.Expected) == 0 {
			status = api.ReturnComplete
		}
		received := make([]api.ReceivedItem, len(e.Items))
		for i, item := range e.Items {
			received[i] = api.ReceivedItem{Item: api.Item(item.Item), Restock: item.Restock}
		}
		return "return_received", &api.ReturnReceived{
			ReturnID: id, Version: r.Version, OrderID: e.Order, CustomerID: e.Customer, Status: status,
			Location: e.Location, Items: received, Expected: items(e.Expected), At: r.Time,
		}, nil
	}
	return "", nil, fmt.Errorf("shipping: %T has no public event", event)
}

func items(stored []Item) []api.Item {
	out := make([]api.Item, len(stored))
	for i, item := range stored {
		out[i] = api.Item(item)
	}
	return out
}
