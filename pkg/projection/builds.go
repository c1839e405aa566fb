package projection

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orderlane/orderlane/pkg/kafka"
)

// BuildsOptions are what the builds of a view are made of.
type BuildsOptions struct {
	// Options are those of the projection of each build, except for View, Store's names, Build and Watch.
	Options

	View Twin // required; each build folds a twin of it; Replay is required too

	// Queries is where queries go, such as a replica of Store that may be behind it. What they see is what
	// freshness is measured by. Default: Store.
	Queries Queryer

	// Offsets returns what each partition of a topic holds, as kafka.Admin.Offsets does; required.
	Offsets func(ctx context.Context, topic string) (map[int32]kafka.Range, error)

	// Consume shares the partitions of the topics with the other members of a group and hands those
	// of this process to a build, until ctx ends, as kafka.ConsumeGroup does. An error ends Run. Required.
	Consume func(ctx context.Context, group string, topics []string, build *Projection) error

	// Watch returns what observes a build; active says whether it is the active one at the moment.
	// Default: nobody.
	Watch func(active func() bool) Observer

	// Scratch opens an empty store of the SQLite dialect, for Verify, which closes it; large says that all of the
	// view may go into it. Default: Verify fails.
	Scratch func(ctx context.Context, large bool) (Store, error)

	// Sensitive says of a topic that its records may hold personal data: no values that come from them are told.
	Sensitive func(topic string) bool

	// VerifyRate is how many records per second are read to compare a sample of the view with a fresh fold, again and
	// again, by one of the instances; or as many more as it takes to read all in an hour. 0: none.
	VerifyRate int

	// Verified is called with what a verification has come to so far, and in the end.
	Verified func(Verification)

	// Told is called with what has become of the builds, each time that was looked at; it is quick.
	Told func(Report)
}

// Bounds of building.
const (
	// rebuildStep is how many records a build takes at once while another one is active: the live
	// view waits for no more than that.
	rebuildStep = 1000

	lookEvery  = time.Second            // when nothing is under way
	buildEvery = 100 * time.Millisecond // while a build is under way
	swapEvery  = 5 * time.Millisecond   // while the active build is frozen, or rows are left to be dropped

	// nearRecords is how many records a build may be behind the active one when that is frozen: what it
	// catches up within moments.
	nearRecords = 1000
	nearFor     = 500 * time.Millisecond // it has to be that near, unless it has caught up

	// replicaTries is how often a start looks whether a replica has the tables, with pauses of minBackoff.
	replicaTries = 100

	// standstill is how long a build has not moved in a partition when it is looked whether there is anything left.
	standstill = 500 * time.Millisecond

	// swapPatience is how long a swap may take before the active build goes on, and the other one
	// has to come near again.
	swapPatience = 5 * time.Second

	// Then it is tried again after a pause, which doubles each time up to the longest one.
	swapPause    = 30 * time.Second
	maxSwapPause = 8 * time.Minute
)

// Builds are the builds of one view and version in one store: it folds those that are to be folded, with
// the other instances, and takes them through their states. Each instance looks at what is in the
// store, and does the next step that is due; each step is one transaction that does nothing where another
// instance was quicker, so any instance goes on where one was killed. All methods are safe for
// concurrent use.
type Builds struct {
	o       BuildsOptions
	view    string
	version int64
	store   *shownStore
	answers *Answers
	soon    chan struct{} // has a token when something is to be done
	active  atomic.Int64  // the number of the active build, 0: there is none yet

	target map[kafka.Partition]int64 // ends of the topics at the start: what a first build has to reach

	mu        sync.Mutex
	runners   map[int]*runner
	report    Report
	verifying verifying
	failed    chan error

	// Of Run alone.
	doomed     []Build // builds of any version that are to be dropped
	pace       pace
	swapping   time.Time // since when the active build is frozen, as seen here
	swappingIn int       // for which one
	noDrop     time.Time // until when nothing is dropped
}

// runner folds one build in this process.
type runner struct {
	*Projection
	cancel   context.CancelFunc // nil until it is started
	stopping bool               // it was cancelled, and will not fold again
	done     chan struct{}      // closed when it is over
}

// OpenBuilds looks at the builds of a view, and makes the first one if there is none. If the topics are empty
// that is active at once; if not, queries are refused until it has caught up with where they end now.
func OpenBuilds(ctx context.Context, o BuildsOptions) (*Builds, error) {
	o.Options.View = o.View
	if err := o.defaults(); err != nil {
		return nil, err
	}
	if o.Offsets == nil || o.Consume == nil || o.Replay == nil {
		return nil, errors.New("projection: options lack the topics")
	}
	b := &Builds{
		o: o, view: o.View.Name(), version: int64(o.View.Version()), soon: make(chan struct{}, 1),
		runners: make(map[int]*runner), failed: make(chan error, 1), verifying: verifying{asked: make(chan VerifyOptions, 1)},
	}
	if o.Queries == nil {
		b.o.Queries = o.Store
	}
	b.store = &shownStore{Store: o.Store, queries: b.o.Queries, builds: b}
	b.answers = newAnswers(o.View.Twin(), b.store, o.Clock, func() string { return buildID(b.view, int(b.active.Load())) })
	if err := o.Store.Migrate(ctx, "projection", schema); err != nil {
		return nil, err
	}
	all, err := b.read(ctx)
	if err != nil {
		return nil, err
	}
	if all.active() == nil {
		if b.target, err = b.ends(ctx); err != nil {
			return nil, err
		}
		if all, err = b.begin(ctx, all); err != nil {
			return nil, err
		}
	}
	if err := b.awaitReplica(ctx, all); err != nil {
		return nil, err
	}
	return b, b.run(ctx, all)
}

// awaitReplica gives a replica a moment to get the tables of the active build, so that a start with a new
// store does not begin with refusals.
func (b *Builds) awaitReplica(ctx context.Context, all builds) error {
	for tries := replicaTries; all.active() != nil && !b.Ready() && tries > 0; tries-- {
		if !sleep(ctx, minBackoff) {
			return ctx.Err()
		}
		if _, err := b.read(ctx); err != nil {
			return err
		}
	}
	return nil
}

// begin makes a first build if there is none, also for a release that comes back after its tables were
// dropped; what is left of those goes first.
func (b *Builds) begin(ctx context.Context, all builds) (builds, error) {
	number := 1
	for _, one := range all {
		if one.State != Dropped {
			return all, nil
		}
		number = one.Number + 1
	}
	if err := b.first(ctx, number); err != nil {
		return nil, err
	}
	return b.read(ctx)
}

// first makes a build while there is no other, which is active at once if there is nothing to be folded.
func (b *Builds) first(ctx context.Context, number int) error {
	state := Active
	for _, end := range b.target {
		if end > 0 {
			state = Building
		}
	}
	if state == Active { // its tables have to be there first
		p, err := b.projection(ctx, number)
		if err != nil {
			return err
		}
		b.runners[number] = &runner{Projection: p, done: make(chan struct{})}
	}
	return b.o.Store.Update(ctx, func(tx Tx) error {
		ok, err := b.insert(ctx, tx, number, state)
		if err != nil || !ok || state != Active {
			return err
		}
		return b.show(ctx, tx, number)
	})
}

// show makes a build what queries see.
func (b *Builds) show(ctx context.Context, tx Tx, number int) error {
	for _, sql := range showTables(b.o.Store.Dialect(), b.o.View, number) {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

// ends are the ends of the partitions of the view's topics that hold something.
func (b *Builds) ends(ctx context.Context) (map[kafka.Partition]int64, error) {
	held, err := b.held(ctx)
	ends := make(map[kafka.Partition]int64)
	for p, r := range held {
		if r.Last > r.First {
			ends[p] = r.Last
		}
	}
	return ends, err
}

// held is what the partitions of the view's topics hold.
func (b *Builds) held(ctx context.Context) (map[kafka.Partition]kafka.Range, error) {
	topics := topicsOf(b.o.View.Sources())
	held := make(map[kafka.Partition]kafka.Range)
	errs := make([]error, len(topics))
	var mu sync.Mutex
	var asked sync.WaitGroup
	for i, topic := range topics {
		asked.Go(func() {
			ranges, err := b.o.Offsets(ctx, topic)
			errs[i] = err
			mu.Lock()
			defer mu.Unlock()
			for id, r := range ranges {
				held[kafka.Partition{Topic: topic, ID: id}] = r
			}
		})
	}
	asked.Wait()
	return held, errors.Join(errs...)
}

// read reads the builds of the version.
func (b *Builds) read(ctx context.Context) (builds, error) {
	every, err := readBuilds(ctx, b.o.Store, b.view)
	all := every.of(int(b.version))
	b.doomed = every.doomed()
	if err == nil && b.active.Load() == 0 && b.o.Queries != Queryer(b.o.Store) && all.active() != nil {
		// A replica has to have the tables before it is asked.
		shown, err := readBuilds(ctx, b.o.Queries, b.view)
		if err != nil || shown.of(int(b.version)).active() == nil {
			return all, err
		}
	}
	if active := all.active(); err == nil && active != nil {
		if was := b.active.Swap(int64(active.Number)); was != int64(active.Number) {
			b.answers.broken.forget()
		}
	}
	return all, err
}

// Answers are what queries ask beside the rows.
func (b *Builds) Answers() *Answers { return b.answers }

// Store is what queries read: the active build under the plain names of the view's tables. While there is
// none they are refused with view_building.
func (b *Builds) Store() Store { return b.store }

// Ready says whether there is an active build.
func (b *Builds) Ready() bool { return b.active.Load() > 0 }

// hurry has Run look at once.
func (b *Builds) hurry() {
	select {
	case b.soon <- struct{}{}:
	default:
	}
}

// projection makes the projection of a build, with its tables.
func (b *Builds) projection(ctx context.Context, number int) (*Projection, error) {
	o := b.o.Options
	o.View, o.Build, o.answers = b.o.View.Twin(), number, b.answers
	o.Log = o.Log.With("build", number)
	if b.o.Watch != nil {
		o.Watch = b.o.Watch(func() bool { return b.active.Load() == int64(number) })
	}
	p, err := New(ctx, o)
	if err != nil {
		return nil, err
	}
	// If the build was dropped while this process stood still, its tables are there again: they go once more.
	return p, b.o.Store.Update(ctx, func(tx Tx) error {
		_, err := b.move(ctx, tx, number, Dropped, Dropping, true)
		return err
	})
}
