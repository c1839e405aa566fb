package es_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/es/memlog"
)

// flaky is a log that fails on purpose, and that notes, for each outcome that is written,
// which version its stream had in truth when it was.
type flaky struct {
	es.Log
	faults *[]failure // of the next appends
	stale  []string
}

type failure int

const (
	none          failure = iota
	beforeWriting         // the append fails and nothing is written
	afterWriting          // the append is written and its answer is lost
	onReading             // the next read fails
)

var errDown = errors.New("the database is down")

func (f *flaky) next() failure {
	if len(*f.faults) == 0 {
		return none
	}
	n := (*f.faults)[0]
	*f.faults = (*f.faults)[1:]
	return n
}

func (f *flaky) Append(ctx context.Context, b es.Batch) (es.Head, error) {
	n := f.next()
	if n == beforeWriting {
		return es.Head{}, errDown
	}
	truth := map[string]int64{}
	for _, s := range b.Streams {
		st, err := f.Load(ctx, []es.StreamQuery{{Stream: s.Stream}})
		if err != nil {
			return es.Head{}, err
		}
		truth[s.Stream] = st[0].Version
	}
	h, err := f.Log.Append(ctx, b)
	if err != nil {
		return h, err
	}
	f.check(b, truth)
	if n == afterWriting {
		return es.Head{}, errDown
	}
	return h, nil
}

// check notes outcomes that were decided on another version than the stream had.
func (f *flaky) check(b es.Batch, version map[string]int64) {
	wrote := map[uuid.UUID]int64{}
	for _, e := range b.Events {
		wrote[e.Meta.Command]++
	}
	for _, o := range b.Outcomes {
		version[o.Stream] += wrote[o.Command]
		if o.Version != version[o.Stream] {
			f.stale = append(f.stale, fmt.Sprintf("%s %s decided at version %d of %s, which is at %d", o.Type, o.Status, o.Version, o.Stream, version[o.Stream]))
		}
	}
}

func (f *flaky) Outcomes(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]es.Outcome, error) {
	if len(*f.faults) > 0 && (*f.faults)[0] == onReading {
		f.next()
		return nil, errDown
	}
	return f.Log.Outcomes(ctx, ids)
}

// TestNoDecisionIsMadeOnAStaleState drives two engines on one store, step by step and in any
// order, while streams move between them, messages are delivered to both, and appends fail
// before or after they were written.
func TestNoDecisionIsMadeOnAStaleState(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		store := memlog.NewStore(memlog.Options{Clock: clock})
		logs := [2]*flaky{}
		rigs := [2]*rig{}
		for i := range rigs {
			logs[i] = &flaky{Log: store.Open(), faults: new([]failure)}
			rigs[i] = newRig(t, logs[i])
		}
		answers := map[uuid.UUID]es.Outcome{}
		commands := 0
		step := func(r *rig) {
			_, err := r.engine.Step(t.Context())
			if err != nil && !errors.Is(err, errDown) {
				rt.Fatal(err)
			}
			if _, err := r.engine.Answer(t.Context()); err != nil {
				rt.Fatal(err)
			}
			for _, a := range r.answers {
				o := a.Outcome
				before, ok := answers[o.Command]
				if ok && (before.Status != o.Status || before.Version != o.Version) {
					rt.Fatalf("command %s is answered %s@%d and %s@%d", o.Command, before.Status, before.Version, o.Status, o.Version)
				}
				answers[o.Command] = o
			}
			r.answers = nil
		}
		rt.Repeat(map[string]func(*rapid.T){
			"submit": func(rt *rapid.T) {
				n := commands
				if commands > 0 && rapid.Bool().Draw(rt, "again") {
					n = rapid.IntRange(0, commands-1).Draw(rt, "which")
				} else {
					commands++
				}
				// What a command is follows from its number, so that a repeat is the same.
				c := of(n, fmt.Sprint(n%3), []command{payIn{3}, payOut{2}, payOut{4}, twice{1}, payOut{0}}[n%5])
				c.Creates = n%2 == 0
				rigs[rapid.IntRange(0, 1).Draw(rt, "engine")].submit(c)
			},
			"step": func(rt *rapid.T) { step(rigs[rapid.IntRange(0, 1).Draw(rt, "engine")]) },
			"fail": func(rt *rapid.T) {
				l := logs[rapid.IntRange(0, 1).Draw(rt, "engine")]
				*l.faults = append(*l.faults, failure(rapid.IntRange(1, 3).Draw(rt, "failure")))
			},
			"": func(rt *rapid.T) {
				for _, l := range logs {
					if len(l.stale) > 0 {
						rt.Fatal(l.stale)
					}
				}
			},
		})
		for i, r := range rigs {
			*logs[i].faults = nil
			for range 20 {
				step(r)
			}
		}
		if len(answers) != commands {
			rt.Fatalf("%d of %d commands are answered", len(answers), commands)
		}
		checkLog(rt, logs[0].Log, answers)
	})
}

// checkLog holds the log against the answers: versions are 1..n, positions have no gap,
// every event belongs to a command that succeeded, and its outcome says where.
func checkLog(t *rapid.T, log es.Log, answers map[uuid.UUID]es.Outcome) {
	events, err := log.Read(context.Background(), 0, es.MaxRead)
	if err != nil {
		t.Fatal(err)
	}
	versions := map[string]int64{}
	last := map[uuid.UUID]int64{}
	for i, e := range events {
		versions[e.Stream]++
		if e.Version != versions[e.Stream] || e.Position != int64(i+1) {
			t.Fatalf("event %d is %s at position %d", i+1, e.ID(), e.Position)
		}
		last[e.Meta.Command] = e.Version
		if at := answers[e.Meta.Command]; at.Status != es.StatusSucceeded {
			t.Fatalf("%s was written by a command that is %s", e.ID(), at.Status)
		}
	}
	for command, version := range last {
		if answers[command].Version != version {
			t.Fatalf("command %s wrote version %d and says %d", command, version, answers[command].Version)
		}
	}
}
