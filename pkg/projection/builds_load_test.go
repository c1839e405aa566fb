package projection_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/projection"
)

// groups are consumer groups in memory: partitions are shared among those who consume, with no more order
// between an old owner and a new one than checkpoints see to.
type groups struct {
	w  *topics
	mu sync.Mutex

	members map[string][]*projection.Projection
}

func (g *groups) change(group string, change func([]*projection.Projection) []*projection.Projection) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.members[group] = change(g.members[group])
}

// share returns the partitions of a member at the moment.
func (g *groups) share(group string, of *projection.Projection) (share []kafka.Partition) {
	g.mu.Lock()
	defer g.mu.Unlock()
	members := g.members[group]
	for i, p := range allPartitions {
		if members[i%len(members)] == of {
			share = append(share, p)
		}
	}
	return share
}

// consume implements projection.BuildsOptions.Consume.
func (g *groups) consume(ctx context.Context, group string, _ []string, build *projection.Projection) error {
	g.change(group, func(all []*projection.Projection) []*projection.Projection { return append(all, build) })
	defer g.change(group, func(all []*projection.Projection) []*projection.Projection {
		return slices.DeleteFunc(slices.Clone(all), func(p *projection.Projection) bool { return p == build })
	})
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		share := g.share(group, build)
		if next, err := build.Assigned(ctx, unmarked{}, share); err == nil {
			g.deliver(ctx, group, build, share, next, tick)
			build.Revoked(share)
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	return nil
}

// deliver is one generation.
func (g *groups) deliver(ctx context.Context, group string, build *projection.Projection, share []kafka.Partition, next map[kafka.Partition]int64, tick *time.Ticker) {
	for slices.Equal(share, g.share(group, build)) {
		for _, p := range share {
			recs := g.w.from(p, next[p])
			if len(recs) == 0 {
				continue
			}
			if err := build.Deliver(ctx, recs[:min(len(recs), 50)]); err != nil {
				return
			}
			next[p] = recs[min(len(recs), 50)-1].Offset + 1
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// live is an instance that runs by itself.
type live struct {
	*projection.Builds
	view *ordersView
	stop func()
}

func (g *groups) start(t *testing.T, store projection.Store, version int) *live {
	in := &live{view: newOrdersView(version)}
	var err error
	in.Builds, err = projection.OpenBuilds(t.Context(), projection.BuildsOptions{
		Options: projection.Options{Store: store, Clock: time.Now, Replay: g.w.replay},
		View:    in.view, Offsets: g.w.offsets, Consume: g.consume, Scratch: scratch,
	})
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- in.Run(ctx) }()
	in.stop = sync.OnceFunc(func() {
		cancel()
		must(t, <-ended)
	})
	t.Cleanup(in.stop)
	return in
}

func (in *live) state(number int) projection.BuildState {
	all, err := in.List(context.Background())
	if err != nil {
		return ""
	}
	for _, b := range all {
		if b.Number == number && b.Version == in.view.version {
			return b.State
		}
	}
	return ""
}

// load appends events all the time, and reads each of them as a client does that has its token: any instance
// must show that version, and never an older one than was shown before.
type load struct {
	reads atomic.Int64
	wrong atomic.Pointer[string]
	stop  func()
}

func (g *groups) load(t *testing.T, instances ...*live) *load {
	l := &load{}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	shown := func(in *live, key string) (version int64, err error) {
		// The row and another of the same view, in one statement.
		err = in.Store().Query(ctx, `SELECT o.version, s.n FROM `+in.view.ordersT+` o LEFT JOIN `+in.view.sizesT+` s ON s.part = $1 WHERE o.key = $2`,
			[]any{0, key}, func(r projection.Row) error {
				version = r.Int(0)
				return nil
			})
		return version, err
	}
	for n := range 4 {
		key := fmt.Sprint("order-", n)
		running.Go(func() {
			for version := int64(1); ctx.Err() == nil; version++ {
				g.w.mu.Lock()
				g.w.position++
				g.w.put(events, int32(n%2), key, "1", "ce_id", fmt.Sprint(key, "/", version), "ce_type", "changed", "ce_epoch", "e1",
					"ce_position", fmt.Sprint(g.w.position), "ce_streamversion", fmt.Sprint(version))
				g.w.mu.Unlock()
				for _, in := range instances {
					wait, done := context.WithTimeout(ctx, patience)
					err := in.Answers().WaitVersion(wait, key, version)
					done()
					if ctx.Err() != nil {
						return
					}
					got, err2 := shown(in, key)
					if ctx.Err() != nil {
						return
					}
					if err := errors.Join(err, err2); err != nil || got < version {
						wrong := fmt.Sprintf("%s shows version %d after %d: %v", key, got, version, err)
						l.wrong.CompareAndSwap(nil, &wrong)
						return
					}
					l.reads.Add(1)
				}
			}
		})
	}
	l.stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
	})
	t.Cleanup(l.stop)
	return l
}

func (l *load) check(t *testing.T) {
	t.Helper()
	if wrong := l.wrong.Load(); wrong != nil {
		t.Fatal(*wrong)
	}
}

func TestReadsGoOnAndNeverGoBackWhileBuildsAreSwapped(t *testing.T) {
	onEachStore(t, func(t *testing.T, open func() projection.Store) {
		g := &groups{w: newTopics(), members: make(map[string][]*projection.Projection)}
		a, b := g.start(t, open(), 1), g.start(t, open(), 1)
		for i := range 300 {
			g.w.command(int32(i%2), fmt.Sprint("c", i))
			g.w.outcome(int32(i%2), fmt.Sprint("c", i), "succeeded")
		}
		l := g.load(t, a, b)
		reads := func(what string) {
			t.Helper()
			before := l.reads.Load()
			within(t, what, func() bool { l.check(t); return l.reads.Load() > before+50 })
		}
		reads("reads")
		_, err := a.Rebuild(t.Context())
		must(t, err)
		within(t, "build 2 takes over", func() bool { l.check(t); return b.state(2) == projection.Active })
		reads("reads of build 2")
		_, err = b.Rollback(t.Context())
		must(t, err)
		within(t, "build 1 takes over again", func() bool { l.check(t); return a.state(1) == projection.Active })
		reads("reads of build 1")
		a.stop() // its partitions go to the other one, in the middle of the next build
		_, err = b.Rebuild(t.Context())
		must(t, err)
		within(t, "build 3 takes over", func() bool { l.check(t); return b.state(3) == projection.Active })
		within(t, "build 2 is dropped", func() bool { return b.state(2) == "" })
		reads("reads of build 3")
		l.stop()
		l.check(t)
		whole := reference(t, g.w, newMemStore(t), 101)
		within(t, "the view is the fold of its topics", func() bool { return shown(t, b.Store(), b.view) == whole })
	})
}
