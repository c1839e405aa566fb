package bus

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/kafka/memkafka"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 123456000, time.UTC)

func clock() time.Time { return noon }

// envelopes draws any envelope that a service could send.
func envelopes() *rapid.Generator[Envelope] {
	return rapid.Custom(func(t *rapid.T) Envelope {
		// Without zero bytes, which databases refuse: a handler sees them replaced.
		text := func(name string) string { return strings.ReplaceAll(rapid.String().Draw(t, name), "\x00", "0") }
		some := func(name string) string {
			return strings.ReplaceAll(rapid.StringN(1, 60, -1).Draw(t, name), "\x00", "0")
		}
		e := Envelope{
			ID: some("id"), Type: "orderlane.test.add.v1", Source: text("source"), Subject: some("subject"),
			Time:        time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "seconds"), rapid.Int64Range(0, 999_999_999).Draw(t, "nanoseconds")).UTC(),
			Traceparent: text("traceparent"), Correlation: text("correlation"), Causation: text("causation"),
			Caller: Caller{ID: text("caller"), Role: text("role")}, Digest: text("digest"), After: text("after"), Epoch: text("epoch"),
		}
		if rapid.Bool().Draw(t, "has if-version") {
			n := rapid.Int64().Draw(t, "if-version")
			e.IfVersion = &n
		}
		if rapid.Bool().Draw(t, "has reply-to") {
			n := rapid.Int32().Draw(t, "reply-to")
			e.ReplyTo = &n
		}
		if rapid.Bool().Draw(t, "is an event") {
			e.StreamVersion = rapid.Int64Min(1).Draw(t, "version")
			e.Position = rapid.Int64Min(1).Draw(t, "position")
		}
		return e
	})
}

func TestARecordKeepsItsEnvelope(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := envelopes().Draw(t, "envelope")
		r := e.Record("test.events.v1", []byte("key"), []byte("{}"))
		got, err := EnvelopeOf(&r)
		if err != nil || !reflect.DeepEqual(got, e) {
			t.Fatalf("%v\n got %+v\nwant %+v", err, got, e)
		}
	})
}

func TestACommandKeepsItsEnvelopeFromSenderToHandler(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := envelopes().Draw(t, "envelope")
		broker := memkafka.New(clock, kafka.TopicSpec{Name: "test.commands.v1", Partitions: 1})
		send(t, broker, add{N: 1}, e)
		p := kafka.Partition{Topic: "test.commands.v1"}
		if key := string(broker.Records(p, 0, -1)[0].Key); key != e.Subject {
			t.Fatalf("the key is %q, not the stream %q", key, e.Subject)
		}
		m, _ := broker.Subscriber(1).Next(p)
		got, err := envelopeOfMessage(m)
		if err != nil || !reflect.DeepEqual(got, e) {
			t.Fatalf("%v\n got %+v\nwant %+v", err, got, e)
		}
	})
}

func send(t rapid.TB, broker *memkafka.Broker, command Typed, e Envelope) {
	t.Helper()
	sender, err := NewSender(broker.Publisher())
	if err == nil {
		err = sender.Send(context.Background(), command, &e)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestHeadersThatNobodyOfOursWroteAreErrors(t *testing.T) {
	for name, value := range map[string]string{
		HeaderTime: "yesterday", HeaderIfVersion: "x", HeaderReplyTo: "4294967296", HeaderStreamVersion: "1.0", HeaderPosition: "9223372036854775808",
	} {
		r := kafka.Record{Headers: []kafka.Header{{Key: HeaderID, Value: []byte("an id")}, {Key: name, Value: []byte(value)}}}
		if e, err := EnvelopeOf(&r); err == nil || e.ID != "an id" {
			t.Errorf("%s = %q: %v, envelope of %q", name, value, err, e.ID)
		}
	}
}

func TestACommandWithoutIdOrStreamOrServiceIsNotSent(t *testing.T) {
	broker := memkafka.New(clock, kafka.TopicSpec{Name: "test.commands.v1", Partitions: 1})
	sender, err := NewSender(broker.Publisher())
	if err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"without an id":     sender.Send(t.Context(), add{}, &Envelope{Subject: "counter-1"}),
		"without a stream":  sender.Send(t.Context(), add{}, &Envelope{ID: "x"}),
		"without a service": sender.Send(t.Context(), stray{}, &Envelope{ID: "x", Subject: "counter-1"}),
	} {
		if err == nil {
			t.Errorf("a command %s was sent", what)
		}
	}
}

type stray struct{}

func (stray) MessageType() string { return "somebody.else" }

func TestDerivedIdsDependOnEachPartAndNeverRunTogether(t *testing.T) {
	if got := DeriveID("command", "c-42", "POST /v1/orders", "key").String(); got != "68442338-c700-53e3-9585-d333501386d2" {
		t.Errorf("the id has changed to %s: clients that repeat a request across the release would order twice", got)
	}
	parts := rapid.SliceOfN(rapid.StringMatching(`[0-9:ab]{0,3}`), 1, 4)
	rapid.Check(t, func(t *rapid.T) {
		a, b := parts.Draw(t, "a"), parts.Draw(t, "b")
		if (DeriveID(a...) == DeriveID(b...)) != reflect.DeepEqual(a, b) {
			t.Fatalf("%q and %q", a, b)
		}
	})
}

func TestTypesNameTheirService(t *testing.T) {
	for name, want := range map[string]string{
		TypeName("catalog", "product_defined"): "catalog", "orderlane.outcome.v1": "", "other.catalog.x.v1": "", "": "", "orderlane.a.b.c.v1": "",
	} {
		if got := ServiceOf(name); got != want {
			t.Errorf("the service of %q is %q, want %q", name, got, want)
		}
	}
}

func TestAHandlerSeesTextThatEveryStoreTakes(t *testing.T) {
	for in, want := range map[string]string{"order-1": "order-1", "a\x00b": "a\uFFFDb", "\xff\xfeb": "\uFFFDb", "": ""} {
		if got := clean(in); got != want {
			t.Errorf("%q becomes %q, not %q", in, got, want)
		}
	}
	if data, err := Encode(&DeadLetter{Reason: "no \xff"}); err != nil || !strings.Contains(string(data), "no \uFFFD") {
		t.Errorf("a reason that is no UTF-8 becomes %s (%v)", data, err)
	}
}
