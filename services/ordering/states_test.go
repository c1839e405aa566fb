package ordering

import (
	"testing"

	"github.com/orderlane/orderlane/pkg/es/estest"
)

func TestTheStatesOfAnOrderAreAsDrawn(t *testing.T) {
	one := []Units{{Line: 1, Quantity: 1}}
	rest := []Units{{Line: 2, Quantity: 1}}
	two := place
	two.Wanted = []Wanted{{"TEA-001", 1, tea}, {"TEA-002", 1, tea}}
	const customer, process = "customer, staff", "fulfilment"
	attempt := func(name, by string, c Command) estest.Attempt[Command] {
		return estest.Attempt[Command]{Name: name, By: by, Command: c}
	}
	orders := *Orders
	orders.Evolve = func(e Event, o Order) Order {
		o = Orders.Evolve(e, o)
		o.Moves = 0 // only counts: each would be a state of its own
		return o
	}
	estest.Draw(t, &orders, estest.Machine[Order, Event, Command]{
		Title:  "An order",
		Intro:  "The states of an order, as ordering keeps them: it is what it was told. Here it has two lines of one unit each.",
		Status: func(o Order) string { return string(o.Status) },
		Attempts: []estest.Attempt[Command]{
			attempt("place", customer, two),
			attempt("change the address", customer, ChangeAddress{ID: "1", Address: home, By: ada}),
			attempt("cancel", customer, RequestCancel{ID: "1", By: ada}),
			attempt("cancel a line", customer, RequestCancel{ID: "1", Lines: []int{2}, By: ada}),
			attempt("return a line", customer, RequestReturn{ID: "1", Return: "r-1", Units: one, By: ada}),
			attempt("return the other line", customer, RequestReturn{ID: "1", Return: "r-2", Units: rest, By: ada}),
			attempt("confirm", process, Confirm{"1"}),
			attempt("reject", process, Reject{"1", "out_of_stock", ""}),
			attempt("cancelled", process, Cancel{ID: "1"}),
			attempt("a line is cancelled", process, Cancel{ID: "1", Lines: []int{2}}),
			attempt("too late to cancel", process, RefuseCancel{"1", "already_dispatched"}),
			attempt("a line is shipped", process, MarkShipped{"1", "s-1", one}),
			attempt("the other line is shipped", process, MarkShipped{"1", "s-2", rest}),
			attempt("a line is delivered", process, MarkDelivered{"1", "s-1", one}),
			attempt("the other line is delivered", process, MarkDelivered{"1", "s-2", rest}),
			attempt("a line came back", process, MarkReturned{"1", "r-1", 1, one}),
			attempt("the other line came back", process, MarkReturned{"1", "r-2", 1, rest}),
		},
	}, "../../docs/states/order.md")
}
