package demo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"time"

	"github.com/orderlane/orderlane/api/ordering"
)

// What people do, in percent, and how soon.
const (
	cancels      = 6 // of orders
	sendsBack    = 5 // of deliveries
	restocks     = 80
	thinkFor     = 2 * time.Second // until a mind is changed
	packAfter    = 3 * time.Second // so that there is something to be cancelled
	onTheRoad    = 5 * time.Second
	packEvery    = 300 * time.Millisecond
	restockBelow = 100
	restockBy    = 500
	pageSize     = 100
)

// methods are how customers pay, with their weights.
var methods = []struct {
	weight int
	name   string
}{
	{80, "sandbox_approve"}, {6, "sandbox_decline"}, {5, "sandbox_webhook"}, {4, "sandbox_slow"}, {3, "sandbox_twice"}, {2, "sandbox_lost"},
}

// order is what is placed.
type order struct {
	CustomerID string            `json:"customer_id"`
	Email      string            `json:"email"`
	Currency   string            `json:"currency"`
	Lines      []ordering.Wanted `json:"lines"`
	ShipTo     ordering.Address  `json:"ship_to"`
	Delivery   string            `json:"delivery"`
	Payment    ordering.Payment  `json:"payment"`
}

var people = []string{"Ada Lovelace", "Alan Turing", "Grace Hopper", "Edsger Dijkstra", "Barbara Liskov", "Tony Hoare", "Radia Perlman", "Niklaus Wirth"}

var towns = []struct{ city, country string }{
	{"London", "GB"}, {"Paris", "FR"}, {"Berlin", "DE"}, {"Amsterdam", "NL"}, {"Madrid", "ES"}, {"Vienna", "AT"},
}

// customers come in at the rate that is asked for, in no step with how the platform answers.
func (s *shop) customers(ctx context.Context) {
	gap := time.Duration(float64(time.Second) / s.Rate)
	every(ctx, gap, func(ctx context.Context) {
		select {
		case s.places <- struct{}{}:
			go func() {
				defer func() { <-s.places }()
				s.customer(ctx)
			}()
		default:
			s.tally.busy.Add(1)
		}
	})
	for range cap(s.places) { // those who are still there
		s.places <- struct{}{}
	}
}

// customer places one order, and may think better of it.
func (s *shop) customer(ctx context.Context) {
	o := s.basket()
	started := s.Clock()
	var accepted struct {
		Resource struct {
			ID string `json:"id"`
		} `json:"resource"`
	}
	err := s.post(ctx, "/v1/orders", o, &accepted)
	if !s.count(ctx, err, &s.tally.ordered) {
		return
	}
	s.tally.latency.add(s.Clock().Sub(started))
	if !s.chance(cancels) {
		return
	}
	select {
	case <-time.After(thinkFor):
		err := s.post(ctx, "/v1/orders/"+accepted.Resource.ID+"/cancel", map[string]string{"reason": "changed my mind"}, nil)
		s.count(ctx, err, &s.tally.cancelled)
	case <-ctx.Done():
	}
}

// basket is what a customer wants: mostly what everybody wants.
func (s *shop) basket() (o order) {
	s.draw(func(r *rand.Rand) {
		name, town := people[r.IntN(len(people))], towns[r.IntN(len(towns))]
		n := r.IntN(1000)
		o = order{
			CustomerID: fmt.Sprint("c-", n), Email: fmt.Sprintf("customer-%d@example.com", n), Delivery: "standard",
			ShipTo: ordering.Address{Name: name, Street: fmt.Sprint(1+r.IntN(99), " High Street"), City: town.city, Country: town.country},
		}
		if r.IntN(5) == 0 {
			o.Delivery = "express"
		}
		taken := map[string]bool{}
		for range 1 + r.IntN(3) {
			p := s.products[s.zipf.Uint64()]
			if o.Currency == "" {
				o.Currency = p.Price.Currency
			}
			if p.Price.Currency == o.Currency && !taken[p.SKU] {
				taken[p.SKU] = true
				o.Lines = append(o.Lines, ordering.Wanted{SKU: p.SKU, Quantity: 1 + r.Int64N(3)})
			}
		}
		of := r.IntN(100)
		for _, m := range methods {
			if of -= m.weight; of < 0 {
				o.Payment.Method = m.name
				break
			}
		}
	})
	return o
}

// count adds one to what went well, or to what did not; it returns whether it did.
func (s *shop) count(ctx context.Context, err error, well interface{ Add(int64) int64 }) bool {
	var p *problem
	switch {
	case err == nil:
		well.Add(1)
		return true
	case ctx.Err() != nil:
	case errors.As(err, &p) && p.Status < 500:
		s.tally.refused.Add(1)
	default:
		s.tally.failed.Add(1)
	}
	return false
}

// goods is a shipment or a return on a list of what is to be done.
type goods struct {
	ID        string    `json:"id"`
	OrderID   string    `json:"order_id"`
	Location  string    `json:"location"`
	ChangedAt time.Time `json:"changed_at"`
	Items     []struct {
		Line     int   `json:"line"`
		Quantity int64 `json:"quantity"`
	} `json:"items"`
}

// todo is the first page of a list of what is to be done.
func (s *shop) todo(ctx context.Context, path string) []goods {
	var list struct {
		Items []goods `json:"items"`
	}
	if err := s.get(ctx, fmt.Sprintf("%s&limit=%d", path, pageSize), &list); err != nil && ctx.Err() == nil {
		s.tally.failed.Add(1)
	}
	return list.Items
}

// once remembers what was seen to, for as long as the view may still list it.
type once map[string]time.Time

// first reports whether a thing was not seen to just now.
func (o once) first(id string, now time.Time) bool {
	for known, at := range o {
		if now.Sub(at) > onTheRoad {
			delete(o, known)
		}
	}
	_, known := o[id]
	o[id] = now
	return !known
}

// packers dispatch what has waited for long enough.
func (s *shop) packers(ctx context.Context) {
	carriers := []string{"DHL", "UPS", "DPD"}
	packed := once{}
	every(ctx, packEvery, func(ctx context.Context) {
		for i, g := range s.todo(ctx, "/v1/shipments?status=created") {
			if now := s.Clock(); now.Sub(g.ChangedAt) < packAfter || !packed.first(g.ID, now) {
				continue
			}
			body := map[string]string{"carrier": carriers[i%len(carriers)], "tracking": g.ID[:8]}
			s.count(ctx, s.post(ctx, "/v1/shipments/"+g.ID+"/dispatch", body, nil), &s.tally.dispatched)
		}
	})
}

// carriers deliver what has been on the road for long enough; some of it goes back.
func (s *shop) carriers(ctx context.Context) {
	brought := once{}
	every(ctx, packEvery, func(ctx context.Context) {
		for _, g := range s.todo(ctx, "/v1/shipments?status=dispatched") {
			if now := s.Clock(); now.Sub(g.ChangedAt) < onTheRoad || !brought.first(g.ID, now) {
				continue
			}
			if !s.count(ctx, s.post(ctx, "/v1/shipments/"+g.ID+"/deliver", map[string]string{}, nil), &s.tally.delivered) || !s.chance(sendsBack) {
				continue
			}
			back := map[string]any{"lines": []ordering.WantedReturn{{Line: g.Items[0].Line, Quantity: 1, Reason: "not what I thought"}}}
			s.sendBack(ctx, g.OrderID, back)
		}
	})
}

// sendBack asks for a return once the order knows that it was delivered.
func (s *shop) sendBack(ctx context.Context, orderID string, body any) {
	for range 20 {
		err := s.post(ctx, "/v1/orders/"+orderID+"/returns", body, nil)
		var p *problem
		if !errors.As(err, &p) || p.Code != "more_than_delivered" {
			s.count(ctx, err, &s.tally.returned)
			return
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return
		}
	}
	s.tally.refused.Add(1)
}

// returnDesk takes back what comes back.
func (s *shop) returnDesk(ctx context.Context) {
	taken := once{}
	every(ctx, time.Second, func(ctx context.Context) {
		for _, g := range s.todo(ctx, "/v1/returns?status=open") {
			if !taken.first(g.ID, s.Clock()) {
				continue
			}
			var lines []map[string]any
			for _, item := range g.Items {
				lines = append(lines, map[string]any{"line": item.Line, "quantity": item.Quantity, "restock": s.chance(restocks)})
			}
			s.count(ctx, s.post(ctx, "/v1/returns/"+g.ID+"/receive", map[string]any{"lines": lines}, nil), &s.tally.received)
		}
	})
}

// storekeepers order anew what runs low.
func (s *shop) storekeepers(ctx context.Context) {
	every(ctx, time.Second, func(ctx context.Context) {
		var list struct {
			Items []product `json:"items"`
		}
		if err := s.get(ctx, "/v1/products?limit=200", &list); err != nil {
			return
		}
		for _, p := range list.Items {
			if p.Available < restockBelow && s.sells[p.SKU] {
				body := map[string]any{"location": "main", "quantity": restockBy}
				s.count(ctx, s.post(ctx, "/v1/stock/"+url.PathEscape(p.SKU)+"/receive", body, nil), &s.tally.restocked)
			}
		}
	})
}

// clerk looks for what is stuck.
func (s *shop) clerk(ctx context.Context) {
	every(ctx, 2*time.Second, func(ctx context.Context) {
		var list struct {
			Items []struct{} `json:"items"`
		}
		if s.get(ctx, "/v1/orders?stuck=true&limit=200", &list) == nil {
			s.tally.stuck.Store(int64(len(list.Items)))
		}
	})
}
