package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/es/memlog"
	"github.com/orderlane/orderlane/pkg/fault"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/kafka/memkafka"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// counter is the aggregate of these tests: what was added, in order.
type counter struct{ Added []int }

type (
	added struct {
		N int `json:"n"`
	}
	addTo struct{ N int }
)

var counters = &es.Aggregate[counter, added, addTo]{
	Decider: es.Decider[counter, added, addTo]{
		Category: "counter",
		Initial:  func() counter { return counter{} },
		Decide: func(c addTo, _ counter) ([]added, error) {
			if c.N < 0 {
				return nil, fault.Invalid("negative", "only more is added")
			}
			return []added{added(c)}, nil
		},
		Evolve: func(e added, c counter) counter { c.Added = append(c.Added, e.N); return c },
	},
	Codec: es.NewCodec[added](es.Stored[added, added]("added")),
}

// add is the wire command.
type add struct {
	N  int    `json:"n"`
	To string `json:"to,omitempty"` // the counter; that of the subject if empty
}

func (add) MessageType() string { return "orderlane.test.add.v1" }

// explode makes its handler panic.
type explode struct {
	Why string `json:"why"`
}

func (explode) MessageType() string { return "orderlane.test.explode.v1" }

// world is a service from its command topic to its log, driven by hand in a bubble of
// testing/synctest: what runs concurrently has come to rest before each next step.
type world struct {
	t       rapid.TB
	broker  *memkafka.Broker
	log     *memlog.Log
	engine  *es.Engine
	group   *CommandGroup
	sub     *memkafka.Subscriber
	answers published

	mu     sync.Mutex
	failed []error // of handlers
}

var commands = kafka.Partition{Topic: "test.commands.v1"}

func newWorld(t rapid.TB) *world {
	w := &world{t: t, log: memlog.New(memlog.Options{Clock: clock})}
	w.broker = memkafka.New(clock, kafka.TopicSpec{Name: commands.Topic, Partitions: 1})
	w.start()
	w.sub = w.broker.Subscriber(0)
	return w
}

// start makes the parts that a crash takes with it.
func (w *world) start() {
	engine := es.NewEngine(es.Options{Log: w.log, Clock: clock, Publish: PublishAnswers(&w.answers, "test")})
	w.group = NewCommandGroup("test", engine,
		Handle(func(ctx context.Context, c *add) error {
			id := c.To
			if id == "" {
				_, id, _ = strings.Cut(EnvelopeFrom(ctx).Subject, "-")
			}
			return Submit(ctx, engine, counters, id, addTo{c.N}, false)
		}),
		Handle(func(_ context.Context, c *explode) error { panic(c.Why) }),
	)
	w.engine = engine
}

// take hands the next message to a handler, and returns when that waits for the engine.
func (w *world) take() bool {
	m, ok := w.sub.Next(commands)
	if !ok {
		return false
	}
	w.handle(m)
	return true
}

func (w *world) handle(m *message.Message) {
	go func() {
		if err := w.group.Handle(m); err != nil {
			w.mu.Lock()
			w.failed = append(w.failed, err)
			w.mu.Unlock()
			m.Nack()
			return
		}
		m.Ack()
	}()
	synctest.Wait()
}

// settle drives the engine until nothing waits.
func (w *world) settle() {
	for range 100 {
		stepped, err := w.engine.Step(context.Background())
		if err != nil {
			w.t.Fatal(err)
		}
		more, err := w.engine.Answer(context.Background())
		if err != nil {
			w.t.Fatal(err)
		}
		synctest.Wait()
		w.sub.Settle()
		if !more && stepped.Commands == 0 && !stepped.Again {
			return
		}
	}
	w.t.Fatal("the engine does not come to rest")
}

func (w *world) publish(records ...kafka.Record) {
	if err := w.broker.Producer().Publish(context.Background(), records); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) parked() []es.Parked {
	list, err := w.log.ParkedCommands(context.Background(), uuid.Nil, 100)
	if err != nil {
		w.t.Fatal(err)
	}
	return list
}

func (w *world) sum(stream string) (sum []int) {
	events, err := w.log.ReadStream(context.Background(), stream, 0, es.MaxRead)
	if err != nil {
		w.t.Fatal(err)
	}
	for i := range events {
		e, err := counters.Codec.Decode(&events[i])
		if err != nil {
			w.t.Fatal(err)
		}
		sum = append(sum, e.N)
	}
	return sum
}

func id(n int) uuid.UUID { return uuid.MustParse(fmt.Sprintf("00000000-0000-7000-8000-%012d", n)) }

// addRecord is the message of a command that adds n to a counter.
func addRecord(stream string, n int) kafka.Record {
	e := Envelope{ID: id(n).String(), Type: add{}.MessageType(), Source: Source("commandapi"), Subject: stream, Time: noon, Caller: Caller{ID: "c-42"}}
	return e.Record(commands.Topic, []byte(stream), fmt.Appendf(nil, `{"n":%d}`, n))
}

func with(r kafka.Record, name, value string) kafka.Record {
	r.Headers = slices.Clone(r.Headers)
	r.Headers = slices.DeleteFunc(r.Headers, func(h kafka.Header) bool { return h.Key == name })
	if value != "" {
		r.Headers = append(r.Headers, kafka.Header{Key: name, Value: []byte(value)})
	}
	return r
}

func TestWhatCannotBeHandledIsParkedWithItsPayloadAndTheNextCommandGoesOn(t *testing.T) {
	bad := addRecord("counter-1", 7)
	payload := func(value string) kafka.Record { r := bad; r.Value = []byte(value); return r }
	offset := DeriveID("message", commands.Topic, "0", "1")
	for what, c := range map[string]struct {
		record kafka.Record
		id     uuid.UUID
		reason string
	}{
		"unknown type":       {with(bad, HeaderType, "orderlane.test.dance.v1"), id(7), `no handler for the command type "orderlane.test.dance.v1"`},
		"no type":            {with(bad, HeaderType, ""), id(7), `no handler for the command type ""`},
		"no JSON":            {payload("{"), id(7), "decode orderlane.test.add.v1"},
		"empty":              {payload(""), id(7), "decode orderlane.test.add.v1"},
		"another shape":      {payload(`{"n":"seven"}`), id(7), "decode orderlane.test.add.v1"},
		"panicking handler":  {with(payload(`{"why":"nobody knows"}`), HeaderType, explode{}.MessageType()), id(7), "panic: nobody knows"},
		"unreadable header":  {with(bad, HeaderIfVersion, "latest"), id(7), "header ce_ifversion"},
		"no id":              {with(bad, HeaderID, ""), offset, "no usable id"},
		"an id of another":   {with(bad, HeaderID, "order 7"), offset, "no usable id"},
		"the nil UUID":       {with(bad, HeaderID, "00000000-0000-0000-0000-000000000000"), offset, "no usable id"},
		"another subject":    {with(payload(`{"n":7,"to":"1"}`), HeaderSubject, "counter-2"), id(7), `the command is for stream counter-1, but the key of its message is "counter-1" and its ce_subject is "counter-2"`},
		"no subject":         {with(payload(`{"n":7,"to":"1"}`), HeaderSubject, ""), id(7), `its ce_subject is ""`},
		"another stream":     {payload(`{"n":7,"to":"2"}`), id(7), `the command is for stream counter-2, but the key of its message is "counter-1"`},
		"another key":        {with(payload(`{"n":7,"to":"2"}`), HeaderSubject, "counter-2"), id(7), `the command is for stream counter-2, but the key of its message is "counter-1"`},
		"nothing but a text": {kafka.Record{Topic: commands.Topic, Partition: -1, Key: []byte("counter-1"), Value: []byte("hello")}, offset, "no usable id"},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.publish(addRecord("counter-1", 1), c.record, addRecord("counter-1", 2), addRecord("counter-2", 3))
				for w.take() {
				}
				w.settle()
				if got := fmt.Sprint(w.sum("counter-1"), w.sum("counter-2")); got != "[1 2] [3]" {
					t.Errorf("the others came to %s", got)
				}
				if got := w.sub.Committed(commands); got != 4 {
					t.Errorf("committed up to %d", got)
				}
				parked := w.parked()
				if len(parked) != 1 {
					t.Fatalf("%d are parked: %+v", len(parked), parked)
				}
				p := parked[0]
				if p.Command != c.id || string(p.Payload) != string(c.record.Value) || p.Topic != commands.Topic || p.Key != "counter-1" || p.Attempts != 1 {
					t.Errorf("parked is %+v", p)
				}
				if !strings.Contains(p.Reason, c.reason) {
					t.Errorf("the reason is %q", p.Reason)
				}
				if p.Headers[HeaderSource] != c.record.Header(HeaderSource) || p.Headers[HeaderID] != c.id.String() {
					t.Errorf("the headers are %v", p.Headers)
				}
				w.wantOutcome(c.id, es.StatusParked)
			})
		})
	}
}

// wantOutcome looks for the last outcome that was published of a command.
func (w *world) wantOutcome(command uuid.UUID, want es.Status) {
	got := ""
	for _, r := range w.answers.records {
		if r.Topic == OutcomesTopic && string(r.Key) == command.String() {
			got = r.Header(HeaderStatus)
		}
	}
	if got != string(want) {
		w.t.Errorf("the outcome of %s is %q, want %q", command, got, want)
	}
}

func TestAParkedCommandThatIsSentAgainComesAsItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		partition := "3"
		sent := with(addRecord("counter-1", 7), HeaderReplyTo, partition)
		w.publish(with(sent, HeaderID, "")) // it is parked for its id
		w.take()
		w.settle()
		parked := w.parked()[0]
		again := Resend(parked)
		if again.Topic != sent.Topic || string(again.Key) != string(sent.Key) || string(again.Value) != string(sent.Value) {
			t.Errorf("it is sent as %+v", again)
		}
		for _, h := range sent.Headers {
			want := string(h.Value)
			switch h.Key {
			case HeaderID:
				want = parked.Command.String()
			case HeaderReplyTo:
				want = "" // nobody waits any more
			}
			if got := again.Header(h.Key); got != want {
				t.Errorf("%s is %q, want %q", h.Key, got, want)
			}
		}
		if !slices.IsSortedFunc(again.Headers, func(a, b kafka.Header) int { return strings.Compare(a.Key, b.Key) }) {
			t.Error("the order of headers depends on a map")
		}
		w.publish(again, again)
		for w.take() {
		}
		w.settle()
		if got := fmt.Sprint(w.sum("counter-1"), len(w.parked())); got != "[7] 0" {
			t.Errorf("the stream and what is parked: %s", got)
		}
		w.wantOutcome(parked.Command, es.StatusSucceeded)
	})
}

func TestAParkedCommandThatIsDiscardedFailsForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.publish(with(addRecord("counter-1", 7), HeaderType, explode{}.MessageType()))
		w.take()
		w.settle()
		discard := Discard(w.parked()[0])
		if strings.Contains(discard.Header(HeaderDiscard), "\n") || len(discard.Value) > 2 {
			t.Errorf("the message carries more than it needs: %+v", discard)
		}
		w.publish(discard, Resend(w.parked()[0]), addRecord("counter-1", 8))
		for w.take() {
		}
		w.settle()
		w.wantOutcome(id(7), es.StatusFailed)
		if got := fmt.Sprint(w.sum("counter-1"), len(w.parked())); got != "[8] 0" {
			t.Errorf("the stream and what is parked: %s", got)
		}
	})
}

func TestARefusalIsAnOutcomeAndRepeatsGetTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		negative := addRecord("counter-1", 5)
		negative.Value = []byte(`{"n":-1}`)
		w.publish(negative, addRecord("counter-1", 6), addRecord("counter-1", 6), negative)
		for w.take() {
			w.settle()
		}
		w.wantOutcome(id(5), es.StatusRefused)
		w.wantOutcome(id(6), es.StatusSucceeded)
		if got := fmt.Sprint(w.sum("counter-1"), len(w.answers.records), len(w.failed)); got != "[6] 4 0" {
			t.Errorf("stream, answers, failures: %s", got)
		}
		if a, b := w.answers.records[1], w.answers.records[2]; string(a.Value) != string(b.Value) {
			t.Errorf("two answers to one command:\n%s\n%s", a.Value, b.Value)
		}
	})
}

// TestCommandsOfAKeyAreDecidedInTheirOrder lets handlers reach the engine in any order, with
// some that never do, and with crashes between.
func TestCommandsOfAKeyAreDecidedInTheirOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		bubble(t, func() {
			w := newWorld(rt)
			want := map[string][]int{}
			n := rapid.IntRange(1, 30).Draw(rt, "commands")
			for i := 1; i <= n; i++ {
				stream := rapid.SampledFrom([]string{"counter-1", "counter-2", "counter-3"}).Draw(rt, "stream")
				r := addRecord(stream, i)
				switch rapid.IntRange(0, 5).Draw(rt, "kind") {
				case 0:
					r.Value = []byte("{")
				case 1:
					r = with(r, HeaderType, explode{}.MessageType())
				default:
					want[stream] = append(want[stream], i)
				}
				w.publish(r)
			}
			var held []*message.Message
			for step := 0; step < 500 && int(w.sub.Committed(commands)) < n; step++ {
				switch rapid.IntRange(0, 9).Draw(rt, "step") {
				case 0, 1, 2, 3:
					if m, ok := w.sub.Next(commands); ok {
						held = append(held, m)
					}
				case 4, 5, 6, 7: // any of those that were handed out is handled next
					if len(held) > 0 {
						i := rapid.IntRange(0, len(held)-1).Draw(rt, "which")
						w.handle(held[i])
						held = slices.Delete(held, i, i+1)
					}
				case 8:
					w.settle()
				case 9:
					w.crash()
					held = nil
				}
			}
			for w.crash(); int(w.sub.Committed(commands)) < n; w.settle() {
				for w.take() {
				}
			}
			for stream, want := range want {
				if got := w.sum(stream); !slices.Equal(got, want) {
					rt.Errorf("%s holds %v, want %v", stream, got, want)
				}
			}
			w.stop()
		})
	})
}

// crash ends the process and starts another one on the same log.
func (w *world) crash() {
	w.sub.Crash()
	synctest.Wait() // its handlers end with their contexts
	w.start()
}

func (w *world) stop() {
	if err := w.sub.Close(); err != nil {
		w.t.Error(err)
	}
	synctest.Wait()
}

// bubble runs a check of rapid in a bubble of testing/synctest. A failure leaves it as the
// panic that rapid makes of it.
func bubble(t *testing.T, run func()) {
	var failure any
	synctest.Test(t, func(*testing.T) {
		defer func() { failure = recover() }()
		run()
	})
	// rapid tells failures apart by where they come from, and must not take a shorter life that
	// has run out of numbers for the one that failed.
	if strings.Contains(fmt.Sprintf("%T", failure), "invalidData") {
		panic(failure)
	}
	if failure != nil {
		panic(failure)
	}
}

func TestAnEngineThatStopsIsNoReasonToPark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.publish(addRecord("counter-1", 1), addRecord("counter-1", 2))
		w.take()
		stopped, stop := context.WithCancel(t.Context())
		stop()
		if err := w.engine.Run(stopped, time.Second); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		w.take()
		if len(w.failed) != 2 || !errors.Is(w.failed[0], es.ErrStopped) || !errors.Is(w.failed[1], es.ErrStopped) {
			t.Errorf("the handlers said %v", w.failed)
		}
		if len(w.parked()) != 0 || w.sub.Committed(commands) != 0 {
			t.Error("a command that was not handled is taken for done")
		}
	})
}

func TestSubmitOutsideOfAHandlerIsAnError(t *testing.T) {
	if err := Submit(t.Context(), nil, counters, "1", addTo{}, false); err == nil {
		t.Error("it did something")
	}
	if got := EnvelopeFrom(t.Context()); got.ID != "" {
		t.Errorf("got %+v", got)
	}
}

func TestTwoHandlersOfATypeAreAMistakeInTheProgram(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("one of them would never be called")
		}
	}()
	h := Handle(func(context.Context, *add) error { return nil })
	NewCommandGroup("test", nil, h, h)
}

// TestARouterDrivesTheGroup runs the parts as a service does, with Watermill's router.
func TestARouterDrivesTheGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		consumer, err := NewConsumer(w.group, w.sub, time.Second, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 2)
		go func() { ended <- consumer.Run(ctx) }()
		go func() { ended <- w.engine.Run(ctx, time.Second) }()
		<-consumer.Running()
		for n := 1; n <= 20; n++ {
			w.publish(addRecord(fmt.Sprint("counter-", n%3), n))
		}
		for w.sub.Step(commands) {
		}
		synctest.Wait()
		w.sub.Settle()
		if got := w.sub.Committed(commands); got != 20 {
			t.Errorf("%d of 20 are done", got)
		}
		if got := w.sum("counter-1"); !slices.IsSorted(got) || len(got) != 7 {
			t.Errorf("counter-1 holds %v", got)
		}
		cancel()
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	})
}
