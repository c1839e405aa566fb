// Package sqlitestore keeps the read store of a view in one SQLite file: the embedded
// default, beside the event logs of the services, which are files of their own.
package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/orderlane/orderlane/pkg/projection"
	"github.com/orderlane/orderlane/pkg/sqlitewal"
)

const (
	// DefaultReaders is how many queries run at once: more than the cores of a small
	// machine, few enough that their page caches stay small.
	DefaultReaders = 4

	// busyTimeout bounds the wait for another process that holds the write lock; the step
	// that gets the error is tried again.
	busyTimeout = 5 * time.Second

	// checkEvery is after how many rows a query looks at its context.
	checkEvery = 64
)

// Options tune a store; the zero value is right for most.
type Options struct {
	Readers int // queries at once; default DefaultReaders
}

// Store is a projection.Store in an SQLite file.
type Store struct {
	writer  chan *conn // holds the one writing connection when nobody uses it
	readers chan *conn
	closed  chan struct{}
	once    sync.Once
	count   int
	keeper  *sqlitewal.Keeper // nil in a scratch store
	scratch string            // a directory to delete
}

var _ projection.Store = (*Store)(nil)

// Open opens or makes the database file at path.
func Open(path string, o Options) (*Store, error) {
	if o.Readers <= 0 {
		o.Readers = DefaultReaders
	}
	s := &Store{
		writer: make(chan *conn, 1), readers: make(chan *conn, o.Readers),
		closed: make(chan struct{}), count: o.Readers,
	}
	// WAL lets queries run beside the writer. synchronous=NORMAL leaves out the fsync of
	// each commit: a power cut may take back the last transactions, as a whole and in order.
	// That is enough here, and only here, since the checkpoint is in the same file: it goes
	// back together with the rows, and the same records are folded again from the topic. A
	// checkpoint kept elsewhere (a group's offsets in Kafka) would be ahead of the rows.
	w, err := open(path, sqlite.OpenReadWrite|sqlite.OpenCreate,
		"PRAGMA page_size=8192", // of a new file: fewer, fuller pages for rows with a document
		"PRAGMA journal_mode=WAL",
		"PRAGMA synchronous=NORMAL", "PRAGMA wal_autocheckpoint=4000", "PRAGMA cache_size=-12000")
	if err != nil {
		return nil, err
	}
	s.writer <- w
	for range o.Readers {
		// Queries look at pages where the kernel has them: a look-up would copy some ten of them.
		r, err := open(path, sqlite.OpenReadWrite|sqlite.OpenWAL, "PRAGMA query_only=ON", "PRAGMA cache_size=-2000", "PRAGMA mmap_size=1073741824")
		if err != nil {
			for len(s.readers) > 0 {
				err = errors.Join(err, (<-s.readers).Close())
			}
			return nil, errors.Join(err, w.Close())
		}
		s.readers <- r
	}
	s.keeper = sqlitewal.New(path)
	return s, nil
}

// OpenScratch opens an empty store that is gone when it is closed: in memory, or in a file in dir, for what is
// too large for that: a directory of its own, which is deleted before and after. It has one connection only.
func OpenScratch(dir string) (*Store, error) {
	s := &Store{writer: make(chan *conn, 1), closed: make(chan struct{})}
	s.readers = s.writer
	path := ":memory:"
	if dir != "" {
		s.scratch = dir
		if err := errors.Join(s.remove(), os.MkdirAll(dir, 0o700)); err != nil { // a killed process leaves one
			return nil, fmt.Errorf("projection: open a scratch store: %w", err)
		}
		path = filepath.Join(s.scratch, "scratch.db")
	}
	c, err := open(path, sqlite.OpenReadWrite|sqlite.OpenCreate, "PRAGMA journal_mode=MEMORY", "PRAGMA synchronous=OFF", "PRAGMA cache_size=-32000")
	if err != nil {
		return nil, errors.Join(err, s.remove())
	}
	s.writer <- c
	return s, nil
}

// remove deletes what a scratch store has left.
func (s *Store) remove() error {
	if s.scratch == "" {
		return nil
	}
	return os.RemoveAll(s.scratch)
}

func open(path string, flags sqlite.OpenFlags, pragmas ...string) (*conn, error) {
	c, err := sqlite.OpenConn(path, flags)
	if err != nil {
		return nil, fmt.Errorf("projection: open %s: %w", path, err)
	}
	c.SetBusyTimeout(busyTimeout)
	n := &conn{Conn: c, statements: make(map[string]*sqlite.Stmt)}
	for _, p := range append(pragmas, "PRAGMA temp_store=MEMORY") {
		if err := n.query(context.Background(), p, nil, nil); err != nil {
			return nil, fmt.Errorf("projection: open %s: %w", path, errors.Join(err, n.Close()))
		}
	}
	return n, nil
}

// Dialect says that the store speaks SQLite's SQL.
func (s *Store) Dialect() projection.Dialect { return projection.SQLite }

// take waits for a connection of a pool.
func (s *Store) take(ctx context.Context, pool chan *conn) (*conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case <-s.closed:
		return nil, projection.ErrStoreClosed
	default:
	}
	select {
	case c := <-pool:
		return c, nil
	case <-s.closed:
		return nil, projection.ErrStoreClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Query runs a select on one of the reading connections.
func (s *Store) Query(ctx context.Context, sql string, args []any, scan func(projection.Row) error) error {
	c, err := s.take(ctx, s.readers)
	if err != nil {
		return wrap("query", err)
	}
	defer func() { s.readers <- c }()
	return c.query(ctx, sql, args, scan)
}

// Load reads rows by key on one of the reading connections.
func (s *Store) Load(ctx context.Context, q projection.Lookup, scan func(projection.Row) error) error {
	c, err := s.take(ctx, s.readers)
	if err != nil {
		return wrap("load", err)
	}
	defer func() { s.readers <- c }()
	return c.load(ctx, q, scan)
}

// Update runs fn in a transaction of the writing connection.
func (s *Store) Update(ctx context.Context, fn func(projection.Tx) error) (err error) {
	c, err := s.take(ctx, s.writer)
	if err != nil {
		return wrap("begin", err)
	}
	defer func() { s.writer <- c }()
	if err := c.query(ctx, "BEGIN IMMEDIATE", nil, nil); err != nil {
		return err
	}
	done := false
	defer func() {
		if !done && !c.AutocommitEnabled() {
			// The error that leads here is the one to tell; a rollback that fails as well
			// leaves the connection in a transaction, which the next BEGIN reports.
			_ = c.query(context.Background(), "ROLLBACK", nil, nil)
		}
	}()
	if err := fn(tx{c}); err != nil {
		return err
	}
	// Once started, a commit is not interrupted: half of the callers would not know.
	if err := c.query(context.WithoutCancel(ctx), "COMMIT", nil, nil); err != nil {
		return err
	}
	done = true
	if s.keeper != nil {
		s.keeper.Committed()
	}
	return nil
}

// Migrate runs the statements that have not been run yet.
func (s *Store) Migrate(ctx context.Context, name string, statements []string) error {
	return s.Update(ctx, func(t projection.Tx) error {
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
			if err := t.(tx).c.script(statements[i]); err != nil {
				return wrap(fmt.Sprintf("schema %s, statement %d", name, i+1), err)
			}
		}
		_, err = t.Exec(ctx, `INSERT INTO projection_schemas (name, applied) VALUES ($1, $2)
			ON CONFLICT (name) DO UPDATE SET applied = excluded.applied WHERE excluded.applied > projection_schemas.applied`, name, len(statements))
		return err
	})
}

// Close waits for the queries and the transaction under way and closes the file.
func (s *Store) Close() error {
	var errs []error
	s.once.Do(func() {
		close(s.closed)
		if s.keeper != nil {
			s.keeper.Close()
		}
		for range s.count {
			errs = append(errs, (<-s.readers).Close())
		}
		errs = append(errs, (<-s.writer).Close(), s.remove())
	})
	return errors.Join(errs...)
}

// wrap makes a *projection.StoreError of an error.
func wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	switch sqlite.ErrCode(err).ToPrimary() {
	case sqlite.ResultConstraint, sqlite.ResultMismatch, sqlite.ResultTooBig:
		return &projection.StoreError{Op: op, Err: err, Data: true}
	}
	return &projection.StoreError{Op: op, Err: err}
}
