package orderview

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orderlane/orderlane/api"
	"github.com/orderlane/orderlane/api/catalog"
	"github.com/orderlane/orderlane/api/fulfilment"
	"github.com/orderlane/orderlane/api/inventory"
	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/api/payments"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/service/servicetest"
)

var update = flag.Bool("update", false, "write the golden of sentences anew: what people will read")

// told are the public events that belong to orders: those of products, of stock and of discount
// codes have streams of their own.
func told() (events []api.Message) {
	for _, s := range api.Services {
		if s.Name == catalog.Service || s.Name == inventory.Service {
			continue
		}
		for _, e := range s.Events {
			if !strings.HasPrefix(e.Type, "orderlane."+ordering.Service+".discount_") {
				events = append(events, e)
			}
		}
	}
	return events
}

// example is a value of a type with something in every field.
func example(t reflect.Type, text string) reflect.Value {
	v := reflect.New(t).Elem()
	if t == reflect.TypeFor[time.Time]() {
		v.Set(reflect.ValueOf(servicetest.Noon))
		return v
	}
	switch t.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Int, reflect.Int64:
		v.SetInt(2)
	case reflect.Slice:
		v.Set(reflect.Append(v, example(t.Elem(), text)))
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			text := f.Tag.Get("example")
			if text == "" {
				text, _, _ = strings.Cut(f.Tag.Get("json"), ",")
				text = strings.ReplaceAll(text, "_", "-")
			}
			switch text {
			case "1299":
				v.Field(i).SetInt(1299)
			case "currency":
				v.Field(i).SetString("EUR")
			default:
				v.Field(i).Set(example(f.Type, text))
			}
		}
	}
	return v
}

func TestEveryPublicEventOfAnOrderIsToldInASentence(t *testing.T) {
	order := new(document)
	order.Lines = []Line{{}, {Line: ordering.Line{Line: 2, SKU: "TEA-002", Name: "Assam tea, 250 g"}}}
	var lines []string
	kinds := 0
	for _, e := range told() {
		if _, ok := tellings[e.Type]; !ok {
			t.Errorf("%s has no sentence", e.Type)
			continue
		}
		data, err := bus.Encode(example(reflect.TypeOf(e.Body), "").Interface())
		if err != nil {
			t.Fatal(err)
		}
		p := &past{kind: e.Type, event: data}
		text, to := sentence(order, p, everyone)
		kinds++
		if ours, _ := sentence(order, p, staffOnly); ours != text {
			lines = append(lines, fmt.Sprintf("%s, for staff: %s\n", e.Type, ours))
		}
		if !strings.HasSuffix(text, ".") || strings.Contains(text, "_") || strings.Contains(text, "  ") {
			t.Errorf("%s is told as %q", e.Type, text)
		}
		lines = append(lines, fmt.Sprintf("%s, for %s: %s\n", e.Type, []string{"staff", "everyone"}[to], text))
	}
	if len(tellings) != kinds {
		t.Errorf("%d sentences for %d events", len(tellings), kinds)
	}
	slices.Sort(lines)
	got, path := []byte(strings.Join(lines, "")), "testdata/sentences.golden"
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%v:\n got %s\nwant %s", err, got, want)
	}
}

func TestAnEventOfALaterReleaseIsToldByItsName(t *testing.T) {
	for kind, want := range map[string]string{
		"orderlane.ordering.order_gift_wrapped.v1": "Order gift wrapped.", "odd": "Odd.", ordering.TypeOrderPlaced: "Order placed.",
	} {
		if got, to := sentence(&document{}, &past{kind: kind, event: []byte("{")}, staffOnly); got != want || to != staffOnly {
			t.Errorf("%s is told as %q, want %q to staff", kind, got, want)
		}
	}
}

func TestASentenceBeginsWithACapitalInAnyScript(t *testing.T) {
	for text, want := range map[string]string{
		"öl, 1 l waits for stock": "Öl, 1 l waits for stock", "Öl": "Öl", "茶": "茶", "éclair": "Éclair", "line 1": "Line 1", "": "",
	} {
		if got := upper(text); got != want {
			t.Errorf("%q begins as %q, want %q", text, got, want)
		}
	}
}

// TestAProductOfAnyNameIsToldInTheTimeline: an answer that is no UTF-8 could not be sent.
func TestAProductOfAnyNameIsToldInTheTimeline(t *testing.T) {
	w := newWorld(t)
	id := orderID(1)
	w.Fold(
		w.event(1, 1, ordering.TypeOrderPlaced, ordering.OrderPlaced{
			OrderID: id, Version: 1, CustomerID: ada.ID, Status: ordering.StatusPlaced, Currency: "EUR", PlacedAt: servicetest.Noon,
			Lines: []ordering.Line{{Line: 1, SKU: "OIL", Name: "öl, 1 l", Quantity: 1}},
		}),
		w.of(fulfilment.Service, "fulfilment-"+id, 1, fulfilment.TypeLineBackordered,
			fulfilment.LineMoved{Progress: fulfilment.Progress{OrderID: id, Version: 1}, Line: 1}),
	)
	if a := w.api.Get(ada, "/v1/orders/"+id+"/timeline"); a.Status != 200 || !strings.Contains(a.Body, "Öl, 1 l waits for stock.") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

// TestACustomerIsNotToldWhatABankSuspects: staff are.
func TestACustomerIsNotToldWhatABankSuspects(t *testing.T) {
	for code, want := range map[string]string{
		"stolen_card": "the bank refused it", "fraudulent": "the bank refused it", "": "", "insufficient_funds": "insufficient funds", "provider_silent": "the provider did not answer",
	} {
		w := newWorld(t)
		id := "payment-" + orderID(1)
		p := payments.Progress{OrderID: orderID(1), Version: 1, Status: payments.StatusPending, Currency: "EUR"}
		w.Fold(w.placed(1, ada.ID), w.personal(1, 1, "12 St James Square"),
			w.of(payments.Service, id, 1, payments.TypePaymentRequested, payments.PaymentRequested{Progress: p, CustomerID: ada.ID}))
		p.Version, p.Status = 2, payments.StatusDeclined
		w.Fold(w.of(payments.Service, id, 2, payments.TypePaymentDeclined, payments.PaymentDeclined{Progress: p, Code: code}))
		for _, path := range []string{"/v1/orders/" + orderID(1), "/v1/payments/" + orderID(1), "/v1/orders/" + orderID(1) + "/timeline", "/v1/orders/" + orderID(1) + "?as_of=@1"} {
			hers, ours := w.api.Get(ada, path), w.api.Get(staff, path)
			timeline := strings.HasSuffix(path, "timeline")
			if timeline && !strings.Contains(hers.Body, "declined"+strings.TrimSuffix(": "+want, ": ")+".") {
				t.Errorf("%s: the customer hears %s", code, hers.Body)
			}
			if hers.Status != 200 || want == reasons[codeRefused] && strings.Contains(hers.Body, strings.TrimSuffix(code, "_card")) {
				t.Errorf("%s: the customer gets %s: %d %s", code, path, hers.Status, hers.Body)
			}
			if shown := strings.NewReplacer("provider_silent", want).Replace(code); timeline && !strings.Contains(ours.Body, words(shown)) || !timeline && !strings.Contains(ours.Body, code) {
				t.Errorf("%s: staff get %s: %s", code, path, ours.Body)
			}
		}
	}
}
