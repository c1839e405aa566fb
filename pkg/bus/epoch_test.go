package bus

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/es/memlog"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/kafka/memkafka"
)

// life is a log with its topics.
type life struct {
	t      *testing.T
	store  *memlog.Store
	log    *memlog.Log
	broker *memkafka.Broker
}

var lifeTopics = []string{"test.events.v1", "test.personal.v1"}

func newLife(t *testing.T) *life {
	l := &life{t: t, store: memlog.NewStore(memlog.Options{Clock: clock, Epoch: "e1"})}
	l.log = l.store.Open()
	l.broker = memkafka.New(clock, kafka.TopicSpec{Name: lifeTopics[0], Partitions: 1}, kafka.TopicSpec{Name: lifeTopics[1], Partitions: 1})
	return l
}

func (l *life) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

// happen appends an event, with what is personal of it ("-" erases), and publishes it.
func (l *life) happen(stream string, version int64, at time.Time, personal string) {
	l.t.Helper()
	records := l.append(stream, version, at, personal)
	l.must(l.broker.Producer().Publish(l.t.Context(), records))
}

// append only appends the event, and returns what publishes it.
func (l *life) append(stream string, version int64, at time.Time, personal string) []kafka.Record {
	l.t.Helper()
	r := es.Record{Stream: stream, Version: version, Type: "added", Schema: 1, Time: at, Data: []byte(`{}`), Erases: personal == "-"}
	if personal != "-" && personal != "" {
		r.Personal = []byte(personal)
	}
	head, err := l.log.Append(l.t.Context(), es.Batch{
		Seen: -1, Streams: []es.StreamVersion{{Stream: stream, Version: version - 1}}, Events: []es.Record{r},
	})
	l.must(err)
	events, err := l.log.Read(l.t.Context(), head.Position-1, 1)
	l.must(err)
	records, err := publication(l.log).Translate(l.t.Context(), head.Epoch, &events[0])
	l.must(err)
	return records
}

func (l *life) read() *Published {
	l.t.Helper()
	p, err := ReadPublished(l.t.Context(), l.broker, publication(l.log), lifeTopics...)
	l.must(err)
	return p
}

// begin begins the epoch of head, with nothing known of how far the log has been published.
func (l *life) begin(head es.Head) []kafka.Record {
	l.t.Helper()
	records, err := l.read().Begin(l.t.Context(), head, 0, noon)
	l.must(err)
	return records
}

func (l *life) head() es.Head {
	l.t.Helper()
	head, err := l.log.Head(l.t.Context())
	l.must(err)
	return head
}

// TestANewEpochSaysWhatStaysAndWhatIsPersonalOfIt restores a log of which the topics know more:
// counter-1 has changed since, counter-2 was erased, and counter-3 did not exist.
func TestANewEpochSaysWhatStaysAndWhatIsPersonalOfIt(t *testing.T) {
	l := newLife(t)
	l.happen("counter-1", 1, noon, `{"name":"Ada"}`)
	l.happen("counter-2", 1, noon, `{"name":"Bob"}`)
	l.happen("counter-1", 2, noon, ``)
	backup := l.store.Backup()
	later := noon.Add(time.Hour)
	l.happen("counter-1", 3, later, `{"name":"Eve"}`)
	l.happen("counter-2", 2, later, `-`)
	l.happen("counter-3", 1, later, `{"name":"Cid"}`)
	l.must(l.read().Check(t.Context(), l.head()))
	if got := l.begin(l.head()); len(got) != 0 {
		t.Errorf("under its first epoch a log begins with %v", got)
	}

	l.store.Restore(backup)
	if err := l.read().Check(t.Context(), l.head()); !errors.Is(err, es.ErrRestored) {
		t.Fatalf("got %v, want %v", err, es.ErrRestored)
	}
	next := l.append("counter-1", 3, later.Add(time.Second), `{"town":"Ulm"}`)
	renewal, err := l.read().Renewal(t.Context(), l.head())
	l.must(err)
	if want := (es.Renewal{Above: 1, Cursor: 3}); renewal != want {
		t.Errorf("a new epoch has to reckon with %+v, not with %+v", renewal, want)
	}
	head, err := l.log.NewEpoch(t.Context(), renewal)
	l.must(err)
	l.must(l.read().Check(t.Context(), head))

	begin := l.begin(head)
	var got []string
	for _, r := range begin {
		value := string(r.Value)
		if r.Value == nil {
			value = "tombstone"
		}
		e, err := EnvelopeOf(&r)
		l.must(err)
		got = append(got, fmt.Sprintf("%s/%d %s %s %s@%d %s", r.Topic, r.Partition, r.Key, e.Type, e.Epoch, e.Position, value))
	}
	want := []string{
		`test.events.v1/0 epoch orderlane.log.epoch_began.v1 2-e1.1@3 {"epoch":"2-e1.1","after":3}`,
		`test.personal.v1/0 counter-1 orderlane.test.personal.v1 @0 {"name":"Ada"}`,
		`test.personal.v1/0 counter-2 orderlane.test.personal.v1 @0 {"name":"Bob"}`,
		`test.personal.v1/0 counter-3 orderlane.test.personal.v1 @0 tombstone`,
		`test.personal.v1/0 epoch orderlane.log.epoch_began.v1 2-e1.1@2 {"epoch":"2-e1.1","after":2}`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}

	l.must(l.broker.Producer().Publish(t.Context(), begin[:3])) // and crashes
	l.must(l.read().Check(t.Context(), head))
	if again := l.begin(head); len(again) != 4 || again[0].Topic != "test.personal.v1" {
		t.Errorf("what a crash has left is completed by %d messages", len(again))
	}
	l.must(l.broker.Producer().Publish(t.Context(), l.begin(head)))
	if got := l.begin(head); len(got) != 0 {
		t.Errorf("an epoch that has begun begins again: %v", got)
	}
	l.must(l.read().Check(t.Context(), head))
	if p := l.read(); !p.Has(&next[0], head.Epoch, 3) || p.Has(&next[0], head.Epoch, 4) || p.Has(&next[1], head.Epoch, 4) || p.Has(&next[0], "e1", 3) {
		t.Error("the beginning of an epoch does not say where the log goes on")
	}
}

// TestANewEpochSaysAgainWhatALostFutureHasReplaced restores a log whose compacted topic has only the
// lost name of counter-1 left, behind the name of counter-2, which is older than the one that stays.
func TestANewEpochSaysAgainWhatALostFutureHasReplaced(t *testing.T) {
	l := newLife(t)
	publish := func(records []kafka.Record, compacted bool) {
		t.Helper()
		records = slices.DeleteFunc(records, func(r kafka.Record) bool { return compacted && r.Topic == "test.personal.v1" })
		l.must(l.broker.Producer().Publish(t.Context(), records))
	}
	publish(l.append("counter-1", 1, noon, `{"name":"Ada"}`), true)
	publish(l.append("counter-2", 1, noon, `{"name":"Bob"}`), false)
	publish(l.append("counter-1", 2, noon, `{"name":"Ada Lovelace"}`), true)
	backup := l.store.Backup()
	publish(l.append("counter-1", 3, noon.Add(time.Hour), `{"name":"Eve"}`), false)
	l.store.Restore(backup)

	renewal, err := l.read().Renewal(t.Context(), l.head())
	l.must(err)
	head, err := l.log.NewEpoch(t.Context(), renewal)
	l.must(err)
	begin, err := l.read().Begin(t.Context(), head, renewal.Cursor, noon)
	l.must(err)
	var got []string
	for _, r := range begin {
		got = append(got, fmt.Sprintf("%s %s %s", r.Topic, r.Key, r.Value))
	}
	want := []string{
		`test.events.v1 epoch {"epoch":"2-e1.1","after":3}`,
		`test.personal.v1 counter-1 {"name":"Ada Lovelace"}`,
		`test.personal.v1 epoch {"epoch":"2-e1.1","after":3}`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}
