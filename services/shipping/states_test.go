package shipping

import (
	"slices"
	"testing"

	"github.com/orderlane/orderlane/pkg/es/estest"
)

func TestTheStatesOfAShipmentAreAsDrawn(t *testing.T) {
	const staff, process = "staff", "fulfilment"
	attempt := func(name, by string, c ShipmentCommand) estest.Attempt[ShipmentCommand] {
		return estest.Attempt[ShipmentCommand]{Name: name, By: by, Command: c}
	}
	estest.Draw(t, Shipments, estest.Machine[Shipment, ShipmentEvent, ShipmentCommand]{
		Title:  "A shipment",
		Intro:  "The states of a shipment, as shipping keeps them: it decides whether something can still be cancelled. Here it has two items.",
		Status: func(s Shipment) string { return string(s.Status) },
		Attempts: []estest.Attempt[ShipmentCommand]{
			attempt("create", process, Create(both)),
			attempt("dispatch", staff, Dispatch{"s-1", "DHL", "00340434"}),
			attempt("deliver", staff, Deliver{"s-1"}),
			attempt("cancel an item", process, Cancel{"o-1", "x-1", []int{1}}),
			attempt("cancel", process, Cancel{"o-1", "x-2", nil}),
		},
	}, "../../docs/states/shipment.md")
}

func TestTheStatesOfAReturnAreAsDrawn(t *testing.T) {
	attempt := func(name, by string, c ReturnCommand) estest.Attempt[ReturnCommand] {
		return estest.Attempt[ReturnCommand]{Name: name, By: by, Command: c}
	}
	estest.Draw(t, Returns, estest.Machine[Return, ReturnEvent, ReturnCommand]{
		Title: "A return",
		Intro: "The states of a return, as shipping keeps them. Here it has two items.",
		Status: func(r Return) string {
			switch {
			case r.Order == "":
				return ""
			case len(r.Expected) == 0:
				return "received"
			case slices.Equal(r.Expected, opened.Items):
				return "open"
			}
			return "partially_received"
		},
		Attempts: []estest.Attempt[ReturnCommand]{
			attempt("open", "fulfilment", Open(opened)),
			attempt("receive an item", "staff", Receive{"r-1", []Arrival{{2, 1, true}}}),
			attempt("receive the other item", "staff", Receive{"r-1", []Arrival{{1, 2, false}}}),
			attempt("receive all", "staff", Receive{"r-1", []Arrival{{1, 2, true}, {2, 1, true}}}),
		},
	}, "../../docs/states/return.md")
}
