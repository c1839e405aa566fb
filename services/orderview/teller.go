package orderview

import (
	"strings"

	"github.com/orderlane/orderlane/api"
	"github.com/orderlane/orderlane/api/payments"
	"github.com/orderlane/orderlane/pkg/bus"
)

// teller tells the events of an order to somebody. Staff hear all. The customer hears what is for
// everyone; who else made it happen is the shop to them, and the cause of it is the last event
// before it that they hear of.
type teller struct {
	order    *document
	staff    bool
	provider string         // of the payment
	all      []past         // as they were read
	byID     map[string]int // events by id
	byTask   map[string]int // events by the ids of the tasks that they asked for; nil until one is looked for
}

// services are the names that services call themselves in what they ask of each other.
var services = func() map[string]bool {
	names := make(map[string]bool)
	for _, s := range api.Services {
		names[s.Name] = true
	}
	return names
}()

// maxTasks is how many things an event of a service with a gateway asks for, at most.
const maxTasks = 4

func newTeller(order *document, all []past, staff bool) (*teller, error) {
	t := &teller{order: order, staff: staff, all: append([]past(nil), all...), byID: make(map[string]int, len(all))}
	paid, err := foldPast(all, payments.Category, paymentFold)
	if err != nil {
		return nil, err
	}
	for _, p := range paid {
		t.provider = p.doc.Staff.Provider
	}
	for i := range t.all {
		t.byID[t.all[i].id()] = i
	}
	return t, nil
}

// find looks up the event that a cause is, or that asked for the task that it is.
func (t *teller) find(cause string) (i int, known bool) {
	if strings.Contains(cause, "/") { // <stream>/<version>
		i, known = t.byID[cause]
		return i, known
	}
	if t.byTask == nil {
		t.byTask = make(map[string]int)
		for i := range t.all {
			service := bus.ServiceOf(t.all[i].kind)
			if !gateways[service] {
				continue
			}
			for n := range maxTasks {
				t.byTask[bus.AskID(service, t.all[i].id(), t.all[i].sent, n)] = i
			}
		}
	}
	i, known = t.byTask[cause]
	return i, known
}

// gateways are the services that have one: what it reports comes of a task, and that of an event.
var gateways = func() map[string]bool {
	names := make(map[string]bool)
	for _, s := range api.Services {
		names[s.Name] = len(s.Tasks) > 0
	}
	return names
}()

// audience is for whom is told.
func (t *teller) audience() audience {
	if t.staff {
		return staffOnly
	}
	return everyone
}

// tell tells an event, if it is for whom is told.
func (t *teller) tell(p *past) (h Happening, ok bool) {
	text, to := sentence(t.order, p, t.audience())
	if !t.staff && to != everyone {
		return h, false
	}
	return Happening{
		At: p.at, Text: text, Type: p.kind, Stream: p.stream, Version: p.version, Actor: t.actor(p), Cause: t.cause(p),
	}, true
}

// actor is who made an event happen.
func (t *teller) actor(p *past) Actor {
	kind := t.kindOf(p)
	switch {
	case kind == actorCustomer:
		return Actor{Kind: kind, ID: p.caller}
	case !t.staff:
		return Actor{Kind: actorShop}
	case p.caller == "":
		return Actor{Kind: kind, ID: bus.ServiceOf(p.kind)}
	}
	return Actor{Kind: kind, ID: p.caller}
}

// The kinds of actors.
const (
	actorCustomer = "customer"
	actorStaff    = "staff"
	actorService  = "service"
	actorProvider = "provider"
	actorShop     = "shop"
)

// kindOf tells callers apart by their ids: events say no more of them.
func (t *teller) kindOf(p *past) string {
	switch {
	case p.caller == t.order.CustomerID:
		return actorCustomer
	case p.caller == "" || services[p.caller]:
		return actorService
	case p.caller == t.provider:
		return actorProvider
	}
	return actorStaff
}

// The kinds of causes.
const (
	causeCommand  = "command"
	causeEvent    = "event"
	causeDeadline = "deadline"
	causeCallback = "callback"
)

// cause is why an event happened, as far as that is to be told.
func (t *teller) cause(p *past) *Cause {
	for range t.all { // each step goes to an event before this one
		kind := t.kindOf(p)
		if p.cause == "" {
			switch {
			case kind == actorProvider:
				return &Cause{Kind: causeCallback}
			case kind == actorCustomer, kind == actorStaff && t.staff:
				return &Cause{Kind: causeCommand, ID: p.command, Link: "/v1/commands/" + p.command}
			}
			return nil // not for customers; or not known, of an event before events said it
		}
		i, known := t.find(p.cause)
		if !known {
			if t.staff && strings.Contains(p.cause, "/") {
				return &Cause{Kind: causeEvent, ID: p.cause} // such as one of inventory
			}
			return nil
		}
		by := &t.all[i]
		if _, to := sentence(t.order, by, t.audience()); t.staff || to == everyone {
			c := &Cause{Kind: causeEvent, ID: by.id(), Type: by.kind}
			if by.stream == p.stream && p.cause == c.ID {
				c.Kind = causeDeadline // what an event of a stream leads to in the stream itself is its timer
			}
			return c
		}
		p = by
	}
	return nil
}
