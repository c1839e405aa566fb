package relay_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/es/memlog"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/kafka/memkafka"
	"github.com/orderlane/orderlane/pkg/relay"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	topic    = "things.events.v1"
	leaseTTL = 6 * time.Second
)

// world is a log, a broker, and relays between them that are driven by hand.
type world struct {
	t        rapid.TB
	now      time.Time
	store    *memlog.Store
	log      *memlog.Log
	broker   *memkafka.Broker
	versions map[string]int64
	leading  map[string]bool // what the relays' observers were told, by holder
	failed   int
}

func newWorld(t rapid.TB) *world {
	w := &world{t: t, now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), versions: map[string]int64{}, leading: map[string]bool{}}
	w.store = memlog.NewStore(memlog.Options{Clock: w.clock, Epoch: "e1"})
	w.log = w.store.Open()
	w.broker = memkafka.New(w.clock, kafka.TopicSpec{Name: topic, Partitions: 3})
	return w
}

func (w *world) clock() time.Time { return w.now }

// happen appends events to streams, with whatever cursors ride along.
func (w *world) happen(streams []string, cursors ...es.Cursor) {
	b := es.Batch{Seen: -1, Cursors: cursors}
	for _, s := range streams {
		if !slices.ContainsFunc(b.Streams, func(v es.StreamVersion) bool { return v.Stream == s }) {
			b.Streams = append(b.Streams, es.StreamVersion{Stream: s, Version: w.versions[s]})
		}
		w.versions[s]++
		b.Events = append(b.Events, es.Record{Stream: s, Version: w.versions[s], Type: "happened", Schema: 1, Time: w.now, Data: []byte("{}")})
	}
	if _, err := w.log.Append(context.Background(), b); err != nil {
		w.t.Fatal(err)
	}
}

func translate(_ context.Context, epoch string, r *es.Record) ([]kafka.Record, error) {
	e := bus.Envelope{
		ID: r.ID(), Type: "orderlane.things.happened.v1", Subject: r.Stream, Time: r.Time,
		StreamVersion: r.Version, Position: r.Position, Epoch: epoch,
	}
	return []kafka.Record{e.Record(topic, []byte(r.Stream), r.Data)}, nil
}

// relay returns a relay, as another process would start it.
func (w *world) relay(holder string, change ...func(*relay.Options)) *relay.Relay {
	o := relay.Options{
		Name: "relay", Holder: holder, Log: w.log, Clock: w.clock, Translate: translate, Observer: observer{w, holder},
		Producer: func(context.Context) (kafka.Producer, error) { return w.broker.Transactional("relay"), nil },
	}
	for _, c := range change {
		c(&o)
	}
	return relay.New(o)
}

type observer struct {
	w      *world
	holder string
}

func (observer) Published(int, int64, time.Duration) {}
func (o observer) Failed(error)                      { o.w.failed++ }
func (o observer) Leading(yes bool)                  { o.w.leading[o.holder] = yes }

// resuming reads what is on the topic when the relay becomes the leader.
func (w *world) resuming(o *relay.Options) {
	o.Resume = func(ctx context.Context) (relay.Resumed, error) {
		return bus.ReadPublished(ctx, w.broker, w.publication(), topic)
	}
}

// publication says whose events the topic holds, and which log they are from.
func (w *world) publication() *bus.Publication {
	return &bus.Publication{Service: "things", Log: w.log}
}

func ordered(w *world) func(*relay.Options) {
	return func(o *relay.Options) {
		o.Producer = func(context.Context) (kafka.Producer, error) { return w.broker.Producer(), nil }
	}
}

func (w *world) step(r *relay.Relay, want int) {
	if h, ok := w.t.(interface{ Helper() }); ok {
		h.Helper()
	}
	if n, err := r.Step(context.Background()); n != want || err != nil {
		w.t.Fatalf("published %d, %v; want %d", n, err, want)
	}
}

// onTopic are the events on the topic, partition by partition, and how many are repeats.
// It fails if first occurrences of a stream are not its versions from 1 on, or of a partition
// not in the log's order, or if something is there that the log does not hold.
func (w *world) onTopic() (firsts, repeats int) {
	head, err := w.log.Head(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	versions := map[string]int64{}
	for _, p := range w.broker.Partitions(topic) {
		last := int64(0)
		for _, r := range w.broker.Records(p, 0, -1) {
			e, err := bus.EnvelopeOf(&r)
			if err != nil {
				w.t.Fatal(err)
			}
			switch {
			case e.ID != fmt.Sprintf("%s/%d", e.Subject, e.StreamVersion) || e.Position > head.Position:
				w.t.Fatalf("%s at position %d is not in the log", e.ID, e.Position)
			case e.StreamVersion <= versions[e.Subject]:
				repeats++
				continue
			case e.StreamVersion != versions[e.Subject]+1 || e.Position <= last:
				w.t.Fatalf("%s at position %d follows version %d, position %d", e.ID, e.Position, versions[e.Subject], last)
			}
			versions[e.Subject], last = e.StreamVersion, e.Position
			firsts++
		}
	}
	return firsts, repeats
}

func (w *world) want(firsts, repeats int) {
	if h, ok := w.t.(interface{ Helper() }); ok {
		h.Helper()
	}
	if f, r := w.onTopic(); f != firsts || r != repeats {
		w.t.Fatalf("%d events and %d repeats are on the topic, want %d and %d", f, r, firsts, repeats)
	}
}

func TestEachEventIsPublishedOnceInOrder(t *testing.T) {
	w := newWorld(t)
	r := w.relay("a")
	w.step(r, 0)
	for n := range 10 {
		w.happen([]string{"a-1", fmt.Sprint("b-", n), "a-1"})
		w.step(r, 3)
	}
	w.step(r, 0)
	w.want(30, 0)
}

// TestWhateverHappensEventsArePublishedInOrder drives two relays through errors, lost answers,
// crashes and expiring leases, in any order.
func TestWhateverHappensEventsArePublishedInOrder(t *testing.T) {
	boom := errors.New("boom")
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		var change []func(*relay.Options)
		oneRelay := rapid.Bool().Draw(t, "one relay with an ordered producer")
		if oneRelay {
			change = append(change, ordered(w))
		}
		if rapid.Bool().Draw(t, "reads what is published") {
			change = append(change, w.resuming)
		}
		lives, events, resign := 0, 0, 0
		born := func() *relay.Relay {
			lives++
			return w.relay(fmt.Sprint("life ", lives), change...)
		}
		relays := []*relay.Relay{born(), born()}
		which := func() int {
			if oneRelay {
				return 0
			}
			return rapid.IntRange(0, 1).Draw(t, "relay")
		}
		streams := rapid.SliceOfN(rapid.SampledFrom([]string{"a-1", "a-2", "a-3", "b-1"}), 1, 6)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			i := which()
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0, 1, 2:
				s := streams.Draw(t, "streams")
				events += len(s)
				w.happen(s, relays[i].Cursors()...)
			case 3, 4, 5:
				if _, err := relays[i].Step(context.Background()); err != nil {
					resign++
				}
			case 6:
				w.broker.FailNext(boom, rapid.IntRange(-1, 4).Draw(t, "written"))
			case 7:
				w.now = w.now.Add(rapid.SampledFrom([]time.Duration{time.Second, leaseTTL / 3, leaseTTL}).Draw(t, "time"))
			case 8:
				if err := relays[i].Flush(context.Background()); err != nil {
					t.Fatal(err)
				}
			case 9:
				relays[i] = born() // the old one was killed and releases nothing
			}
			w.onTopic()
		}
		for range 100 {
			w.now = w.now.Add(leaseTTL)
			if n, err := relays[0].Step(context.Background()); n == 0 && err == nil {
				break
			}
		}
		if firsts, _ := w.onTopic(); firsts != events {
			t.Fatalf("%d of %d events are on the topic", firsts, events)
		}
	})
}

func TestACrashBetweenPublishingAndTheCursorRepeatsWithTheSameIds(t *testing.T) {
	w := newWorld(t)
	w.happen([]string{"a-1", "a-2", "a-1"})
	w.step(w.relay("killed"), 3)
	w.now = w.now.Add(leaseTTL)
	w.step(w.relay("next"), 3)
	w.want(3, 3) // a record with another id would be a first one, and fail
}

func TestResumeSkipsWhatIsOnTheTopic(t *testing.T) {
	w := newWorld(t)
	w.happen([]string{"a-1", "a-2", "a-1"})
	w.step(w.relay("killed"), 3)
	w.now = w.now.Add(leaseTTL)
	w.happen([]string{"a-2", "a-3"})
	w.step(w.relay("next", w.resuming), 5)
	w.want(5, 0)
}

func TestAFailedPublishIsTriedAgainBeforeAnythingLater(t *testing.T) {
	boom := errors.New("boom")
	for _, written := range []int{0, 1, 2, -1} {
		w := newWorld(t)
		r := w.relay("a", ordered(w))
		w.happen([]string{"a-1", "a-1", "a-1"})
		w.broker.FailNext(boom, written)
		if n, err := r.Step(t.Context()); n != 0 || !errors.Is(err, boom) || w.leading["a"] {
			t.Errorf("published %d, %v, leading: %v", n, err, w.leading["a"])
		}
		w.happen([]string{"a-1"})
		w.step(r, 4)
		w.onTopic()
		if at, err := w.log.Cursor(t.Context(), "relay"); at != 0 || err != nil {
			t.Errorf("the cursor was saved at %d by itself, %v", at, err)
		}
	}
}

func TestARelayThatIsOvertakenInTheMidstOfAStepPublishesNothing(t *testing.T) {
	w := newWorld(t)
	next := w.relay("next")
	frozen := true
	old := w.relay("frozen", func(o *relay.Options) {
		o.Translate = func(ctx context.Context, epoch string, r *es.Record) ([]kafka.Record, error) {
			if frozen { // SIGSTOP, after it has read the log; meanwhile another one takes over
				frozen = false
				w.now = w.now.Add(leaseTTL)
				w.step(next, 2)
				w.happen([]string{"a-1"})
				w.step(next, 1)
			}
			return translate(ctx, epoch, r)
		}
	})
	w.happen([]string{"a-1", "a-1"})
	if n, err := old.Step(t.Context()); n != 0 || !errors.Is(err, kafka.ErrFenced) {
		t.Errorf("published %d, %v", n, err)
	}
	w.want(3, 0)
	w.step(old, 0)
	if w.leading["frozen"] || !w.leading["next"] {
		t.Errorf("leading: %v", w.leading)
	}
	w.happen([]string{"a-1"})
	w.step(old, 0)
	w.step(next, 1)
	w.want(4, 0)
}

func TestALeaderKeepsItsLeaseWhileItSteps(t *testing.T) {
	w := newWorld(t)
	a, b := w.relay("a"), w.relay("b")
	w.step(a, 0)
	for range 20 {
		w.now = w.now.Add(leaseTTL / 2)
		w.happen([]string{"a-1"})
		w.step(a, 1)
		w.step(b, 0)
	}
	if !w.leading["a"] || w.leading["b"] {
		t.Errorf("leading: %v", w.leading)
	}
}

func TestAGapInTheLogIsAnErrorAndNothingBehindItIsPublished(t *testing.T) {
	w := newWorld(t)
	w.happen([]string{"a-1", "a-2", "a-3", "a-4"})
	r := w.relay("a", func(o *relay.Options) { o.From = holed{w.log, 3} })
	w.step(r, 2)
	for range 3 {
		if n, err := r.Step(t.Context()); n != 0 || err == nil {
			t.Errorf("published %d, %v", n, err)
		}
	}
	w.want(2, 0)
}

// holed is a reader that misses one position.
type holed struct {
	es.Log
	hole int64
}

func (h holed) Read(ctx context.Context, after int64, limit int) ([]es.Record, error) {
	records, err := h.Log.Read(ctx, after, limit)
	return slices.DeleteFunc(records, func(r es.Record) bool { return r.Position == h.hole }), err
}

func TestAnEventThatCannotBeTranslatedStopsTheRelayAndIsNeverSkipped(t *testing.T) {
	w := newWorld(t)
	bad := true
	r := w.relay("a", func(o *relay.Options) {
		o.Translate = func(ctx context.Context, epoch string, r *es.Record) ([]kafka.Record, error) {
			if r.ID() == "a-2/1" && bad {
				return nil, errors.New("no public form")
			}
			return translate(ctx, epoch, r)
		}
	})
	w.happen([]string{"a-1", "a-2", "a-1"})
	w.step(r, 1) // what stands before it
	for range 3 {
		if n, err := r.Step(t.Context()); n != 0 || err == nil {
			t.Errorf("published %d, %v", n, err)
		}
		w.happen([]string{"a-3"})
	}
	w.want(1, 0)
	bad = false // the next release knows it
	for range 2 {
		if _, err := r.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	firsts, _ := w.onTopic()
	if firsts != 6 {
		t.Errorf("%d of 6 are published", firsts)
	}
}

func TestTheCursorRidesInAnAppendOnceForEachMove(t *testing.T) {
	w := newWorld(t)
	r := w.relay("a")
	if got := r.Cursors(); got != nil {
		t.Errorf("a relay that has published nothing offers %v", got)
	}
	w.happen([]string{"a-1", "a-1"})
	w.step(r, 2)
	w.happen([]string{"a-1"}, r.Cursors()...)
	if got := r.Cursors(); got != nil {
		t.Errorf("offered twice: %v", got)
	}
	if at, err := w.log.Cursor(t.Context(), "relay"); at != 2 || err != nil {
		t.Fatalf("the cursor is at %d, %v", at, err)
	}
	w.now = w.now.Add(leaseTTL)
	w.step(w.relay("next"), 1) // goes on from there
	w.want(3, 0)
}

func TestFlushSavesWhatWasPublishedAndNothingElse(t *testing.T) {
	w := newWorld(t)
	saves := &saves{Log: w.log}
	r := w.relay("a", func(o *relay.Options) { o.Log = saves })
	for range 2 {
		if err := r.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	w.happen([]string{"a-1", "a-1"})
	w.step(r, 2)
	w.happen([]string{"a-1"})
	for range 3 {
		if err := r.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if at, err := w.log.Cursor(t.Context(), "relay"); at != 2 || err != nil || saves.n != 1 {
		t.Errorf("the cursor is at %d after %d writes, %v", at, saves.n, err)
	}
}

// saves counts cursors that are saved.
type saves struct {
	es.Log
	n int
}

func (s *saves) SaveCursor(ctx context.Context, c es.Cursor) error {
	s.n++
	return s.Log.SaveCursor(ctx, c)
}

func TestAnErrorAtTheStartOfALeadGivesItUp(t *testing.T) {
	gone := errors.New("gone")
	for what, change := range map[string]func(*relay.Options, *bool){
		"the producer": func(o *relay.Options, away *bool) {
			make := o.Producer
			o.Producer = func(ctx context.Context) (kafka.Producer, error) {
				if *away {
					return nil, gone
				}
				return make(ctx)
			}
		},
		"what is published": func(o *relay.Options, away *bool) {
			resume := o.Resume
			o.Resume = func(ctx context.Context) (relay.Resumed, error) {
				if *away {
					return nil, gone
				}
				return resume(ctx)
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			w.happen([]string{"a-1"})
			away := true
			r := w.relay("a", w.resuming, func(o *relay.Options) { change(o, &away) })
			if n, err := r.Step(t.Context()); n != 0 || !errors.Is(err, gone) {
				t.Errorf("published %d, %v", n, err)
			}
			away = false
			w.step(r, 1)
		})
	}
}

// TestRunPublishesHandsOverAndFlushes runs two relays as processes do, on the bubble's clock.
func TestRunPublishesHandsOverAndFlushes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.store = memlog.NewStore(memlog.Options{Clock: time.Now, Epoch: "e1"})
		w.log = w.store.Open()
		started := func(holder string) (stop func()) {
			r := w.relay(holder, func(o *relay.Options) { o.Clock, o.Observer = time.Now, nil })
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- r.Run(ctx) }()
			synctest.Wait()
			return func() {
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			}
		}
		stopA := started("a")
		stopB := started("b")
		w.broker.FailNext(errors.New("boom"), 1) // Run tries again
		w.happen([]string{"a-1", "a-2"})
		pass(t, 100*time.Millisecond)
		w.want(2, 0)
		w.cursor(0) // nothing was idle for long enough
		pass(t, 3*leaseTTL)
		w.cursor(2)
		w.happen([]string{"a-1"})
		synctest.Wait()
		w.want(3, 0)
		stopA()
		w.cursor(3)
		w.happen([]string{"a-1", "a-1"})
		pass(t, leaseTTL/3) // it is told by the lease's end, not by its expiry
		w.want(5, 0)
		stopB()
		w.cursor(5)
	})
}

// pass lets time pass in the bubble.
func pass(t *testing.T, d time.Duration) {
	t.Helper()
	<-time.After(d)
	synctest.Wait()
}

func (w *world) cursor(want int64) {
	if at, err := w.log.Cursor(context.Background(), "relay"); at != want || err != nil {
		w.t.Errorf("the cursor is at %d, %v; want %d", at, err, want)
	}
}
