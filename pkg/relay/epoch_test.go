package relay_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/es/memlog"
	"github.com/orderlane/orderlane/pkg/relay"
)

// restore puts the database back, and the test's idea of it.
func (w *world) restore(b memlog.Backup) {
	w.store.Restore(b)
	clear(w.versions)
	for _, r := range w.held() {
		w.versions[r.Stream] = r.Version
	}
}

func (w *world) held() []es.Record {
	events, err := w.log.Read(context.Background(), 0, es.MaxRead)
	if err != nil {
		w.t.Fatal(err)
	}
	return events
}

// newEpoch begins an epoch as operators do.
func (w *world) newEpoch() string {
	published, err := bus.ReadPublished(context.Background(), w.broker, w.publication(), topic)
	if err != nil {
		w.t.Fatal(err)
	}
	head, err := w.log.Head(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	renewal, err := published.Renewal(context.Background(), head)
	if err != nil {
		w.t.Fatal(err)
	}
	if head, err = w.log.NewEpoch(context.Background(), renewal); err != nil {
		w.t.Fatal(err)
	}
	return head.Epoch
}

// refused fails unless the relay publishes nothing, since the log was restored.
func (w *world) refused(r *relay.Relay, words ...string) {
	before := w.records()
	n, err := r.Step(context.Background())
	if n != 0 || !errors.Is(err, es.ErrRestored) {
		w.t.Fatalf("published %d, %v; want %v", n, err, es.ErrRestored)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			w.t.Errorf("it does not name %s: %v", word, err)
		}
	}
	if after := w.records(); after != before {
		w.t.Fatalf("the topic has %d records, and had %d", after, before)
	}
}

func (w *world) records() (n int) {
	for _, p := range w.broker.Partitions(topic) {
		n += len(w.broker.Records(p, 0, -1))
	}
	return n
}

// agrees fails unless what the topic says, read as its consumers do, is what the log holds. It
// returns how many records are repeats.
func (w *world) agrees() (repeats int) {
	type event struct {
		id string
		at time.Time
	}
	var want, got []event
	for _, r := range w.held() {
		want = append(want, event{r.ID(), r.Time})
	}
	positions := map[event]int64{}
	for _, p := range w.broker.Partitions(topic) {
		var there []bus.Envelope // that have happened, as far as is known
		for _, r := range w.broker.Records(p, 0, -1) {
			e, err := bus.EnvelopeOf(&r)
			if err != nil {
				w.t.Fatal(err)
			}
			if e.Type == bus.TypeEpochBegan {
				there = slices.DeleteFunc(there, func(b bus.Envelope) bool { return b.Epoch != e.Epoch && b.Position > e.Position })
				continue
			}
			if slices.ContainsFunc(there, func(b bus.Envelope) bool { return b.ID == e.ID && b.Time.Equal(e.Time) }) {
				repeats++
				continue
			}
			if n := len(there); n > 0 && there[n-1].Position >= e.Position {
				w.t.Fatalf("%s at position %d comes after position %d", e.ID, e.Position, there[n-1].Position)
			}
			there = append(there, e)
		}
		for _, e := range there {
			got = append(got, event{e.ID, e.Time})
			positions[event{e.ID, e.Time}] = e.Position
		}
	}
	slices.SortFunc(got, func(a, b event) int { return int(positions[a] - positions[b]) })
	if fmt.Sprint(got) != fmt.Sprint(want) {
		w.t.Fatalf("the topic says\n%v\nand the log holds\n%v", got, want)
	}
	return repeats
}

// later makes events differ that take the place of each other.
func (w *world) later(streams ...string) {
	w.now = w.now.Add(time.Second)
	w.happen(streams)
}

func TestNothingIsPublishedOfARestoredLogUntilANewEpochBegins(t *testing.T) {
	w := newWorld(t)
	w.later("a-1", "a-2", "a-3", "a-1")
	w.step(w.relay("a", w.resuming), 4)
	backup := w.store.Backup()
	w.later("a-1", "b-1")
	w.now = w.now.Add(2 * leaseTTL)
	w.step(w.relay("b", w.resuming), 6) // from position 0: what is there is passed over
	w.restore(backup)

	w.now = w.now.Add(2 * leaseTTL)
	r := w.relay("c", w.resuming)
	w.refused(r, "of epoch e1", "ends at position 4")
	if w.leading["c"] {
		t.Error("it leads, and publishes nothing")
	}
	w.later("a-1", "a-3", "c-1") // positions 5 to 7, of which 5 and 6 were others' once
	w.refused(r)

	if epoch := w.newEpoch(); epoch != "2-e1.1" {
		t.Errorf("the new epoch is %s", epoch)
	}
	w.step(r, 7)
	if n := w.agrees(); n != 0 {
		t.Errorf("%d events are there twice", n)
	}
	before := w.records()
	w.later("a-2")
	w.step(r, 1)
	w.now = w.now.Add(2 * leaseTTL)
	w.step(w.relay("d", w.resuming), 8) // it knows the epoch and its events
	if n := w.records(); n != before+1 {
		t.Errorf("there are %d records for one event", n-before)
	}
	w.agrees()
}

func TestALogRestoredToBeforeAnEpochIsFoundOut(t *testing.T) {
	w := newWorld(t)
	w.later("a-1", "a-2", "a-3")
	w.step(w.relay("a", w.resuming), 3)
	backup := w.store.Backup() // under the first epoch
	w.newEpoch()
	w.later("a-1", "a-2")
	w.now = w.now.Add(2 * leaseTTL)
	w.step(w.relay("b", w.resuming), 5)
	w.restore(backup)
	w.now = w.now.Add(2 * leaseTTL)
	r := w.relay("c", w.resuming)
	w.refused(r, "of epoch 2-e1.1", "under epoch e1")
	if epoch := w.newEpoch(); epoch != "3-e1.2" {
		t.Errorf("above what is on the topic, the new epoch is %s", epoch)
	}
	w.later("a-3")
	w.step(r, 4)
	w.agrees()
}

func TestALogThatIsNotTheTopicsIsFoundOut(t *testing.T) {
	w := newWorld(t)
	w.later("a-1", "a-2")
	w.step(w.relay("a", w.resuming), 2)
	w.store = memlog.NewStore(memlog.Options{Clock: w.clock, Epoch: "another"}) // the database was lost
	w.log = w.store.Open()
	clear(w.versions)
	r := w.relay("b", w.resuming)
	w.refused(r, "of epoch e1", "under epoch another")
	w.newEpoch()
	w.later("a-1")
	w.step(r, 1)
	w.agrees()
}

// TestARunningRelayFindsOutByItself restores the log, and begins an epoch, under a relay that
// leads, and whose feed holds the lost events.
func TestARunningRelayFindsOutByItself(t *testing.T) {
	w := newWorld(t)
	feed := es.NewFeed(w.log)
	r := w.relay("a", w.resuming, func(o *relay.Options) { o.From = feed })
	w.later("a-1", "a-2")
	w.step(r, 2)
	backup := w.store.Backup()
	w.later("a-1", "a-2", "a-3")
	feed.Add(es.Head{}, w.held()[2:])
	w.step(r, 3)
	w.restore(backup)
	w.now = w.now.Add(leaseTTL)
	w.refused(r)
	w.newEpoch()
	w.step(r, 2)
	w.agrees()

	w.later("a-3")
	w.newEpoch() // without need
	w.now = w.now.Add(leaseTTL)
	w.step(r, 3)
	if n := w.agrees(); n != 0 {
		t.Errorf("%d events are there twice", n)
	}
}

// TestALogThatGoesBackAndGrowsAgainUnderARunningRelayIsFoundOut has it happen between two looks at
// the lease, so that the log's length tells nothing; with a feed that knows of it, one that has
// met only the event that goes on from where it stood, and none.
func TestALogThatGoesBackAndGrowsAgainUnderARunningRelayIsFoundOut(t *testing.T) {
	for name, fed := range map[string][]int{"the log": nil, "its own feed": {2, 3, 4, 5}, "the feed of one of several": {5}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			feed := es.NewFeed(w.log)
			r := w.relay("a", w.resuming, func(o *relay.Options) {
				if fed != nil {
					o.From = feed
				}
			})
			w.step(r, 0)
			w.later("a-1", "a-2")
			backup := w.store.Backup()
			w.later("a-1", "a-2", "a-3")
			feed.Add(es.Head{}, w.held())
			w.step(r, 5)
			w.restore(backup)
			w.now = w.now.Add(time.Millisecond) // less than a lease
			w.happen([]string{"a-3", "a-1", "a-4", "a-2"})
			for _, i := range fed {
				feed.Add(es.Head{}, w.held()[i:i+1])
			}
			w.refused(r, "not in the log")
			if err := r.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.newEpoch()
			w.step(r, 6)
			w.agrees()
		})
	}
}

// TestACursorOfALostFutureIsNotSaved has a new epoch begin, from the cursor that it sets, before
// the relay has seen that the log went back.
func TestACursorOfALostFutureIsNotSaved(t *testing.T) {
	w := newWorld(t)
	r := w.relay("a", w.resuming)
	w.later("a-1", "a-2")
	backup := w.store.Backup()
	w.later("a-1", "a-2", "a-3")
	w.step(r, 5)
	w.restore(backup)
	w.later("a-3", "a-1", "a-4")
	w.newEpoch()
	if err := r.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.now = w.now.Add(leaseTTL)
	w.step(r, 5)
	w.agrees()
}

// TestALogThatGoesBackWhileItsRelayPassesOverWhatIsThereIsFoundOut has it happen after the relay
// has compared the two, and before it reads.
func TestALogThatGoesBackWhileItsRelayPassesOverWhatIsThereIsFoundOut(t *testing.T) {
	w := newWorld(t)
	w.later("a-1", "a-2")
	backup := w.store.Backup()
	w.later("a-1", "a-2", "a-3")
	w.step(w.relay("a", w.resuming), 5)
	w.now = w.now.Add(2 * leaseTTL)
	r := w.relay("b", w.resuming, func(o *relay.Options) {
		o.From = readerFunc(func(ctx context.Context, after int64, limit int) ([]es.Record, error) {
			w.restore(backup)
			w.later("a-3", "a-1", "a-4", "a-2")
			return w.log.Read(ctx, after, limit)
		})
	})
	w.refused(r, "not in the log")
}

type readerFunc func(ctx context.Context, after int64, limit int) ([]es.Record, error)

func (f readerFunc) Read(ctx context.Context, after int64, limit int) ([]es.Record, error) {
	return f(ctx, after, limit)
}

// TestARelayWaitsForANewEpochAndGoesOn runs one as a process does.
func TestARelayWaitsForANewEpochAndGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.store = memlog.NewStore(memlog.Options{Clock: time.Now, Epoch: "e1"})
		w.log = w.store.Open()
		backup := w.store.Backup()
		w.later("a-1")
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		start := func() {
			r := w.relay("a", w.resuming, func(o *relay.Options) { o.Clock = time.Now })
			go func() { ended <- r.Run(ctx) }()
			pass(t, time.Second)
		}
		start()
		w.agrees()
		cancel()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		w.restore(backup)
		w.later("b-1", "b-2")
		ctx, cancel = context.WithCancel(t.Context())
		start()
		pass(t, time.Minute)
		if w.records() != 1 || w.failed == 0 || w.leading["a"] {
			t.Fatalf("%d records, %d failures, leading: %v", w.records(), w.failed, w.leading["a"])
		}
		w.newEpoch()
		pass(t, 5*time.Second)
		w.agrees()
		if !w.leading["a"] {
			t.Error("it does not lead")
		}
		cancel()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	})
}

// TestWhateverIsRestoredTheTopicComesToWhatTheLogHolds goes through random histories of events,
// crashes of relays in the middle of a batch, backups, restores and new epochs.
func TestWhateverIsRestoredTheTopicComesToWhatTheLogHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		holder := 0
		start := func() *relay.Relay {
			holder++
			w.now = w.now.Add(2 * leaseTTL)
			return w.relay(fmt.Sprint("relay ", holder), w.resuming, func(o *relay.Options) {
				if rapid.Bool().Draw(t, "without transactions") {
					ordered(w)(o)
				}
			})
		}
		r := start()
		backups := []memlog.Backup{w.store.Backup()}
		stream := rapid.Custom(func(t *rapid.T) string { return fmt.Sprint("a-", rapid.IntRange(1, 5).Draw(t, "stream")) })
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 7).Draw(t, "what") {
			case 0, 1:
				w.later(rapid.SliceOfN(stream, 1, 4).Draw(t, "streams")...)
			case 2, 3:
				_, _ = r.Step(context.Background())
			case 4:
				w.broker.FailNext(errors.New("boom"), rapid.IntRange(-1, 5).Draw(t, "written"))
				_, _ = r.Step(context.Background())
				w.broker.FailNext(nil, -1)
			case 5:
				if rapid.Bool().Draw(t, "saves its cursor") {
					_ = r.Flush(context.Background())
				}
				r = start()
			case 6:
				backups = append(backups, w.store.Backup())
			case 7:
				w.restore(rapid.SampledFrom(backups).Draw(t, "backup"))
				if rapid.Bool().Draw(t, "the relay too") {
					r = start()
				}
				if rapid.Bool().Draw(t, "new epoch at once") {
					w.newEpoch()
				}
			}
		}
		r = start()
		for tries := 0; ; tries++ {
			n, err := r.Step(context.Background())
			if errors.Is(err, es.ErrRestored) {
				w.newEpoch()
			} else if n == 0 && err == nil {
				break
			}
			if tries > 20 {
				t.Fatal("it never comes to an end: ", err)
			}
		}
		w.agrees()
	})
}
