package projection

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/orderlane/orderlane/pkg/fault"
	"github.com/orderlane/orderlane/pkg/kafka"
)

// frozen is added to the fence of a checkpoint that is to stay where it is: no step goes by such a fence,
// and no assignment raises it.
const frozen = int64(1) << 40

// builds are the rows of one view and version, by number.
type builds []Build

// in returns the latest build in one of the states, or nil.
func (b builds) in(states ...BuildState) *Build {
	for i := range slices.Backward(b) {
		if slices.Contains(states, b[i].State) {
			return &b[i]
		}
	}
	return nil
}

func (b builds) active() *Build    { return b.in(Active) }
func (b builds) candidate() *Build { return b.in(Building, Swapping) }

// readBuilds reads the builds of all versions of a view, those that were dropped too.
func readBuilds(ctx context.Context, q Queryer, view string) (list builds, err error) {
	err = q.Query(ctx, `SELECT version, build, state, frozen, shown, created_at, changed_at FROM projection_builds
		WHERE projection = $1 ORDER BY version, build`, []any{view}, func(r Row) error {
		list = append(list, Build{
			Version: int(r.Int(0)), Number: int(r.Int(1)), State: BuildState(r.Text(2)), Frozen: r.Int(3) != 0, shown: r.Int(4) != 0,
			Created: time.UnixMicro(r.Int(5)).UTC(), Changed: time.UnixMicro(r.Int(6)).UTC(),
		})
		return nil
	})
	return list, err
}

// of returns the builds of one version.
func (b builds) of(version int) (list builds) {
	for _, one := range b {
		if one.Version == version {
			list = append(list, one)
		}
	}
	return list
}

// doomed returns those that are to be dropped.
func (b builds) doomed() (list []Build) {
	for _, one := range b {
		if one.State == Dropping {
			list = append(list, one)
		}
	}
	return list
}

// insert makes a build; false if there is one of that number.
func (b *Builds) insert(ctx context.Context, tx Tx, number int, state BuildState) (bool, error) {
	now := b.o.Clock().UnixMicro()
	shown := 0
	if state == Active {
		shown = 1
	}
	n, err := tx.Exec(ctx, `INSERT INTO projection_builds (projection, version, build, state, frozen, shown, assignments, created_at, changed_at)
		VALUES ($1, $2, $3, $4, 0, $5, 0, $6, $7) ON CONFLICT (projection, version, build) DO NOTHING`,
		b.view, b.version, number, string(state), shown, now, now)
	return n == 1, err
}

// move takes a build from one state to another; false if it is not in that state.
func (b *Builds) move(ctx context.Context, tx Tx, number int, from, to BuildState, freeze bool) (bool, error) {
	f := 0
	if freeze {
		f = 1
	}
	n, err := tx.Exec(ctx, `UPDATE projection_builds SET state = $1, frozen = $2, changed_at = $3,
		shown = CASE WHEN $1 = 'active' THEN 1 ELSE shown END WHERE projection = $4 AND version = $5 AND build = $6 AND state = $7`,
		string(to), f, b.o.Clock().UnixMicro(), b.view, b.version, number, string(from))
	return n == 1, err
}

// freeze says whether the active build is to stay where it is; false if there is none. It also holds
// up all others that change builds until the transaction ends.
func (b *Builds) freeze(ctx context.Context, tx Tx, freeze bool) (bool, error) {
	f := 0
	if freeze {
		f = 1
	}
	n, err := tx.Exec(ctx, `UPDATE projection_builds SET frozen = $1 WHERE projection = $2 AND version = $3 AND state = $4`,
		f, b.view, b.version, string(Active))
	return n == 1, err
}

// stands is where a build has come in a partition.
type stands struct {
	next   int64
	frozen bool
}

func (b *Builds) checkpoints(ctx context.Context, q Queryer, number int) (map[kafka.Partition]stands, error) {
	return b.readCheckpoints(ctx, q, number, "")
}

// lockedCheckpoints are those that nobody moves until the transaction ends.
func (b *Builds) lockedCheckpoints(ctx context.Context, tx Tx, number int) (map[kafka.Partition]stands, error) {
	if b.o.Store.Dialect() == Postgres {
		return b.readCheckpoints(ctx, tx, number, " FOR UPDATE")
	}
	return b.readCheckpoints(ctx, tx, number, "") // one writes at a time
}

func (b *Builds) readCheckpoints(ctx context.Context, q Queryer, number int, how string) (map[kafka.Partition]stands, error) {
	found := make(map[kafka.Partition]stands)
	err := q.Query(ctx, `SELECT topic, part, fence, next_offset FROM projection_checkpoints WHERE projection = $1 AND version = $2`+how,
		[]any{buildID(b.view, number), b.version}, func(r Row) error {
			found[kafka.Partition{Topic: r.Text(0), ID: int32(r.Int(1))}] = stands{r.Int(3), r.Int(2) >= frozen}
			return nil
		})
	return found, err
}

// fence freezes the checkpoints of a build, or lets them go again, as its row says. It takes one at a
// time, so that it never holds one while it waits for another that a step holds. It may be done again.
func (b *Builds) fence(ctx context.Context, number int, freeze bool) error {
	found, err := b.checkpoints(ctx, b.o.Store, number)
	if err != nil {
		return err
	}
	sql := `UPDATE projection_checkpoints SET fence = fence + $1 WHERE projection = $2 AND version = $3 AND topic = $4 AND part = $5 AND fence < $6`
	add, is := frozen, 1
	if !freeze {
		// Above all that it was before: an owner of that time stays fenced.
		sql, add, is = strings.Replace(sql, "fence <", "fence >=", 1), 1-frozen, 0
	}
	sql += ` AND EXISTS (SELECT 1 FROM projection_builds WHERE projection = $7 AND version = $8 AND build = $9 AND frozen = $10)`
	for p, at := range found {
		if at.frozen == freeze {
			continue
		}
		err := b.o.Store.Update(ctx, func(tx Tx) error {
			_, err := tx.Exec(ctx, sql, add, buildID(b.view, number), b.version, p.Topic, int64(p.ID), frozen, b.view, b.version, number, is)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Refusals of those who ask for a change.
var (
	errAlreadyBuilding = fault.Conflict("already_building", "a build of this view is under way already; see: orderlane projections list")
	errNotBuilt        = fault.Conflict("view_building", "the first build of this view is not ready yet")
	errNoPrevious      = fault.Conflict("no_previous_build", "there is no previous build of this view to go back to")
	errNothingToCancel = fault.Conflict("nothing_to_cancel", "no build of this view is under way")
)

// Rebuild begins a build beside the active one, which every instance of the view takes part in. It takes
// over when it has caught up.
func (b *Builds) Rebuild(ctx context.Context) (Build, error) {
	return b.change(ctx, func(tx Tx, all builds) (int, error) {
		next := 1
		for _, one := range all {
			next = max(next, one.Number+1)
		}
		ok, err := b.insert(ctx, tx, next, Building)
		if err == nil && !ok {
			err = errAlreadyBuilding
		}
		return next, err
	})
}

// Rollback lets the previous build go on from where it stopped; it takes over when it has caught up.
func (b *Builds) Rollback(ctx context.Context) (Build, error) {
	return b.change(ctx, func(tx Tx, all builds) (int, error) {
		previous := all.in(Previous)
		if previous == nil {
			return 0, errNoPrevious
		}
		ok, err := b.move(ctx, tx, previous.Number, Previous, Building, false)
		if err == nil && !ok {
			err = errAlreadyBuilding
		}
		return previous.Number, err
	})
}

// change begins a build that is to take over, unless there is one already.
func (b *Builds) change(ctx context.Context, begin func(tx Tx, all builds) (int, error)) (made Build, err error) {
	err = b.o.Store.Update(ctx, func(tx Tx) error {
		if ok, err := b.freeze(ctx, tx, false); err != nil || !ok {
			// It is nobody's turn to freeze it as long as there is no candidate, and if there is, this is taken back.
			return cmp.Or(err, error(errNotBuilt))
		}
		all, err := readBuilds(ctx, tx, b.view)
		if err != nil {
			return err
		}
		all = all.of(int(b.version))
		if all.candidate() != nil {
			return errAlreadyBuilding
		}
		number, err := begin(tx, all)
		made = Build{Version: int(b.version), Number: number, State: Building, Created: b.o.Clock().UTC(), Changed: b.o.Clock().UTC()}
		return err
	})
	b.hurry()
	return made, err
}

// Cancel gives up the build that is under way, in favour of the active one.
func (b *Builds) Cancel(ctx context.Context) (Build, error) {
	var given Build
	err := b.o.Store.Update(ctx, func(tx Tx) error {
		if ok, err := b.freeze(ctx, tx, false); err != nil || !ok {
			return cmp.Or(err, error(errNotBuilt))
		}
		all, err := readBuilds(ctx, tx, b.view)
		if err != nil {
			return err
		}
		candidate := all.of(int(b.version)).candidate()
		if candidate == nil {
			return errNothingToCancel
		}
		given = *candidate
		to := Dropping
		if given.shown {
			to = Previous // it was to be gone back to, and still can be
		}
		_, err = b.move(ctx, tx, given.Number, given.State, to, true)
		return err
	})
	b.hurry()
	return given, err
}
