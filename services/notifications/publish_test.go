package notifications

import (
	"fmt"
	"testing"

	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/es/estest"
)

func TestEveryEventEverStoredIsStillReadAndPublishedAsBefore(t *testing.T) {
	for _, r := range estest.Corpus(t, Mailboxes, "testdata/stored") {
		name, body, err := public(&r)
		if err != nil {
			t.Fatal(err)
		}
		golden(t, fmt.Sprintf("testdata/public/%02d-%s.json", r.Version, name), body)
	}
}

func TestARequestedMailIsATaskOfIdsOnly(t *testing.T) {
	for _, r := range estest.Corpus(t, Mailboxes, "testdata/stored") {
		tasks, err := asks(&r)
		if err != nil {
			t.Fatal(err)
		}
		if r.Type != "mail_requested" {
			if len(tasks) > 0 {
				t.Errorf("%s asks for %+v", r.Type, tasks)
			}
			continue
		}
		if len(tasks) != 1 || !tasks[0].Task || tasks[0].Service != "notifications" || tasks[0].Stream != r.Stream {
			t.Fatalf("%s asks for %+v", r.ID(), tasks)
		}
		golden(t, fmt.Sprintf("testdata/tasks/%02d.json", r.Version), tasks[0].Body)
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

func TestAStoredEventThatNobodyKnowsIsNotPublished(t *testing.T) {
	for _, r := range []es.Record{
		{Stream: "mail-1", Version: 1, Type: "unheard_of", Schema: 1, Data: []byte("{}")},
		{Stream: "mail-1", Version: 1, Type: "mail_sent", Schema: 99, Data: []byte("{}")},
		{Stream: "mail-1", Version: 1, Type: "mail_sent", Schema: 1, Data: []byte("{")},
	} {
		if name, body, err := public(&r); err == nil {
			t.Errorf("%s, schema %d, is published as %s %+v", r.Type, r.Schema, name, body)
		}
		if tasks, err := asks(&r); err == nil {
			t.Errorf("%s, schema %d, asks for %+v", r.Type, r.Schema, tasks)
		}
	}
}
