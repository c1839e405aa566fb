package projection_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/projection"
	"github.com/orderlane/orderlane/pkg/projection/sqlitestore"
)

func scratch(context.Context, bool) (projection.Store, error) { return sqlitestore.OpenScratch("") }

// found are differences, one a line.
func found(v projection.Verification) string {
	var lines []string
	for _, d := range v.Differences {
		lines = append(lines, fmt.Sprintf("%s of %s: %s %q, should be %q; repair %q", strings.TrimPrefix(d.Table, "test_"), d.Row, d.Column, d.Live, d.Fresh, d.Key))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// plant changes what a build holds.
func plant(t *testing.T, s projection.Store, sql string) {
	t.Helper()
	must(t, s.Update(t.Context(), func(tx projection.Tx) error {
		n, err := tx.Exec(t.Context(), sql)
		if n == 0 {
			t.Fatalf("nothing is changed by %s", sql)
		}
		return err
	}))
}

func TestAWrongRowIsFoundAndRepaired(t *testing.T) {
	onEachStore(t, func(t *testing.T, open func() projection.Store) {
		w, store := newTopics(), open()
		p := newProcess(t, w, store, 1)
		w.more(40)
		w.event(0, "order-9", "bad") // can't be folded, neither here nor there
		must(t, p.turn())
		verify := func(o projection.VerifyOptions) projection.Verification {
			t.Helper()
			v, err := p.Verify(t.Context(), o, nil)
			must(t, err)
			return v
		}
		all, each := projection.VerifyOptions{All: true}, projection.VerifyOptions{Sample: 1}
		for _, o := range []projection.VerifyOptions{all, each} {
			v := verify(o)
			want(t, "a view that is right", found(v), "")
			if v.Rows < 6 || v.Records != 41 || v.Undecided != 0 {
				t.Fatalf("%+v", v)
			}
		}
		want(t, "skipped", strings.Join(verify(all).Skipped, "\n"),
			"test_counts_v1: is fed by topics that are not kept for ever\ntest_commands_v1: is fed by topics that are not kept for ever\n1 keys: are broken")
		want(t, "skipped by key", verify(each).Skipped[0], "test_sizes_v1: adds up over keys; --all compares it")

		orders := p.view.ordersT + "_b1"
		plant(t, store, "UPDATE "+orders+" SET sum = 7 WHERE key = 'order-1'")
		plant(t, store, `UPDATE `+orders+` SET doc = '{"sum":1,"steps":["1"]}' WHERE key = 'order-2'`)
		plant(t, store, "DELETE FROM "+orders+" WHERE key = 'order-3'")
		plant(t, store, "INSERT INTO "+orders+" (key, version, doc, last, sum) VALUES ('order-77', 1, '{}', 'x', 1)")
		plant(t, store, "UPDATE "+p.view.sizesT+"_b1 SET n = 1 WHERE part = 0")
		const wrong = `orders_v1 of order-1: sum "7", should be "133"; repair "order-1"
orders_v1 of order-2: doc "{\"sum\":1,\"steps\":[\"1\"]}", should be "{\"sum\":140,\"steps\":[\"2\",\"8\",\"14\",\"20\",\"26\",\"32\",\"38\"]}"; repair "order-2"
orders_v1 of order-3: "no row", should be "a row"; repair "order-3"`
		tidy := func(s string) string { return strings.ReplaceAll(s, ":  \"", ": \"") }
		v := verify(all)
		want(t, "of all rows", tidy(found(v)), strings.ReplaceAll(wrong, "orders_v1 of order-2: doc", "orders_v1 of order-2: doc")+
			"\norders_v1 of order-77: \"a row\", should be \"no row\"; repair \"order-77\"\nsizes_v1 of 0: n \"1\", should be \"35\"; repair \"\"")
		want(t, "count", v.Count, 5)
		want(t, "of all keys", tidy(found(verify(each))), wrong)

		must(t, p.Repair(t.Context(), "order-1"))
		must(t, p.Repair(t.Context(), "order-2"))
		must(t, p.Repair(t.Context(), "order-3"))
		want(t, "after the repair", found(verify(each)), "")
	})
}

func TestASampleIsAShareOfTheKeysAndAnotherOneEachTime(t *testing.T) {
	w := newTopics()
	for i := range 400 {
		w.event(int32(i%2), fmt.Sprint("order-", i), "1")
	}
	p := newProcess(t, w, newMemStore(t), 1)
	p.until(t, "1 active")
	seen := make(map[int64]bool)
	for seed := range uint64(20) {
		v, err := p.Verify(t.Context(), projection.VerifyOptions{Sample: 0.1, Seed: seed}, nil)
		must(t, err)
		if v.Keys < 15 || v.Keys > 75 || v.Rows != 2*v.Keys || found(v) != "" {
			t.Fatalf("%+v", v)
		}
		seen[v.Keys] = true
	}
	if len(seen) < 3 {
		t.Fatalf("the samples have sizes %v", seen)
	}
}

// TestASampleIsComparedAfterALogWasRestored: what the log has lost is folded once more then, of the chosen keys only.
func TestASampleIsComparedAfterALogWasRestored(t *testing.T) {
	w := newTopics()
	h := newHistory(w, 0)
	const keys = 900 // of more records than are folded at once
	for i := range 2 * keys {
		h.event(fmt.Sprint("order-", i%keys), "1")
	}
	p := newProcess(t, w, newMemStore(t), 1)
	h.restore(300)
	for i := range keys {
		h.event(fmt.Sprint("order-", i), "1")
	}
	p.until(t, "1 active")
	for sample, bounds := range map[float64][2]int64{0.1: {50, 150}, 1: {keys, keys}} {
		v, err := p.Verify(t.Context(), projection.VerifyOptions{Sample: sample, Seed: 3}, nil)
		must(t, err)
		if v.Keys < bounds[0] || v.Keys > bounds[1] || v.Rows != 2*v.Keys || found(v) != "" {
			t.Errorf("a sample of %v: %+v", sample, v)
		}
	}
}

func TestVerificationTellsNoDifferenceWhileRecordsComeIn(t *testing.T) {
	onEachStore(t, func(t *testing.T, open func() projection.Store) {
		g := &groups{w: newTopics(), members: make(map[string][]*projection.Projection)}
		store := open()
		a, b := g.start(t, store, 1), g.start(t, open(), 1)
		for i := range 50 {
			g.w.append(events, int32(i%2), fmt.Sprint("order-1", i), "1", "ce_type", "changed", "ce_streamversion", "1")
		}
		l := g.load(t, a, b)
		within(t, "reads", func() bool { l.check(t); return l.reads.Load() > 20 })
		for range 3 {
			for _, o := range []projection.VerifyOptions{{All: true}, {Sample: 1}} {
				v, err := a.Verify(t.Context(), o, nil)
				must(t, err)
				want(t, "differences", found(v), "")
				if v.Rows < 50 {
					t.Fatalf("%+v", v)
				}
			}
		}
		plant(t, store, "UPDATE "+a.view.ordersT+"_b1 SET sum = -1 WHERE key = 'order-17'")
		v, err := a.Verify(t.Context(), projection.VerifyOptions{Sample: 1}, nil)
		must(t, err)
		want(t, "planted", found(v), `orders_v1 of order-17: sum "-1", should be "1"; repair "order-17"`)
		l.stop()
		l.check(t)
	})
}

func TestDifferencesAreKnownUntilTheyAreMended(t *testing.T) {
	g := &groups{w: newTopics(), members: make(map[string][]*projection.Projection)}
	store := newMemStore(t)
	g.w.more(20)
	in := g.start(t, store, 1)
	within(t, "the view is ready", in.Ready)
	plant(t, store, "UPDATE "+in.view.ordersT+"_b1 SET sum = 7 WHERE key = 'order-1'")
	verify := func() projection.Verification {
		t.Helper()
		n, err := in.StartVerify(projection.VerifyOptions{Sample: 1})
		must(t, err)
		within(t, "the verification ends", func() bool { v := in.LastVerification(); return v.Number == n && !v.Running })
		return in.LastVerification()
	}
	if _, err := in.StartVerify(projection.VerifyOptions{Sample: 2}); err == nil {
		t.Fatal("a share above 1 is taken")
	}
	v := verify()
	want(t, "differences", found(v), `orders_v1 of order-1: sum "7", should be "40"; repair "order-1"`)
	within(t, "it is known", func() bool { return len(in.Differences()) == 1 })
	must(t, in.Repair(t.Context(), "order-1"))
	want(t, "known after the repair", len(in.Differences()), 0)
	want(t, "differences after the repair", found(verify()), "")
}

func TestAVerificationThatIsSlowerThanWhatComesInHoldsNothingUp(t *testing.T) {
	w := newTopics()
	p := newProcess(t, w, newMemStore(t), 1)
	for range 60 {
		w.event(0, "order-1", "1")
	}
	must(t, p.turn())
	live := p.Running()[1]
	ctx, stop := context.WithCancel(t.Context())
	var longest time.Duration
	ended := make(chan error, 1)
	go func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				ended <- nil
				return
			case <-tick.C:
			}
			for range 20 {
				w.event(0, "order-1", "1")
			}
			began := time.Now()
			if err := p.fold(context.Background(), live); err != nil {
				ended <- err
				return
			}
			longest = max(longest, time.Since(began))
		}
	}()
	v, err := p.Verify(t.Context(), projection.VerifyOptions{Sample: 1, Rate: 100}, nil)
	stop()
	must(t, errors.Join(err, <-ended))
	want(t, "differences", found(v), "")
	if longest > 3*time.Second {
		t.Fatalf("the live view stood still for %v; %d rows are undecided", longest, v.Undecided)
	}
}

func TestVerificationTellsNoDifferenceWhenAnotherBuildTakesOver(t *testing.T) {
	w, during := newTopics(), func() {}
	p := newProcess(t, w, newMemStore(t), 1, func(o *projection.BuildsOptions) {
		o.Replay = func(ctx context.Context, part kafka.Partition, from, to int64, fn func(kafka.Record) error) error {
			if part.Topic == events {
				during()
			}
			return w.replay(ctx, part, from, to, fn)
		}
	})
	w.more(20)
	must(t, p.turn())
	during = func() {
		during = func() {}
		_, err := p.Rebuild(t.Context())
		must(t, err)
		p.until(t, "1 previous, 2 active")
		w.more(20)
		must(t, p.turn())
	}
	v, err := p.Verify(t.Context(), projection.VerifyOptions{All: true}, nil)
	want(t, "differences", found(v), "")
	if err == nil || !strings.Contains(err.Error(), "another build became active") {
		t.Fatal(err)
	}
}
