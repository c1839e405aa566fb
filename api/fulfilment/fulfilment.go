// Package fulfilment is the public contract of the fulfilment process: its events on
// fulfilment.events.v1, one per step, each saying what the order waits for and until when. A
// stream is the process of one order, fulfilment-<order id>. Its commands are the events of
// other services, forwarded. Fields are added, never renamed or removed.
package fulfilment

import "time"

// Service is the service's name, in topics, types and the command line.
const Service = "fulfilment"

// Category is the first part of the streams' names.
const Category = "fulfilment"

// Progress is what every event of the process says.
type Progress struct {
	OrderID    string    `json:"order_id"`
	Version    int64     `json:"version"`
	Step       string    `json:"step" doc:"Where the process stands" example:"reserving"`
	WaitingFor string    `json:"waiting_for,omitzero" doc:"In words; nothing once it has ended" example:"stock for 2 lines to be reserved"`
	Until      time.Time `json:"until,omitzero" doc:"When it will be done about what is waited for"`
	Attention  string    `json:"attention,omitzero" doc:"What staff have to do; nothing as a rule" example:"the money for shipment 7 was refused: collect it, or write it off"`
	Ended      bool      `json:"ended,omitzero"`
	At         time.Time `json:"at"`
}
