package pglog

import (
	"context"
	"embed"
	"errors"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migrated tells from which version to which one Open has brought the schema; 0 is that of a
// log that did not exist.
func (l *Log) Migrated() (from, to int64) { return l.from, l.to }

// migrate brings the schema up to the newest version. If it is there already, which is the
// rule, that costs two queries: goose is for the exception.
func (l *Log) migrate(ctx context.Context) error {
	latest, err := latestMigration()
	if err != nil {
		return err
	}
	config := l.url.Copy()
	config.Config = *l.config("0") // another instance's migration may take its time
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	at, err := schemaVersion(ctx, conn)
	l.from, l.to = at, max(at, latest)
	if err != nil || at >= latest {
		return err
	}
	// Instances that start together go one by one; the lock is the session's and goes with it.
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock($1)`, l.lock^1); err != nil {
		return err
	}
	if l.from, err = schemaVersion(ctx, conn); err != nil || l.from >= latest {
		return err // another instance was first
	}
	if _, err := conn.Exec(ctx, `CREATE SCHEMA IF NOT EXISTS `+pgx.Identifier{l.schema}.Sanitize()); err != nil {
		return err
	}
	return runGoose(ctx, config)
}

func latestMigration() (latest int64, err error) {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		version, err := goose.NumericComponent(name)
		if err != nil {
			return 0, err
		}
		latest = max(latest, version)
	}
	return latest, nil
}

// schemaVersion is the number of the last migration that ran; 0 in a new schema.
func schemaVersion(ctx context.Context, conn *pgx.Conn) (version int64, err error) {
	var known bool
	if err := conn.QueryRow(ctx, selectHasMigration).Scan(&known); err != nil || !known {
		return 0, err
	}
	err = conn.QueryRow(ctx, selectMigration).Scan(&version)
	return version, err
}

func runGoose(ctx context.Context, config *pgx.ConnConfig) (err error) {
	db := stdlib.OpenDB(*config)
	defer func() { err = errors.Join(err, db.Close()) }()
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	_, err = provider.Up(ctx)
	return err
}
