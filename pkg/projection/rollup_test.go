package projection_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/projection"
)

// till is the document of a view with sums: what was counted, and the last value, by which it is counted.
type till struct {
	Sum  int64  `json:"sum"`
	Last string `json:"last"`
}

// sumsView adds up values by the last value of their order, and how many orders there are.
type sumsView struct {
	projection.Parts
	version int
	healed  *bool
	tills   *projection.Rollup[till]
}

func newSumsView(version int) *sumsView {
	v := &sumsView{version: version, healed: new(bool)}
	v.tills = projection.NewRollup(projection.RollupOf[till]{
		Table: v.table("tills"), Topic: events,
		Sums: []projection.Sums{
			{Table: v.table("byvalue"), Key: []projection.Column{{Name: "last"}, {Name: "odd", Kind: projection.Int}}, Columns: []string{"orders", "sum"}},
			{Table: v.table("all"), Columns: []string{"orders"}},
		},
		Contribute: func(t *projection.Tally, d *till) {
			if d.Last == "unlucky" {
				panic("Contribute met " + d.Last)
			}
			t.Add(0, []int64{1, d.Sum}, d.Last, d.Sum%2)
			t.Add(1, []int64{1})
		},
	})
	v.Parts = projection.Parts{v.tills}
	return v
}

func (v *sumsView) table(name string) string { return projection.TableName("sums", v.version, name) }
func (*sumsView) Name() string               { return "sums" }
func (v *sumsView) Version() int             { return v.version }
func (*sumsView) Sources() []projection.Source {
	return []projection.Source{{Topic: events, Log: true}}
}
func (v *sumsView) Schema(projection.Dialect) []string { return v.tills.Schema() }
func (v *sumsView) Twin() projection.View              { return newSumsView(v.version) }

func (v *sumsView) Fold(rec *projection.Record) error {
	value := string(rec.Value)
	v.tills.Change(rec, func(d *till) error {
		if value == "bad" && !*v.healed {
			return errBad
		}
		n, _ := strconv.Atoi(value)
		d.Sum, d.Last = d.Sum+int64(n), value
		return nil
	})
	return nil
}

func (v *sumsView) Forget(ctx context.Context, tx projection.Tx, _, key string) error {
	return v.tills.Forget(ctx, tx, key)
}

func (v *sumsView) StreamVersion(ctx context.Context, q projection.Queryer, stream string) (int64, bool, error) {
	version, err := v.tills.Version(ctx, q, stream)
	return version, true, err
}

// shownSums are the sums that are not zero, by partition.
func shownSums(t fataler, s projection.Store, v *sumsView) string {
	var lines []string
	must(t, s.Query(context.Background(), `SELECT part, last, odd, orders, sum FROM `+v.table("byvalue")+` WHERE orders <> 0 OR sum <> 0`, nil, func(r projection.Row) error {
		lines = append(lines, fmt.Sprint(r.Int(0), " ", r.Text(1), " ", r.Int(2), ": ", r.Int(3), " of ", r.Int(4)))
		return nil
	}))
	must(t, s.Query(context.Background(), `SELECT part, orders FROM `+v.table("all")+` WHERE orders <> 0`, nil, func(r projection.Row) error {
		lines = append(lines, fmt.Sprint(r.Int(0), " all: ", r.Int(1)))
		return nil
	}))
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// expectedSums adds up what stays of histories, event by event. Of an order that has met a bad value only what comes
// before counts.
func expectedSums(parts ...*history) string {
	var lines []string
	for _, h := range parts {
		sums, last, broken := map[string]int64{}, map[string]string{}, map[string]bool{}
		for _, e := range h.stays {
			if broken[e.key] = broken[e.key] || e.value == "bad"; broken[e.key] {
				continue
			}
			n, _ := strconv.Atoi(e.value)
			sums[e.key], last[e.key] = sums[e.key]+int64(n), e.value
		}
		counts := map[string][2]int64{}
		for key, sum := range sums {
			group := fmt.Sprint(h.part, " ", last[key], " ", sum%2)
			counts[group] = [2]int64{counts[group][0] + 1, counts[group][1] + sum}
		}
		for _, group := range slices.Sorted(maps.Keys(counts)) {
			lines = append(lines, fmt.Sprint(group, ": ", counts[group][0], " of ", counts[group][1]))
		}
		if len(sums) > 0 {
			lines = append(lines, fmt.Sprint(h.part, " all: ", len(sums)))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// sumsInstance is one process with the view.
type sumsInstance struct {
	*projection.Projection
	w    *topics
	view *sumsView
}

func (*sumsInstance) Mark(kafka.Partition, int64) {}

func startSums(t fataler, w *topics, store projection.Store, version, step int) *sumsInstance {
	in := &sumsInstance{w: w, view: newSumsView(version)}
	p, err := projection.New(context.Background(), projection.Options{
		View: in.view, Store: store, Clock: func() time.Time { return startTime }, Replay: w.replay, Step: step,
	})
	must(t, err)
	in.Projection = p
	return in
}

// assign gives all partitions to the instance, and delivers what they have from where it says.
func (in *sumsInstance) assign(t fataler) {
	next, err := in.Assigned(context.Background(), in, in.w.all())
	must(t, err)
	for _, p := range in.w.all() {
		must(t, in.Deliver(context.Background(), in.w.parts[p][next[p]:]))
	}
}

func (in *sumsInstance) drain(t fataler) {
	for {
		s, err := in.Step(context.Background())
		must(t, err)
		if s.Records == 0 {
			return
		}
	}
}

// TestSumsAreThoseOfWhatStays goes through random histories of two partitions with repeats and restored logs, in
// steps of any size, with restarts and repairs at any time.
func TestSumsAreThoseOfWhatStays(t *testing.T) {
	onEachStore(t, func(t *testing.T, open func() projection.Store) {
		setChecks(t, "40")
		store, version := open(), 0
		rapid.Check(t, func(t *rapid.T) {
			version++
			w := newTopics()
			parts := []*history{newHistory(w, 0), newHistory(w, 1)}
			for n, h := range parts {
				for range rapid.IntRange(1, 25).Draw(t, "events") {
					switch what := rapid.IntRange(0, 9).Draw(t, "what"); {
					case what < 7:
						h.event(fmt.Sprintf("order-%d-%d", n, rapid.IntRange(1, 3).Draw(t, "order")),
							rapid.SampledFrom([]string{"1", "2", "3", "bad"}).Draw(t, "value"))
					case what == 7 && len(h.stays) > 0:
						for _, e := range h.stays[rapid.IntRange(0, len(h.stays)-1).Draw(t, "repeats from"):] {
							h.publish(e)
						}
					case what == 8:
						h.restore(rapid.IntRange(0, len(h.stays)).Draw(t, "stay"))
					}
				}
				h.event(fmt.Sprintf("order-%d-9", n), "9")
			}
			step := rapid.IntRange(1, 12).Draw(t, "step")
			in := startSums(t, w, store, version, step)
			in.assign(t)
			for range rapid.IntRange(0, 12).Draw(t, "actions") {
				switch rapid.IntRange(0, 3).Draw(t, "action") {
				case 0:
					in.Revoked(w.all())
					in = startSums(t, w, store, version, step)
					in.assign(t)
				case 1:
					key := fmt.Sprintf("order-%d-%d", rapid.IntRange(0, 1).Draw(t, "partition"), rapid.IntRange(1, 3).Draw(t, "repaired"))
					var bad *projection.RecordError
					if err := in.Repair(context.Background(), key); err != nil && !errors.As(err, &bad) && !errors.Is(err, projection.ErrNotOwner) {
						t.Fatal(err)
					}
				default:
					_, err := in.Step(context.Background())
					must(t, err)
				}
			}
			in.drain(t)
			want(t, "sums", shownSums(t, store, in.view), expectedSums(parts...))
		})
	})
}

func TestARepairTakesBackWhatAKeyHasContributed(t *testing.T) {
	onEachStore(t, func(t *testing.T, open func() projection.Store) {
		w := newTopics()
		h := newHistory(w, 0)
		h.event("order-1", "1")
		h.event("order-2", "4")
		h.event("order-2", "unlucky")
		h.event("order-3", "bad")
		store := open()
		in := startSums(t, w, store, 1, 0)
		in.assign(t)
		in.drain(t)
		want(t, "sums", shownSums(t, store, in.view), "0 1 1: 1 of 1\n0 4 0: 1 of 4\n0 all: 2")
		*in.view.healed = true
		must(t, in.Repair(t.Context(), "order-3"))
		want(t, "sums after a repair", shownSums(t, store, in.view), "0 1 1: 1 of 1\n0 4 0: 1 of 4\n0 all: 3\n0 bad 0: 1 of 0")
		for range 2 {
			must(t, in.Repair(t.Context(), "order-1"))
		}
		want(t, "sums after more", shownSums(t, store, in.view), "0 1 1: 1 of 1\n0 4 0: 1 of 4\n0 all: 3\n0 bad 0: 1 of 0")
		if err := in.Repair(t.Context(), "order-2"); err == nil {
			t.Fatal("what can't be counted is repaired")
		}
	})
}
