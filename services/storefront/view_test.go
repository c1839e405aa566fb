package storefront

import (
	"fmt"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/orderlane/orderlane/api/catalog"
	"github.com/orderlane/orderlane/e2e/realparts"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/httpapi"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/money"
	"github.com/orderlane/orderlane/pkg/projection/pgstore"
	"github.com/orderlane/orderlane/pkg/service/servicetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(realparts.Wrap(m)) }

var customer = httpapi.Caller{ID: "c-42", Role: httpapi.RoleCustomer}

// world is the storefront, and what the catalog has published so far.
type world struct {
	*servicetest.View
	api      *servicetest.API
	t        testing.TB
	epoch    string
	position int64
	versions map[string]int64
}

func newWorld(t testing.TB) *world { return newWorldOf(t, servicetest.NewView(t, newView())) }

func newWorldOf(t testing.TB, v *servicetest.View) *world {
	w := &world{View: v, api: servicetest.NewAPI(t), t: t, epoch: "e1", versions: map[string]int64{}}
	newQueries(w.Reader).register(w.api.API)
	return w
}

// onEachStore runs a test in a storefront on SQLite and in one on PostgreSQL.
func onEachStore(t *testing.T, run func(t *testing.T, w *world)) {
	t.Run("sqlite", func(t *testing.T) { run(t, newWorld(t)) })
	t.Run("postgres", func(t *testing.T) {
		store, err := pgstore.Open(t.Context(), realparts.Postgres(t), "storefront", pgstore.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.Close() })
		run(t, newWorldOf(t, servicetest.NewViewIn(t, newView(), store)))
	})
}

// event is the next one of a product.
func (w *world) event(sku, eventType string, body any) kafka.Record {
	w.t.Helper()
	data, err := bus.Encode(body)
	if err != nil {
		w.t.Fatal(err)
	}
	w.position++
	w.versions[sku]++
	stream := "product-" + sku
	e := bus.Envelope{
		ID: fmt.Sprintf("%s/%d", stream, w.versions[sku]), Type: eventType, Subject: stream, Time: servicetest.Noon,
		StreamVersion: w.versions[sku], Position: w.position, Epoch: w.epoch,
	}
	return e.Record(bus.EventsTopic(catalog.Service), []byte(stream), data)
}

func (w *world) defined(sku, category string, price int64) kafka.Record {
	return w.described(sku, catalog.Details{
		Name: "The " + sku, Category: category, Price: money.Of(price, "EUR"), TaxClass: catalog.TaxStandard, Attributes: map[string]string{"sku": sku},
	})
}

func (w *world) described(sku string, d catalog.Details) kafka.Record {
	return w.event(sku, catalog.TypeProductDefined, catalog.ProductDefined{SKU: sku, Details: d})
}

func (w *world) repriced(sku string, price int64) kafka.Record {
	return w.event(sku, catalog.TypeProductPriceChanged, catalog.ProductPriceChanged{SKU: sku, Price: money.Of(price, "EUR")})
}

func (w *world) withdrawn(sku string) kafka.Record {
	return w.event(sku, catalog.TypeProductWithdrawn, catalog.ProductWithdrawn{SKU: sku})
}

// restored is what begins the epoch after a restore of the catalog's log to a position, in each partition.
func (w *world) restored(to int64) (begins []kafka.Record) {
	w.position, w.epoch = to, "e2"
	for partition := range int32(2) {
		e := bus.Envelope{ID: w.epoch, Type: bus.TypeEpochBegan, Subject: bus.EpochKey, Time: servicetest.Noon, Position: to, Epoch: w.epoch}
		r := e.Record(bus.EventsTopic(catalog.Service), []byte(bus.EpochKey), []byte("{}"))
		r.Partition = partition
		begins = append(begins, r)
	}
	return begins
}

func (w *world) want(sku, want string, header ...string) {
	w.t.Helper()
	a := w.api.Get(customer, "/v1/products/"+sku, header...)
	got := fmt.Sprint(a.Status, " ", a.Code())
	if a.Status == 200 {
		var p Product
		a.Into(&p)
		got = fmt.Sprintf("version %d at %d in %q, on sale %v, stale %v", p.Version, p.Price.Amount, p.Category, p.OnSale, p.Stale != nil)
	}
	if got != want {
		w.t.Errorf("%s is %q, want %q", sku, got, want)
	}
}

func TestAProductIsShownAsTheCatalogSays(t *testing.T) {
	w := newWorld(t)
	w.want("TEA", "404 product_not_found")
	w.Fold(w.defined("TEA", "tea", 100))
	w.want("TEA", `version 1 at 100 in "tea", on sale true, stale false`)
	w.Fold(w.repriced("TEA", 120), w.defined("CUP", "cups", 7))
	w.want("TEA", `version 2 at 120 in "tea", on sale true, stale false`)
	w.Fold(w.withdrawn("TEA"))
	w.want("TEA", `version 3 at 120 in "tea", on sale false, stale false`)
	w.Fold(w.event("TEA", "orderlane.catalog.product_praised.v1", struct{}{}))
	w.want("TEA", `version 4 at 120 in "tea", on sale false, stale false`)
	w.Fold(w.defined("TEA", "", 130))
	w.want("TEA", `version 5 at 130 in "", on sale true, stale false`)
	w.want("CUP", `version 1 at 7 in "cups", on sale true, stale false`)
}

func TestAQueryThatMustSeeAnEffectWaitsForIt(t *testing.T) {
	w := newWorld(t)
	first := w.defined("TEA", "tea", 100)
	w.want("TEA", "503 not_yet_consistent", "Consistency-Token", "product-TEA@1", "Prefer", "wait=0")
	w.Fold(first)
	for _, wait := range []string{"wait=0", "wait=1"} {
		w.want("TEA", `version 1 at 100 in "tea", on sale true, stale false`, "Consistency-Token", "product-TEA@1, order-7@9", "Prefer", wait)
	}
}

func TestAnUnchangedProductIsNotSentAgainUnlessItIsStale(t *testing.T) {
	w := newWorld(t)
	w.Fold(w.defined("TEA", "tea", 100))
	etag := w.api.Get(customer, "/v1/products/TEA").Header.Get("ETag")
	w.want("TEA", "304 ", "If-None-Match", etag)
	bad := w.repriced("TEA", 120)
	bad.Value = []byte("{")
	w.Fold(bad, w.withdrawn("TEA"), w.defined("CUP", "cups", 7))
	w.want("TEA", `version 1 at 100 in "tea", on sale true, stale true`, "If-None-Match", etag)
	w.want("CUP", `version 1 at 7 in "cups", on sale true, stale false`)
}

func TestTheListHoldsWhatIsOnSaleByCategoryPageByPage(t *testing.T) {
	w := newWorld(t)
	for i := range 7 {
		w.Fold(w.defined(fmt.Sprint("SKU-", i), []string{"even", "odd"}[i%2], 1))
	}
	w.Fold(w.withdrawn("SKU-3"), w.withdrawn("SKU-4"), w.defined("SKU-4", "even", 2))
	for query, want := range map[string]string{
		"":               "SKU-0 SKU-1 SKU-2 SKU-4 SKU-5 SKU-6",
		"&category=odd":  "SKU-1 SKU-5",
		"&category=even": "SKU-0 SKU-2 SKU-4 SKU-6",
		"&category=none": "",
	} {
		for _, limit := range []int{1, 2, 3, 200} {
			var skus []string
			for cursor, pages := "", 0; pages == 0 || cursor != ""; pages++ {
				var list httpapi.List[Product]
				w.api.Get(customer, fmt.Sprintf("/v1/products?limit=%d&cursor=%s%s", limit, cursor, query)).Into(&list)
				for _, p := range list.Items {
					skus = append(skus, p.SKU)
				}
				if cursor = list.NextCursor; pages > 10 {
					t.Fatal("the list has no end")
				}
			}
			if got := strings.Join(skus, " "); got != want {
				t.Errorf("limit %d, %q: %s, want %s", limit, query, got, want)
			}
		}
	}
	var list httpapi.List[Product]
	w.api.Get(customer, "/v1/products?limit=1").Into(&list)
	if a := w.api.Get(customer, "/v1/products?category=odd&cursor="+list.NextCursor); a.Status != 400 || a.Code() != "bad_cursor" {
		t.Errorf("the cursor of another list: %d %s", a.Status, a.Body)
	}
}
