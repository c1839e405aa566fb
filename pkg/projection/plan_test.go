package projection_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"

	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/projection"
	"github.com/orderlane/orderlane/pkg/projection/sqlitestore"
)

// gate is a store that tells when a transaction has begun, and lets it go on when it is told.
type gate struct {
	projection.Store
	begun, goOn chan struct{}
}

func (g *gate) Update(ctx context.Context, fn func(projection.Tx) error) error {
	if g.begun != nil {
		g.begun <- struct{}{}
		<-g.goOn
	}
	return g.Store.Update(ctx, fn)
}

// behind is an instance that has more to do than a step takes.
func behind(t *testing.T, w *topics, store projection.Store, step int) *instance {
	in := start(t, w, store, 1, func(o *projection.Options) { o.Step = step })
	in.assign(t, w.all()...)
	return in
}

func TestAViewThatIsBehindFoldsTheNextBatchWhileOneIsWritten(t *testing.T) {
	w := newTopics()
	for i := range 12 {
		w.event(0, fmt.Sprint("order-", i), "1")
	}
	g := &gate{Store: newMemStore(t)}
	in := behind(t, w, g, 4)
	g.begun, g.goOn = make(chan struct{}), make(chan struct{})
	stepped := make(chan projection.Stepped)
	go func() {
		s, err := in.Step(t.Context())
		if err != nil {
			t.Error(err)
		}
		stepped <- s
	}()
	<-g.begun
	within(t, "the next batch is folded", func() bool { return in.folded() == 8 })
	g.goOn <- struct{}{}
	s := <-stepped
	g.begun = nil
	want(t, "stepped", fmt.Sprint(s.Records, s.Folded, s.Waiting), "4 4 8")
	in.drain(t)
	want(t, "folded", in.folded(), 12) // and none of them twice
}

func TestWhatWasFoldedAheadOfABrokenKeyIsFoldedAnew(t *testing.T) {
	w := newTopics()
	for _, value := range []string{"1", "refused", "2", "3", "4"} {
		w.event(0, "order-1", value)
		w.event(0, "order-2", "1")
	}
	in := behind(t, w, newMemStore(t), 4)
	s := in.drain(t)
	want(t, "stepped", fmt.Sprint(s.Broken, s.Skipped), "1 3")
	want(t, "view", shown(t, in.store, in.view), `order-1 1 {"sum":1,"steps":["1"]} 1 1
order-2 5 {"sum":5,"steps":["1","1","1","1","1"]} 1 5
partition 0 6
`)
}

func TestRecordsThatWereFoldedAheadAreDroppedWithTheirPartition(t *testing.T) {
	w := newTopics()
	for i := range 12 {
		w.event(int32(i%2), fmt.Sprint("order-", i), "1")
	}
	in := behind(t, w, newMemStore(t), 4) // the second batch is of both partitions
	_, err := in.Step(t.Context())
	must(t, err)
	in.Revoked([]kafka.Partition{{Topic: events, ID: 1}})
	s := in.drain(t)
	want(t, "dropped", s.Lost, 6)
	in.assign(t, kafka.Partition{Topic: events, ID: 1})
	in.drain(t)
	want(t, "view", shown(t, in.store, in.view), reference(t, w, in.store, 2))
}

func TestARepairLeavesWhatWasFoldedAheadToTheNextStep(t *testing.T) {
	w := newTopics()
	w.event(0, "order-1", "bad")
	for i := range 15 {
		w.event(0, fmt.Sprint("order-", i%2), "1")
	}
	in := behind(t, w, newMemStore(t), 4)
	for range 2 { // the second folds ahead
		_, err := in.Step(t.Context())
		must(t, err)
	}
	if err := in.Repair(t.Context(), "order-1"); !errors.Is(err, errBad) {
		t.Fatal(err)
	}
	_, err := in.Step(t.Context())
	must(t, err)
	*in.view.healed = true
	must(t, in.Repair(t.Context(), "order-1"))
	in.drain(t)
	for i := range 2 {
		version, _, err := in.view.StreamVersion(t.Context(), in.store, fmt.Sprint("order-", i))
		must(t, err)
		want(t, "version", version, 8)
	}
}

func TestFoldingAheadComesToTheSameWhateverComesAndFails(t *testing.T) {
	setChecks(t, "150")
	dir, n := t.TempDir(), 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		s, err := sqlitestore.Open(filepath.Join(dir, fmt.Sprint(n)), sqlitestore.Options{Readers: 1})
		must(rt, err)
		defer func() { must(rt, s.Close()) }()
		f := &fleet{t: rt, w: newTopics()}
		for range rapid.IntRange(10, 60).Draw(rt, "records") {
			f.produce()
		}
		faults := &faulty{Store: s, left: -1}
		in := start(rt, f.w, faults, 1, func(o *projection.Options) { o.Step = rapid.IntRange(1, 6).Draw(rt, "step") })
		in.assign(rt, f.w.all()...)
		for {
			if rapid.IntRange(0, 3).Draw(rt, "act") == 0 {
				*faults = faulty{Store: s, left: rapid.IntRange(1, 9).Draw(rt, "fault")}
			}
			stepped, err := in.Step(rt.Context())
			if err != nil && !errors.Is(err, errInjected) {
				rt.Fatal(err)
			}
			if err == nil && stepped.Records == 0 {
				break
			}
		}
		*faults = faulty{Store: s, left: -1}
		want(rt, "view", shown(rt, s, in.view), reference(rt, f.w, s, 2))
	})
}
