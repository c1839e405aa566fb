package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/orderlane/orderlane/e2e/realparts"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/daemon"
	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/process"
)

// The services of this test: a shop whose sales are placed and closed, and a process that has
// each sale charged, leaves the customer some time, and then closes it.
type (
	fact    struct{ Do string } // event and command of both: what happened is what was asked
	history struct {
		Done  []string
		Until time.Time
	}

	place    struct{}
	placed   struct{ Sale string }
	closeIt  struct{}
	charge   struct{ Sale string }
	charged  struct{ At time.Time }
	declined struct{ Reason string }
)

func (place) MessageType() string    { return "orderlane.shop.place.v1" }
func (placed) MessageType() string   { return "orderlane.shop.placed.v1" }
func (closeIt) MessageType() string  { return "orderlane.shop.close.v1" }
func (charge) MessageType() string   { return "orderlane.deal.charge.v1" }
func (charged) MessageType() string  { return "orderlane.deal.charged.v1" }
func (declined) MessageType() string { return "orderlane.deal.declined.v1" }

// grace is what a customer has to think a sale over.
const grace = 1500 * time.Millisecond

func facts(category string) *es.Aggregate[history, fact, fact] {
	return &es.Aggregate[history, fact, fact]{
		Decider: es.Decider[history, fact, fact]{
			Category: category,
			Initial:  func() history { return history{} },
			Decide: func(c fact, h history) ([]fact, error) {
				if slices.Contains(h.Done, c.Do) {
					return nil, fmt.Errorf("%s was done twice", c.Do)
				}
				return []fact{c}, nil
			},
			Evolve: func(e fact, h history) history {
				h.Done, h.Until = append(h.Done, e.Do), time.Time{}
				if at, ok := strings.CutPrefix(e.Do, "charged "); ok {
					h.Until, _ = time.Parse(time.RFC3339Nano, at)
				}
				return h
			},
			Deadline: func(h history) time.Time { return h.Until },
		},
		Codec: es.NewCodec[fact](es.Stored[fact, fact]("fact")),
	}
}

var sales, deals = facts("sale"), facts("deal")

// does is a handler that submits a fact for the stream that the message is for.
func does[C any](engine *es.Engine, of *es.Aggregate[history, fact, fact], what func(*C) string) bus.Handler {
	return bus.Handle(func(ctx context.Context, c *C) error {
		return bus.Submit(ctx, engine, of, bus.ResourceOf(bus.EnvelopeFrom(ctx).Subject).ID, fact{what(c)}, false)
	})
}

func factOf(r *es.Record) (string, error) {
	e, err := sales.Codec.Decode(r)
	what, _, _ := strings.Cut(e.Do, " ")
	return what, err
}

func shop() Write {
	return Write{
		Name: "shop",
		Public: func(r *es.Record) (string, any, error) {
			what, err := factOf(r)
			return what, placed{bus.ResourceOf(r.Stream).ID}, err
		},
		Handlers: func(e *es.Engine) []bus.Handler {
			return []bus.Handler{
				does(e, sales, func(*place) string { return "placed" }),
				does(e, sales, func(*closeIt) string { return "closed" }),
			}
		},
	}
}

func deal() Write {
	return Write{
		Name:   "deal",
		Public: func(r *es.Record) (string, any, error) { what, err := factOf(r); return what, struct{}{}, err },
		Handlers: func(e *es.Engine) []bus.Handler {
			return []bus.Handler{
				does(e, deals, func(*placed) string { return "begun" }),
				does(e, deals, func(c *charged) string { return "charged " + c.At.Add(grace).Format(time.RFC3339Nano) }),
				does(e, deals, func(*declined) string { return "declined" }),
				bus.HandleWakes("deal", bus.Waker(e, deals, func(string, time.Time) fact { return fact{"due"} })),
			}
		},
		Asks: func(r *es.Record) ([]bus.Ask, error) {
			id := bus.ResourceOf(r.Stream).ID
			switch what, err := factOf(r); what {
			case "begun":
				return []bus.Ask{{Service: "deal", Task: true, Stream: r.Stream, Body: charge{id}}}, nil
			case "due", "declined":
				return []bus.Ask{{Service: "shop", Stream: sales.Stream(id), Body: closeIt{}}}, nil
			default:
				return nil, err
			}
		},
	}
}

// bank is the outside world: it fails once for each sale, and keeps what it was asked for.
type bank struct {
	mu    sync.Mutex
	asked map[string]int // by idempotency key
}

func (b *bank) charge(ctx context.Context, c *charge) (bus.Typed, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked[bus.EnvelopeFrom(ctx).ID]++
	switch {
	case strings.HasPrefix(c.Sale, "never"):
		return nil, errors.New("the bank is closed for good")
	case b.asked[bus.EnvelopeFrom(ctx).ID] == 1:
		return nil, errors.New("the bank is closed")
	}
	return charged{time.Now()}, nil
}

func (b *bank) gateway() Gateway {
	return Gateway{
		Service: "deal", Attempts: 3, RetryMin: time.Millisecond,
		Handlers: []bus.TaskHandler{bus.HandleTask(b.charge, func(_ context.Context, _ *charge, err error) bus.Typed { return declined{err.Error()} })},
	}
}

// life is one run of all services in one process.
type life struct {
	*Platform
	t    *testing.T
	stop func()
}

// start runs the platform, until stop or the end of the test.
func start(t *testing.T, s *daemon.Settings, b *bank) *life {
	t.Helper()
	const partitions = 2
	topics := []kafka.TopicSpec{bus.Outcomes(partitions, 1), bus.Tasks("deal", partitions, 1)}
	for _, name := range []string{"shop", "deal"} {
		topics = append(topics, bus.ServiceTopics(name, false, partitions, 1)...)
	}
	env := daemon.NewEnv(s, slog.New(slog.DiscardHandler))
	sup := daemon.NewSupervisor(env.Log, env.Health, s.DrainDeadline)
	p := New(env, sup, nil, topics)
	p.AddWrite(shop())
	p.AddWrite(deal())
	p.AddGateway(b.gateway())
	p.AddForwarder("deal", process.Forward(func(e *placed) string { return deals.Stream(e.Sale) }))
	up := make(chan struct{})
	sup.Add(daemon.StageReady, daemon.Component{Name: "test", Start: func(context.Context) error { close(up); return nil }})

	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- sup.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the process ended with %v", err)
		}
	})
	t.Cleanup(stop)
	select {
	case <-up:
	case err := <-ended:
		t.Fatalf("the process did not start: %v", err)
	}
	return &life{Platform: p, t: t, stop: stop}
}

func (l *life) place(ids ...string) {
	l.t.Helper()
	var records []kafka.Record
	for _, id := range ids {
		e := bus.Envelope{ID: uuid.NewSHA1(uuid.NameSpaceOID, []byte(id)).String(), Type: place{}.MessageType(), Subject: sales.Stream(id), Time: time.Now()}
		records = append(records, e.Record(bus.CommandsTopic("shop"), []byte(sales.Stream(id)), []byte("{}")))
	}
	if err := l.Producer.Publish(l.t.Context(), records); err != nil {
		l.t.Fatal(err)
	}
}

// events are the histories of a service's streams, as its topic tells them.
func (l *life) events(service string) map[string]string {
	l.t.Helper()
	topic := bus.EventsTopic(service)
	held, err := l.Admin.Offsets(l.t.Context(), topic)
	if err != nil {
		l.t.Fatal(err)
	}
	all := make(map[string]string)
	for id, r := range held {
		err := l.Admin.ReadRange(l.t.Context(), kafka.Partition{Topic: topic, ID: id}, r.First, r.Last, func(r kafka.Record) error {
			_, name, _ := strings.Cut(r.Header(bus.HeaderType), service+".")
			all[string(r.Key)] += strings.TrimSuffix(name, ".v1") + " "
			return nil
		})
		if err != nil {
			l.t.Fatal(err)
		}
	}
	return all
}

// come waits until the history of every one of the streams begins like this.
func (l *life) come(service, history string, streams ...string) {
	l.t.Helper()
	deadline := time.After(time.Minute)
	for {
		all := l.events(service)
		left := slices.DeleteFunc(slices.Clone(streams), func(s string) bool { return strings.HasPrefix(all[s], history) })
		if len(left) == 0 {
			return
		}
		select {
		case <-deadline:
			l.t.Fatalf("%s of %s did not come to %q: %v", left, service, history, all)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func TestAProcessIsCarriedThroughByEventsTasksAndTimersAlsoOverARestart(t *testing.T) {
	settings := func(t *testing.T) *daemon.Settings {
		s := &daemon.Settings{Data: t.TempDir(), DrainDeadline: time.Minute, OutcomeRetention: time.Hour}
		s.Kafka.Window, s.Kafka.SessionTimeout, s.Kafka.Heartbeat = 100, 6*time.Second, 500*time.Millisecond
		s.Embedded.Listen = "127.0.0.1:0"
		return s
	}
	t.Run("embedded", func(t *testing.T) { carryThrough(t, settings(t)) })
	t.Run("Apache Kafka and PostgreSQL", func(t *testing.T) {
		s := settings(t)
		s.Kafka.Brokers, s.Kafka.CreateTopics, s.Kafka.SASL = realparts.StartKafka(t).Brokers(), true, "none"
		s.Postgres = realparts.Postgres(t)
		carryThrough(t, s)
	})
}

func carryThrough(t *testing.T, s *daemon.Settings) {
	b := &bank{asked: make(map[string]int)}
	l := start(t, s, b)
	var ids, sold, dealt []string
	for i := range 20 {
		id := fmt.Sprintf("s%d", i)
		ids, sold, dealt = append(ids, id), append(sold, sales.Stream(id)), append(dealt, deals.Stream(id))
	}
	l.place(append(ids, "never")...)
	l.come("deal", "begun charged ", dealt...)
	l.come("deal", "begun declined ", "deal-never")
	l.stop() // the timers are set, and nobody is there

	l = start(t, s, b)
	l.come("deal", "begun charged due ", dealt...)
	l.come("shop", "placed closed ", append(sold, "sale-never")...)
	l.stop()
	for key, n := range b.asked {
		if n != 2 && n != 3 {
			t.Errorf("the bank was asked %d times for %s", n, key)
		}
	}
	if len(b.asked) != len(ids)+1 {
		t.Errorf("the bank saw %d keys of %d sales", len(b.asked), len(ids)+1)
	}
}
