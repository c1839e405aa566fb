package sqlitelog

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the database/sql driver that goose works with
)

//go:embed migrations/*.sql
var migrations embed.FS

// maxMigrationTries bounds how often a start goes back to a migration that another instance
// was running at the same time.
const maxMigrationTries = 20

// migrate brings the database up to the newest schema. If it is there already, which is the
// rule, that costs one query: goose and its own connection are for the exception.
func migrate(ctx context.Context, c *conn, path string, opts Options) error {
	latest, err := latestMigration()
	if err != nil {
		return err
	}
	for try := 1; ; try++ {
		if at, err := c.schemaVersion(); err != nil || at >= latest {
			return err
		}
		// Each migration is one transaction that begins with the write lock, and another instance's makes
		// ours fail as a whole: then the version tells whether there is anything left to do.
		err := runGoose(ctx, path, opts)
		if err == nil {
			return nil
		}
		if try == maxMigrationTries || ctx.Err() != nil {
			return fmt.Errorf("migrate: %w", err)
		}
	}
}

func latestMigration() (latest int64, err error) {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return 0, fmt.Errorf("list migrations: %w", err)
	}
	for _, name := range names {
		version, err := goose.NumericComponent(name)
		if err != nil {
			return 0, fmt.Errorf("migration %s: %w", name, err)
		}
		latest = max(latest, version)
	}
	return latest, nil
}

func runGoose(ctx context.Context, path string, opts Options) (err error) {
	dsn := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath()}
	dsn.RawQuery = fmt.Sprintf("_txlock=immediate&_pragma=busy_timeout(%d)", opts.BusyTimeout.Milliseconds())
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	_, err = provider.Up(ctx)
	return err
}

// schemaVersion is the number of the last migration that ran; 0 in a new database.
func (c *conn) schemaVersion() (version int64, err error) {
	known, err := c.number(`SELECT count(*) FROM sqlite_schema WHERE name = 'goose_db_version'`)
	if err != nil || known == 0 {
		return 0, err
	}
	return c.number(`SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied`)
}
