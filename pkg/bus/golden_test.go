package bus

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/fault"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/kafka/memkafka"
)

var update = flag.Bool("update", false, "write the goldens anew: a change that other teams will see")

// golden compares messages with testdata/<name>.golden, byte for byte.
func golden(t *testing.T, name string, records ...kafka.Record) {
	t.Helper()
	var b bytes.Buffer
	for _, r := range records {
		fmt.Fprintf(&b, "topic: %s\npartition: %d\nkey: %s\ntime: %s\n", r.Topic, r.Partition, r.Key, r.Time.Format(time.RFC3339Nano))
		for _, h := range r.Headers {
			fmt.Fprintf(&b, "%s: %s\n", h.Key, h.Value)
		}
		if r.Value == nil {
			b.WriteString("\n(tombstone)\n\n")
		} else {
			fmt.Fprintf(&b, "\n%s\n\n", r.Value)
		}
	}
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(b.Bytes(), want) {
		t.Errorf("%s (%v):\n got %s\nwant %s", path, err, b.Bytes(), want)
	}
}

var (
	commandID = uuid.MustParse("0193a1b2-0000-7000-8000-00000000002a")
	stack     = "panic: nil map\ngoroutine 1 [running]: and what else operators get to see"
)

func someCommand() Envelope {
	version, partition := int64(3), int32(5)
	return Envelope{
		ID: commandID.String(), Type: "orderlane.test.add.v1", Source: Source("commandapi"), Subject: "counter-7", Time: noon,
		Traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", Correlation: commandID.String(), Causation: "the one before",
		Caller: Caller{ID: "c-42", Role: RoleCustomer}, Digest: "d1935t", IfVersion: &version, After: "product-TEA-001@1,product-X@2", ReplyTo: &partition,
	}
}

func TestACommandOnTheWire(t *testing.T) {
	broker := memkafka.New(clock, kafka.TopicSpec{Name: "test.commands.v1", Partitions: 1})
	send(t, broker, add{N: 2}, someCommand())
	golden(t, "command", broker.Records(kafka.Partition{Topic: "test.commands.v1"}, 0, -1)...)
}

func someEvent() es.Record {
	return es.Record{
		Position: 41, Stream: "counter-7", Version: 3, Type: "added", Schema: 1, Time: noon, Data: []byte(`{"n":2}`),
		Meta: es.Metadata{
			Command: commandID, Correlation: commandID.String(), Causation: "the one before", Caller: "c-42",
			Traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", Digest: "d1935t",
		},
	}
}

func TestAnEventAndWhatIsPersonalOnTheWire(t *testing.T) {
	p := publication(stored{payloads: []string{`{"name":"Ada","mail":"ada@example.com"}`, `{"name":"Ada L."}`}})
	r := someEvent()
	r.HasPersonal = true
	golden(t, "event", translate(t, p, r)...)
	r.HasPersonal, r.Erases = false, true
	golden(t, "erasure", translate(t, p, r)...)
}

func answers() []es.Answer {
	partition := int32(5)
	command := func(reply any) *es.Command {
		return &es.Command{
			Type: "orderlane.test.add.v1", Stream: "counter-7", Reply: reply, Parked: es.Parked{Topic: "test.commands.v1", Key: "counter-7"},
			Meta: es.Metadata{Command: commandID, Correlation: "the first of all", Caller: "c-42", Digest: "d1935t"},
		}
	}
	outcome := es.Outcome{Command: commandID, Type: "orderlane.test.add.v1", Stream: "counter-7", Status: es.StatusSucceeded, Version: 3, Position: 41, Time: noon}
	refused, private, parked := outcome, outcome, outcome
	refused.Status, refused.Fault = es.StatusRefused, fault.Conflict("too_many", "that is %d too many", 1).With("body.n", "is %d", 2)
	private.Status, private.Fault = es.StatusRefused, fault.Invalid("idempotency_key_reused", "another body")
	parked.Status, parked.Version = es.StatusParked, 0
	parked.Fault = &fault.Fault{Kind: fault.KindInternal, Code: "parked", Detail: stack}
	return []es.Answer{
		{Command: command(&partition), Outcome: outcome},
		{Command: command((*int32)(nil)), Outcome: refused},
		{Command: command(&partition), Outcome: private, Private: true},
		{Command: command((*int32)(nil)), Outcome: private, Private: true}, // nobody waits: nobody is told
		{Command: command(nil), Outcome: parked},
	}
}

func TestOutcomesAndDeadLettersOnTheWire(t *testing.T) {
	var got published
	if err := PublishAnswers(&got, "test")(t.Context(), answers()); err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"outcome", "refusal", "reply", "parked", "deadletter"} {
		golden(t, name, got.records[i])
	}
	if len(got.records) != 5 {
		t.Errorf("%d messages: %+v", len(got.records), got.records[5:])
	}
	for _, r := range got.records {
		if r.Topic == "test.deadletters.v1" && bytes.Contains(r.Value, []byte("goroutine")) {
			t.Error("a dead letter carries a stack")
		}
	}
}

func TestADeadLetterOfAViewOnTheWire(t *testing.T) {
	r, err := DeadLetterRecord("orderview", DeadLetter{
		Topic: "ordering.events.v1", Partition: 3, Offset: 99, Consumer: "orderview", MessageID: "order-7/2",
		MessageType: "orderlane.ordering.order_placed.v1", Stream: "order-7", Reason: "decode: no JSON", Time: noon,
	})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "view_deadletter", r)
}

// TestHeaderNamesAreThoseThatOthersRead holds each name by its text: the constants may be
// renamed, what they say may not.
func TestHeaderNamesAreThoseThatOthersRead(t *testing.T) {
	want := []string{
		"ce_specversion", "ce_id", "ce_type", "ce_source", "ce_time", "ce_subject", "content-type", "traceparent", "ce_correlationid",
		"ce_causationid", "ce_caller", "ce_role", "ce_streamversion", "ce_position", "ce_epoch", "ce_digest", "ce_ifversion", "ce_after",
		"ce_replyto", "ce_triggerid", "ce_status", "ce_discard",
	}
	got := []string{
		HeaderSpecVersion, HeaderID, HeaderType, HeaderSource, HeaderTime, HeaderSubject, HeaderContentType, HeaderTraceparent, HeaderCorrelation,
		HeaderCausation, HeaderCaller, HeaderRole, HeaderStreamVersion, HeaderPosition, HeaderEpoch, HeaderDigest, HeaderIfVersion, HeaderAfter,
		HeaderReplyTo, HeaderTrigger, HeaderStatus, HeaderDiscard,
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%q has become %q", want[i], got[i])
		}
	}
	e := someCommand()
	e.StreamVersion, e.Position, e.Epoch, e.Trigger = 1, 2, "e1", "counter-7/1"
	r := e.Record("t", nil, nil)
	for _, name := range want[:len(want)-2] { // ce_status is of outcomes, and ce_discard of what operators send
		if r.Header(name) == "" {
			t.Errorf("a full envelope has no %s", name)
		}
	}
	if len(r.Headers) != len(want)-2 {
		t.Errorf("a full envelope has %d headers, and %d have a name that is held", len(r.Headers), len(want)-1)
	}
}

func TestTopicsHaveTheirNamesAndRetention(t *testing.T) {
	var b bytes.Buffer
	for _, s := range append(ServiceTopics("test", true, 8, 3), Outcomes(8, 3)) {
		fmt.Fprintf(&b, "%s %d %d %v\n", s.Name, s.Partitions, s.Replication, s.Config)
	}
	const want = `test.commands.v1 8 3 map[retention.ms:172800000]
test.events.v1 8 3 map[retention.ms:-1]
test.deadletters.v1 8 3 map[retention.ms:2592000000]
test.personal.v1 8 3 map[cleanup.policy:compact]
outcomes.v1 8 3 map[retention.ms:604800000]
`
	if b.String() != want {
		t.Errorf("got\n%s", b.String())
	}
	if len(ServiceTopics("test", false, 8, 3)) != 3 {
		t.Error("a service without personal data has a topic for it")
	}
}
