package ordering

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"

	catalog "github.com/orderlane/orderlane/api/catalog"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/money"
)

// PriceList is what ordering knows of products: the fold of catalog's events, kept in
// memory by every instance, which reads all partitions from their start. Orders are priced
// from it and never from what a client says. It is safe for concurrent use.
type PriceList struct {
	awaiting atomic.Int64 // commands that wait for knowledge

	mu      sync.RWMutex
	offers  map[string]*listed  // by stream
	waiting map[string][]waiter // for a version of a stream
	next    map[kafka.Partition]int64
	broken  func(stream, reason string) // is told of products whose events can't be read
}

type listed struct {
	offer   Offer
	version int64
}

type waiter struct {
	version int64
	known   chan struct{}
}

// NewPriceList returns an empty list.
func NewPriceList() *PriceList {
	return &PriceList{
		offers: make(map[string]*listed), waiting: make(map[string][]waiter), next: make(map[kafka.Partition]int64),
		broken: func(string, string) {},
	}
}

// Load reads all that is on the topic now, before the first order is priced. Deliver goes
// on from there. After an error it may be called again.
func (l *PriceList) Load(ctx context.Context, admin *kafka.Admin, topic string) error {
	ranges, err := admin.Offsets(ctx, topic)
	if err != nil {
		return err
	}
	for id, held := range ranges {
		p := kafka.Partition{Topic: topic, ID: id}
		err := admin.ReadRange(ctx, p, held.First, held.Last, func(r kafka.Record) error {
			return l.Deliver(ctx, []kafka.Record{r})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Offer returns what the list says of a product.
func (l *PriceList) Offer(sku string) Offer {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if p := l.offers[productStream(sku)]; p != nil {
		return p.offer
	}
	return Offer{}
}

// maxAwaiting is how many commands may wait for knowledge at once: a part of a window, so
// that made-up tokens hold up nobody else's partition.
const maxAwaiting = 256

// enter takes a place among those who wait; false if there is none left.
func (l *PriceList) enter() bool {
	if l.awaiting.Add(1) <= maxAwaiting {
		return true
	}
	l.awaiting.Add(-1)
	return false
}

func (l *PriceList) leave() { l.awaiting.Add(-1) }

// Await returns when the list knows a stream up to a version, or with ctx's error. Streams
// that are no products are not waited for.
func (l *PriceList) Await(ctx context.Context, stream string, version int64) error {
	if bus.ResourceOf(stream).Type != productCategory {
		return nil
	}
	l.mu.Lock()
	if p := l.offers[stream]; p != nil && p.version >= version {
		l.mu.Unlock()
		return nil
	}
	w := waiter{version, make(chan struct{})}
	l.waiting[stream] = append(l.waiting[stream], w)
	l.mu.Unlock()
	select {
	case <-w.known:
		return nil
	case <-ctx.Done():
		l.forget(stream, w)
		return context.Cause(ctx)
	}
}

func (l *PriceList) forget(stream string, gone waiter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	left := l.waiting[stream][:0]
	for _, w := range l.waiting[stream] {
		if w.known != gone.known {
			left = append(left, w)
		}
	}
	l.waiting[stream] = left
	if len(left) == 0 {
		delete(l.waiting, stream)
	}
}

const productCategory = "product"

func productStream(sku string) string { return productCategory + "-" + sku }

// Assigned implements kafka.BatchHandler: every instance goes on where it is itself.
func (l *PriceList) Assigned(context.Context, kafka.Generation, []kafka.Partition) (map[kafka.Partition]int64, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return maps.Clone(l.next), nil
}

// Revoked implements kafka.BatchHandler.
func (l *PriceList) Revoked([]kafka.Partition) {}

// Deliver implements kafka.BatchHandler. An event that can't be read breaks the offer of its
// product and stops no other: until the product is defined anew, or a release that can read
// the event reads the topic again, orders of the product are parked.
func (l *PriceList) Deliver(_ context.Context, records []kafka.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range records {
		l.fold(&records[i])
	}
	if len(records) > 0 {
		last := &records[len(records)-1]
		l.next[kafka.Partition{Topic: last.Topic, ID: last.Partition}] = last.Offset + 1
	}
	return nil
}

func (l *PriceList) fold(r *kafka.Record) {
	e, err := bus.EnvelopeOf(r)
	p := l.offers[e.Subject]
	if p == nil {
		p = &listed{}
	}
	if e.StreamVersion <= p.version && err == nil {
		return // a repeat, or no event of a stream
	}
	next := *p
	if err == nil {
		err = next.offer.fold(e.Type, r.Value)
	}
	if err != nil {
		next.offer = Offer{Broken: fmt.Sprintf("%s at %s/%d/%d: %v", e.ID, r.Topic, r.Partition, r.Offset, err)}
		l.broken(e.Subject, next.offer.Broken)
	}
	next.version = max(e.StreamVersion, p.version)
	l.offers[e.Subject] = &next
	for _, w := range l.waiting[e.Subject] {
		if w.version <= next.version {
			close(w.known)
		}
	}
	if waiting := l.waiting[e.Subject]; waiting != nil {
		left := waiting[:0]
		for _, w := range waiting {
			if w.version > next.version {
				left = append(left, w)
			}
		}
		l.waiting[e.Subject] = left
		if len(left) == 0 {
			delete(l.waiting, e.Subject)
		}
	}
}

// fold changes an offer by one of catalog's events; types it does not know say nothing of
// prices.
func (o *Offer) fold(eventType string, data []byte) error {
	switch eventType {
	case catalog.TypeProductDefined:
		var e catalog.ProductDefined
		if err := bus.Decode(data, &e); err != nil {
			return err
		}
		*o = Offer{Known: true, Name: e.Name, Price: e.Price, TaxClass: e.TaxClass, Backorder: e.Backorder}
	case catalog.TypeProductPriceChanged:
		var e struct {
			Price money.Amount `json:"price"`
		}
		if err := bus.Decode(data, &e); err != nil {
			return err
		}
		o.Price = e.Price
	case catalog.TypeProductWithdrawn:
		o.Withdrawn = true
	}
	return nil
}
