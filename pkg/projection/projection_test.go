package projection_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/projection"
)

func TestWhatWaitsInAllPartitionsIsCommittedTogether(t *testing.T) {
	onEachStore(t, func(t *testing.T, open func() projection.Store) {
		w := newTopics()
		w.command(0, "c1")
		w.outcome(1, "c1", "succeeded")
		w.outcome(1, "c2", "parked")
		w.outcome(0, "c2", "refused")
		w.event(0, "order-1", "5")
		w.event(1, "order-2", "7")
		w.event(0, "order-1", "6")
		in := start(t, w, open(), 1)
		in.assign(t, w.all()...)
		s := in.drain(t)
		want(t, "stepped", fmt.Sprint(s.Records, s.Folded, s.Commits), "7 7 1")
		want(t, "view", shown(t, in.store, in.view), `order-1 2 {"sum":11,"steps":["5","6"]} 6 11
order-2 1 {"sum":7,"steps":["7"]} 7 7
commands of partition 0 1
partition 0 2
partition 1 1
c1 1 change succeeded 3
c2 0  refused 3
`)
		want(t, "mark", in.marks[kafka.Partition{Topic: events}], 2)
	})
}

func TestEventsGoOnInDocumentsThatAreThere(t *testing.T) {
	onEachStore(t, func(t *testing.T, open func() projection.Store) {
		w := newTopics()
		in := start(t, w, open(), 1, func(o *projection.Options) { o.Step = 3 })
		for i := range 10 {
			w.event(0, fmt.Sprint("order-", i%3), fmt.Sprint(i))
		}
		in.assign(t, w.all()...)
		s := in.drain(t)
		want(t, "commits", s.Commits, 4)
		want(t, "view", shown(t, in.store, in.view), `order-0 4 {"sum":18,"steps":["0","3","6","9"]} 9 18
order-1 3 {"sum":12,"steps":["1","4","7"]} 7 12
order-2 3 {"sum":15,"steps":["2","5","8"]} 8 15
partition 0 10
`)
	})
}

func TestRepeatsAreSkippedByPositionAlsoAfterARestart(t *testing.T) {
	onEachStore(t, func(t *testing.T, open func() projection.Store) {
		w := newTopics()
		w.event(0, "order-1", "1")
		w.event(1, "order-2", "2")
		w.event(0, "order-1", "3")
		w.repeat(0, 2)
		in := start(t, w, open(), 1)
		in.assign(t, w.all()...)
		want(t, "repeats", in.drain(t).Repeats, 2)
		w.repeat(1, 1)
		w.repeat(0, 4)
		w.event(0, "order-1", "4")
		in = start(t, w, open(), 1)
		in.assign(t, w.all()...)
		s := in.drain(t)
		want(t, "after the restart", fmt.Sprint(s.Repeats, s.Folded), "5 1")
		want(t, "view", shown(t, in.store, in.view), `order-1 3 {"sum":8,"steps":["1","3","4"]} 4 8
order-2 1 {"sum":2,"steps":["2"]} 2 2
partition 0 3
partition 1 1
`)
	})
}

func TestEventsOfALogThatLostItsTopicsEndAreFoldedAtLowerOffsets(t *testing.T) {
	w := newTopics()
	for i := range 4 {
		w.event(0, "order-1", fmt.Sprint(i))
	}
	store := newMemStore(t)
	in := start(t, w, store, 1)
	in.assign(t, w.all()...)
	in.drain(t)
	// The broker lost its last three records, and the relay published the log again.
	p := kafka.Partition{Topic: events}
	lost := w.parts[p][1:]
	w.parts[p] = w.parts[p][:1:1]
	for _, r := range lost[1:] {
		r.Offset = int64(len(w.parts[p]))
		w.parts[p] = append(w.parts[p], r)
	}
	w.event(0, "order-1", "10")
	_, err := in.Assigned(t.Context(), in, []kafka.Partition{p})
	must(t, err)
	must(t, in.Deliver(t.Context(), w.parts[p]))
	s := in.drain(t)
	want(t, "stepped", fmt.Sprint(s.Repeats, s.Folded), "3 1")
	want(t, "view", shown(t, store, in.view), "order-1 5 {\"sum\":16,\"steps\":[\"0\",\"1\",\"2\",\"3\",\"10\"]} 10 16\npartition 0 6\n")
}

func TestABadRecordBreaksItsKeyOnly(t *testing.T) {
	for _, trouble := range []string{"bad", "panic", "bad later", "panic later", "refused"} {
		t.Run(trouble, func(t *testing.T) {
			onEachStore(t, func(t *testing.T, open func() projection.Store) { badRecord(t, open, trouble) })
		})
	}
}

func badRecord(t *testing.T, open func() projection.Store, trouble string) {
	w := newTopics()
	for i := range 20 {
		w.event(0, fmt.Sprint("order-", i%4), "1")
	}
	w.event(0, "order-2", trouble)
	for i := range 20 {
		w.event(0, fmt.Sprint("order-", i%4), "1")
	}
	in := start(t, w, open(), 1)
	in.assign(t, w.all()...)
	s := in.drain(t)
	want(t, "stepped", fmt.Sprint(s.Records, s.Folded, s.Broken, s.Skipped), "41 35 1 5")
	w.event(0, "order-2", "1")
	w.event(0, "order-3", "1")
	in2 := start(t, w, open(), 1)
	in2.assign(t, w.all()...)
	s = in2.drain(t)
	want(t, "after a restart", fmt.Sprint(s.Records, s.Folded, s.Broken, s.Skipped), "2 1 0 1")
	got := shown(t, in2.store, in2.view)
	for _, line := range []string{`order-0 10 {"sum":10`, `order-2 5 {"sum":5`, `order-3 11 {"sum":11`, "partition 0 36"} {
		if !strings.Contains(got, line) {
			t.Errorf("view lacks %s:\n%s", line, got)
		}
	}
	for _, p := range []*instance{in, in2} {
		broken, err := p.Broken(t.Context(), "order-2")
		must(t, err)
		if len(broken) != 1 || broken[0].Offset != 20 || broken[0].Topic != events || broken[0].Type != "changed" || broken[0].Reason == "" {
			t.Errorf("broken: %+v", broken)
		}
		if others, err := p.Broken(t.Context(), "order-1"); err != nil || len(others) > 0 {
			t.Errorf("order-1 is broken: %v %v", others, err)
		}
	}
	if len(in.dead) != 1 || in.dead[0].ID != "order-2/6" || in.dead[0].Key != "order-2" || len(in2.dead) > 0 {
		t.Errorf("dead letters: %+v %+v", in.dead, in2.dead)
	}
}

func TestManyBadRecordsOfOneBatchAreAllFound(t *testing.T) {
	onEachStore(t, func(t *testing.T, open func() projection.Store) {
		w := newTopics()
		troubles := []string{"bad", "panic", "bad later", "panic later", "refused", "1", "2"}
		for i := range 70 {
			w.event(int32(i%2), fmt.Sprint("order-", i), troubles[i%7])
		}
		in := start(t, w, open(), 1)
		in.assign(t, w.all()...)
		s := in.drain(t)
		want(t, "stepped", fmt.Sprint(s.Folded, s.Broken), "20 50")
		all, err := in.AllBroken(t.Context(), "", 30)
		must(t, err)
		rest, err := in.AllBroken(t.Context(), all[len(all)-1].Key, 30)
		must(t, err)
		want(t, "listed", fmt.Sprint(len(all), len(rest)), "30 20")
	})
}

func TestAGapInAStreamBreaksItsKey(t *testing.T) {
	w := newTopics()
	w.event(0, "order-1", "1")
	w.versions["order-1"]++ // lost on the way
	w.event(0, "order-1", "3")
	w.versions["order-2"]++
	w.event(0, "order-2", "2")
	in := start(t, w, newMemStore(t), 1)
	in.assign(t, w.all()...)
	want(t, "broken", in.drain(t).Broken, 2)
	broken, err := in.Broken(t.Context(), "order-1")
	must(t, err)
	if len(broken) != 1 || !strings.Contains(broken[0].Reason, "events are missing") {
		t.Fatalf("broken: %+v", broken)
	}
}

func TestAViewThatBreaksEverythingWaitsInsteadOfSkipping(t *testing.T) {
	w := newTopics()
	for i := range 20 {
		w.event(0, fmt.Sprint("order-", i), "bad")
	}
	in := start(t, w, newMemStore(t), 1, func(o *projection.Options) { o.MaxBroken, o.Step = 5, 2 })
	in.assign(t, w.all()...)
	var err error
	for range 10 {
		_, err = in.Step(t.Context())
	}
	if !errors.Is(err, projection.ErrTooManyBroken) {
		t.Fatalf("got %v", err)
	}
	want(t, "mark", in.marks[kafka.Partition{Topic: events}], 4)
}

func TestKeysThatAreNoTextAreFoldedToo(t *testing.T) {
	onEachStore(t, func(t *testing.T, open func() projection.Store) {
		w := newTopics()
		w.event(0, "order-\xff\x00", "bad")
		w.event(0, "order-\xfe", "1")
		in := start(t, w, open(), 1)
		in.assign(t, w.all()...)
		s := in.drain(t)
		want(t, "stepped", fmt.Sprint(s.Folded, s.Broken), "1 1")
	})
}

func TestAnEarlierOwnerCanWriteNothing(t *testing.T) {
	onEachStore(t, func(t *testing.T, open func() projection.Store) {
		w := newTopics()
		for i := range 10 {
			w.event(0, "order-1", fmt.Sprint(i))
			w.event(1, "order-2", fmt.Sprint(i))
		}
		zombie := start(t, w, open(), 1, func(o *projection.Options) { o.Step = 4 })
		zombie.assign(t, w.all()...)
		_, err := zombie.Step(t.Context())
		must(t, err)
		owner := start(t, w, open(), 1, func(o *projection.Options) { o.Step = 3 })
		owner.assign(t, w.all()[0])
		s := zombie.drain(t) // goes on with its other partition
		want(t, "zombie", fmt.Sprint(s.Lost, s.Folded), "6 10")
		if err := zombie.Deliver(t.Context(), w.parts[w.all()[0]]); !errors.Is(err, projection.ErrFenced) {
			t.Errorf("Deliver to a zombie: %v", err)
		}
		want(t, "owner", owner.drain(t).Folded, 6)
		got := shown(t, owner.store, owner.view)
		if !strings.Contains(got, `order-1 10 {"sum":45`) || !strings.Contains(got, `order-2 10 {"sum":45`) {
			t.Errorf("view:\n%s", got)
		}
	})
}

func TestARevokedPartitionIsDropped(t *testing.T) {
	w := newTopics()
	w.event(0, "order-1", "1")
	w.event(1, "order-2", "2")
	in := start(t, w, newMemStore(t), 1)
	in.assign(t, w.all()...)
	in.Revoked(w.all()[:1])
	s := in.drain(t)
	want(t, "stepped", fmt.Sprint(s.Lost, s.Folded), "1 1")
	in.assign(t, w.all()[:1]...)
	want(t, "folded later", in.drain(t).Folded, 1)
}

// goBack lets the database lose what it committed after a moment, but for the fences.
func goBack(t *testing.T, in *instance) {
	must(t, in.store.Update(t.Context(), func(tx projection.Tx) error {
		_, err := tx.Exec(t.Context(), `UPDATE projection_checkpoints SET next_offset = 0, position = 0`)
		for _, table := range []string{in.view.ordersT, in.view.sizesT, in.view.lengthsT, "projection_broken"} {
			if err == nil {
				_, err = tx.Exec(t.Context(), `DELETE FROM `+table)
			}
		}
		return err
	}))
}

func TestADatabaseThatLostItsLastTransactionsIsFilledAgain(t *testing.T) {
	w := newTopics()
	for i := range 20 {
		w.event(int32(i%2), fmt.Sprint("order-", i%4), "1")
	}
	w.event(1, "order-3", "refused")
	store := newMemStore(t)
	f := &faulty{Store: store, left: -1}
	in := start(t, w, f, 1, func(o *projection.Options) { o.Step = 6 })
	in.assign(t, w.all()...)
	in.drain(t)
	before := shown(t, store, in.view)
	goBack(t, in)
	w.event(0, "order-0", "5")
	must(t, in.Deliver(t.Context(), w.parts[w.all()[0]][10:]))
	for n := 1; ; n += 3 { // whatever fails meanwhile
		f.left, f.hit = n, false
		if s, err := in.Step(t.Context()); err == nil && s.Records == 0 {
			break
		}
	}
	f.left = -1
	if before == shown(t, store, in.view) {
		t.Error("the last record was not folded")
	}
	want(t, "view", shown(t, store, in.view), reference(t, w, store, 2))

	goBack(t, in) // and nothing comes that would show it, but Run looks now and then
	watch := &seen{}
	idle := start(t, w, store, 3, func(o *projection.Options) { o.Watch = watch })
	idle.assign(t, w.all()...)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- idle.Run(ctx) }()
	within(t, "all is folded", func() bool { records, _, _ := watch.read(); return records == 22 })
	goBack(t, idle)
	within(t, "it is mended", func() bool { return shown(t, store, idle.view) == shown(t, store, newOrdersView(2)) })
	cancel()
	must(t, <-ended)
}

func TestWithoutReplayALostPartitionIsAssignedAgain(t *testing.T) {
	w := newTopics()
	w.event(0, "order-1", "1")
	w.event(1, "order-2", "1")
	in := start(t, w, newMemStore(t), 1, func(o *projection.Options) { o.Replay = nil })
	in.assign(t, w.all()...)
	in.drain(t)
	goBack(t, in)
	w.event(0, "order-1", "2")
	must(t, in.Deliver(t.Context(), w.parts[w.all()[0]][1:]))
	want(t, "lost", in.drain(t).Lost, 1)
	for _, p := range w.all() { // whichever partition has records next
		if err := in.Deliver(t.Context(), w.parts[p]); !errors.Is(err, projection.ErrFenced) {
			t.Fatalf("Deliver: %v", err)
		}
	}
	in.assign(t, w.all()...)
	in.drain(t)
	if got := shown(t, in.store, in.view); !strings.Contains(got, `order-1 2 {"sum":3`) {
		t.Errorf("view:\n%s", got)
	}
}

func TestVersionsOfAViewLiveBesideEachOther(t *testing.T) {
	onEachStore(t, func(t *testing.T, open func() projection.Store) {
		w := newTopics()
		w.event(0, "order-1", "1")
		store := open()
		one := start(t, w, store, 1)
		one.assign(t, w.all()...)
		one.drain(t)
		w.event(0, "order-1", "2")
		two := start(t, w, store, 2)
		two.assign(t, w.all()...)
		want(t, "rebuilt", two.drain(t).Folded, 2)
		must(t, one.Deliver(context.Background(), w.parts[w.all()[0]][1:]))
		want(t, "beside it", one.drain(t).Folded, 1)
		want(t, "views", shown(t, store, one.view), shown(t, store, two.view))
	})
}
