package inventory

import (
	"fmt"
	"testing"

	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/es/estest"
)

func TestEveryEventEverStoredIsStillReadAndPublishedAsBefore(t *testing.T) {
	for _, r := range estest.Corpus(t, Stocks, "testdata/stored") {
		name, body, err := public(&r)
		if err != nil {
			t.Fatal(err)
		}
		data, err := bus.Encode(body)
		if err != nil {
			t.Fatal(err)
		}
		estest.Golden(t, fmt.Sprintf("testdata/public/%d-%s.json", r.Version, name), append(data, '\n'))
	}
}

func TestAStoredEventThatNobodyKnowsIsNotPublished(t *testing.T) {
	for _, r := range []es.Record{
		{Stream: "x-1", Version: 1, Type: "unheard_of", Schema: 1, Data: []byte("{}")},
		{Stream: "x-1", Version: 1, Type: "stock_received", Schema: 99, Data: []byte("{}")},
		{Stream: "x-1", Version: 1, Type: "stock_received", Schema: 1, Data: []byte("{")},
	} {
		if name, body, err := public(&r); err == nil {
			t.Errorf("%s, schema %d, is published as %s %+v", r.Type, r.Schema, name, body)
		}
	}
}
