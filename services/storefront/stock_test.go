package storefront

import (
	"fmt"
	"testing"

	"github.com/orderlane/orderlane/api/inventory"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/httpapi"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/service/servicetest"
)

var staff = httpapi.Caller{ID: "s-1", Role: httpapi.RoleStaff}

// stocked is an event of a product's stock.
func (w *world) stocked(sku string, version int64, eventType string, body any) kafka.Record {
	w.t.Helper()
	data, err := bus.Encode(body)
	if err != nil {
		w.t.Fatal(err)
	}
	w.position++
	e := bus.Envelope{
		ID: fmt.Sprintf("stock-%s/%d", sku, version), Type: eventType, Subject: "stock-" + sku, Time: servicetest.Noon,
		StreamVersion: version, Position: w.position, Epoch: "e1",
	}
	return e.Record(bus.EventsTopic(inventory.Service), []byte("stock-"+sku), data)
}

func levels(available int64, locations ...inventory.Level) inventory.Levels {
	return inventory.Levels{Locations: locations, Available: available}
}

func TestStockIsShownPerLocationToStaff(t *testing.T) {
	w := newWorld(t)
	w.Fold(
		w.stocked("TEA", 1, inventory.TypeStockReceived, inventory.StockReceived{SKU: "TEA", Version: 1, Levels: levels(10, inventory.Level{Location: "main", OnHand: 10})}),
		w.stocked("TEA", 2, inventory.TypeStockReceived, inventory.StockReceived{SKU: "TEA", Version: 2, Levels: levels(15, inventory.Level{Location: "east", OnHand: 5})}),
		w.stocked("TEA", 3, inventory.TypeSafetyStockSet, inventory.SafetyStockSet{SKU: "TEA", Version: 3, Quantity: 3, Levels: levels(12)}),
		w.stocked("TEA", 4, inventory.TypeStockReserved, inventory.StockReserved{SKU: "TEA", Version: 4, Quantity: 2, Levels: levels(10, inventory.Level{Location: "main", OnHand: 10, Reserved: 2})}),
		w.stocked("TEA", 5, inventory.TypeStockReservationRefused, inventory.StockReservationRefused{SKU: "TEA", Version: 5, Quantity: 99, Available: 10}),
	)
	var s Stock
	w.api.Get(staff, "/v1/stock/TEA").Into(&s)
	want := "{TEA 5 15 2 3 10 [{east 5 0} {main 10 2}] <nil>}"
	if got := fmt.Sprint(s); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if a := w.api.Get(customer, "/v1/stock/TEA"); a.Status != 403 {
		t.Errorf("customers see it: %d", a.Status)
	}
	if a := w.api.Get(staff, "/v1/stock/CUP"); a.Status != 404 {
		t.Errorf("what nobody has heard of: %d", a.Status)
	}
}

func TestAProductSaysWhatThereIsOfIt(t *testing.T) {
	w := newWorld(t)
	w.Fold(w.defined("TEA", "tea", 100))
	available := func() (n int64, etag string) {
		t.Helper()
		var p Product
		a := w.api.Get(customer, "/v1/products/TEA")
		a.Into(&p)
		var list struct {
			Items []Product `json:"items"`
		}
		w.api.Get(customer, "/v1/products").Into(&list)
		if len(list.Items) != 1 || list.Items[0].Available != p.Available {
			t.Errorf("the list says %+v, the product %d", list.Items, p.Available)
		}
		return p.Available, a.Header.Get("ETag")
	}
	n, before := available()
	if n != 0 {
		t.Errorf("%d of what never came in", n)
	}
	w.Fold(w.stocked("TEA", 1, inventory.TypeStockReceived, inventory.StockReceived{SKU: "TEA", Version: 1, Levels: levels(10, inventory.Level{Location: "main", OnHand: 10})}))
	if n, after := available(); n != 10 || after == before {
		t.Errorf("%d, ETag %s and before %s", n, after, before)
	}
}

func TestStockThatCouldNotBeTakenUpIsCalledStaleWhereItIsShown(t *testing.T) {
	w := newWorld(t)
	w.Fold(w.defined("TEA", "tea", 100), w.stocked("TEA", 1, inventory.TypeStockReceived, inventory.StockReceived{SKU: "TEA", Version: 1, Levels: levels(10)}))
	before := w.api.Get(customer, "/v1/products/TEA").Header.Get("ETag")
	bad := w.stocked("TEA", 2, inventory.TypeStockReserved, inventory.StockReserved{SKU: "TEA"})
	bad.Value = []byte("{")
	w.Fold(bad)
	var s Stock
	w.api.Get(staff, "/v1/stock/TEA", "If-None-Match", `"stock-TEA@1"`).Into(&s)
	var p Product
	w.api.Get(customer, "/v1/products/TEA", "If-None-Match", before).Into(&p)
	if s.Stale == nil || p.Stale == nil || p.Available != 10 {
		t.Errorf("the stock is stale: %+v; the product: %+v", s.Stale, p.Stale)
	}
}
