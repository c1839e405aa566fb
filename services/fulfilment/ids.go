package fulfilment

import (
	"strconv"

	"github.com/orderlane/orderlane/pkg/bus"
)

// shipmentID names the nth shipment of an order, which leaves from a location: whoever asks
// for it again asks for the same one.
func shipmentID(order, location string, n int) string {
	return bus.DeriveID("shipment", order, location, strconv.Itoa(n)).String()
}
