package projection_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/projection"
)

func TestWaitingForAVersionEndsWhenItIsShown(t *testing.T) {
	onEachStore(t, func(t *testing.T, open func() projection.Store) {
		w := newTopics()
		w.event(0, "order-1", "1")
		in, other := start(t, w, open(), 1), start(t, w, open(), 1)
		in.assign(t, w.all()...)
		must(t, in.WaitVersion(t.Context(), "product-1", 7)) // not of this view

		done := make(chan string, 2)
		for name, p := range map[string]*instance{"here": in, "at another instance": other} {
			go func() { done <- fmt.Sprint(name, p.WaitVersion(t.Context(), "order-1", 1)) }()
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		defer cancel()
		if err := in.WaitVersion(ctx, "order-1", 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("waiting in vain: %v", err)
		}
		in.drain(t)
		got := []string{<-done, <-done}
		slices.Sort(got)
		want(t, "ended", fmt.Sprint(got), "[at another instance<nil> here<nil>]")
		must(t, in.WaitVersion(t.Context(), "order-1", 1))
	})
}

func TestAwaitIsToldOfRecordsByKeyAndByID(t *testing.T) {
	w := newTopics()
	w.command(0, "c1")
	w.outcome(0, "c2", "succeeded")
	in := start(t, w, newMemStore(t), 1)
	for _, id := range []string{"order-c1", "c1", "c2"} {
		in.Revoked(w.all())
		asked := make(chan struct{}, 100)
		ended := make(chan error)
		stepped := false
		var mu sync.Mutex
		go func() {
			ended <- in.Await(t.Context(), id, func(context.Context) (bool, error) {
				asked <- struct{}{}
				mu.Lock()
				defer mu.Unlock()
				return stepped, nil
			})
		}()
		<-asked // before joining
		<-asked // and after
		w.command(0, "c1")
		w.outcome(0, "c2", "succeeded")
		in.assign(t, w.all()...)
		mu.Lock()
		stepped = true
		mu.Unlock()
		in.drain(t)
		must(t, <-ended)
	}
	mine := errors.New("mine")
	if err := in.Await(t.Context(), "x", func(context.Context) (bool, error) { return false, mine }); !errors.Is(err, mine) {
		t.Fatal(err)
	}
}

func TestDeliverWaitsWhileTheQueueIsFull(t *testing.T) {
	w := newTopics()
	for i := range 30 {
		w.event(0, "order-1", fmt.Sprint(i))
	}
	in := start(t, w, newMemStore(t), 1, func(o *projection.Options) { o.Queue, o.Step = 10, 4 })
	p := w.all()[0]
	assigned := func() {
		_, err := in.Assigned(t.Context(), in, []kafka.Partition{p})
		must(t, err)
	}
	assigned()
	deliver := func(ctx context.Context) chan error {
		ended := make(chan error, 1)
		go func() { ended <- in.Deliver(ctx, w.parts[p]) }()
		return ended
	}
	ended := deliver(t.Context())
	within(t, "the queue is full", func() bool {
		s, err := in.Step(t.Context())
		must(t, err)
		if s.Waiting > 10+4 { // in the queue, and taken ahead
			t.Fatalf("%d records wait", s.Waiting)
		}
		return in.marks[p] == 30
	})
	must(t, <-ended)

	assigned()
	ended = deliver(t.Context())
	within(t, "the first records are there", func() bool { s, err := in.Step(t.Context()); return err == nil && s.Records > 0 })
	in.Revoked([]kafka.Partition{p})
	must(t, <-ended)

	assigned()
	ctx, cancel := context.WithCancel(t.Context())
	ended = deliver(ctx)
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if err := in.Deliver(t.Context(), []kafka.Record{{Topic: events, Partition: 9}}); err == nil {
		t.Error("records of a partition that was not assigned are no error")
	}
	if _, err := in.Assigned(t.Context(), in, []kafka.Partition{{Topic: "else"}}); err == nil {
		t.Error("a topic that the view has not is no error")
	}
}

// seen is an Observer.
type seen struct {
	mu      sync.Mutex
	steps   []int
	failed  int
	broken  int
	records int
}

func (s *seen) Stepped(d projection.Stepped) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.steps = append(s.steps, d.Records)
	s.records += d.Records
}

func (s *seen) Failed(error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed++
}

func (s *seen) BrokenKeys(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = n
}

func (s *seen) read() (records, failed, broken int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.records, s.failed, s.broken
}

func TestRunStepsUntilItsContextEndsAndGoesOnAfterErrors(t *testing.T) {
	w := newTopics()
	for i := range 100 {
		w.event(0, "order-1", fmt.Sprint(i))
	}
	w.event(0, "order-2", "bad")
	watch := &seen{}
	f := &faulty{Store: newMemStore(t), left: -1}
	in := start(t, w, f, 1, func(o *projection.Options) { o.Watch, o.Step, o.Linger = watch, 30, time.Millisecond })
	_, err := in.Assigned(t.Context(), in, w.all())
	must(t, err)
	f.left = 4
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- in.Run(ctx) }()
	must(t, in.Deliver(t.Context(), w.parts[w.all()[0]]))
	within(t, "all is folded", func() bool { records, _, _ := watch.read(); return records == 101 })
	cancel()
	must(t, <-ended)
	_, failed, broken := watch.read()
	want(t, "failed and broken", fmt.Sprint(failed, broken), "1 1")
	want(t, "mark", in.marks[w.all()[0]], 101)
}

func TestLingerGathersRecordsOfASlowTopic(t *testing.T) {
	w := newTopics()
	for i := range 40 {
		w.event(0, "order-1", fmt.Sprint(i))
	}
	watch := &seen{}
	in := start(t, w, newMemStore(t), 1, func(o *projection.Options) { o.Watch, o.Linger = watch, time.Hour })
	p := w.all()[0]
	_, err := in.Assigned(t.Context(), in, w.all())
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- in.Run(ctx) }()
	must(t, in.Deliver(t.Context(), w.parts[p][:1]))
	within(t, "the first is folded at once", func() bool { records, _, _ := watch.read(); return records == 1 })
	for i := 1; i < 40; i++ { // too few: they wait for more
		must(t, in.Deliver(t.Context(), w.parts[p][i:i+1]))
	}
	var more []kafka.Record
	for i := range 300 {
		w.event(0, "order-1", fmt.Sprint(i))
	}
	more = w.parts[p][40:]
	must(t, in.Deliver(t.Context(), more))
	within(t, "enough are folded", func() bool { records, _, _ := watch.read(); return records == 340 })
	cancel()
	must(t, <-ended)
	steps := slices.DeleteFunc(watch.steps, func(records int) bool { return records == 0 }) // looks after idle seconds
	want(t, "steps", len(steps), 2)
}
