package projection

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/orderlane/orderlane/pkg/kafka"
)

// group is rows that are compared together: those with the same first columns of the primary key.
type group struct {
	table *comparedTable
	first []value
	key   string // of the records that wrote them, "" if that is not known
}

// compare compares a table.
func (v *verifier) compare(ctx context.Context, t *comparedTable) error {
	var differ []group
	look := func(g group) error {
		if v.broken[g.key] {
			return nil
		}
		found, rows, err := v.look(ctx, g)
		v.result.Rows += int64(rows)
		if err != nil || len(found) == 0 {
			return err
		}
		if differ = append(differ, g); len(differ) < maxCandidates {
			return nil
		}
		err = v.settle(ctx, differ)
		differ = nil
		return err
	}
	var err error
	if v.o.All {
		err = v.eachRow(ctx, t, look)
	} else {
		err = v.eachKey(ctx, t, look)
	}
	if err != nil {
		return err
	}
	return v.settle(ctx, differ)
}

// eachRow passes every row of both sides.
func (v *verifier) eachRow(ctx context.Context, t *comparedTable, look func(group) error) error {
	for _, side := range []Store{v.scratch, v.Builds.o.Store} {
		for after := []value(nil); ; {
			rows, err := t.page(ctx, side, after)
			if err != nil {
				return err
			}
			for _, row := range rows {
				g := group{table: t, first: row[:t.keys]}
				if t.by >= 0 {
					g.key = row[t.by].text
				}
				if side != Store(v.scratch) { // the others have been looked at
					if known, err := v.has(ctx, g); err != nil || known {
						if err != nil {
							return err
						}
						continue
					}
				}
				if err := look(g); err != nil {
					return err
				}
			}
			if len(rows) < verifyPage {
				break
			}
			after = rows[len(rows)-1]
		}
	}
	return nil
}

// has says whether the fresh fold has a row.
func (v *verifier) has(ctx context.Context, g group) (found bool, err error) {
	args, err := g.table.args(g.first, len(g.first))
	if err != nil {
		return false, err
	}
	err = v.scratch.Query(ctx, "SELECT 1 FROM "+g.table.name+g.table.where(len(g.first)), args, func(Row) error {
		found = true
		return nil
	})
	return found, err
}

// eachKey passes the rows of the chosen keys.
func (v *verifier) eachKey(ctx context.Context, t *comparedTable, look func(group) error) error {
	if t.by == 0 {
		for _, key := range slices.Sorted(maps.Keys(v.keys)) {
			if err := look(group{table: t, first: []value{{text: key}}, key: key}); err != nil {
				return err
			}
		}
		return nil
	}
	// The columns before that of the key, or the primary key without it, are known from the fresh fold only.
	seen := make(map[string]bool)
	for after := []value(nil); ; {
		rows, err := t.page(ctx, v.scratch, after)
		if err != nil {
			return err
		}
		for _, row := range rows {
			first := row[:min(t.by+1, t.keys)]
			if id := fmt.Sprint(first); !seen[id] {
				seen[id] = true
				if err := look(group{table: t, first: first, key: row[t.by].text}); err != nil {
					return err
				}
			}
		}
		if len(rows) < verifyPage {
			return nil
		}
		after = rows[len(rows)-1]
	}
}

// look compares a group as it is at the moment.
func (v *verifier) look(ctx context.Context, g group) (found []Difference, rows int, err error) {
	args, err := g.table.args(g.first, len(g.first))
	if err != nil {
		return nil, 0, err
	}
	where := g.table.where(len(g.first))
	live, err := g.table.read(ctx, v.Builds.o.Store, where, args)
	if err != nil {
		return nil, 0, err
	}
	fresh, err := g.table.read(ctx, v.scratch, where, args)
	if err != nil {
		return nil, 0, err
	}
	return g.table.diff(live, fresh), max(len(live), len(fresh)), nil
}

// errUnsettled says that the live view would have to stand still for too long.
var errUnsettled = errors.New("projection: too much comes in for a row to be compared")

// errOtherBuild ends a verification.
var errOtherBuild = errors.New("projection: another build became active meanwhile; verify that one")

// settle looks again at groups that differ, until it is certain whether they do: the fresh fold is brought up to the
// checkpoints, and nothing comes in for them while they are read. The last time, what this instance folds
// stands still for that, though not for long.
func (v *verifier) settle(ctx context.Context, groups []group) error {
	for try := 1; len(groups) > 0; try++ {
		if try > settleTries {
			v.result.Undecided += int64(len(groups))
			return nil
		}
		look := v.again
		if try == settleTries {
			look = v.still
		}
		differ, certain, err := look(ctx, groups)
		if errors.Is(err, errUnsettled) {
			v.result.Undecided += int64(len(groups))
			return nil
		}
		if err != nil {
			return err
		}
		var left []group
		for i, g := range groups {
			switch {
			case len(differ[i]) == 0:
			case certain(g):
				v.tell(differ[i])
			default:
				left = append(left, g)
			}
		}
		groups = left
	}
	return nil
}

// still looks again at groups while this instance folds nothing.
func (v *verifier) still(ctx context.Context, groups []group) ([][]Difference, func(group) bool, error) {
	v.mu.Lock()
	live := v.runners[v.build]
	v.mu.Unlock()
	if live == nil {
		return v.again(ctx, groups)
	}
	at, err := v.checkpoints(ctx, v.Builds.o.Store, v.build)
	if err != nil {
		return nil, nil, err
	}
	if err := v.readTo(ctx, nexts(at)); err != nil { // most of what there is, before
		return nil, nil, err
	}
	if err := live.lock(ctx); err != nil {
		return nil, nil, err
	}
	defer live.unlock()
	short, cancel := context.WithTimeout(ctx, stillFor)
	defer cancel()
	if at, err = v.checkpoints(short, v.Builds.o.Store, v.build); err == nil && v.toRead(at) > stillRecords {
		return nil, nil, errUnsettled
	}
	var differ [][]Difference
	var certain func(group) bool
	if err == nil {
		differ, certain, err = v.again(short, groups)
	}
	if err != nil && short.Err() != nil && ctx.Err() == nil {
		return nil, nil, errUnsettled
	}
	return differ, certain, err
}

// toRead counts the records, about, that the fresh fold lacks.
func (v *verifier) toRead(at map[kafka.Partition]stands) (n int64) {
	for p, s := range at {
		if v.kept(p.Topic) {
			n += max(0, s.next-v.next[p])
		}
	}
	return n
}

// again is one more look at groups. certain says of which nothing can have changed meanwhile.
func (v *verifier) again(ctx context.Context, groups []group) (differ [][]Difference, certain func(group) bool, err error) {
	before, err := v.checkpoints(ctx, v.Builds.o.Store, v.build)
	if err != nil {
		return nil, nil, err
	}
	if err := v.readTo(ctx, nexts(before)); err != nil {
		return nil, nil, err
	}
	differ = make([][]Difference, len(groups))
	for i, g := range groups {
		if differ[i], _, err = v.look(ctx, g); err != nil {
			return nil, nil, err
		}
	}
	after, err := v.checkpoints(ctx, v.Builds.o.Store, v.build)
	if err != nil {
		return nil, nil, err
	}
	// Rows are read by the names that queries use: they must have been those of this build all the time.
	if all, err := readBuilds(ctx, v.Builds.o.Store, v.view); err != nil {
		return nil, nil, err
	} else if now := all.of(int(v.version)).active(); now == nil || now.Number != v.build {
		return nil, nil, errOtherBuild
	}
	moved, touched := false, make(map[string]bool)
	for p, at := range after {
		if at.next == before[p].next || !v.kept(p.Topic) {
			continue
		}
		moved = true
		err := v.Builds.o.Replay(ctx, p, before[p].next, at.next, func(r kafka.Record) error {
			touched[related(text(r.Key))] = true
			return nil
		})
		if err != nil {
			return nil, nil, err
		}
	}
	return differ, func(g group) bool { return !moved || (g.key != "" && !touched[related(g.key)]) }, nil
}

// tell notes differences of one group.
func (v *verifier) tell(found []Difference) {
	rows := make(map[string]bool)
	for _, d := range found {
		rows[d.Row] = true
		if len(v.result.Differences) == maxDifferences {
			continue // counted below
		}
		v.result.Differences = append(v.result.Differences, d)
		mend := "orderlane projections repair " + d.Key + " --view " + v.view
		if d.Key == "" {
			mend = "orderlane projections rebuild " + v.view
		}
		v.Builds.o.Log.Error("a row is not what its topics come to", "view", v.view, "build", v.build, "table", d.Table, "row", d.Row, "key", d.Key,
			"column", d.Column, "live", d.Live, "fresh", d.Fresh, "mend", mend)
	}
	v.result.Count += int64(len(rows))
}
