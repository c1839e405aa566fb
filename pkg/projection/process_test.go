package projection_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/projection"
)

// offsets is what an admin says of a topic.
func (w *topics) offsets(_ context.Context, topic string) (map[int32]kafka.Range, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	held := map[int32]kafka.Range{0: {}, 1: {}}
	for p, recs := range w.parts {
		if p.Topic == topic && len(recs) > 0 {
			held[p.ID] = kafka.Range{First: recs[0].Offset, Last: recs[len(recs)-1].Offset + 1}
		} else if p.Topic == topic {
			held[p.ID] = kafka.Range{First: w.expired[p], Last: w.expired[p]}
		}
	}
	return held, nil
}

// from returns the records of a partition from an offset on.
func (w *topics) from(p kafka.Partition, next int64) (recs []kafka.Record) {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.parts[p]
	i := slices.IndexFunc(all, func(r kafka.Record) bool { return r.Offset >= next })
	if i < 0 {
		return nil
	}
	return slices.Clone(all[i:])
}

var allPartitions = []kafka.Partition{
	{Topic: events, ID: 0},
	{Topic: events, ID: 1},
	{Topic: commands, ID: 0},
	{Topic: commands, ID: 1},
	{Topic: outcomes, ID: 0},
	{Topic: outcomes, ID: 1},
}

// process is an instance whose builds a test drives.
type process struct {
	*projection.Builds
	w       *topics
	view    *ordersView
	now     time.Time
	folding map[*projection.Projection]map[kafka.Partition]int64 // next offsets to deliver
}

type unmarked struct{}

func (unmarked) Mark(kafka.Partition, int64) {}

func openProcess(w *topics, store projection.Store, version int, change ...func(*projection.BuildsOptions)) (*process, error) {
	p := &process{w: w, view: newOrdersView(version), now: startTime, folding: make(map[*projection.Projection]map[kafka.Partition]int64)}
	o := projection.BuildsOptions{
		Options: projection.Options{Store: store, Clock: func() time.Time { return p.now }, Replay: w.replay},
		View:    p.view, Offsets: w.offsets, Scratch: scratch,
		Consume: func(ctx context.Context, _ string, _ []string, _ *projection.Projection) error {
			<-ctx.Done()
			return nil
		},
	}
	for _, c := range change {
		c(&o)
	}
	var err error
	p.Builds, err = projection.OpenBuilds(context.Background(), o)
	return p, err
}

func newProcess(t fataler, w *topics, store projection.Store, version int, change ...func(*projection.BuildsOptions)) *process {
	p, err := openProcess(w, store, version, change...)
	must(t, err)
	return p
}

// turn looks once at the builds, and folds all that there is for those that run.
func (p *process) turn() error {
	p.now = p.now.Add(time.Second)
	ctx := context.Background()
	if _, err := p.Look(ctx); err != nil {
		return err
	}
	for _, build := range p.Running() {
		if err := p.fold(ctx, build); err != nil && !errors.Is(err, projection.ErrFrozen) && !errors.Is(err, projection.ErrFenced) {
			return err
		}
	}
	return nil
}

func (p *process) fold(ctx context.Context, build *projection.Projection) error {
	next := p.folding[build]
	if next == nil {
		at, err := build.Assigned(ctx, unmarked{}, allPartitions)
		if err != nil {
			return err
		}
		next = at
		p.folding[build] = next
	}
	for _, part := range allPartitions {
		recs := p.w.from(part, next[part])
		if len(recs) == 0 {
			continue
		}
		if err := build.Deliver(ctx, recs); err != nil {
			delete(p.folding, build)
			return err
		}
		next[part] = recs[len(recs)-1].Offset + 1
	}
	for {
		s, err := build.Step(ctx)
		if err != nil {
			return err
		}
		if s.Lost > 0 {
			delete(p.folding, build)
			return nil
		}
		if s.Records == 0 {
			return nil
		}
	}
}

// states are the builds and what became of them.
func states(t fataler, p *process) string {
	all, err := p.List(context.Background())
	must(t, err)
	var list []string
	for _, b := range all {
		s := fmt.Sprint(b.Number, " ", b.State)
		if b.Version != p.view.version {
			s = fmt.Sprint("v", b.Version, " ") + s
		}
		list = append(list, s)
	}
	return strings.Join(list, ", ")
}

func (p *process) until(t fataler, want string) {
	t.Helper()
	for range 50 {
		must(t, p.turn())
		if states(t, p) == want {
			return
		}
	}
	t.Fatalf("the builds are %q, not %q; %+v", states(t, p), want, p.Report())
}

// more appends n rounds of all kinds of records.
func (w *topics) more(n int) {
	for i := range n {
		part := int32(i % 2)
		w.event(part, fmt.Sprint("order-", i%6), fmt.Sprint(i))
		id := fmt.Sprint("c", w.position)
		w.command(part, id)
		w.outcome(1-part, id, "succeeded")
	}
}
