package bus

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/kafka"
)

// egg is an aggregate with a deadline: it rings when it has boiled.
type egg struct {
	Ready time.Time
	Rings int
}

type (
	eggEvent   interface{ evolve(egg) egg }
	eggCommand interface{ decide(egg) ([]eggEvent, error) }

	put  struct{ Ready time.Time }
	rang struct{ At time.Time }

	boil struct{ Until time.Time }
	ring struct{ At time.Time }
)

func (e put) evolve(g egg) egg { g.Ready = e.Ready; return g }
func (rang) evolve(g egg) egg  { g.Ready = time.Time{}; g.Rings++; return g }

func (c boil) decide(egg) ([]eggEvent, error) { return []eggEvent{put{c.Until}}, nil }
func (c ring) decide(egg) ([]eggEvent, error) { return []eggEvent{rang(c)}, nil }

var eggs = &es.Aggregate[egg, eggEvent, eggCommand]{
	Decider: es.Decider[egg, eggEvent, eggCommand]{
		Category: "egg",
		Initial:  func() egg { return egg{} },
		Decide:   func(c eggCommand, g egg) ([]eggEvent, error) { return c.decide(g) },
		Evolve:   func(e eggEvent, g egg) egg { return e.evolve(g) },
		Deadline: func(g egg) time.Time { return g.Ready },
	},
	Codec: es.NewCodec[eggEvent](es.Stored[put, eggEvent]("put"), es.Stored[rang, eggEvent]("rang")),
}

// boilEgg is the wire command.
type boilEgg struct {
	Until time.Time `json:"until"`
}

func (boilEgg) MessageType() string { return "orderlane.test.boil_egg.v1" }

// kitchen is a world whose service boils eggs beside counting.
func kitchen(t *testing.T) *world {
	w := newWorld(t)
	w.group = NewCommandGroup("test", w.engine,
		Handle(func(ctx context.Context, c *boilEgg) error {
			return Submit(ctx, w.engine, eggs, ResourceOf(EnvelopeFrom(ctx).Subject).ID, eggCommand(boil{c.Until}), false)
		}),
		HandleWakes("test", Waker(w.engine, eggs, func(_ string, due time.Time) eggCommand { return ring{due} })),
	)
	return w
}

func (w *world) boil(stream string, n int, until time.Time) {
	e := Envelope{ID: id(n).String(), Type: boilEgg{}.MessageType(), Subject: stream, Time: noon}
	data, err := Encode(boilEgg{until})
	if err != nil {
		w.t.Fatal(err)
	}
	w.publish(e.Record(commands.Topic, []byte(stream), data))
	w.all()
}

// all handles what waits.
func (w *world) all() {
	for w.take() {
	}
	w.settle()
}

// wakes are the messages for the timers that are due.
func (w *world) wakes(now time.Time) (records []kafka.Record) {
	due, err := w.log.DueTimers(context.Background(), now, 0, 10)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, timer := range due {
		r, err := WakeRecord("test", timer, noon)
		if err != nil {
			w.t.Fatal(err)
		}
		records = append(records, r)
	}
	return records
}

func (w *world) history(stream string) string {
	events, err := w.log.ReadStream(context.Background(), stream, 0, 100)
	if err != nil {
		w.t.Fatal(err)
	}
	var types []string
	for _, e := range events {
		types = append(types, e.Type)
	}
	return strings.Join(types, " ")
}

func TestAWakeOnTheWire(t *testing.T) {
	r, err := WakeRecord("test", es.Timer{Stream: "egg-7", Version: 3, Due: noon}, noon.Add(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "wake", r)
}

func TestEachTimerHasAWakeOfItsOwnAndTheSameWheneverItIsSent(t *testing.T) {
	timer := es.Timer{Stream: "egg-7", Version: 3, Due: noon}
	another, later, same := timer, timer, timer
	another.Version, later.Due, same.Due = 4, noon.Add(time.Microsecond), noon.In(time.FixedZone("far away", 3600))
	ids := map[string]int{}
	for _, timer := range []es.Timer{timer, another, later, same} {
		r, err := WakeRecord("test", timer, noon)
		if err != nil {
			t.Fatal(err)
		}
		ids[r.Header(HeaderID)]++
	}
	if len(ids) != 3 {
		t.Errorf("the ids of four wakes of three timers are %v", ids)
	}
}

func TestAWakeThatIsLongOverdueGetsAnotherIDEverMoreSeldom(t *testing.T) {
	var steps []time.Duration
	last := ""
	for late := -time.Minute; late <= 24*time.Hour; late += time.Minute {
		r, err := WakeRecord("test", es.Timer{Stream: "egg-7", Version: 3, Due: noon}, noon.Add(late))
		if err != nil {
			t.Fatal(err)
		}
		if id := r.Header(HeaderID); id != last {
			steps, last = append(steps, late), id
		}
	}
	if got := fmt.Sprint(steps); got != "[-1m0s 10m0s 20m0s 40m0s 1h20m0s 2h40m0s 5h20m0s 10h40m0s 21h20m0s]" {
		t.Errorf("another id when it is late by %s", got)
	}
}

// TestAStreamWhoseWakeIsUsedUpIsNotForgotten has the wake's id taken before it comes, as by an operator
// of an earlier release who discarded it.
func TestAStreamWhoseWakeIsUsedUpIsNotForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := kitchen(t)
		w.boil("egg-1", 1, noon)
		wake, err := WakeRecord("test", es.Timer{Stream: "egg-1", Version: 1, Due: noon}, noon)
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.log.Append(t.Context(), es.Batch{Seen: -1, Outcomes: []es.Outcome{{
			Command: uuid.MustParse(wake.Header(HeaderID)), Type: wakeType("test"), Stream: "egg-1", Status: es.StatusFailed, Time: noon,
		}}})
		if err != nil {
			t.Fatal(err)
		}
		w.publish(wake)
		w.all()
		if got := w.history("egg-1"); got != "put" {
			t.Fatalf("the egg: %s", got)
		}
		if wake, err = WakeRecord("test", es.Timer{Stream: "egg-1", Version: 1, Due: noon}, noon.Add(wakeAnew)); err != nil {
			t.Fatal(err)
		}
		w.publish(wake)
		w.all()
		if got := w.history("egg-1"); got != "put rang" {
			t.Errorf("the egg: %s", got)
		}
	})
}

func TestAWakeThatIsSentAgainCountsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := kitchen(t)
		w.boil("egg-1", 1, noon)
		wakes := append(w.wakes(noon), w.wakes(noon)...)
		if len(wakes) != 2 {
			t.Fatalf("%d wakes, want one twice", len(wakes))
		}
		w.publish(wakes...)
		w.all()
		if got := w.history("egg-1"); got != "put rang" {
			t.Errorf("the egg: %s", got)
		}
		if left := w.wakes(noon); len(left) > 0 {
			t.Errorf("it is to be woken again: %+v", left)
		}
	})
}

func TestAWakeIsDecidedInItsPlaceAmongTheCommandsOfItsStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := kitchen(t)
		w.boil("egg-1", 1, noon)
		w.boil("egg-2", 2, noon)
		wakes := w.wakes(noon)
		later := Envelope{ID: id(3).String(), Type: boilEgg{}.MessageType(), Subject: "egg-1", Time: noon}
		w.publish(later.Record(commands.Topic, []byte("egg-1"), []byte(`{"until":"2027-01-01T00:00:00Z"}`)))
		w.publish(wakes...)
		w.all()
		if got := w.history("egg-1") + ", " + w.history("egg-2"); got != "put put, put rang" {
			t.Errorf("the eggs: %s", got)
		}
		for _, r := range wakes { // both have an outcome, of which nobody is told
			if _, ok := w.outcome(uuid.MustParse(r.Header(HeaderID))); !ok {
				t.Error("a wake has no outcome")
			}
			w.wantOutcome(uuid.MustParse(r.Header(HeaderID)), "")
		}
	})
}

func (w *world) outcome(command uuid.UUID) (es.Outcome, bool) {
	found, err := w.log.Outcomes(context.Background(), []uuid.UUID{command})
	if err != nil {
		w.t.Fatal(err)
	}
	o, ok := found[command]
	return o, ok
}

func TestAWakeThatNamesNoStreamToWakeIsParked(t *testing.T) {
	for what, spoil := range map[string]func(r *kafka.Record){
		"another key":      func(r *kafka.Record) { r.Key = []byte("egg-2") },
		"another subject":  func(r *kafka.Record) { *r = with(*r, HeaderSubject, "egg-2") },
		"no such category": func(r *kafka.Record) { r.Value = []byte(`{"stream":"order-1","due":"2026-11-23T12:00:00Z"}`) },
		"no deadline":      func(r *kafka.Record) { r.Value = []byte(`{"stream":"egg-1"}`) },
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := kitchen(t)
				w.boil("egg-1", 1, noon)
				wakes := w.wakes(noon)
				spoil(&wakes[0])
				w.publish(wakes...)
				w.all()
				if got := w.history("egg-1"); got != "put" || len(w.parked()) != 1 {
					t.Errorf("the egg: %s; parked: %+v", got, w.parked())
				}
			})
		})
	}
}

func TestOnlyAServiceWithWakesHasTimers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if newWorld(t).group.Wakes() || !kitchen(t).group.Wakes() {
			t.Error("a service that handles no wakes is taken for one that does, or the reverse")
		}
	})
}
