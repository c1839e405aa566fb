package projection

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/orderlane/orderlane/pkg/fault"
)

// dropRows is how many rows of a dropped build are deleted at once on SQLite, where one writer serves all
// views of a store: dropping a large table would hold it up.
const dropRows = 2000

// dropPause is how long a drop that failed is left alone: it may wait for a backup, which reads all tables.
const dropPause = 30 * time.Second

// Drop gives up an older version of the view: all its tables are dropped. Processes that still
// serve that version fail from then on.
func (b *Builds) Drop(ctx context.Context, version int) error {
	if version == int(b.version) {
		return fault.Conflict("version_in_use", "version %d of %s is the one in use", version, b.view)
	}
	list, err := b.List(ctx)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(list, func(one Build) bool { return one.Version == version }) {
		return fault.NotFound("version", strconv.Itoa(version))
	}
	err = b.o.Store.Update(ctx, func(tx Tx) error {
		for _, one := range list {
			if one.Version != version {
				continue
			}
			now := b.o.Clock().UnixMicro()
			_, err := tx.Exec(ctx, `INSERT INTO projection_builds (projection, version, build, state, frozen, shown, assignments, created_at, changed_at)
				VALUES ($1, $2, $3, $4, 1, 0, 0, $5, $6) ON CONFLICT (projection, version, build)
				DO UPDATE SET state = excluded.state, frozen = 1, changed_at = excluded.changed_at`,
				b.view, version, one.Number, string(Dropping), now, now)
			if err != nil {
				return err
			}
		}
		return nil
	})
	b.hurry()
	return err
}

// dropSome deletes some of what is to be dropped, and says whether to go on at once. Nothing else waits for it, so
// it has no error.
func (b *Builds) dropSome(ctx context.Context) (more bool) {
	if b.o.Clock().Before(b.noDrop) {
		return false
	}
	for _, one := range b.doomed {
		more, err := b.drop(ctx, one)
		if err != nil && ctx.Err() == nil {
			b.noDrop = b.o.Clock().Add(dropPause)
			b.o.Log.Warn("a build can't be dropped, will be tried again", "view", b.view, "version", one.Version, "build", one.Number,
				"pause", dropPause, "error", err)
		}
		if more || err != nil {
			return more
		}
	}
	return false
}

// drop deletes what is left of a build, or some of it if that is much. It may be done again.
func (b *Builds) drop(ctx context.Context, one Build) (more bool, err error) {
	id := buildID(b.view, one.Number)
	// Without checkpoints nobody folds it any more.
	err = b.o.Store.Update(ctx, func(tx Tx) error {
		for _, table := range []string{"projection_checkpoints", "projection_broken"} {
			if _, err := tx.Exec(ctx, "DELETE FROM "+table+" WHERE projection = $1 AND version = $2", id, one.Version); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return false, err
	}
	every, err := readBuilds(ctx, b.o.Store, b.view)
	if err != nil {
		return false, err
	}
	if of := every.of(one.Version); of.active() == nil && of.candidate() == nil { // all of the version goes
		if _, err := b.dropNamed(ctx, one, "view"); err != nil {
			return false, err
		}
	}
	if more, err := b.dropNamed(ctx, one, "table"); more || err != nil {
		return more, err
	}
	return false, b.o.Store.Update(ctx, func(tx Tx) error {
		if _, err := tx.Exec(ctx, "DELETE FROM projection_schemas WHERE name = $1", schemaName(b.view, one.Version, one.Number)); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE projection_builds SET state = $1 WHERE projection = $2 AND version = $3 AND build = $4 AND state = $5`,
			string(Dropped), b.view, one.Version, one.Number, string(Dropping))
		return err
	})
}

// dropNamed drops the tables of a build, or the SQL views of a version; more says that some rows were deleted, and
// there are others.
func (b *Builds) dropNamed(ctx context.Context, one Build, kind string) (more bool, err error) {
	pattern := `^` + regexp.QuoteMeta(b.view) + `_.+_v` + strconv.Itoa(one.Version)
	if kind == "table" && one.Number > 0 {
		pattern += "_b" + strconv.Itoa(one.Number)
	}
	names := regexp.MustCompile(pattern + "$")
	list := `SELECT name, type FROM sqlite_master WHERE type IN ('table', 'view') ORDER BY sql LIKE 'CREATE VIRTUAL%' DESC`
	if b.o.Store.Dialect() == Postgres {
		list = `SELECT relname::text, CASE relkind WHEN 'r' THEN 'table' ELSE 'view' END::text FROM pg_class
			WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'v')`
	}
	var found []string
	err = b.o.Store.Query(ctx, list, nil, func(r Row) error {
		if r.Text(1) == kind && names.MatchString(r.Text(0)) {
			found = append(found, r.Text(0))
		}
		return nil
	})
	if err != nil {
		return false, err
	}
	for _, name := range found {
		if kind == "table" && b.o.Store.Dialect() == SQLite {
			if err := b.dropTriggers(ctx, name); err != nil {
				return false, err
			}
			if more, err := b.thin(ctx, name); more || err != nil {
				return more, err
			}
		}
		err := b.o.Store.Update(ctx, func(tx Tx) error {
			// Whoever reads the table is waited for, and the live view waits meanwhile.
			if err := b.hasten(ctx, tx); err != nil {
				return err
			}
			if ok, err := b.stillDropping(ctx, tx, one); err != nil || !ok {
				return err
			}
			_, err := tx.Exec(ctx, fmt.Sprintf("DROP %s IF EXISTS %s", strings.ToUpper(kind), name))
			return err
		})
		if err != nil {
			return false, err
		}
	}
	return false, nil
}

// stillDropping says that no other instance has ended a drop, and holds that up until the transaction ends: from
// then on the version may have another first build, with SQL views of the same names.
func (b *Builds) stillDropping(ctx context.Context, tx Tx, one Build) (bool, error) {
	n, err := tx.Exec(ctx, "UPDATE projection_builds SET state = state WHERE projection = $1 AND version = $2 AND build = $3 AND state = $4",
		b.view, one.Version, one.Number, string(Dropping))
	return n == 1, err
}

// dropTriggers drops what keeps other tables, such as a full-text index that is gone by now, up to date
// with the rows of a table.
func (b *Builds) dropTriggers(ctx context.Context, table string) error {
	var triggers []string
	err := b.o.Store.Query(ctx, `SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = $1`, []any{table}, func(r Row) error {
		triggers = append(triggers, r.Text(0))
		return nil
	})
	if err != nil || len(triggers) == 0 {
		return err
	}
	return b.o.Store.Update(ctx, func(tx Tx) error {
		for _, name := range triggers {
			if _, err := tx.Exec(ctx, "DROP TRIGGER IF EXISTS "+name); err != nil {
				return err
			}
		}
		return nil
	})
}

// thin deletes some rows of a table, and says whether there are others. One without a primary key, as full-text
// indexes are, is left as it is.
func (b *Builds) thin(ctx context.Context, table string) (more bool, err error) {
	var key []string
	err = b.o.Store.Query(ctx, "SELECT name FROM pragma_table_info($1) WHERE pk > 0 ORDER BY pk", []any{table}, func(r Row) error {
		key = append(key, `"`+r.Text(0)+`"`)
		return nil
	})
	if err != nil || len(key) == 0 {
		return false, err
	}
	columns, n := strings.Join(key, ", "), int64(0)
	err = b.o.Store.Update(ctx, func(tx Tx) (err error) {
		n, err = tx.Exec(ctx, "DELETE FROM "+table+" WHERE ("+columns+") IN (SELECT "+columns+" FROM "+table+" LIMIT $1)", dropRows)
		return err
	})
	return n == dropRows, err
}
