package projection

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/orderlane/orderlane/pkg/fault"
	"github.com/orderlane/orderlane/pkg/kafka"
)

// VerifyOptions say what of a view is compared with a fresh fold of its topics.
type VerifyOptions struct {
	All    bool    // every row, also those that add up over keys
	Sample float64 // or the keys of about this share, above 0 and at most 1
	Seed   uint64  // of which keys that are
	Rate   int     // records read per second at the most; 0: as fast as they come
}

// Bounds of a verification.
const (
	maxSampleKeys   = 5000 // of a sample; what is beyond is left out
	maxDifferences  = 100  // told of in full
	maxShown        = 200  // bytes of a value that are told
	settleTries     = 10   // looks at a row that differs while records come in
	maxCandidates   = 1000 // rows that are looked at again at once
	verifyBatch     = 500  // records folded at once
	verifyPage      = 500  // rows read at once
	probeRecords    = 50   // of a topic that is not kept, to see what it writes
	backgroundKeys  = 1000 // about, of one pass in the background
	backgroundPause = time.Minute
	backgroundPass  = 3600 // seconds that reading takes in one pass at the most

	// What this instance folds stands still for no more than that when rows change each time they are looked at.
	stillRecords = 1000
	stillFor     = time.Second
)

// Verification is what a comparison with a fresh fold came to.
type Verification struct {
	Number  int // counts those of this process
	View    string
	Build   int
	All     bool
	Running bool
	Started time.Time
	Ended   time.Time
	Error   string // why it could not be done

	Records     int64 // read
	Keys        int64 // folded anew, 0 if all were
	Rows        int64 // compared
	Count       int64 // rows that differ
	Undecided   int64 // rows that changed each time they were looked at
	Differences []Difference
	Skipped     []string // what was not compared, and why
}

// Difference is a value, or a row, that is not what a fresh fold comes to.
type Difference struct {
	Table  string
	Row    string // its primary key
	Key    string // of the records; "" for what adds up over keys, which only a rebuild mends
	Column string // "" if the row is missing, or should be
	Live   string
	Fresh  string
}

// verifier is one verification.
type verifier struct {
	*Builds
	o       VerifyOptions
	build   int
	scratch *recorder
	fresh   *Projection
	result  Verification

	next   map[kafka.Partition]int64 // how far the partitions were read
	keys   map[string]bool           // chosen; of all keys some
	ids    map[string]bool           // what the chosen keys have in common, see related
	broken map[string]bool           // keys that can't be folded
	tables []*comparedTable
	mixed  map[string]bool // tables that are fed by topics that are not kept for ever
	paced  pacer
}

// Verify compares the active build with a fresh fold of its topics into a scratch store. Rows change while it looks,
// in other instances too: a row counts as different only if nothing came in for it between two looks at the checkpoints.
func (b *Builds) Verify(ctx context.Context, o VerifyOptions, told func(Verification)) (Verification, error) {
	v := &verifier{
		Builds: b, o: o, next: make(map[kafka.Partition]int64), keys: make(map[string]bool),
		ids: make(map[string]bool), broken: make(map[string]bool), mixed: make(map[string]bool),
	}
	if told == nil {
		told = func(Verification) {}
	}
	v.result = Verification{View: b.view, All: o.All, Started: b.o.Clock().UTC()}
	v.paced = pacer{rate: o.Rate, told: func() { told(v.result) }}
	err := v.run(ctx)
	v.result.Ended = b.o.Clock().UTC()
	return v.result, err
}

func (v *verifier) run(ctx context.Context) (err error) {
	if v.build, err = v.activeNow(ctx); err != nil {
		return err
	}
	if v.result.Build = v.build; v.build == 0 {
		return errNotBuilt
	}
	if v.Builds.o.Scratch == nil {
		return errors.New("projection: verify needs BuildsOptions.Scratch")
	}
	if err := v.probe(ctx); err != nil {
		return err
	}
	store, err := v.Builds.o.Scratch(ctx, v.o.All)
	if err != nil {
		return fmt.Errorf("projection: open a scratch store: %w", err)
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	v.scratch = newRecorder(store, v.keys)
	if v.fresh, err = v.scratchProjection(ctx, v.scratch); err != nil {
		return err
	}
	at, err := v.checkpoints(ctx, v.Builds.o.Store, v.build)
	if err != nil {
		return err
	}
	var parts []kafka.Partition
	for p := range at {
		if v.kept(p.Topic) {
			parts = append(parts, p)
		}
	}
	if _, err := v.fresh.Assigned(ctx, unheard{}, parts); err != nil {
		return err
	}
	if err := v.readTo(ctx, nexts(at)); err != nil {
		return err
	}
	v.paced.rate = 0 // what has come in meanwhile must not grow while it is read
	if v.result.Keys = int64(len(v.keys)); v.o.All {
		v.result.Keys = 0
	}
	if err := v.tidy(ctx); err != nil {
		return err
	}
	if err := v.plan(ctx); err != nil {
		return err
	}
	for _, t := range v.tables {
		if err := v.compare(ctx, t); err != nil {
			return fmt.Errorf("projection: compare %s: %w", t.name, err)
		}
	}
	if now, err := v.activeNow(ctx); err != nil || now != v.build {
		return cmp.Or(err, errors.New("projection: another build became active meanwhile; verify that one"))
	}
	return nil
}

// activeNow is the number of the active build, as the store has it.
func (v *verifier) activeNow(ctx context.Context) (int, error) {
	all, err := readBuilds(ctx, v.Builds.o.Store, v.view)
	if active := all.of(int(v.version)).active(); active != nil {
		return active.Number, err
	}
	return 0, err
}

// tidy deletes what has had its time from the fresh fold, as upkeep has from the live one.
func (v *verifier) tidy(ctx context.Context) error {
	k, ok := v.Builds.o.View.(Keeper)
	if !ok {
		return nil
	}
	return v.scratch.Update(ctx, func(tx Tx) error {
		return k.Upkeep(ctx, tx, v.scratch.Dialect(), v.Builds.o.Clock(), math.MaxInt32)
	})
}

// scratchProjection folds into a store of its own.
func (v *verifier) scratchProjection(ctx context.Context, s Store) (*Projection, error) {
	return New(ctx, Options{View: v.Builds.o.View.Twin(), Store: s, Clock: v.Builds.o.Clock, Replay: v.replay})
}

// replay reads topics again, without the records of keys that are not chosen: where a log was restored, keys are folded once more.
func (v *verifier) replay(ctx context.Context, p kafka.Partition, from, to int64, fn func(kafka.Record) error) error {
	return v.Builds.o.Replay(ctx, p, from, to, func(r kafka.Record) error {
		if !v.folds(&r) {
			return nil
		}
		return fn(r)
	})
}

// folds says whether a record is folded anew.
func (v *verifier) folds(r *kafka.Record) bool { return begins(r) || v.chosen(text(r.Key)) }

// unheard is a generation of nobody.
type unheard struct{}

func (unheard) Mark(kafka.Partition, int64) {}

// kept says whether a topic has all that it ever had, so that it can be folded anew.
func (v *verifier) kept(topic string) bool {
	return slices.ContainsFunc(v.Builds.o.View.Sources(), func(s Source) bool { return s.Topic == topic && s.Log })
}

// related is what the keys of streams about the same thing have in common: they are chosen together, since they may
// write the same rows.
func related(key string) string {
	if _, id, ok := strings.Cut(key, "-"); ok {
		return id
	}
	return key
}

// chosen says whether the records of a key are folded anew.
func (v *verifier) chosen(key string) bool {
	if v.keys[key] {
		return true
	}
	id := related(key)
	if !v.o.All && !v.ids[id] {
		h := fnv.New64a()
		fmt.Fprint(h, v.o.Seed, " ", id)
		// Its upper bits hardly differ for keys that end alike.
		if x := h.Sum64() * 0x9E3779B97F4A7C15; float64(x>>11)/(1<<53) >= v.o.Sample || len(v.keys) >= maxSampleKeys {
			return false
		}
	}
	if len(v.keys) < maxSampleKeys {
		v.keys[key], v.ids[id] = true, true
	}
	return true
}

// readTo reads the partitions up to a target, and folds the chosen keys' records.
func (v *verifier) readTo(ctx context.Context, target map[kafka.Partition]int64) error {
	for _, p := range sorted(target) {
		if !v.kept(p.Topic) || v.next[p] >= target[p] {
			continue
		}
		var recs []kafka.Record
		flush := func() error {
			err := v.fold(ctx, v.fresh, v.scratch, p, recs)
			recs = nil
			return err
		}
		err := v.Builds.o.Replay(ctx, p, v.next[p], target[p], func(r kafka.Record) error {
			v.result.Records++
			if err := v.paced.wait(ctx); err != nil {
				return err
			}
			if !v.folds(&r) {
				return nil
			}
			if recs = append(recs, r); len(recs) < verifyBatch {
				return nil
			}
			return flush()
		})
		if err == nil {
			err = flush()
		}
		if err != nil {
			return fmt.Errorf("projection: fold %s/%d anew: %w", p.Topic, p.ID, err)
		}
		v.next[p] = target[p]
	}
	return nil
}

// fold folds records of a partition, and notes which tables the topic writes.
func (v *verifier) fold(ctx context.Context, p *Projection, s *recorder, part kafka.Partition, recs []kafka.Record) error {
	if len(recs) == 0 {
		return nil
	}
	s.topic, s.keys = part.Topic, make(map[string]bool, len(recs))
	for i := range recs {
		s.keys[text(recs[i].Key)] = true
	}
	if err := p.Deliver(ctx, recs); err != nil {
		return err
	}
	for {
		step, err := p.Step(ctx)
		if err != nil || step.Records == 0 {
			return err
		}
	}
}

// probe finds the tables that topics write which are not kept for ever: those can't be compared.
func (v *verifier) probe(ctx context.Context) error {
	held, err := v.held(ctx)
	if err != nil {
		return err
	}
	var parts []kafka.Partition
	for _, p := range sorted(held) {
		if !v.kept(p.Topic) && held[p].Last > held[p].First {
			parts = append(parts, p)
		}
	}
	if len(parts) == 0 {
		return nil
	}
	store, err := v.Builds.o.Scratch(ctx, false)
	if err != nil {
		return fmt.Errorf("projection: open a scratch store: %w", err)
	}
	defer store.Close()
	s := newRecorder(store, v.keys)
	p, err := v.scratchProjection(ctx, s)
	if err != nil {
		return err
	}
	if _, err := p.Assigned(ctx, unheard{}, parts); err != nil {
		return err
	}
	for _, part := range parts {
		var recs []kafka.Record
		to := held[part].Last
		err := v.Builds.o.Replay(ctx, part, max(held[part].First, to-probeRecords), to, func(r kafka.Record) error {
			recs = append(recs, r)
			return nil
		})
		if err == nil {
			err = v.fold(ctx, p, s, part, recs)
		}
		if err != nil {
			return err
		}
	}
	for table := range s.written {
		v.mixed[table] = true
	}
	return nil
}

func sorted[T any](m map[kafka.Partition]T) []kafka.Partition {
	list := make([]kafka.Partition, 0, len(m))
	for p := range m {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b kafka.Partition) int {
		if c := strings.Compare(a.Topic, b.Topic); c != 0 {
			return c
		}
		return int(a.ID - b.ID)
	})
	return list
}

// pacer bounds how much is read in a second.
type pacer struct {
	rate int
	n    int
	told func()
}

// wait waits a moment after each hundredth of a second's worth.
func (p *pacer) wait(ctx context.Context) error {
	p.n++
	if p.n%5000 == 0 {
		p.told()
	}
	if p.rate <= 0 {
		return nil
	}
	if each := max(1, p.rate/100); p.n%each == 0 && !sleep(ctx, time.Duration(each)*time.Second/time.Duration(p.rate)) {
		return ctx.Err()
	}
	return nil
}

// checkVerify refuses options that can't be meant.
func (o *VerifyOptions) check() error {
	if !o.All && !(o.Sample > 0 && o.Sample <= 1) {
		return fault.Invalid("bad_sample", "the share of the keys to compare is above 0 and at most 1")
	}
	return nil
}
