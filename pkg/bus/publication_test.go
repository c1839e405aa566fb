package bus

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/es/memlog"
	"github.com/orderlane/orderlane/pkg/kafka"
)

// published is a producer that keeps what it is given.
type published struct {
	records []kafka.Record
	err     error
}

func (p *published) Publish(_ context.Context, records []kafka.Record) error {
	p.records = append(p.records, records...)
	return p.err
}
func (*published) Close() error { return nil }

// stored is a log that knows the personal payloads of one stream, by version from 1.
type stored struct {
	es.Log
	payloads []string
	err      error
}

func (s stored) Personal(_ context.Context, stream string, upTo int64) (out [][]byte, err error) {
	if stream != "counter-7" {
		return nil, s.err
	}
	for i, p := range s.payloads {
		if int64(i) < upTo {
			out = append(out, []byte(p))
		}
	}
	return out, s.err
}

func publication(log es.Log) *Publication {
	return &Publication{Service: "test", Log: log, Public: func(r *es.Record) (string, any, error) {
		var body map[string]int
		if err := json.Unmarshal(r.Data, &body); err != nil {
			return "", nil, err
		}
		body["version"] = int(r.Version)
		return r.Type, body, nil
	}}
}

func translate(t *testing.T, p *Publication, r es.Record) []kafka.Record {
	t.Helper()
	records, err := p.Translate(t.Context(), "epoch-1", &r)
	if err != nil {
		t.Fatal(err)
	}
	return records
}

func TestAnEventWithoutPersonalDataIsOneMessage(t *testing.T) {
	if got := translate(t, publication(stored{}), someEvent()); len(got) != 1 || got[0].Topic != "test.events.v1" {
		t.Errorf("got %+v", got)
	}
}

func TestThePersonalMessageHoldsAllThatIsPersonalAsOfItsVersion(t *testing.T) {
	p := publication(stored{payloads: []string{`{"a":1,"b":{"x":1}}`, `{"b":{"y":2}}`, `{"c":3}`}})
	for version, want := range map[int64]string{1: `{"a":1,"b":{"x":1}}`, 2: `{"a":1,"b":{"y":2}}`, 3: `{"a":1,"b":{"y":2},"c":3}`} {
		r := someEvent()
		r.Version, r.HasPersonal = version, true
		got := translate(t, p, r)
		if len(got) != 2 || string(got[1].Value) != want || got[1].Topic != "test.personal.v1" || string(got[1].Key) != "counter-7" {
			t.Errorf("version %d: got %+v, want %s", version, got, want)
		}
	}
}

func TestTheFirstPersonalPayloadComesFromMemoryWhereTheEngineKeptIt(t *testing.T) {
	p := publication(stored{err: errors.New("the log is not to be asked")})
	r := someEvent()
	r.Version, r.HasPersonal, r.Personal = 1, true, []byte(`{"a":1}`)
	if got := translate(t, p, r); string(got[1].Value) != `{"a":1}` {
		t.Errorf("got %s", got[1].Value)
	}
	r.Version = 2 // there may be more than what this event has
	if _, err := p.Translate(t.Context(), "e", &r); err == nil {
		t.Error("a later version was published without what came before it")
	}
}

// TestWhatIsErasedByNowIsATombstone follows a log in which a stream is erased before its
// relay has published the event that carried the data.
func TestWhatIsErasedByNowIsATombstone(t *testing.T) {
	log := memlog.New(memlog.Options{Clock: clock})
	record := func(version int64, personal string, erases bool) es.Record {
		return es.Record{Stream: "counter-7", Version: version, Type: "added", Schema: 1, Time: noon, Data: []byte(`{}`), Personal: []byte(personal), Erases: erases}
	}
	if _, err := log.Append(t.Context(), es.Batch{
		Streams: []es.StreamVersion{{Stream: "counter-7"}},
		Events:  []es.Record{record(1, `{"a":1}`, false), record(2, "", true), record(3, `{"b":2}`, false)},
	}); err != nil {
		t.Fatal(err)
	}
	events, err := log.Read(t.Context(), 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range events {
		personal := translate(t, publication(log), r)[1]
		value := string(personal.Value)
		if personal.Value == nil {
			value = "tombstone"
		}
		got = append(got, fmt.Sprintf("%s@%s %s", personal.Key, personal.Header(HeaderStreamVersion), value))
	}
	want := `[counter-7@1 tombstone counter-7@2 tombstone counter-7@3 {"b":2}]`
	if fmt.Sprint(got) != want {
		t.Errorf("got %v\nwant %s", got, want)
	}
}

func TestAnEventThatCannotBeTranslatedIsAnError(t *testing.T) {
	broken := someEvent()
	broken.Data = []byte("no JSON")
	unreadable := someEvent()
	unreadable.HasPersonal = true
	for what, c := range map[string]struct {
		log stored
		r   es.Record
	}{
		"its stored shape is unknown":   {stored{}, broken},
		"the log does not answer":       {stored{err: errors.New("gone")}, unreadable},
		"a personal payload is no JSON": {stored{payloads: []string{"{", "{"}}, unreadable},
	} {
		if got, err := publication(c.log).Translate(t.Context(), "e", &c.r); err == nil {
			t.Errorf("%s: got %+v", what, got)
		}
	}
}

func TestAnswersThatAreNotPublishedAreAnError(t *testing.T) {
	gone := errors.New("gone")
	if err := PublishAnswers(&published{err: gone}, "test")(t.Context(), answers()); !errors.Is(err, gone) {
		t.Errorf("got %v", err)
	}
}
