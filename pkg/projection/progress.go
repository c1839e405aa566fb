package projection

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/orderlane/orderlane/pkg/kafka"
)

// measureEvery is how often it is measured how far a build has come, and paceOver the time that its
// rate is measured over.
const (
	measureEvery = time.Second
	paceOver     = 10 * time.Second
)

// Report says what has become of the builds of a view.
type Report struct {
	View    string
	Version int
	Ready   bool   // there is an active build
	Waiting string // what an operator should know of the build under way
	Builds  []Build

	Progress *Progress // of the build under way, nil if there is none
}

// Progress says how far the build under way has come.
type Progress struct {
	Build int
	Done  int64         // records folded; offsets, in truth, so it may grow in leaps
	Total int64         // records on the topics
	Rate  float64       // records per second, of all instances
	Left  time.Duration // until it has caught up, at that rate; 0 if that is not known yet
	Held  string        // why it does not take over, though it has caught up
}

// String says it in words.
func (p *Progress) String() string {
	s := fmt.Sprintf("build %d: %d of %d records", p.Build, p.Done, p.Total)
	if p.Total > 0 {
		s += fmt.Sprintf(" (%.0f %%)", 100*float64(p.Done)/float64(p.Total))
	}
	if p.Rate > 0 {
		s += fmt.Sprintf(", %.0f/s", p.Rate)
	}
	if p.Left > 0 {
		s += ", " + p.Left.Round(time.Second).String() + " left"
	}
	if p.Held != "" {
		s += "; " + p.Held
	}
	return s
}

// pace is what is remembered of the build under way from one look to the next.
type pace struct {
	build    int
	measured time.Time
	samples  []sample
	progress Progress
	held     string
	near     time.Time // since when it is behind by little

	pause     time.Duration // between tries to swap
	notBefore time.Time     // the next one

	first map[kafka.Partition]int64 // what the partitions begin with
	was   map[kafka.Partition]stood // where the build is, and since when
	empty map[kafka.Partition]int64 // up to there, there is nothing more for it
}

// stood is where a build stands in a partition.
type stood struct {
	next  int64
	since time.Time
}

type sample struct {
	at   time.Time
	done int64
}

// measure measures how far a build has come, about once a second.
func (b *Builds) measure(ctx context.Context, active, candidate *Build) error {
	now := b.o.Clock()
	if b.pace.build != candidate.Number {
		b.pace = pace{
			build: candidate.Number, first: make(map[kafka.Partition]int64), was: make(map[kafka.Partition]stood),
			empty: make(map[kafka.Partition]int64),
		}
	} else if now.Sub(b.pace.measured) < measureEvery {
		return nil
	}
	if candidate.State == Swapping && active != nil && !b.pace.measured.IsZero() {
		return nil // this takes moments
	}
	b.pace.measured = now
	ctx, cancel := context.WithTimeout(ctx, swapPatience)
	defer cancel()
	held, err := b.held(ctx)
	if err != nil {
		return err
	}
	stands, err := b.checkpoints(ctx, b.o.Store, candidate.Number)
	if err != nil {
		return err
	}
	p := Progress{Build: candidate.Number}
	for part, r := range held {
		b.pace.first[part] = r.First
		p.Total += r.Last - r.First
		p.Done += min(max(stands[part].next, r.First), r.Last) - r.First
	}
	b.pace.samples = append(b.pace.samples, sample{now, p.Done})
	for len(b.pace.samples) > 1 && now.Sub(b.pace.samples[0].at) > paceOver {
		b.pace.samples = b.pace.samples[1:]
	}
	if from := b.pace.samples[0]; now.After(from.at) && p.Done > from.done {
		p.Rate = float64(p.Done-from.done) / now.Sub(from.at).Seconds()
		p.Left = time.Duration(float64(p.Total-p.Done) / p.Rate * float64(time.Second))
	}
	b.pace.progress = p
	return nil
}

// tell notes how the builds are, and tells of it.
func (b *Builds) tell(all builds) {
	r := Report{View: b.view, Version: int(b.version), Ready: b.Ready(), Builds: all}
	if candidate := all.candidate(); candidate != nil && b.pace.build == candidate.Number {
		p := b.pace.progress
		p.Held = b.pace.held
		r.Progress, r.Waiting = &p, p.String()
	} else if !r.Ready {
		r.Waiting = "it has just begun"
	}
	b.mu.Lock()
	b.report = r
	b.mu.Unlock()
	if b.o.Told != nil {
		b.o.Told(r)
	}
}

// Report returns how the builds were when they were last looked at.
func (b *Builds) Report() Report {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.report
}

// List returns all builds of all versions that are in the store, and of the tables of older releases,
// which had one build each, without number.
func (b *Builds) List(ctx context.Context) ([]Build, error) {
	all, err := readBuilds(ctx, b.o.Store, b.view)
	if err != nil {
		return nil, err
	}
	known := make(map[int]bool)
	var list []Build
	for _, one := range all {
		known[one.Version] = true
		if one.State != Dropped {
			list = append(list, one)
		}
	}
	old := make(map[int]bool)
	err = b.o.Store.Query(ctx, `SELECT DISTINCT version FROM projection_checkpoints WHERE projection = $1`, []any{b.view}, func(r Row) error {
		old[int(r.Int(0))] = !known[int(r.Int(0))]
		return nil
	})
	for version := range maps.Keys(old) {
		if old[version] {
			list = append(list, Build{Version: version, State: Previous, Frozen: true})
		}
	}
	return list, err
}

// AllBroken lists the broken keys of a build, see Answers.AllBroken.
func (b *Builds) AllBroken(ctx context.Context, number int, after string, limit int) ([]BrokenKey, error) {
	return allBroken(ctx, b.o.Store, buildID(b.view, number), b.version, after, limit)
}

// Repair folds a key anew in the active build, and in the one that is under way if the key is broken there.
// See Projection.Repair.
func (b *Builds) Repair(ctx context.Context, key string) error {
	b.mu.Lock()
	live, other := b.runners[int(b.active.Load())], (*runner)(nil)
	for number, r := range b.runners {
		if number != int(b.active.Load()) {
			other = r
		}
	}
	b.mu.Unlock()
	if other != nil {
		marks, err := listBroken(ctx, b.o.Store, `WHERE projection = $1 AND version = $2 AND key = $3`, other.id, b.version, key)
		if err != nil {
			return err
		}
		if len(marks) > 0 {
			if err := other.Repair(ctx, key); err != nil && !errors.Is(err, ErrNotOwner) {
				return err
			}
		}
	}
	if live == nil {
		return fmt.Errorf("%w: %s", ErrNotOwner, key)
	}
	err := live.Repair(ctx, key)
	if err == nil {
		b.mended(key)
	}
	return err
}
