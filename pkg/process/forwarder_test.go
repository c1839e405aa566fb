package process

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/kafka/memkafka"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func clock() time.Time { return noon }

// paid and sent are events of two other services.
type (
	paid struct {
		Order string `json:"order"`
	}
	sent struct {
		Order string `json:"order"`
	}
)

func (paid) MessageType() string { return "orderlane.till.paid.v1" }
func (sent) MessageType() string { return "orderlane.post.sent.v1" }

const partitions = 2

// world is a forwarder between two services and the process manager "deal".
type world struct {
	t        rapid.TB
	broker   *memkafka.Broker
	consumer *memkafka.Consumer
	faults   []int // of publications to come: how many records are written all the same
	dead     int
	failed   int
}

// shaky is the forwarder's producer.
type shaky struct {
	kafka.Producer
	w *world
}

var errAway = errors.New("the broker is away")

func (s shaky) Publish(ctx context.Context, recs []kafka.Record) error {
	if len(s.w.faults) > 0 {
		s.w.broker.FailNext(errAway, s.w.faults[0])
		s.w.faults = s.w.faults[1:]
	}
	return s.Producer.Publish(ctx, recs)
}

func newWorld(t rapid.TB) *world {
	w := &world{t: t}
	var topics []kafka.TopicSpec
	for _, name := range []string{"till.events.v1", "post.events.v1", "deal.commands.v1", "deal.deadletters.v1"} {
		topics = append(topics, kafka.TopicSpec{Name: name, Partitions: partitions})
	}
	w.broker = memkafka.New(clock, topics...)
	f := NewForwarder(ForwarderOptions{
		Process: "deal", Producer: shaky{w.broker.Producer(), w}, Clock: clock, Observer: w,
		Rules: []Rule{
			Forward(func(e *paid) string {
				switch e.Order {
				case "":
					return ""
				case "boom":
					panic("boom")
				}
				return "deal-" + e.Order
			}),
			{Type: sent{}.MessageType(), Stream: func(r *kafka.Record) (string, error) { return strings.Replace(string(r.Key), "parcel", "deal", 1), nil }},
		},
		Committed: func(_ context.Context, parts []kafka.Partition) (map[kafka.Partition]int64, error) {
			next := make(map[kafka.Partition]int64)
			for _, p := range parts {
				next[p] = w.consumer.Marked(p)
			}
			return next, nil
		},
	})
	if got := fmt.Sprint(f.Topics()); got != "[till.events.v1 post.events.v1]" {
		t.Fatalf("it reads %s", got)
	}
	w.consumer = w.broker.Consumer(f)
	w.assign()
	return w
}

// Forwarded implements ForwarderObserver.
func (w *world) Forwarded(_, dead int) { w.dead += dead }

// Failed implements ForwarderObserver.
func (w *world) Failed(error) { w.failed++ }

func (w *world) assign() {
	if err := w.consumer.Assign(context.Background(), w.broker.Partitions("till.events.v1", "post.events.v1")...); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) publish(records ...kafka.Record) {
	if err := w.broker.Producer().Publish(context.Background(), records); err != nil {
		w.t.Fatal(err)
	}
}

// forward steps until nothing waits.
func (w *world) forward() {
	for {
		if n, err := w.consumer.StepAny(-1); err != nil {
			w.t.Fatal(err)
		} else if n == 0 {
			return
		}
	}
}

// event is a public event of another service.
func event(body bus.Typed, stream string, version int64) kafka.Record {
	data, err := bus.Encode(body)
	if err != nil {
		panic(err)
	}
	service := bus.ServiceOf(body.MessageType())
	e := bus.Envelope{
		ID: fmt.Sprintf("%s/%d", stream, version), Type: body.MessageType(), Source: bus.Source(service), Subject: stream, Time: noon.AddDate(0, 0, -3),
		Traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", Correlation: "the first of all", Causation: "a command",
		Caller: bus.Caller{ID: "c-42"}, StreamVersion: version, Position: 99, Epoch: "e1",
	}
	return e.Record(bus.EventsTopic(service), []byte(stream), data)
}

// commands are what is on a topic, partition by partition.
func (w *world) on(topic string) (records []kafka.Record) {
	for _, p := range w.broker.Partitions(topic) {
		records = append(records, w.broker.Records(p, 0, -1)...)
	}
	return records
}

func TestAnEventBecomesACommandOfTheProcess(t *testing.T) {
	w := newWorld(t)
	original := event(paid{"7"}, "payment-7", 3)
	original.Value = []byte(`{ "order": "7",  "and": "what nobody here knows" }`)
	w.publish(original)
	w.forward()
	got := w.on("deal.commands.v1")
	if len(got) != 1 {
		t.Fatalf("%d commands", len(got))
	}
	r := got[0]
	if string(r.Value) != string(original.Value) || string(r.Key) != "deal-7" || !r.Time.Equal(noon) {
		t.Errorf("forwarded as %s: %s at %s", r.Key, r.Value, r.Time)
	}
	for header, want := range map[string]string{
		bus.HeaderType: "orderlane.till.paid.v1", bus.HeaderSource: "/orderlane/deal", bus.HeaderSubject: "deal-7",
		bus.HeaderTime: "2026-11-20T12:00:00Z", bus.HeaderCausation: "payment-7/3", bus.HeaderCorrelation: "the first of all",
		bus.HeaderTraceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", bus.HeaderReplyTo: "-1",
		bus.HeaderCaller: "deal", bus.HeaderRole: bus.RoleService, bus.HeaderStreamVersion: "", bus.HeaderEpoch: "",
		bus.HeaderID: bus.DeriveID("forward", "deal", "/orderlane/till", "payment-7/3", strconv.FormatInt(noon.AddDate(0, 0, -3).UnixMicro(), 10)).String(),
	} {
		if got := r.Header(header); got != want {
			t.Errorf("%s is %q, want %q", header, got, want)
		}
	}
}

func TestOnlyEventsThatARuleChoosesAreForwarded(t *testing.T) {
	w := newWorld(t)
	other := event(paid{"7"}, "payment-7", 2)
	other.Headers = with(other, bus.HeaderType, "orderlane.till.opened.v1")
	w.publish(other, event(paid{""}, "payment-8", 1), event(sent{"9"}, "parcel-9", 1))
	w.forward()
	got := w.on("deal.commands.v1")
	if len(got) != 1 || string(got[0].Key) != "deal-9" || w.dead != 0 {
		t.Errorf("%d dead letters, and forwarded: %+v", w.dead, got)
	}
	for _, p := range w.broker.Partitions("till.events.v1", "post.events.v1") {
		if got, want := w.consumer.Marked(p), int64(len(w.broker.Records(p, 0, -1))); got != want {
			t.Errorf("%v is marked up to %d of %d", p, got, want)
		}
	}
}

// with returns a record's headers with one of another value, or without it.
func with(r kafka.Record, name, value string) []kafka.Header {
	var headers []kafka.Header
	for _, h := range r.Headers {
		if h.Key == name && value == "" {
			continue
		}
		if h.Key == name {
			h.Value = []byte(value)
		}
		headers = append(headers, h)
	}
	return headers
}

func TestWhatCanNotBeReadIsADeadLetterAndTheNextEventIsForwarded(t *testing.T) {
	for what, spoil := range map[string]func(r *kafka.Record){
		"no JSON":        func(r *kafka.Record) { r.Value = []byte("{") },
		"no value":       func(r *kafka.Record) { r.Value = nil },
		"another shape":  func(r *kafka.Record) { r.Value = []byte(`{"order":7}`) },
		"no type":        func(r *kafka.Record) { r.Headers = with(*r, bus.HeaderType, "") },
		"no id":          func(r *kafka.Record) { r.Headers = with(*r, bus.HeaderID, "") },
		"a bad header":   func(r *kafka.Record) { r.Headers = with(*r, bus.HeaderTime, "noon") },
		"a rule's panic": func(r *kafka.Record) { r.Value = []byte(`{"order":"boom"}`) },
		"any bytes":      func(r *kafka.Record) { r.Headers, r.Key, r.Value = nil, []byte("payment-7"), []byte("\xff\x00") },
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			bad := event(paid{"7"}, "payment-7", 1)
			spoil(&bad)
			w.publish(bad, event(paid{"7"}, "payment-7", 2))
			w.forward()
			got := w.on("deal.commands.v1")
			if len(got) != 1 || got[0].Header(bus.HeaderCausation) != "payment-7/2" {
				t.Errorf("forwarded: %+v", got)
			}
			letters := w.on("deal.deadletters.v1")
			if len(letters) != 1 || w.dead != 1 {
				t.Fatalf("%d dead letters are counted, and there are: %+v", w.dead, letters)
			}
			var letter bus.DeadLetter
			if err := bus.Decode(letters[0].Value, &letter); err != nil {
				t.Fatal(err)
			}
			if letter.Topic != "till.events.v1" || letter.Offset != 0 || letter.Stream != "payment-7" || letter.Reason == "" ||
				letter.Consumer != "deal-forwarder" || strings.Contains(letter.Reason, "\n") || letter.MessageID == "" {
				t.Errorf("the letter says %+v", letter)
			}
		})
	}
}

func TestWhatWasNotPublishedIsForwardedAgain(t *testing.T) {
	w := newWorld(t)
	w.publish(event(paid{"7"}, "payment-7", 1), event(paid{"7"}, "payment-7", 2))
	w.faults = []int{1}
	var err error
	for range partitions * 2 {
		_, failed := w.consumer.StepAny(-1)
		err = errors.Join(err, failed)
	}
	if err == nil || w.failed != 1 {
		t.Fatalf("%v; failures: %d", err, w.failed)
	}
	w.consumer.Revoke()
	w.assign()
	w.forward()
	w.inOrder(map[string]int{"deal-7": 2})
}

// inOrder fails the test unless first occurrences of each stream's events are all there, in the
// order of their versions, whatever repeats there are.
func (w *world) inOrder(want map[string]int) {
	next, ids := map[string]int{}, map[string]string{}
	for _, r := range w.on("deal.commands.v1") {
		stream, event := string(r.Key), r.Header(bus.HeaderCausation)
		if id, again := ids[event]; again {
			if id != r.Header(bus.HeaderID) {
				w.t.Fatalf("%s came as two commands", event)
			}
			continue
		}
		ids[event] = r.Header(bus.HeaderID)
		next[stream]++
		if !strings.HasSuffix(event, fmt.Sprintf("/%d", next[stream])) {
			w.t.Fatalf("%s is number %d of stream %s", event, next[stream], stream)
		}
	}
	if fmt.Sprint(next) != fmt.Sprint(want) {
		w.t.Fatalf("forwarded are %v, want %v", next, want)
	}
}

// TestWhateverHappensEventsAreForwardedInOrder drives a forwarder through lost answers and
// changes of owner.
func TestWhateverHappensEventsAreForwardedInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		want := map[string]int{}
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0, 1:
				n := rapid.IntRange(1, 4).Draw(t, "order")
				want[fmt.Sprint("deal-", n)]++
				w.publish(event(paid{fmt.Sprint(n)}, fmt.Sprint("payment-", n), int64(want[fmt.Sprint("deal-", n)])))
			case 2, 3:
				_, _ = w.consumer.StepAny(rapid.IntRange(1, 5).Draw(t, "batch")) // a failure comes again
			case 4:
				w.faults = append(w.faults, rapid.IntRange(-1, 3).Draw(t, "written"))
			case 5:
				w.consumer.Revoke()
				w.assign()
			}
		}
		for failed := true; failed; {
			n, err := w.consumer.StepAny(-1)
			failed = n > 0 || err != nil
		}
		w.forward()
		w.inOrder(want)
	})
}

func TestAForwarderRefusesRulesThatMakeNoSense(t *testing.T) {
	rule := func(name string) Rule { return Rule{Type: name} }
	for what, rules := range map[string][]Rule{
		"twice":       {rule("orderlane.till.paid.v1"), rule("orderlane.till.paid.v1")},
		"its own":     {rule("orderlane.deal.closed.v1")},
		"no event":    {rule("paid")},
		"none at all": {rule("")},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", what)
				}
			}()
			NewForwarder(ForwarderOptions{Process: "deal", Rules: rules})
		}()
	}
}
