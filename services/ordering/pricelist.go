package ordering

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	catalog "github.com/orderlane/orderlane/api/catalog"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/money"
)

// PriceList is what ordering knows of products: the fold of catalog's events, kept in
// memory by every instance, which reads all partitions from their start. Orders are priced
// from it and never from what a client says. It is safe for concurrent use.
type PriceList struct {
	places chan struct{} // of commands that wait for knowledge

	mu      sync.RWMutex
	offers  map[string]*listed  // by stream
	waiting map[string][]waiter // for a version of a stream
	next    map[kafka.Partition]int64
	source  Topics                      // of the events, to read them again
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
		places: make(chan struct{}, maxAwaiting), offers: make(map[string]*listed), waiting: make(map[string][]waiter), next: make(map[kafka.Partition]int64),
		broken: func(string, string) {},
	}
}

// Topics are where the list reads events: kafka.Admin, or the memory broker.
type Topics interface {
	// Offsets returns what each partition of a topic holds.
	Offsets(ctx context.Context, topic string) (map[int32]kafka.Range, error)
	// ReadRange calls fn for each record at offsets from..to-1 that there is, in order.
	ReadRange(ctx context.Context, p kafka.Partition, from, to int64, fn func(kafka.Record) error) error
}

// Load reads all that is on the topic now, before the first order is priced. Deliver goes
// on from there. After an error it may be called again.
func (l *PriceList) Load(ctx context.Context, from Topics, topic string) error {
	l.mu.Lock()
	l.source = from
	l.mu.Unlock()
	ranges, err := from.Offsets(ctx, topic)
	if err != nil {
		return err
	}
	for id, held := range ranges {
		p := kafka.Partition{Topic: topic, ID: id}
		err := from.ReadRange(ctx, p, held.First, held.Last, func(r kafka.Record) error {
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

// Bounds of waiting for knowledge: how many commands may do so at once, a part of a window, and
// how long the others may wait for their turn to. So many that name what is on its way are decided
// in the light of it, and made-up tokens hold up nobody else's partition for long.
const (
	maxAwaiting = 256
	turnWait    = time.Second
)

// enter takes a place among those who wait; false if none has become free in time.
func (l *PriceList) enter(ctx context.Context) bool {
	select {
	case l.places <- struct{}{}:
		return true
	default:
	}
	timer := time.NewTimer(turnWait)
	defer timer.Stop()
	select {
	case l.places <- struct{}{}:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

func (l *PriceList) leave() { <-l.places }

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
func (l *PriceList) Deliver(ctx context.Context, records []kafka.Record) error {
	for len(records) > 0 {
		n := slices.IndexFunc(records, beginsEpoch)
		if n == 0 {
			if err := l.turnOver(ctx, &records[0]); err != nil {
				return err
			}
			n = 1
		} else {
			if n < 0 {
				n = len(records)
			}
			l.take(records[:n])
		}
		records = records[n:]
	}
	return nil
}

// take folds records of one partition.
func (l *PriceList) take(records []kafka.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range records {
		if stream, changed := l.fold(l.offers, &records[i]); changed {
			l.wake(stream)
		}
	}
	last := &records[len(records)-1]
	l.next[kafka.Partition{Topic: last.Topic, ID: last.Partition}] = last.Offset + 1
}

// fold folds a record into offers, and returns which one it has changed.
func (l *PriceList) fold(offers map[string]*listed, r *kafka.Record) (stream string, changed bool) {
	e, err := bus.EnvelopeOf(r)
	p := offers[e.Subject]
	if p == nil {
		p = &listed{}
	}
	if e.StreamVersion <= p.version && err == nil {
		return "", false // a repeat, or no event of a stream
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
	offers[e.Subject] = &next
	return e.Subject, true
}

// wake tells those who wait for what the list knows of a stream now.
func (l *PriceList) wake(stream string) {
	waiting, version := l.waiting[stream], l.offers[stream].version
	if waiting == nil {
		return
	}
	left := waiting[:0]
	for _, w := range waiting {
		if w.version > version {
			left = append(left, w)
		} else {
			close(w.known)
		}
	}
	l.waiting[stream] = left
	if len(left) == 0 {
		delete(l.waiting, stream)
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
