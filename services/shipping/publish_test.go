package shipping

import (
	"fmt"
	"testing"

	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/es/estest"
)

func TestEveryEventEverStoredIsStillReadAndPublishedAsBefore(t *testing.T) {
	for dir, records := range map[string][]es.Record{
		"testdata/shipment": estest.Corpus(t, Shipments, "testdata/shipment/stored"),
		"testdata/return":   estest.Corpus(t, Returns, "testdata/return/stored"),
	} {
		for _, r := range records {
			name, body, err := public(&r)
			if err != nil {
				t.Fatal(err)
			}
			data, err := bus.Encode(body)
			if err != nil {
				t.Fatal(err)
			}
			estest.Golden(t, fmt.Sprintf("%s/public/%d-%s.json", dir, r.Version, name), append(data, '\n'))
		}
	}
}

func TestAStoredEventThatNobodyKnowsIsNotPublished(t *testing.T) {
	for _, r := range []es.Record{
		{Stream: "shipment-1", Version: 1, Type: "unheard_of", Schema: 1, Data: []byte("{}")},
		{Stream: "shipment-1", Version: 1, Type: "shipment_created", Schema: 99, Data: []byte("{}")},
		{Stream: "return-1", Version: 1, Type: "shipment_created", Schema: 1, Data: []byte("{}")},
		{Stream: "return-1", Version: 1, Type: "return_opened", Schema: 1, Data: []byte("{")},
		{Stream: "x-1", Version: 1, Type: "return_opened", Schema: 1, Data: []byte("{}")},
	} {
		if name, body, err := public(&r); err == nil {
			t.Errorf("%s, schema %d, of %s is published as %s %+v", r.Type, r.Schema, r.Stream, name, body)
		}
	}
}
