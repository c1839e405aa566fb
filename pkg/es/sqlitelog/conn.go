package sqlitelog

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unsafe"

	"github.com/google/uuid"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// ErrBusy is wrapped by the error of a call that met a lock of another process for longer
// than Options.BusyTimeout.
var ErrBusy = errors.New("the database is in use by another process")

// busyPause is how long a pragma waits for a lock, and after that before it is tried again.
const busyPause = 5 * time.Millisecond

// conn is one connection. Statements are prepared at first use and kept. A limit that is a parameter is written as a
// sum (LIMIT ?+0): SQLite plans by the value of a bare one, and so prepares the statement anew whenever it is bound.
type conn struct {
	*sqlite.Conn
	// secure says that deleted rows are overwritten now.
	secure bool
}

func open(ctx context.Context, path string, opts Options, flags sqlite.OpenFlags, pragmas ...string) (*conn, error) {
	c, err := sqlite.OpenConn(path, flags)
	if err != nil {
		return nil, explain(err)
	}
	for _, pragma := range pragmas {
		if err := set(ctx, c, pragma, opts); err != nil {
			return nil, errors.Join(explain(err), c.Close())
		}
	}
	return &conn{Conn: c}, nil
}

// set executes a pragma. While another instance opens the same new database, the one for the journal's mode is
// refused at once, whatever the busy timeout is, so that the two can't wait for each other: it is tried again.
func set(ctx context.Context, c *sqlite.Conn, pragma string, opts Options) error {
	c.SetBusyTimeout(busyPause) // of each try
	defer c.SetBusyTimeout(opts.BusyTimeout)
	for waited := time.Duration(0); ; waited += busyPause {
		err := sqlitex.ExecuteTransient(c, "PRAGMA "+pragma, nil)
		if sqlite.ErrCode(err).ToPrimary() != sqlite.ResultBusy || waited >= opts.BusyTimeout {
			return err
		}
		select {
		case <-time.After(busyPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func openWriter(ctx context.Context, path string, opts Options) (*conn, error) {
	// The checkpoint limit is 16 MiB of log: fewer, larger write-backs than the default 4 MiB.
	return open(ctx, path, opts, sqlite.OpenReadWrite|sqlite.OpenCreate,
		"journal_mode = WAL", "synchronous = FULL", "wal_autocheckpoint = 4000",
		fmt.Sprintf("cache_size = -%d", opts.CacheKiB), "temp_store = MEMORY")
}

func openReader(ctx context.Context, path string, opts Options) (*conn, error) {
	return open(ctx, path, opts, sqlite.OpenReadOnly, "query_only = 1")
}

// explain puts a lock of another process into words.
func explain(err error) error {
	if err == nil {
		return nil
	}
	if code := sqlite.ErrCode(err).ToPrimary(); code == sqlite.ResultBusy || code == sqlite.ResultLocked {
		return fmt.Errorf("%w (%w)", ErrBusy, err)
	}
	return err
}

// rows runs a query and calls scan, which may be nil, for each row.
func (c *conn) rows(query string, bind func(*sqlite.Stmt), scan func(*sqlite.Stmt) error) error {
	stmt, err := c.Prepare(query)
	if err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	if bind != nil {
		bind(stmt)
	}
	for {
		row, err := stmt.Step()
		if err != nil {
			return explain(err)
		}
		if !row {
			return stmt.Reset()
		}
		if scan == nil {
			continue
		}
		if err := scan(stmt); err != nil {
			return errors.Join(err, stmt.Reset())
		}
	}
}

// number runs a query that returns one number.
func (c *conn) number(query string) (n int64, err error) {
	err = c.rows(query, nil, func(s *sqlite.Stmt) error {
		n = s.ColumnInt64(0)
		return nil
	})
	return n, err
}

// transaction runs fn in a transaction that holds the write lock from its start.
func (c *conn) transaction(fn func() error) error {
	if err := c.rows(`BEGIN IMMEDIATE`, nil, nil); err != nil {
		return err
	}
	err := fn()
	if err == nil {
		err = c.rows(`COMMIT`, nil, nil)
	}
	if err == nil {
		return nil
	}
	if !c.AutocommitEnabled() { // some errors roll back by themselves
		err = errors.Join(err, c.rows(`ROLLBACK`, nil, nil))
	}
	return err
}

// What stands in the way of an append, beside rows that exist already.
var (
	errKnown   = errors.New("a command that is to be parked has an outcome already")
	errReused  = errors.New("a command is parked with another digest")
	errVersion = errors.New("a stream is at another version than its events continue")
)

// conflicting says whether err shows a conflict, whose streams and commands are to be named.
func conflicting(err error) bool {
	return errors.Is(err, errKnown) || errors.Is(err, errReused) || errors.Is(err, errVersion) || sqlite.ErrCode(err).ToPrimary() == sqlite.ResultConstraint
}

// text views b as a string without a copy, for BindText, which copies it.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// blob copies a column's bytes; nil if there are none.
func blob(s *sqlite.Stmt, column int) []byte {
	n := s.ColumnLen(column)
	if n == 0 {
		return nil
	}
	b := make([]byte, n)
	s.ColumnBytes(column, b)
	return b
}

func bindID(s *sqlite.Stmt, param int, id *uuid.UUID) { s.BindBytes(param, id[:]) }

func columnID(s *sqlite.Stmt, column int) (id uuid.UUID) {
	s.ColumnBytes(column, id[:])
	return id
}
