package ordering

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	catalog "github.com/orderlane/orderlane/api/catalog"
	api "github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/kafka/memkafka"
	"github.com/orderlane/orderlane/pkg/money"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// catalogEvent is a record as catalog publishes it.
func catalogEvent(t testing.TB, sku string, version int64, eventType string, body any) kafka.Record {
	t.Helper()
	data, err := bus.Encode(body)
	if err != nil {
		t.Fatal(err)
	}
	stream := "product-" + sku
	e := bus.Envelope{ID: fmt.Sprintf("%s/%d", stream, version), Type: eventType, Subject: stream, StreamVersion: version, Position: version}
	r := e.Record("catalog.events.v1", []byte(stream), data)
	r.Partition, r.Offset = 0, version-1
	return r
}

func defined(t testing.TB, sku string, version, price int64) kafka.Record {
	return catalogEvent(t, sku, version, catalog.TypeProductDefined, catalog.ProductDefined{SKU: sku, Details: catalog.Details{
		Name: "The " + sku, Price: money.Of(price, "EUR"), TaxClass: catalog.TaxReduced,
	}})
}

func repriced(t testing.TB, sku string, version, price int64) kafka.Record {
	return catalogEvent(t, sku, version, catalog.TypeProductPriceChanged, catalog.ProductPriceChanged{SKU: sku, Price: money.Of(price, "EUR")})
}

func withdrawn(t testing.TB, sku string, version int64) kafka.Record {
	return catalogEvent(t, sku, version, catalog.TypeProductWithdrawn, catalog.ProductWithdrawn{SKU: sku})
}

func deliver(t testing.TB, l *PriceList, records ...kafka.Record) {
	t.Helper()
	if err := l.Deliver(t.Context(), records); err != nil {
		t.Fatal(err)
	}
}

func TestThePriceListFollowsTheCatalog(t *testing.T) {
	l := NewPriceList()
	offer := Offer{Known: true, Name: "The TEA", Price: money.Of(100, "EUR"), TaxClass: "reduced"}
	if got := l.Offer("TEA"); got != (Offer{}) {
		t.Errorf("it knows %+v of a product that was never defined", got)
	}
	steps := []struct {
		record kafka.Record
		change func(*Offer)
	}{
		{defined(t, "TEA", 1, 100), func(*Offer) {}},
		{repriced(t, "TEA", 2, 120), func(o *Offer) { o.Price.Amount = 120 }},
		{defined(t, "TEA", 1, 100), func(*Offer) {}}, // a repeat of what is long past
		{withdrawn(t, "TEA", 3), func(o *Offer) { o.Withdrawn = true }},
		{catalogEvent(t, "TEA", 4, "orderlane.catalog.product_praised.v1", struct{}{}), func(*Offer) {}},
		{defined(t, "TEA", 5, 130), func(o *Offer) { o.Price.Amount, o.Withdrawn = 130, false }},
		{repriced(t, "CUP", 1, 7), func(*Offer) {}}, // of another product
	}
	for i, s := range steps {
		deliver(t, l, s.record)
		s.change(&offer)
		if got := l.Offer("TEA"); got != offer {
			t.Errorf("after %d: %+v, want %+v", i+1, got, offer)
		}
	}
}

func TestAnEventThatCannotBeReadBreaksItsProductAndNoOther(t *testing.T) {
	bad := repriced(t, "TEA", 2, 0)
	bad.Value = []byte("{")
	header := repriced(t, "TEA", 2, 1)
	header.Headers = append([]kafka.Header{{Key: bus.HeaderPosition, Value: []byte("x")}}, header.Headers...)
	for _, r := range []kafka.Record{bad, header} {
		l := NewPriceList()
		told := 0
		l.broken = func(stream, _ string) {
			if told++; stream != "product-TEA" {
				t.Errorf("told of %s", stream)
			}
		}
		deliver(t, l, defined(t, "TEA", 1, 100), r, repriced(t, "TEA", 3, 300), defined(t, "POT", 1, 500))
		if got := l.Offer("TEA"); got.Broken == "" || told != 1 {
			t.Errorf("offered is %+v, and told of it %d times", got, told)
		}
		order := &api.PlaceOrder{Lines: []api.Wanted{{SKU: "POT", Quantity: 1}, {SKU: "TEA", Quantity: 1}}}
		if _, err := (&writer{prices: l, shop: DefaultShop()}).place(t.Context(), order); err == nil {
			t.Error("an order is priced from what can't be read")
		}
		if got := l.Offer("POT").Price.Amount; got != 500 {
			t.Errorf("another product's price is %d", got)
		}
		deliver(t, l, defined(t, "TEA", 4, 400))
		if got := l.Offer("TEA"); got.Price.Amount != 400 || got.Broken != "" {
			t.Errorf("defined anew, offered is %+v", got)
		}
	}
}

func TestANewAssignmentGoesOnWhereTheListIs(t *testing.T) {
	broker := memkafka.New(time.Now, kafka.TopicSpec{Name: "catalog.events.v1", Partitions: 3})
	var records []kafka.Record
	for i := range 12 {
		r := defined(t, fmt.Sprint("SKU-", i), 1, int64(i+1))
		r.Partition = kafka.AnyPartition
		records = append(records, r)
	}
	if err := broker.Producer().Publish(t.Context(), records); err != nil {
		t.Fatal(err)
	}
	l := NewPriceList()
	consumer := broker.Consumer(l)
	parts := broker.Partitions("catalog.events.v1")
	for range 12 { // a generation for each record
		if err := consumer.Assign(t.Context(), parts...); err != nil {
			t.Fatal(err)
		}
		if n, err := consumer.StepAny(1); n != 1 || err != nil {
			t.Fatalf("%d records, %v", n, err)
		}
		consumer.Revoke()
	}
	if err := consumer.Assign(t.Context(), parts...); err != nil {
		t.Fatal(err)
	}
	if n, err := consumer.StepAny(1); n != 0 || err != nil {
		t.Errorf("%d records are read twice, %v", n, err)
	}
	for i := range 12 {
		if got := l.Offer(fmt.Sprint("SKU-", i)).Price.Amount; got != int64(i+1) {
			t.Errorf("SKU-%d costs %d", i, got)
		}
	}
}

func TestAwaitReturnsWhenTheListKnowsEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewPriceList()
		done := map[int64]bool{}
		var mu sync.Mutex
		for _, version := range []int64{1, 2, 2, 3} {
			go func() {
				if err := l.Await(t.Context(), "product-TEA", version); err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				done[version] = true
			}()
		}
		want := func(s string) {
			t.Helper()
			synctest.Wait()
			if got := fmt.Sprint(done); got != s {
				t.Errorf("those return who wait for %s, want %s", got, s)
			}
		}
		want("map[]")
		deliver(t, l, defined(t, "CUP", 3, 1))
		want("map[]")
		deliver(t, l, defined(t, "TEA", 1, 100))
		want("map[1:true]")
		deliver(t, l, repriced(t, "TEA", 3, 100)) // as on a topic that was trimmed
		want("map[1:true 2:true 3:true]")
		if err := l.Await(t.Context(), "product-TEA", 3); err != nil { // late, and not too late
			t.Error(err)
		}
		if err := l.Await(t.Context(), "order-1", 99); err != nil { // nothing that the list could know
			t.Error(err)
		}
		if len(l.waiting) != 0 {
			t.Errorf("it remembers who has long gone: %v", l.waiting)
		}
	})
}

func TestAwaitGivesUpWithItsContextAndLeavesTheOthersWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewPriceList()
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		results := make(chan error, 3)
		for _, ctx := range []context.Context{short, t.Context(), short} {
			go func() { results <- l.Await(ctx, "product-TEA", 1) }()
		}
		for range 2 {
			if err := <-results; err == nil {
				t.Error("it knows a product that nobody has defined")
			}
		}
		synctest.Wait()
		if got := len(l.waiting["product-TEA"]); got != 1 {
			t.Errorf("%d are waited for", got)
		}
		deliver(t, l, defined(t, "TEA", 1, 100))
		if err := <-results; err != nil {
			t.Error(err)
		}
		if len(l.waiting) != 0 {
			t.Errorf("it remembers who has long gone: %v", l.waiting)
		}
	})
}

// TestThePriceListIsSafeForConcurrentUse is for the race detector: handlers read and wait, some
// of them not for long, while the catalog goes on.
func TestThePriceListIsSafeForConcurrentUse(t *testing.T) {
	const versions = 200
	l := NewPriceList()
	var all sync.WaitGroup
	for reader := range 8 {
		all.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if reader%2 == 1 {
				cancel() // it gives up, now and then while it is told
			}
			for v := int64(1); v <= versions; v++ {
				if l.Await(ctx, "product-TEA", v) == nil && l.Offer("TEA").Price.Amount < v {
					t.Errorf("version %d is known, and the price is %d", v, l.Offer("TEA").Price.Amount)
				}
			}
		})
	}
	all.Go(func() {
		for v := int64(1); v <= versions; v++ {
			deliver(t, l, defined(t, "TEA", v, v))
			if _, err := l.Assigned(t.Context(), nil, nil); err != nil {
				t.Error(err)
			}
		}
	})
	all.Wait()
	if len(l.waiting) != 0 {
		t.Errorf("it remembers who has long gone: %v", l.waiting)
	}
}

func TestOnlySoManyWaitForKnowledgeAndTheOthersForTheirTurn(t *testing.T) {
	l := NewPriceList()
	for range maxAwaiting {
		if !l.enter(t.Context()) {
			t.Fatal("there are fewer places than were promised")
		}
	}
	entered := make(chan bool)
	go func() { entered <- l.enter(t.Context()) }()
	l.leave()
	if !<-entered {
		t.Error("a place that has become free is not taken")
	}
	if l.enter(t.Context()) {
		t.Error("more wait than there are places")
	}
}
