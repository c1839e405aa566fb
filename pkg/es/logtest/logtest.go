// Package logtest is the suite that every implementation of es.Log passes: each sentence of
// the port's documentation as a test.
package logtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/orderlane/orderlane/pkg/es"
)

// patience is how long a test waits for what must happen.
const patience = time.Minute

// noon is the time of everything that the tests write.
var noon = time.Date(2026, 3, 4, 12, 0, 0, 123456000, time.UTC)

// Run runs the suite. open opens an instance of a log that is empty when a test opens it for
// the first time; called again with the same t it opens another instance of the same log.
// It closes what it opened in t.Cleanup; closing twice must be harmless.
func Run(t *testing.T, open func(t *testing.T) es.Log) {
	t.Run("random histories look the same as in memory", func(t *testing.T) { testHistories(t, open) })
	groups := []map[string]func(*testing.T, *fixture){
		appending, conflicting, outcomes, loading, reading, personal, parking, waiting, leasing, timing, epochs, closing,
	}
	for _, group := range groups {
		names := make([]string, 0, len(group))
		for name := range group {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			t.Run(name, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				test := group[name]
				test(t, &fixture{T: t, ctx: ctx, log: open(t), open: func() es.Log { return open(t) }})
			})
		}
	}
}

// fixture is one test's log.
type fixture struct {
	*testing.T
	ctx  context.Context
	log  es.Log
	open func() es.Log // another instance
	ids  int
}

// id returns the next of a row of command ids, the same in every run.
func (f *fixture) id() uuid.UUID {
	f.ids++
	return uuid.NewSHA1(uuid.NameSpaceOID, fmt.Appendf(nil, "%s/%d", f.Name(), f.ids))
}

// order is a batch of one command that writes events of a stream after a version.
func (f *fixture) order(seen int64, stream string, version int64, events int) es.Batch {
	return commandOn(f.id(), seen, stream, version, events)
}

func commandOn(command uuid.UUID, seen int64, stream string, version int64, events int) es.Batch {
	b := es.Batch{Seen: seen, Streams: []es.StreamVersion{{Stream: stream, Version: version}}}
	for range events {
		version++
		b.Events = append(b.Events, es.Record{
			Stream: stream, Version: version, Type: "placed", Schema: 2, Time: noon,
			Data: fmt.Appendf(nil, `{"stream": %q, "version": %d, "text": "Gr\u00fc\u00dfe \"☕\""}`, stream, version),
			Meta: metadata(command),
		})
	}
	b.Outcomes = []es.Outcome{{
		Command: command, Type: "place", Stream: stream, Status: es.StatusSucceeded, Version: version,
		Digest: "digest-1", Time: noon,
	}}
	b.States = []es.State{{Stream: stream, Version: version, StateVersion: 1, Data: fmt.Appendf(nil, `{"v":%d}`, version)}}
	return b
}

func metadata(command uuid.UUID) es.Metadata {
	return es.Metadata{
		Command: command, Correlation: "corr-1", Causation: "cause \"1\"", Caller: "c-42",
		Traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", Digest: "digest-1",
	}
}

// append appends and fails the test if that fails.
func (f *fixture) append(b es.Batch) es.Head {
	f.Helper()
	head, err := f.log.Append(f.ctx, b)
	if err != nil {
		f.Fatalf("append: %v", err)
	}
	return head
}

// conflict appends and fails the test unless that is a conflict, which it returns.
func (f *fixture) conflict(b es.Batch) *es.ConflictError {
	f.Helper()
	before := f.everything()
	_, err := f.log.Append(f.ctx, b)
	var conflict *es.ConflictError
	if !errors.As(err, &conflict) {
		f.Fatalf("append: got %v, want a conflict", err)
	}
	if after := f.everything(); after != before {
		f.Fatalf("a refused append wrote something:\nbefore %s\nafter  %s", before, after)
	}
	return conflict
}

// everything is what can be seen of the log as a text to compare.
func (f *fixture) everything() string {
	f.Helper()
	head, err := f.log.Head(f.ctx)
	f.must(err)
	records, err := f.log.Read(f.ctx, 0, es.MaxRead)
	f.must(err)
	parked, err := f.log.ParkedCommands(f.ctx, uuid.Nil, es.MaxRead)
	f.must(err)
	cursor, err := f.log.Cursor(f.ctx, "relay")
	f.must(err)
	text := fmt.Sprintf("%v %v %v", head, parked, cursor)
	for _, r := range records {
		text += "\n" + show(r)
		text += fmt.Sprint(f.load(r.Stream, 1))
	}
	return text
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) load(stream string, stateVersion int) es.StreamState {
	f.Helper()
	states, err := f.log.Load(f.ctx, []es.StreamQuery{{Stream: stream, StateVersion: stateVersion}})
	f.must(err)
	if len(states) != 1 {
		f.Fatalf("load of one stream returned %d", len(states))
	}
	return states[0]
}

func (f *fixture) outcome(id uuid.UUID) (es.Outcome, bool) {
	f.Helper()
	found, err := f.log.Outcomes(f.ctx, []uuid.UUID{id})
	f.must(err)
	o, ok := found[id]
	return o, ok
}

// equal compares two values by their printed form, where pointers to structs are spelled out.
func (f *fixture) equal(what string, got, want any) {
	f.Helper()
	if g, w := show(got), show(want); g != w {
		f.Fatalf("%s:\ngot  %s\nwant %s", what, g, w)
	}
}

func show(v any) string {
	switch v := v.(type) {
	case es.Record:
		return fmt.Sprintf("%d %s %d %s %d %s %s %+v %q %v %v %v", v.Position, v.Stream, v.Version, v.Type, v.Schema,
			v.Time, v.Data, v.Meta, v.Personal, v.HasPersonal, v.Erases, v.Event)
	case es.Outcome:
		fault := v.Fault
		v.Fault = nil
		if fault != nil {
			return fmt.Sprintf("%+v %+v", v, *fault)
		}
	case []byte:
		return fmt.Sprintf("%q", v)
	}
	return fmt.Sprintf("%+v", v)
}

// eventually calls ok until it is true, and fails the test if that takes too long.
func (f *fixture) eventually(what string, ok func() bool) {
	f.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-f.ctx.Done():
			f.Fatalf("%s: not within %s", what, patience)
		}
	}
}
