// Package pgstore keeps the read store of views in a schema of a PostgreSQL database. Any
// number of instances may use the same one: partitions are owned one by one, checkpoints
// have fences, and rows are written in the order of their keys.
package pgstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderlane/orderlane/pkg/projection"
)

const (
	// DefaultReaders is how many queries run at once: PostgreSQL answers short queries on
	// a few connections as fast as on many.
	DefaultReaders = 8

	// updateTimeout bounds a transaction, so that a database that has gone silent is an
	// error in the end; it leaves time for a Repair of a long stream.
	updateTimeout = 60 * time.Second

	// rollbackTimeout bounds the tidying after an error.
	rollbackTimeout = 2 * time.Second
)

// Options tune a store; the zero value is right for most.
type Options struct {
	Readers int // queries at once; default DefaultReaders
}

// Store is a projection.Store in a schema of a PostgreSQL database.
type Store struct {
	writer  *pgxpool.Pool // of one connection; nil in a replica
	readers *pgxpool.Pool
	schema  string
}

var _ projection.Store = (*Store)(nil)

// writerSettings are those of the one writing connection.
var writerSettings = map[string]string{
	// A commit does not wait for the disk: a crash of the server may take back the last
	// transactions, as a whole and in order. That is enough here since the checkpoint is in
	// the same database: it goes back with the rows, and the same records are folded again.
	"synchronous_commit": "off",
	// The statements are few, and are good with the same plan for all arguments.
	"plan_cache_mode": "force_generic_plan",
	// A table that is new has no statistics, and would be scanned for ever.
	"enable_seqscan": "off",
	"jit":            "off",
	// An instance that freezes within a transaction is cut off, so that the new owner of its
	// partitions need not wait for it.
	"idle_in_transaction_session_timeout": "5s",
	"lock_timeout":                        "10s",
}

// Open connects to the database at url, makes the schema if there is none, and returns its
// store. All tables that views name are in that schema.
func Open(ctx context.Context, url, schema string, o Options) (*Store, error) {
	if o.Readers <= 0 {
		o.Readers = DefaultReaders
	}
	writer, err := pool(ctx, url, schema, 1, writerSettings)
	if err != nil {
		return nil, err
	}
	readers, err := pool(ctx, url, schema, o.Readers, map[string]string{"jit": "off", "default_transaction_read_only": "on"})
	if err != nil {
		writer.Close()
		return nil, err
	}
	s := &Store{writer: writer, readers: readers, schema: schema}
	err = s.Update(ctx, func(t projection.Tx) error {
		// Two instances that start together would both find no schema.
		if err := t.(*tx).lock(ctx, schema); err != nil {
			return err
		}
		_, err := t.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS "+pgx.Identifier{schema}.Sanitize())
		return err
	})
	if err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("projection: open schema %s: %w", schema, err)
	}
	return s, nil
}

// OpenReplica connects to a read-only replica of the database of a store, whose schema is there already.
// Its Update and Migrate fail.
func OpenReplica(ctx context.Context, url, schema string, o Options) (*Store, error) {
	if o.Readers <= 0 {
		o.Readers = DefaultReaders
	}
	readers, err := pool(ctx, url, schema, o.Readers, map[string]string{"jit": "off", "default_transaction_read_only": "on"})
	if err != nil {
		return nil, err
	}
	return &Store{readers: readers, schema: schema}, nil
}

// errReplica is what those get who write to a replica.
var errReplica = errors.New("a replica takes no writes")

func pool(ctx context.Context, url, schema string, size int, settings map[string]string) (*pgxpool.Pool, error) {
	c, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("projection: database address: %w", err)
	}
	c.MaxConns = int32(size)
	c.ConnConfig.RuntimeParams["search_path"] = pgx.Identifier{schema}.Sanitize()
	c.ConnConfig.RuntimeParams["application_name"] = "orderlane " + schema
	for k, v := range settings {
		c.ConnConfig.RuntimeParams[k] = v
	}
	p, err := pgxpool.NewWithConfig(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("projection: open database: %w", err)
	}
	return p, nil
}

// Dialect says that the store speaks PostgreSQL's SQL.
func (s *Store) Dialect() projection.Dialect { return projection.Postgres }

// Query runs a select on one of the reading connections.
func (s *Store) Query(ctx context.Context, sql string, args []any, scan func(projection.Row) error) error {
	rows, err := s.readers.Query(ctx, sql, args...)
	if err != nil {
		return wrap("query "+sql, err)
	}
	return read("query "+sql, rows, scan)
}

// Load reads rows by key on one of the reading connections.
func (s *Store) Load(ctx context.Context, q projection.Lookup, scan func(projection.Row) error) error {
	sql, err := lookup(q)
	if err != nil {
		return wrap("load", err)
	}
	return s.Query(ctx, sql, []any{q.Values}, scan)
}

func lookup(q projection.Lookup) (string, error) {
	if len(q.Values) > projection.MaxLoadKeys {
		return "", fmt.Errorf("%d keys of %s, at most %d", len(q.Values), q.Table, projection.MaxLoadKeys)
	}
	return "SELECT " + strings.Join(q.Columns, ", ") + " FROM " + q.Table + " WHERE " + q.Key + " = ANY($1::text[])", nil
}

// Update runs fn in a transaction of the writing connection.
func (s *Store) Update(ctx context.Context, fn func(projection.Tx) error) error {
	if s.writer == nil {
		return wrap("begin", errReplica)
	}
	ctx, cancel := context.WithTimeout(ctx, updateTimeout)
	defer cancel()
	c, err := s.writer.Acquire(ctx)
	if err != nil {
		return wrap("begin", err)
	}
	defer c.Release()
	t := &tx{conn: c.Conn(), batch: &pgx.Batch{}}
	t.queue("BEGIN", nil)
	defer func() {
		if pc := c.Conn().PgConn(); !pc.IsClosed() && pc.TxStatus() != 'I' {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
			defer cancel()
			// The pool drops a connection that could not be rolled back.
			_, _ = c.Exec(ctx, "ROLLBACK")
		}
	}()
	if err := fn(t); err != nil {
		return err
	}
	// What is left to write and the commit go in one round trip: if a statement fails, the
	// server skips the rest of the pipeline, the commit included.
	t.queue("COMMIT", nil)
	return t.flush(ctx)
}

// Migrate runs the statements that have not been run yet.
func (s *Store) Migrate(ctx context.Context, name string, statements []string) error {
	return s.Update(ctx, func(p projection.Tx) error {
		t := p.(*tx)
		if err := t.lock(ctx, s.schema); err != nil {
			return err
		}
		// Tables that a crash of the server took back would be missed until the next start.
		if _, err := t.Exec(ctx, "SET LOCAL synchronous_commit = on"); err != nil {
			return err
		}
		if _, err := t.Exec(ctx, `CREATE TABLE IF NOT EXISTS projection_schemas (name TEXT PRIMARY KEY, applied BIGINT NOT NULL)`); err != nil {
			return err
		}
		applied := int64(0)
		err := t.Query(ctx, `SELECT applied FROM projection_schemas WHERE name = $1`, []any{name}, func(r projection.Row) error {
			applied = r.Int(0)
			return nil
		})
		if err != nil {
			return err
		}
		for i := int(applied); i < len(statements); i++ {
			// The simple protocol takes several statements in one text.
			if _, err := t.conn.PgConn().Exec(ctx, statements[i]).ReadAll(); err != nil {
				return wrap(fmt.Sprintf("schema %s, statement %d", name, i+1), err)
			}
		}
		_, err = t.Exec(ctx, `INSERT INTO projection_schemas (name, applied) VALUES ($1, $2)
			ON CONFLICT (name) DO UPDATE SET applied = excluded.applied WHERE excluded.applied > projection_schemas.applied`, name, len(statements))
		return err
	})
}

// Close waits for what is under way and closes the connections.
func (s *Store) Close() error {
	if s.writer != nil {
		s.writer.Close()
	}
	s.readers.Close()
	return nil
}

// wrap makes a *projection.StoreError of an error.
func wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		switch {
		case strings.HasPrefix(pe.Code, "22"), strings.HasPrefix(pe.Code, "23"): // data exceptions, constraints
			return &projection.StoreError{Op: op, Err: err, Data: true}
		case pe.Code == "54000": // a value too long for an index
			return &projection.StoreError{Op: op, Err: err, Data: true}
		}
	}
	if strings.Contains(err.Error(), "closed pool") {
		err = projection.ErrStoreClosed
	}
	return &projection.StoreError{Op: op, Err: err}
}
