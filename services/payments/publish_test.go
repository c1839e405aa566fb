package payments

import (
	"fmt"
	"testing"

	api "github.com/orderlane/orderlane/api/payments"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/es/estest"
)

func TestEveryEventEverStoredIsStillReadAndPublishedAsBefore(t *testing.T) {
	for _, r := range estest.Corpus(t, Payments, "testdata/stored") {
		name, body, err := public(&r)
		if err != nil {
			t.Fatal(err)
		}
		golden(t, fmt.Sprintf("testdata/public/%02d-%s.json", r.Version, name), body)
		asked, err := asks(&r)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range asked {
			if !a.Task || a.Service != "payments" || a.Stream != r.Stream {
				t.Errorf("%s asks %+v", r.ID(), a)
			}
			golden(t, fmt.Sprintf("testdata/asked/%02d-%s.json", r.Version, a.Body.MessageType()), a.Body)
		}
	}
}

func golden(t *testing.T, path string, body any) {
	t.Helper()
	data, err := bus.Encode(body)
	if err != nil {
		t.Fatal(err)
	}
	estest.Golden(t, path, append(data, '\n'))
}

func TestAPartOfARefundIsPublishedAsOne(t *testing.T) {
	r, err := Payments.Codec.Encode(Refunded{Reference: "r1", N: 6, Amount: 1000, Partial: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, body, err := public(&r); err != nil || !body.(*api.PaymentRefunded).Partial {
		t.Errorf("it is published as %+v (%v)", body, err)
	}
}

func TestAStoredEventThatNobodyKnowsIsNotPublished(t *testing.T) {
	for _, r := range []es.Record{
		{Stream: "x-1", Version: 1, Type: "unheard_of", Schema: 1, Data: []byte("{}")},
		{Stream: "x-1", Version: 1, Type: "payment_requested", Schema: 99, Data: []byte("{}")},
		{Stream: "x-1", Version: 1, Type: "payment_requested", Schema: 1, Data: []byte("{")},
	} {
		if name, body, err := public(&r); err == nil {
			t.Errorf("%s, schema %d, is published as %s %+v", r.Type, r.Schema, name, body)
		}
		if asked, err := asks(&r); err == nil {
			t.Errorf("%s, schema %d, asks %+v", r.Type, r.Schema, asked)
		}
	}
}

func TestAKeyIsReadBack(t *testing.T) {
	order, op, n, reference, err := parseKey(key("o-1", Refunding, 7, "return/1"))
	if err != nil || order != "o-1" || op != Refunding || n != 7 || reference != "return/1" {
		t.Errorf("got %s %s %d %s, %v", order, op, n, reference, err)
	}
	for _, s := range []string{"", "o-1", "o-1/refund/x/r", "o-1/refund/0/r", "o-1/refund/7"} {
		if _, _, _, _, err := parseKey(s); err == nil {
			t.Errorf("%q is taken for a key", s)
		}
	}
}
