package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/fault"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/kafka/memkafka"
)

// charged and notCharged are the reports on charge.
type (
	charged    struct{ Cents int }
	notCharged struct{ Reason string }
)

func (charged) MessageType() string    { return "orderlane.test.charged.v1" }
func (notCharged) MessageType() string { return "orderlane.test.not_charged.v1" }

var tasks = kafka.Partition{Topic: "test.tasks.v1"}

// gateway is a task group whose provider a test scripts.
type gateway struct {
	t        *testing.T
	broker   *memkafka.Broker
	sub      *memkafka.Subscriber
	group    *TaskGroup
	provider func(ctx context.Context, c *charge) (Typed, error)
	giveUp   func(c *charge, err error) Typed

	mu      sync.Mutex
	results []string
	errs    []error
}

func newGateway(t *testing.T) *gateway {
	g := &gateway{t: t}
	g.broker = memkafka.New(clock, Tasks("test", 1, 1), DeadLetters("test", 1, 1), kafka.TopicSpec{Name: commands.Topic, Partitions: 1})
	g.sub = g.broker.Subscriber(0)
	g.provider = func(_ context.Context, c *charge) (Typed, error) { return charged{c.Cents}, nil }
	g.giveUp = func(_ *charge, err error) Typed { return notCharged{firstLine(err.Error())} }
	g.group = NewTaskGroup(
		TaskOptions{Service: "test", Producer: g.broker.Producer(), Clock: clock, Attempts: 3, Timeout: time.Second, Observer: g},
		HandleTask(
			func(ctx context.Context, c *charge) (Typed, error) { return g.provider(ctx, c) },
			func(_ context.Context, c *charge, err error) Typed { return g.giveUp(c, err) },
		))
	return g
}

// Attempted implements TaskObserver.
func (g *gateway) Attempted(_ string, result TaskResult, _ time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.results = append(g.results, string(result))
}

// chargeRecord is the message of a task.
func chargeRecord(n int) kafka.Record {
	e := Envelope{
		ID: id(n).String(), Type: charge{}.MessageType(), Source: Source("test"), Subject: "counter-7", Time: noon,
		Traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", Correlation: "the first of all", Causation: "counter-7/3",
		Caller: Caller{ID: "test", Role: RoleService}, ReplyTo: noReply(),
	}
	return e.Record(tasks.Topic, []byte("counter-7"), fmt.Appendf(nil, `{"cents":%d}`, n))
}

// run publishes tasks and handles them until they are settled, one after the other.
func (g *gateway) run(records ...kafka.Record) {
	g.t.Helper()
	if err := g.broker.Producer().Publish(g.t.Context(), records); err != nil {
		g.t.Fatal(err)
	}
	for {
		m, ok := g.sub.Next(tasks)
		if !ok {
			return
		}
		for again := []*message.Message{m}; len(again) > 0; again = g.sub.Settle() {
			g.handle(again[0])
		}
	}
}

// handle does as a Watermill router does.
func (g *gateway) handle(m *message.Message) {
	if err := g.group.Handle(m); err != nil {
		g.errs = append(g.errs, err)
		m.Nack()
		return
	}
	m.Ack()
}

func (g *gateway) records(topic string) []kafka.Record {
	return g.broker.Records(kafka.Partition{Topic: topic}, 0, -1)
}

// came fails the test unless tasks came to these results, reports and dead letters.
func (g *gateway) came(results string, reports, dead int) {
	g.t.Helper()
	if got := strings.Join(g.results, " "); got != results {
		g.t.Errorf("attempts: %s, want %s", got, results)
	}
	if got := g.records(commands.Topic); len(got) != reports {
		g.t.Errorf("%d reports, want %d: %+v", len(got), reports, got)
	}
	if got := g.records(DeadLettersTopic("test")); len(got) != dead {
		g.t.Errorf("%d dead letters, want %d: %+v", len(got), dead, got)
	}
	if got, want := g.sub.Committed(tasks), int64(len(g.records(tasks.Topic))); got != want {
		g.t.Errorf("%d of %d tasks are over", got, want)
	}
}

func TestAReportOnTheWire(t *testing.T) {
	g := newGateway(t)
	g.run(chargeRecord(5))
	g.came("done", 1, 0)
	golden(t, "report", g.records(commands.Topic)...)
}

func TestATaskIsReportedUnderTheSameIDHoweverOftenItComes(t *testing.T) {
	g := newGateway(t)
	g.run(chargeRecord(5), chargeRecord(5), chargeRecord(6))
	g.came("done done done", 3, 0)
	var ids []string
	for _, r := range g.records(commands.Topic) {
		ids = append(ids, r.Header(HeaderID))
	}
	if ids[0] != ids[1] || ids[0] == ids[2] {
		t.Errorf("the reports have the ids %v", ids)
	}
}

func TestATaskWithoutAReportIsOverAllTheSame(t *testing.T) {
	g := newGateway(t)
	g.provider = func(context.Context, *charge) (Typed, error) { return nil, nil }
	g.run(chargeRecord(5))
	g.came("done", 0, 0)
}

func TestAFailedTaskIsTriedAgainWithTheSameKeyForTheProvider(t *testing.T) {
	g := newGateway(t)
	var keys []string
	g.provider = func(ctx context.Context, c *charge) (Typed, error) {
		keys = append(keys, EnvelopeFrom(ctx).ID+EnvelopeFrom(ctx).Subject)
		if len(keys) < 3 {
			return nil, errors.New("out of order")
		}
		return charged{c.Cents}, nil
	}
	g.run(chargeRecord(5))
	g.came("failed failed done", 1, 0)
	if want := id(5).String() + "counter-7"; !slices.Equal(keys, []string{want, want, want}) {
		t.Errorf("the provider saw %v", keys)
	}
}

func TestATaskThatFailsForTheLastTimeIsGivenUpAndReported(t *testing.T) {
	for what, failure := range map[string]error{
		"any error":     errors.New("out of order"),
		"too many":      &fault.Fault{Kind: fault.KindTooMany, Code: "slow_down"},
		"out of reach":  &fault.Fault{Kind: fault.KindUnavailable, Code: "away"},
		"a fault of us": &fault.Fault{Kind: fault.KindInternal, Code: "bug"},
	} {
		t.Run(what, func(t *testing.T) {
			g := newGateway(t)
			g.provider = func(context.Context, *charge) (Typed, error) { return nil, failure }
			g.run(chargeRecord(5))
			g.came("failed failed exhausted", 1, 1)
			if got := g.records(commands.Topic)[0]; got.Header(HeaderType) != (notCharged{}).MessageType() || !strings.Contains(string(got.Value), failure.Error()) {
				t.Errorf("reported: %+v", got)
			}
		})
	}
}

func TestARefusalIsFinalAndNoDeadLetter(t *testing.T) {
	g := newGateway(t)
	g.provider = func(context.Context, *charge) (Typed, error) {
		return charged{1}, fmt.Errorf("the bank: %w", fault.Conflict("declined", "no cover"))
	}
	g.run(chargeRecord(5))
	g.came("refused", 1, 0)
	if got := string(g.records(commands.Topic)[0].Value); got != `{"Reason":"the bank: declined: no cover"}` {
		t.Errorf("reported: %s", got)
	}
}

func TestAGatewayThatGivesUpMayReportNothing(t *testing.T) {
	g := newGateway(t)
	g.provider = func(context.Context, *charge) (Typed, error) { return nil, fault.Conflict("declined", "") }
	g.giveUp = func(*charge, error) Typed { return nil }
	g.run(chargeRecord(5))
	g.came("refused", 0, 0)
}

func TestAPanicIsOneTasksDeadLetterAndTheNextGoesOn(t *testing.T) {
	g := newGateway(t)
	g.provider = func(_ context.Context, c *charge) (Typed, error) {
		if c.Cents == 5 {
			panic("oh")
		}
		return charged{c.Cents}, nil
	}
	g.run(chargeRecord(5), chargeRecord(6))
	g.came("broken done", 2, 1)
	if got := string(g.records(DeadLettersTopic("test"))[0].Value); !strings.Contains(got, `"panic: oh"`) || !strings.Contains(got, id(5).String()) {
		t.Errorf("the dead letter says %s", got)
	}
	if got := string(g.records(commands.Topic)[0].Value); got != `{"Reason":"panic: oh"}` {
		t.Errorf("reported: %s", got)
	}
}

func TestAPanicWhileGivingUpIsADeadLetterToo(t *testing.T) {
	g := newGateway(t)
	g.provider = func(context.Context, *charge) (Typed, error) { return nil, fault.Conflict("declined", "") }
	g.giveUp = func(*charge, error) Typed { panic("oh") }
	g.run(chargeRecord(5))
	g.came("broken", 0, 1)
}

// unsaid is a report that can't be sent.
type unsaid struct{ Why any }

func (unsaid) MessageType() string { return "orderlane.test.unsaid.v1" }

func TestAReportThatCanNotBeSentIsADeadLetterAndTheNextTaskGoesOn(t *testing.T) {
	for what, report := range map[string]Typed{"no JSON": unsaid{func() {}}, "too large": unsaid{strings.Repeat("x", es.MaxPayload)}} {
		t.Run(what, func(t *testing.T) {
			g := newGateway(t)
			g.provider = func(_ context.Context, c *charge) (Typed, error) {
				if c.Cents == 5 {
					return report, nil
				}
				return charged{c.Cents}, nil
			}
			g.run(chargeRecord(5), chargeRecord(6))
			g.came("broken done", 1, 1)
			if got := string(g.records(DeadLettersTopic("test"))[0].Value); !strings.Contains(got, "encode the report orderlane.test.unsaid.v1") {
				t.Errorf("the dead letter says %s", got)
			}
		})
	}
}

func TestWhatIsNoTaskIsADeadLetterAndTheNextGoesOn(t *testing.T) {
	for what, spoil := range map[string]func(r *kafka.Record){
		"no JSON":         func(r *kafka.Record) { r.Value = []byte("{") },
		"another shape":   func(r *kafka.Record) { r.Value = []byte(`{"cents":"five"}`) },
		"an unknown type": func(r *kafka.Record) { *r = with(*r, HeaderType, "orderlane.test.dance.v1") },
		"no id":           func(r *kafka.Record) { *r = with(*r, HeaderID, "") },
		"a bad header":    func(r *kafka.Record) { *r = with(*r, HeaderTime, "noon") },
		"another key":     func(r *kafka.Record) { r.Key = []byte("counter-8") },
		"no stream":       func(r *kafka.Record) { *r = with(*r, HeaderSubject, "") },
	} {
		t.Run(what, func(t *testing.T) {
			g := newGateway(t)
			bad := chargeRecord(5)
			spoil(&bad)
			g.run(bad, chargeRecord(6))
			g.came("broken done", 1, 1)
		})
	}
}

func TestAnAttemptHasItsTimeAndThenItHasFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGateway(t)
		g.provider = func(ctx context.Context, _ *charge) (Typed, error) {
			<-ctx.Done()
			return nil, fmt.Errorf("ask the bank: %w", ctx.Err())
		}
		started := time.Now()
		g.run(chargeRecord(5))
		g.came("failed failed exhausted", 1, 1)
		if took := time.Since(started); took != 3*time.Second {
			t.Errorf("three attempts of a second took %s", took)
		}
	})
}

func TestATaskThatIsCutOffIsLeftToTheNextOwner(t *testing.T) {
	g := newGateway(t)
	g.provider = func(ctx context.Context, _ *charge) (Typed, error) {
		g.sub.Crash() // its context ends
		return nil, ctx.Err()
	}
	if err := g.broker.Producer().Publish(t.Context(), []kafka.Record{chargeRecord(5)}); err != nil {
		t.Fatal(err)
	}
	m, _ := g.sub.Next(tasks)
	g.handle(m)
	if len(g.errs) != 1 || len(g.results) > 0 {
		t.Fatalf("errors %v, results %v", g.errs, g.results)
	}
	g.provider = func(_ context.Context, c *charge) (Typed, error) { return charged{c.Cents}, nil }
	g.run()
	g.came("done", 1, 0)
}

func TestAReportIsSentAgainUntilTheBrokerHasItAndTheWorkIsDoneOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGateway(t)
		producer := &shaky{Producer: g.broker.Producer(), fails: 4}
		g.group.Producer = producer
		calls := 0
		g.provider = func(_ context.Context, c *charge) (Typed, error) { calls++; return charged{c.Cents}, nil }
		g.run(chargeRecord(5))
		g.came("done", 1, 0)
		if calls != 1 || producer.fails != 0 {
			t.Errorf("%d calls of the provider, %d failures left", calls, producer.fails)
		}
	})
}

// shaky is a producer that fails so often.
type shaky struct {
	kafka.Producer
	fails int
}

func (s *shaky) Publish(ctx context.Context, recs []kafka.Record) error {
	if s.fails > 0 {
		s.fails--
		return errors.New("the broker is away")
	}
	return s.Producer.Publish(ctx, recs)
}
