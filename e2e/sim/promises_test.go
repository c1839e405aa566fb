package sim

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/services/catalog"
)

// checkPromises checks what DESIGN.md calls the promises, on a platform at rest.
func (w *world) checkPromises() {
	for _, s := range w.services {
		events, err := s.log.Read(w.ctx, 0, es.MaxRead)
		w.must(err)
		w.checkLog(s, events)
		w.checkTopics(s, events)
	}
	w.checkOutcomes()
	w.checkPrices()
	for _, v := range w.views {
		w.checkView(v)
	}
}

// checkLog: positions have no gap, versions of a stream are 1..n, and no command has two
// effects. Where one process took the commands, those of a stream took effect in their order.
func (w *world) checkLog(s *serviceWorld, events []es.Record) {
	first := make(map[string]int64) // offset of each command, in the partition of its key
	for _, r := range w.all(bus.CommandsTopic(s.name)) {
		if _, ok := first[r.Header(bus.HeaderID)]; !ok {
			first[r.Header(bus.HeaderID)] = r.Offset
		}
	}
	versions, last, effects := map[string]int64{}, map[string]int64{}, map[uuid.UUID]bool{}
	for i, e := range events {
		versions[e.Stream]++
		id := e.Meta.Command
		offset, sent := first[id.String()]
		switch {
		case e.Position != int64(i)+1 || e.Version != versions[e.Stream]:
			w.rt.Fatalf("%s at position %d, want version %d at position %d", e.ID(), e.Position, versions[e.Stream], i+1)
		case effects[id] || !sent:
			w.rt.Fatalf("%s is a second effect of command %s, or the command was never sent", e.ID(), id)
		case s.count == 1 && versions[e.Stream] > 1 && offset < last[e.Stream]:
			w.rt.Fatalf("%s comes of the command at offset %d, after the one at %d", e.ID(), offset, last[e.Stream])
		}
		effects[id], last[e.Stream] = true, offset
	}
}

// checkTopics: every event is published, nothing is that is not in the log, first occurrences
// are in order, and repeats say the same.
func (w *world) checkTopics(s *serviceWorld, events []es.Record) {
	topics := []string{bus.EventsTopic(s.name)}
	if s.name == ordering.Service {
		topics = append(topics, bus.PersonalTopic(s.name)) // each event of an order has something personal
	}
	for _, topic := range topics {
		said, versions := map[string]string{}, map[string]int64{}
		for _, r := range w.all(topic) {
			e, err := bus.EnvelopeOf(&r)
			w.must(err)
			switch value, known := said[e.ID]; {
			case known && value != string(r.Value):
				w.rt.Fatalf("%s said\n%s and later\n%s", e.ID, value, r.Value)
			case known:
				continue
			case e.Position < 1 || e.Position > int64(len(events)) || events[e.Position-1].ID() != e.ID:
				w.rt.Fatalf("%s on %s at position %d is not in the log", e.ID, topic, e.Position)
			case e.StreamVersion != versions[e.Subject]+1:
				w.rt.Fatalf("%s on %s follows version %d", e.ID, topic, versions[e.Subject])
			}
			said[e.ID], versions[e.Subject] = string(r.Value), e.StreamVersion
		}
		if len(said) != len(events) {
			w.rt.Fatalf("%d events are on %s, and %d in the log", len(said), topic, len(events))
		}
	}
}

// checkOutcomes: every command that was accepted has one final outcome, in the log and on the
// topic. Those that nobody can handle are parked, until an operator gives them up.
func (w *world) checkOutcomes() {
	finals, parked, stored := map[string][]string{}, map[string]bool{}, map[uuid.UUID]es.Outcome{}
	for _, r := range w.all(bus.OutcomesTopic) {
		if r.Header(bus.HeaderType) != bus.TypeOutcome {
			continue
		}
		id := string(r.Key)
		if r.Header(bus.HeaderStatus) == string(es.StatusParked) {
			parked[id] = true
		} else if !slices.Contains(finals[id], string(r.Value)) {
			finals[id] = append(finals[id], string(r.Value))
		}
	}
	accepted := w.accepted()
	for _, s := range w.services {
		found, err := s.log.Outcomes(w.ctx, accepted)
		w.must(err)
		for id, o := range found {
			stored[id] = o
		}
	}
	for _, id := range accepted {
		o, ok := stored[id]
		said := finals[id.String()]
		switch {
		case !ok && w.poison[id] && parked[id.String()] && len(said) == 0:
		case !ok || len(said) != 1:
			w.rt.Fatalf("command %s: in the log %+v, on the topic %q, parked: %v", id, o, said, parked[id.String()])
		case !strings.Contains(said[0], fmt.Sprintf("%q:%q", "status", o.Status)):
			w.rt.Fatalf("command %s ended as %s in the log, and on the topic as %s", id, o.Status, said[0])
		case w.poison[id] != (o.Status == es.StatusFailed):
			w.rt.Fatalf("command %s ended as %s", id, o.Status)
		}
	}
}

// checkPrices: an order costs what the products cost at some time, and its parts add up.
func (w *world) checkPrices() {
	prices := map[string]bool{}
	for _, r := range w.all(bus.EventsTopic("catalog")) {
		var e struct {
			SKU   string `json:"sku"`
			Price struct {
				Amount int64 `json:"amount"`
			} `json:"price"`
		}
		w.must(bus.Decode(r.Value, &e))
		prices[fmt.Sprint(e.SKU, e.Price.Amount)] = true
	}
	for _, r := range w.all(bus.EventsTopic(ordering.Service)) {
		if r.Header(bus.HeaderType) != ordering.TypeOrderPlaced {
			continue
		}
		var o ordering.OrderPlaced
		w.must(bus.Decode(r.Value, &o))
		sum := o.Totals.Delivery
		for _, l := range o.Lines {
			sum += l.Total
			if l.Total != l.Quantity*l.UnitPrice || !prices[fmt.Sprint(l.SKU, l.UnitPrice)] {
				w.rt.Fatalf("order %s has the line %+v", o.OrderID, l)
			}
		}
		if sum != o.Totals.Total || o.Totals.Tax > sum || len(o.Lines) == 0 {
			w.rt.Fatalf("order %s: %+v", o.OrderID, o.Totals)
		}
	}
}

// checkView: the view is what another one makes of the topics from their start, and shows
// every stream as the log has it.
func (w *world) checkView(v *viewWorld) {
	other := &viewWorld{w: w, name: v.name, store: w.open(v.name + ".again")}
	defer func() { w.must(other.store.Close()) }()
	other.viewProcess = w.project(v.make(), other.store)
	other.deliver(-1)
	other.project()
	if waiting, err := other.projection.Step(w.ctx); err != nil || waiting.Records > 0 {
		w.rt.Fatalf("the other %s is not done: %+v, %v", v.name, waiting, err)
	}
	got, want := w.rows(v.store, v.name), w.rows(other.store, v.name)
	if !slices.Equal(got, want) {
		w.rt.Fatalf("%s holds\n%s\nand a fold from the start\n%s", v.name, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	broken, err := v.projection.AllBroken(w.ctx, "", 10)
	w.must(err)
	if len(broken) > 0 {
		w.rt.Fatalf("%s is broken: %+v", v.name, broken)
	}
	for _, s := range w.services {
		events, err := s.log.Read(w.ctx, 0, es.MaxRead)
		w.must(err)
		versions := map[string]int64{}
		for _, e := range events {
			versions[e.Stream] = e.Version
		}
		for stream, version := range versions {
			shown, held, err := v.view.StreamVersion(w.ctx, v.store, stream)
			if err != nil || held && shown != version {
				w.rt.Fatalf("%s shows %s as of %d, %v; it is at %d", v.name, stream, shown, err, version)
			}
			if held && s.name == "catalog" {
				w.checkProduct(got, stream, s)
			}
		}
	}
}

// checkProduct compares what the storefront shows with what the aggregate's own fold makes of
// the log: two programs that must agree.
func (w *world) checkProduct(rows []string, stream string, s *serviceWorld) {
	loaded, err := s.log.Load(w.ctx, []es.StreamQuery{{Stream: stream, StateVersion: -1}})
	w.must(err)
	product, err := catalog.Products.Fold(loaded[0])
	w.must(err)
	price := fmt.Sprintf(`\"price\":{\"amount\":%d,\"currency\":\"%s\"}`, product.Details.Price.Amount, product.Details.Price.Currency)
	onSale := fmt.Sprintf(`\"on_sale\":%v`, product.OnSale)
	for _, row := range rows {
		if strings.Contains(row, `"`+stream+`"`) {
			if !strings.Contains(row, price) || !strings.Contains(row, onSale) {
				w.rt.Fatalf("the storefront shows %s, and the product is %+v", row, product)
			}
			return
		}
	}
	w.rt.Fatalf("the storefront has no row of %s", stream)
}
