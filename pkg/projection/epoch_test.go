package projection_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/projection"
	"github.com/orderlane/orderlane/pkg/projection/sqlitestore"
)

// history is a partition of events as relays leave it behind, of a log that is restored now and then.
type history struct {
	w     *topics
	part  int32
	epoch int
	stays []stay // what a reader has to go by at the end
}

// stay is an event that has happened, as far as is known.
type stay struct {
	key, value string
	position   int64
	version    int64
}

func newHistory(w *topics, part int32) *history { return &history{w: w, part: part, epoch: 1} }

func (h *history) name() string { return fmt.Sprintf("%d-e", h.epoch) }

func (h *history) event(key, value string) {
	e := stay{key, value, 1, 1}
	if n := len(h.stays); n > 0 {
		e.position = h.stays[n-1].position + 2 // those between are in other partitions
	}
	for _, s := range h.stays {
		if s.key == key {
			e.version = s.version + 1
		}
	}
	h.stays = append(h.stays, e)
	h.publish(e)
}

func (h *history) publish(e stay) {
	h.w.append(events, h.part, e.key, e.value, "ce_id", fmt.Sprint(e.key, "/", e.version), "ce_type", "changed", "ce_epoch", h.name(),
		"ce_position", strconv.FormatInt(e.position, 10), "ce_streamversion", strconv.FormatInt(e.version, 10))
}

// restore leaves n events, and begins an epoch.
func (h *history) restore(n int) {
	h.stays = slices.Clone(h.stays[:n])
	h.epoch++
	h.begin()
}

func (h *history) begin() {
	headers := []string{"ce_id", h.name(), "ce_type", "orderlane.log.epoch_began.v1", "ce_epoch", h.name()}
	if n := len(h.stays); n > 0 {
		headers = append(headers, "ce_position", strconv.FormatInt(h.stays[n-1].position, 10))
	}
	h.w.append(events, h.part, "epoch", "{}", headers...)
}

// orders is what the view shows of orders, and which of them are broken.
func orders(t fataler, in *instance) string {
	var b strings.Builder
	must(t, in.store.Query(context.Background(), `SELECT key, version, doc FROM `+in.view.ordersT+` ORDER BY key`, nil, func(r projection.Row) error {
		fmt.Fprintln(&b, r.Text(0), r.Int(1), r.Text(2))
		return nil
	}))
	broken, err := in.AllBroken(context.Background(), "", 100)
	must(t, err)
	for _, k := range broken {
		fmt.Fprintln(&b, "broken:", k.Key, k.Type, k.Reason)
	}
	return b.String()
}

func TestWhatNeverHappenedIsTakenBack(t *testing.T) {
	onEachStore(t, func(t *testing.T, open func() projection.Store) {
		w := newTopics()
		h := newHistory(w, 0)
		h.event("order-1", "1")
		h.event("order-2", "2")
		h.event("order-1", "10")
		h.event("order-3", "bad")
		h.event("order-5", "bad later")
		h.event("order-6", "6")
		in := start(t, w, open(), 1)
		h.event("order-1", "100") // lost, from here on
		h.event("order-2", "bad")
		h.event("order-4", "4")
		h.event("order-3", "3")
		h.event("order-5", "5")
		in.assign(t, w.all()...)
		in.drain(t)
		offset := int64(len(w.parts[w.all()[0]]))
		h.restore(6)
		h.event("order-1", "1000")
		h.event("order-4", "7")
		must(t, in.Deliver(t.Context(), w.parts[w.all()[0]][offset:]))
		in.drain(t)
		const want1 = `order-1 3 {"sum":1011,"steps":["1","10","1000"]}
order-2 1 {"sum":2,"steps":["2"]}
order-4 1 {"sum":7,"steps":["7"]}
order-6 1 {"sum":6,"steps":["6"]}
broken: order-3 changed bad value
broken: order-5 changed bad value
`
		want(t, "view", orders(t, in), want1)
		want(t, "mark", in.marks[w.all()[0]], offset+3)

		rebuilt := start(t, w, open(), 2)
		rebuilt.assign(t, w.all()...)
		rebuilt.drain(t)
		want(t, "rebuilt view", orders(t, rebuilt), want1)

		*in.view.healed = true
		must(t, in.Repair(t.Context(), "order-1"))
		must(t, in.Repair(t.Context(), "order-3"))
		want(t, "repaired view", strings.Split(orders(t, in), "\n")[2], `order-3 1 {"sum":0,"steps":["bad"]}`)
		if got := orders(t, in); !strings.HasPrefix(got, "order-1 3 ") {
			t.Fatalf("repair takes what never happened for true:\n%s", got)
		}
		if err := in.Repair(t.Context(), "order-7"); !errors.Is(err, projection.ErrNotOwner) {
			t.Fatalf("repair of a key that is not there: %v", err)
		}
	})
}

// TestAViewComesToWhatStays goes through random histories of two partitions, in pieces, with restarts
// and repeats. A view that is fed nothing but what stays is what it is held against.
func TestAViewComesToWhatStays(t *testing.T) {
	outer := t
	rapid.Check(t, func(t *rapid.T) {
		w := newTopics()
		parts := []*history{newHistory(w, 0), newHistory(w, 1)}
		opened := func() projection.Store {
			s, err := sqlitestore.Open(filepath.Join(outer.TempDir(), "view.db"), sqlitestore.Options{Readers: 1})
			must(t, err)
			return s
		}
		store, other := opened(), opened()
		defer func() { must(t, errors.Join(store.Close(), other.Close())) }()
		for n, h := range parts {
			for range rapid.IntRange(1, 25).Draw(t, "steps") {
				switch what := rapid.IntRange(0, 9).Draw(t, "what"); {
				case what < 7:
					key := fmt.Sprintf("order-%d-%d", n, rapid.IntRange(1, 3).Draw(t, "order"))
					h.event(key, rapid.SampledFrom([]string{"1", "2", "3", "4", "bad", "bad later"}).Draw(t, "value"))
				case what == 7 && len(h.stays) > 0:
					for _, e := range h.stays[rapid.IntRange(0, len(h.stays)-1).Draw(t, "repeats from"):] {
						h.publish(e)
					}
				case what == 8:
					h.begin() // once more
				case what == 9:
					h.restore(rapid.IntRange(0, len(h.stays)).Draw(t, "stay"))
				}
			}
			h.event(fmt.Sprintf("order-%d-9", n), "9")
		}
		step := rapid.IntRange(1, 12).Draw(t, "step")
		begin := func() *instance {
			return start(t, w, store, 1, func(o *projection.Options) { o.Step = step })
		}
		in := begin()
		in.assign(t, w.all()...)
		for steps := rapid.IntRange(0, 10).Draw(t, "steps before a restart"); steps > 0; steps-- {
			_, err := in.Step(context.Background())
			must(t, err)
		}
		in.Revoked(w.all())
		in = begin()
		in.assign(t, w.all()...)
		in.drain(t)

		clean := newTopics()
		for n, h := range parts {
			fresh := newHistory(clean, int32(n))
			for _, e := range h.stays {
				fresh.event(e.key, e.value)
			}
		}
		ideal := start(t, clean, other, 2)
		ideal.assign(t, clean.all()...)
		ideal.drain(t)
		if got, want := orders(t, in), orders(t, ideal); got != want {
			t.Fatalf("the view shows\n%s\nand what stays is\n%s", got, want)
		}
	})
}

// TestAFaultWhileWhatNeverHappenedIsTakenBackChangesNothingInTheEnd lets each call of the database
// fail in turn.
func TestAFaultWhileWhatNeverHappenedIsTakenBackChangesNothingInTheEnd(t *testing.T) {
	for n, hit := 1, true; hit; n++ {
		w := newTopics()
		h := newHistory(w, 0)
		for i := range 3 {
			h.event("order-1", fmt.Sprint(i))
			h.event("order-2", fmt.Sprint(i))
		}
		f := &faulty{Store: newMemStore(t), left: -1}
		in := start(t, w, f, 1)
		in.assign(t, w.all()...)
		in.drain(t)
		h.restore(3)
		must(t, in.Deliver(t.Context(), w.parts[w.all()[0]][6:]))
		f.hit, f.left = false, n
		for tries := 0; ; tries++ {
			s, err := in.Step(t.Context())
			if err == nil && s.Records == 0 {
				break
			}
			if tries > 20 {
				t.Fatalf("with fault %d it never comes to an end: %v", n, err)
			}
		}
		hit = f.hit
		f.left = -1
		want(t, fmt.Sprintf("view after fault %d", n), orders(t, in), "order-1 2 {\"sum\":1,\"steps\":[\"0\",\"1\"]}\norder-2 1 {\"sum\":0,\"steps\":[\"0\"]}\n")
	}
}

func TestWhatCannotBeReadAgainHoldsThePartition(t *testing.T) {
	w := newTopics()
	h := newHistory(w, 0)
	h.event("order-1", "1")
	h.event("order-1", "2")
	h.restore(1)
	away := true
	in := start(t, w, newMemStore(t), 1, func(o *projection.Options) {
		o.Replay = func(ctx context.Context, p kafka.Partition, from, to int64, fn func(kafka.Record) error) error {
			if away {
				return errors.New("the broker is away")
			}
			return w.replay(ctx, p, from, to, fn)
		}
	})
	in.assign(t, w.all()...)
	for range 3 {
		if _, err := in.Step(t.Context()); err == nil {
			t.Fatal("it goes on without having taken back what is lost")
		}
	}
	away = false
	in.drain(t)
	want(t, "view", orders(t, in), "order-1 1 {\"sum\":1,\"steps\":[\"1\"]}\n")
}
