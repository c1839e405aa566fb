package commandapi

import (
	"strings"
	"testing"

	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/httpapi"
)

const anID = "5f0c3a52-9d0e-7a11-8000-00000000000a"

// TestEveryOperationSendsItsCommandToItsStream holds what is sent for each path, and to whom.
func TestEveryOperationSendsItsCommandToItsStream(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		as                 httpapi.Caller
		method, path, body string
		command, stream    string
		reads              string // where the answer says that the effect can be read
	}{
		{ada, "POST", "/v1/orders/" + anID + "/cancel", `{"reason":"changed my mind"}`, "ordering.request_cancel", "order-" + anID, "/v1/orders/" + anID},
		{ada, "POST", "/v1/orders/" + anID + "/cancel", ``, "ordering.request_cancel", "order-" + anID, "/v1/orders/" + anID},
		{ada, "POST", "/v1/orders/" + strings.ToUpper(anID) + "/cancel", `{"lines":[1]}`, "ordering.request_cancel", "order-" + anID, "/v1/orders/" + anID},
		{ada, "POST", "/v1/orders/" + anID + "/returns", `{"lines":[{"line":1,"quantity":1,"reason":"chipped"}]}`, "ordering.request_return", "order-" + anID, "/v1/returns/"},
		{staff, "POST", "/v1/orders/" + anID + "/refunds", `{"amount":{"amount":500,"currency":"EUR"},"reason":"goodwill"}`, "payments.refund_payment", "payment-" + anID, "/v1/payments/" + anID},
		{staff, "PUT", "/v1/discounts/SPRING-26", `{"percent":10}`, "ordering.define_discount", "discount-SPRING-26", "/v1/discounts/SPRING-26"},
		{staff, "POST", "/v1/stock/TEA-001/receive", `{"location":"main","quantity":100}`, "inventory.receive_stock", "stock-TEA-001", "/v1/stock/TEA-001"},
		{staff, "POST", "/v1/stock/TEA-001/adjust", `{"location":"main","quantity":-3,"reason":"breakage"}`, "inventory.adjust_stock", "stock-TEA-001", "/v1/stock/TEA-001"},
		{staff, "POST", "/v1/stock/TEA-001/safety", `{"quantity":0}`, "inventory.set_safety_stock", "stock-TEA-001", "/v1/stock/TEA-001"},
		{staff, "POST", "/v1/shipments/" + anID + "/dispatch", `{"carrier":"DHL","tracking":"00340434"}`, "shipping.dispatch_shipment", "shipment-" + anID, "/v1/shipments/" + anID},
		{staff, "POST", "/v1/shipments/" + anID + "/deliver", `{}`, "shipping.deliver_shipment", "shipment-" + anID, "/v1/shipments/" + anID},
		{staff, "POST", "/v1/returns/" + anID + "/receive", `{"lines":[{"line":1,"quantity":1,"restock":true}]}`, "shipping.receive_return", "return-" + anID, "/v1/returns/" + anID},
	} {
		a := w.api.Do(c.as, c.method, c.path, c.body)
		var accepted Accepted
		a.Into(&accepted)
		sent := w.sent()
		if a.Status != 202 || len(sent) != 1 || sent[0].Type != "orderlane."+c.command+".v1" || sent[0].Subject != c.stream {
			t.Errorf("%s %s: %d %s, sent %+v", c.method, c.path, a.Status, a.Body, sent)
		}
		if !strings.HasPrefix(accepted.Links.Resource, c.reads) {
			t.Errorf("%s %s: the effect is at %s, want %s", c.method, c.path, accepted.Links.Resource, c.reads)
		}
	}
}

func TestWhatIsForStaffIsRefusedToCustomers(t *testing.T) {
	w := newWorld(t)
	for path, body := range map[string]string{
		"POST /v1/orders/" + anID + "/refunds":     `{"amount":{"amount":500,"currency":"EUR"},"reason":"goodwill"}`,
		"PUT /v1/discounts/SPRING":                 `{"percent":10}`,
		"POST /v1/stock/TEA-001/receive":           `{"location":"main","quantity":100}`,
		"POST /v1/stock/TEA-001/adjust":            `{"location":"main","quantity":-3,"reason":"breakage"}`,
		"POST /v1/stock/TEA-001/safety":            `{"quantity":0}`,
		"POST /v1/shipments/" + anID + "/dispatch": `{"carrier":"DHL"}`,
		"POST /v1/shipments/" + anID + "/deliver":  `{}`,
		"POST /v1/returns/" + anID + "/receive":    `{"lines":[{"line":1,"quantity":1,"restock":true}]}`,
	} {
		method, path, _ := strings.Cut(path, " ")
		if a := w.api.Do(ada, method, path, body); a.Status != 403 || len(w.sent()) != 0 {
			t.Errorf("%s %s: %d %s", method, path, a.Status, a.Body)
		}
	}
}

func TestBodiesOfTheLifecycleAreChecked(t *testing.T) {
	w := newWorld(t)
	for _, c := range [][2]string{
		{"POST /v1/orders/" + anID + "/cancel", `{"lines":["1"]}`},
		{"POST /v1/orders/" + anID + "/cancel", `{"why":"x"}`},
		{"POST /v1/orders/" + anID + "/returns", `{"lines":[]}`},
		{"POST /v1/orders/" + anID + "/returns", `{"lines":[{"line":1,"quantity":0}]}`},
		{"POST /v1/orders/" + anID + "/refunds", `{"amount":{"amount":500,"currency":"EUR"}}`},
		{"PUT /v1/discounts/spring", `{"percent":10}`},
		{"PUT /v1/discounts/SPRING", `{"percent":101}`},
		{"POST /v1/stock/TEA-001/receive", `{"location":"main","quantity":0}`},
		{"POST /v1/stock/TEA-001/receive", `{"location":"über","quantity":1}`},
		{"POST /v1/stock/TEA-001/adjust", `{"location":"main","quantity":-3}`},
		{"POST /v1/stock/TEA-001/safety", `{"quantity":-1}`},
		{"POST /v1/shipments/" + anID + "/dispatch", `{}`},
		{"POST /v1/returns/" + anID + "/receive", `{"lines":[{"line":1,"quantity":1}]}`},
	} {
		method, path, _ := strings.Cut(c[0], " ")
		if a := w.api.Do(staff, method, path, c[1]); a.Status < 400 || a.Status > 422 || len(w.sent()) != 0 {
			t.Errorf("%s %s %s: %d %s", method, path, c[1], a.Status, a.Body)
		}
	}
}

func TestAReturnHasTheSameIdForTheSameKey(t *testing.T) {
	w := newWorld(t)
	var ids [2]string
	for i := range ids {
		a := w.api.Do(ada, "POST", "/v1/orders/"+anID+"/returns", `{"lines":[{"line":1,"quantity":1}]}`, "Idempotency-Key", "k")
		var accepted Accepted
		a.Into(&accepted)
		ids[i] = accepted.Resource.ID
		if want := bus.DeriveFrom(bus.DeriveID("command", ada.ID, "POST /v1/orders/"+anID+"/returns", "k"), "return").String(); ids[i] != want {
			t.Errorf("the return is %s, want %s", ids[i], want)
		}
	}
	if ids[0] != ids[1] {
		t.Errorf("two ids: %v", ids)
	}
}
