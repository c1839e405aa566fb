package estest

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/orderlane/orderlane/pkg/es"
)

var update = flag.Bool("update", false, "write goldens anew: a change that others will see")

// corpusFile is one stored event of a corpus, and the state that it leads to.
type corpusFile struct {
	Type     string         `json:"type"`
	Schema   int            `json:"schema"`
	Data     jsontext.Value `json:"data"`
	Personal jsontext.Value `json:"personal,omitzero"`
	State    jsontext.Value `json:"state"`
}

// Corpus reads every schema version of every stored event that was ever written, from the
// JSON files of a directory in the order of their names, decodes them, and folds them as one
// stream. It returns them as records, for tests of what is made of them.
//
// It fails if an event can't be read any more, if the fold has come to another state, if
// something stored today looks different from the file of its schema (raise the schema, and
// add a file), or if a schema has no file. Files are added, never changed.
func Corpus[S, E, C any](t testing.TB, agg *es.Aggregate[S, E, C], dir string) []es.Record {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no corpus in %s: %v", dir, err)
	}
	var records []es.Record
	covered := make(map[string]bool)
	schemas := agg.Codec.Schemas()
	state := agg.Initial()
	for i, path := range paths {
		f := readCorpusFile(t, path)
		r := es.Record{
			Position: int64(i) + 1, Stream: agg.Stream("corpus"), Version: int64(i) + 1, Type: f.Type, Schema: f.Schema,
			Time: time.Date(2026, 11, 23, 12, 0, i, 0, time.UTC), Data: f.Data, Personal: f.Personal, HasPersonal: f.Personal != nil,
		}
		event, err := agg.Codec.Decode(&r)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		state = agg.Evolve(event, state)
		sameJSON(t, path+": the state after it", state, f.State)
		if f.Schema == schemas[f.Type] {
			again, err := agg.Codec.Encode(event)
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			sameJSON(t, path+": the event, stored today", jsontext.Value(again.Data), f.Data)
		}
		covered[fmt.Sprintf("%s, schema %d", f.Type, f.Schema)] = true
		records = append(records, r)
	}
	for name, present := range schemas {
		for schema := 1; schema <= present; schema++ {
			if key := fmt.Sprintf("%s, schema %d", name, schema); !covered[key] {
				t.Errorf("%s has no file of %s", dir, key)
			}
		}
	}
	return records
}

func readCorpusFile(t testing.TB, path string) (f corpusFile) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, &f, json.RejectUnknownMembers(true))
	}
	if err == nil {
		err = f.Data.Compact()
	}
	if err == nil && f.Personal != nil {
		err = f.Personal.Compact()
	}
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return f
}

// sameJSON compares the encoding of a value with a JSON text, whatever the order of members.
func sameJSON(t testing.TB, what string, got any, want jsontext.Value) {
	t.Helper()
	data, err := json.Marshal(got, json.Deterministic(true))
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	a, b := jsontext.Value(data), want.Clone()
	if err := a.Canonicalize(); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if err := b.Canonicalize(); err != nil || !bytes.Equal(a, b) {
		t.Errorf("%s is\n%s\nwant\n%s (%v)", what, a, b, err)
	}
}

// Golden compares bytes with a file, and writes the file with the flag -update.
func Golden(t testing.TB, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s (%v):\n got %s\nwant %s", path, err, got, want)
	}
}
