package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/orderlane/orderlane/api/catalog"
	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/money"
)

// clients is what the clients have sent.
type clients struct {
	sent   []request
	unsure []request // the broker's answer was an error
	orders []string
	poison map[uuid.UUID]bool // commands that no handler can handle
}

func newClients() clients {
	return clients{poison: make(map[uuid.UUID]bool)}
}

// request is one command, or a message that is none.
type request struct {
	command  bus.Typed
	envelope bus.Envelope
	record   *kafka.Record // instead of a command
}

var skus = []string{"TEA-1", "TEA-2", "TEA-3"}

// requests are what a client or an operator may do, as turns are.
var requests = []func(*world){
	(*world).placeOrder, (*world).defineProduct, (*world).placeOrder, (*world).changeAddress, (*world).repeat, (*world).placeOrder,
	(*world).changePrice, (*world).reuseKey, (*world).sendPoison, (*world).operate, (*world).placeOrder, (*world).changeAddress, (*world).operate,
	(*world).defineProduct, (*world).withdraw, (*world).repeat,
}

func (w *world) client() { requests[w.draw("request", len(requests))](w) }

func (w *world) changePrice() {
	sku := w.sku()
	w.send("product-"+sku, catalog.ChangePrice{SKU: sku, Price: w.price()})
}

func (w *world) withdraw() {
	sku := w.sku()
	w.send("product-"+sku, catalog.WithdrawProduct{SKU: sku})
}

func (w *world) changeAddress() {
	if len(w.orders) > 0 {
		id := w.orders[w.draw("order", len(w.orders))]
		w.send("order-"+id, ordering.ChangeAddress{OrderID: id, ShipTo: w.address()})
	}
}

// repeat sends a message once more.
func (w *world) repeat() {
	if len(w.sent) > 0 {
		w.deliver(w.sent[w.draw("sent", len(w.sent))])
	}
}

func (w *world) sku() string { return skus[w.draw("sku", len(skus))] }

// orderedSKU is one that may be for sale, as a rule.
func (w *world) orderedSKU() string {
	if w.draw("unknown", 20) == 19 {
		return "NONE"
	}
	return w.sku()
}

func (w *world) price() money.Amount {
	return money.Of(int64(100+w.draw("price", 5)), []string{"EUR", "USD"}[w.draw("currency", 15)/14])
}

func (w *world) address() ordering.Address {
	return ordering.Address{Name: "Ada", Street: fmt.Sprint(w.draw("house", 9), " St James Square"), City: "London", Country: "GB"}
}

func (w *world) defineProduct() { w.define(w.sku()) }

func (w *world) define(sku string) {
	w.send("product-"+sku, catalog.DefineProduct{SKU: sku, Details: catalog.Details{Name: sku, Price: w.price(), TaxClass: catalog.TaxReduced}})
}

func (w *world) placeOrder() {
	id := bus.DeriveID("order", fmt.Sprint(len(w.sent), len(w.orders))).String()
	var lines []ordering.Wanted
	for range 1 + w.draw("lines", 3) {
		lines = append(lines, ordering.Wanted{SKU: w.orderedSKU(), Quantity: int64((w.draw("quantity", 24) + 1) % 24)})
	}
	w.orders = append(w.orders, id)
	w.send("order-"+id, &ordering.PlaceOrder{
		OrderID: id, CustomerID: "c-42", Email: "ada@example.com", Currency: "EUR", Lines: lines, ShipTo: w.address(),
		Payment: ordering.Payment{Method: "sandbox_approve"},
	})
}

// send sends a command as commandapi does.
func (w *world) send(stream string, command bus.Typed) {
	e := bus.Envelope{
		ID: bus.DeriveID("command", fmt.Sprint(len(w.sent))).String(), Type: command.MessageType(), Source: bus.Source("commandapi"),
		Subject: stream, Time: time.Now(), Caller: bus.Caller{ID: "c-42", Role: bus.RoleCustomer}, Digest: "digest",
	}
	if w.draw("waits", 2) == 1 {
		partition := int32(w.draw("reply to", partitions))
		e.ReplyTo = &partition
	}
	if w.draw("has a token", 3) == 2 {
		e.After = fmt.Sprintf("product-%s@%d", w.sku(), 1+w.draw("token", 3))
	}
	if w.draw("has a condition", 9) == 8 {
		version := int64(w.draw("condition", 4)) - 1
		e.IfVersion = &version
	}
	r := request{command: command, envelope: e}
	w.sent = append(w.sent, r)
	w.deliver(r)
}

// reuseKey sends another body under the id of a command.
func (w *world) reuseKey() {
	if len(w.sent) == 0 {
		return
	}
	r := w.sent[w.draw("sent", len(w.sent))]
	if r.record != nil {
		return
	}
	r.envelope.Digest = "another digest"
	partition := int32(w.draw("reply to", partitions))
	r.envelope.ReplyTo = &partition
	w.deliver(r)
}

// deliver publishes a request; if it is not sure to have arrived the client sends it again.
func (w *world) deliver(r request) {
	w.worked++
	var err error
	if r.record != nil {
		err = w.broker.Producer().Publish(w.ctx, []kafka.Record{*r.record})
	} else {
		err = w.sender.Send(w.ctx, r.command, &r.envelope)
	}
	if err != nil {
		w.unsure = append(w.unsure, r)
	}
}

func (w *world) sendAgain() {
	again := w.unsure
	w.unsure = nil
	for _, r := range again {
		w.deliver(r)
	}
}

// sendPoison publishes what no handler can handle, in the midst of others of its key.
func (w *world) sendPoison() {
	stream := "product-" + w.sku()
	id := bus.DeriveID("poison", fmt.Sprint(len(w.sent)))
	e := bus.Envelope{ID: id.String(), Type: catalog.TypeDefineProduct, Subject: stream, Time: time.Now()}
	if w.draw("poison", 2) == 1 {
		e.Type = "orderlane.catalog.poison.v1"
	}
	record := e.Record(bus.CommandsTopic(catalog.Service), []byte(stream), []byte("{"))
	r := request{envelope: e, record: &record}
	w.poison[id] = true
	w.sent = append(w.sent, r)
	w.deliver(r)
}

// operate sends a parked command again, or gives it up.
func (w *world) operate() {
	var parked []es.Parked
	for _, s := range w.services {
		list, err := s.log.ParkedCommands(w.ctx, uuid.Nil, es.MaxRead)
		w.must(err)
		parked = append(parked, list...)
	}
	if len(parked) == 0 {
		return
	}
	p := parked[w.draw("parked", len(parked))]
	again := bus.Resend(p)
	if w.draw("give up", 2) == 0 {
		again = bus.Discard(p)
	}
	w.worked++
	_ = w.broker.Producer().Publish(w.ctx, []kafka.Record{again}) // or it stays parked
}

// accepted are the ids of all commands that clients have sent.
func (w *world) accepted() []uuid.UUID {
	var ids []uuid.UUID
	for _, r := range w.sent {
		ids = append(ids, uuid.MustParse(r.envelope.ID))
	}
	slices.SortFunc(ids, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	return slices.Compact(ids)
}
