package fulfilment

import (
	"fmt"
	"slices"
	"testing"

	"github.com/go-json-experiment/json"

	registry "github.com/orderlane/orderlane/api"
	api "github.com/orderlane/orderlane/api/fulfilment"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/es/estest"
)

func TestEveryEventEverStoredIsStillReadPublishedAndAskedForAsBefore(t *testing.T) {
	for _, r := range estest.Corpus(t, Processes, "testdata/stored") {
		name, body, err := public(&r)
		if err != nil {
			t.Fatal(err)
		}
		data, err := bus.Encode(body)
		if err != nil {
			t.Fatal(err)
		}
		estest.Golden(t, fmt.Sprintf("testdata/public/%02d-%s.json", r.Version, name), append(data, '\n'))
		estest.Golden(t, fmt.Sprintf("testdata/asks/%02d-%s.txt", r.Version, name), asked(t, &r))
	}
}

// asked are the messages of what an event asks for, a line each.
func asked(t *testing.T, r *es.Record) (lines []byte) {
	t.Helper()
	all, err := asks(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		data, err := bus.Encode(a.Body)
		if err != nil {
			t.Fatal(err)
		}
		lines = fmt.Appendf(lines, "%s %s %s %s\n", a.Service, a.Stream, a.Body.MessageType(), data)
	}
	return lines
}

func TestAStoredEventThatNobodyKnowsIsNotPublished(t *testing.T) {
	for _, r := range []es.Record{
		{Stream: "x-1", Version: 1, Type: "unheard_of", Schema: 1, Data: []byte("{}")},
		{Stream: "x-1", Version: 1, Type: "started", Schema: 99, Data: []byte("{}")},
		{Stream: "x-1", Version: 1, Type: "started", Schema: 1, Data: []byte("{")},
	} {
		if name, body, err := public(&r); err == nil {
			t.Errorf("%s, schema %d, is published as %s %+v", r.Type, r.Schema, name, body)
		}
		if all, err := asks(&r); err == nil {
			t.Errorf("%s, schema %d, asks for %+v", r.Type, r.Schema, all)
		}
	}
}

func TestEveryPublicEventIsPartOfTheContract(t *testing.T) {
	said := make(map[string]bool)
	for _, r := range estest.Corpus(t, Processes, "testdata/stored") {
		name, _, err := public(&r)
		if err != nil {
			t.Fatal(err)
		}
		said[bus.TypeName(api.Service, name)] = true
	}
	i := slices.IndexFunc(registry.Services, func(s registry.Service) bool { return s.Name == api.Service })
	for _, m := range registry.Services[i].Events {
		if !said[m.Type] {
			t.Errorf("%s is promised, and never said", m.Type)
		}
		delete(said, m.Type)
	}
	if len(said) > 0 {
		t.Errorf("these are said, and not promised: %v", said)
	}
}

// Whoever reads any event of the process sees where it stands.
func TestEveryPublicEventSaysItsProgress(t *testing.T) {
	for _, r := range estest.Corpus(t, Processes, "testdata/stored") {
		_, body, err := public(&r)
		if err != nil {
			t.Fatal(err)
		}
		data, err := bus.Encode(body)
		if err != nil {
			t.Fatal(err)
		}
		var p api.Progress
		if err := json.Unmarshal(data, &p); err != nil {
			t.Fatal(err)
		}
		if p.OrderID != "corpus" || p.Version != r.Version || p.Step == "" || p.At.IsZero() || p.Ended != (p.WaitingFor == "") {
			t.Errorf("version %d says %+v", r.Version, p)
		}
	}
}
