// Package sqlitelog keeps a service's event log in one SQLite file: the default, for which
// nothing has to be installed. It survives kill -9 and power loss: a transaction is on disk
// when Append returns.
//
// One connection writes, a few read beside it (write-ahead log). Several instances, also in
// several processes, may have the same file open; a process that keeps another out holds a
// lock of its own.
package sqlitelog

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/es/internal/headwatch"
	"github.com/orderlane/orderlane/pkg/sqlitewal"
	"zombiezen.com/go/sqlite"
)

// Options are the settings of a log. The zero value is what a service uses.
type Options struct {
	// BusyTimeout is how long a call waits for a lock that another process holds; 5 s if 0.
	BusyTimeout time.Duration
	// Readers is how many reads run at the same time; 4 if 0.
	Readers int
	// CacheKiB is the page cache of the writing connection in KiB; 8192 if 0.
	CacheKiB int
}

// pollInterval is how often a waiting reader looks for appends of other instances, of which
// nothing tells it. Those of its own instance wake it at once.
const pollInterval = 50 * time.Millisecond

// Log is an es.Log in a SQLite file.
type Log struct {
	path    string
	opts    Options
	watch   *headwatch.Watch
	writer  chan *conn // holds the one writing connection while nobody uses it
	readers chan *conn // nil where one has not been opened yet
	keeper  *sqlitewal.Keeper
}

var _ es.Log = (*Log)(nil)

// Open opens the log in the file at path, and creates or migrates it where needed. It fails
// with ErrBusy if another process keeps the file locked.
func Open(ctx context.Context, path string, opts Options) (*Log, error) {
	l := &Log{path: path, opts: opts.withDefaults()}
	c, err := l.start(ctx)
	if err != nil {
		return nil, fmt.Errorf("sqlitelog: open %s: %w", path, err)
	}
	l.keeper = sqlitewal.New(path)
	l.writer = make(chan *conn, 1)
	l.writer <- c
	l.readers = make(chan *conn, l.opts.Readers)
	for range l.opts.Readers {
		l.readers <- nil
	}
	return l, nil
}

func (o Options) withDefaults() Options {
	if o.BusyTimeout == 0 {
		o.BusyTimeout = 5 * time.Second
	}
	if o.Readers == 0 {
		o.Readers = 4
	}
	if o.CacheKiB == 0 {
		o.CacheKiB = 8192
	}
	return o
}

func (l *Log) start(ctx context.Context) (*conn, error) {
	c, err := openWriter(ctx, l.path, l.opts)
	if err != nil {
		return nil, err
	}
	if err := migrate(ctx, c, l.path, l.opts); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	head, err := c.head()
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	l.watch = headwatch.New(head.Position)
	l.watch.See(head)
	return c, nil
}

func (c *conn) head() (h es.Head, err error) {
	err = c.rows(`SELECT epoch, (SELECT coalesce(max(position), 0) FROM events) FROM log`, nil, func(s *sqlite.Stmt) error {
		h = es.Head{Epoch: s.ColumnText(0), Position: s.ColumnInt64(1)}
		return nil
	})
	return h, err
}

// read runs fn on a reading connection, in one transaction, so that all of it sees the same log.
func (l *Log) read(ctx context.Context, what string, fn func(c *conn) error) error {
	if err := l.with(ctx, l.readers, openReader, func(c *conn) (err error) {
		if err := c.rows(`BEGIN`, nil, nil); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, c.rows(`COMMIT`, nil, nil)) }()
		return fn(c)
	}); err != nil {
		return fmt.Errorf("sqlitelog: %s: %w", what, err)
	}
	return nil
}

// write runs fn on the writing connection, which is fn's alone meanwhile.
func (l *Log) write(ctx context.Context, what string, fn func(c *conn) error) error {
	if err := l.with(ctx, l.writer, openWriter, func(c *conn) error {
		defer l.keeper.Committed()
		return fn(c)
	}); err != nil {
		return fmt.Errorf("sqlitelog: %s: %w", what, err)
	}
	return nil
}

// with lends fn a connection. One that can't end its transaction is opened anew next time.
func (l *Log) with(ctx context.Context, from chan *conn, open func(context.Context, string, Options) (*conn, error), fn func(*conn) error) (err error) {
	if err := errors.Join(l.watch.Err(), context.Cause(ctx)); err != nil {
		return err
	}
	var c *conn
	select {
	case c = <-from:
	case <-l.watch.Closed():
		return es.ErrClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() {
		if c != nil && !c.AutocommitEnabled() {
			err = errors.Join(err, c.Close())
			c = nil
		}
		from <- c
	}()
	if err := l.watch.Err(); err != nil { // the connections are being closed
		return err
	}
	if c == nil {
		if c, err = open(ctx, l.path, l.opts); err != nil {
			return err
		}
	}
	return fn(c)
}

// Head implements es.Log.
func (l *Log) Head(ctx context.Context) (h es.Head, err error) {
	err = l.read(ctx, "read the head", func(c *conn) (err error) {
		h, err = c.head()
		return err
	})
	if err != nil {
		return es.Head{}, err
	}
	l.watch.See(h)
	return h, nil
}

// NewEpoch implements es.Log.
func (l *Log) NewEpoch(ctx context.Context, r es.Renewal) (h es.Head, err error) {
	err = l.write(ctx, "begin a new epoch", func(c *conn) error {
		return c.transaction(func() error {
			if h, err = c.head(); err != nil {
				return err
			}
			err := c.rows(`UPDATE log SET epoch = ? || '-' || lower(hex(randomblob(8))) RETURNING epoch`,
				func(s *sqlite.Stmt) { s.BindText(1, strconv.FormatInt(max(es.Generation(h.Epoch), r.Above)+1, 10)) },
				func(s *sqlite.Stmt) error {
					h.Epoch = s.ColumnText(0)
					return nil
				})
			if err != nil {
				return err
			}
			return c.rows(`UPDATE cursors SET position = min(position, ?)`, func(s *sqlite.Stmt) { s.BindInt64(1, r.Cursor) }, nil)
		})
	})
	if err != nil {
		return es.Head{}, err
	}
	l.watch.See(h)
	return h, nil
}

// Wait implements es.Log.
func (l *Log) Wait(ctx context.Context, after int64) error {
	err := l.watch.Wait(ctx, after, pollInterval, func(ctx context.Context) (int64, error) {
		head, err := l.Head(ctx)
		return head.Position, err
	})
	if err != nil {
		return fmt.Errorf("sqlitelog: %w", err)
	}
	return nil
}

// Close implements es.Log. It waits for calls that are under way.
func (l *Log) Close() error {
	if !l.watch.Close() {
		return nil
	}
	l.keeper.Close()
	var errs []error
	for _, pool := range []chan *conn{l.readers, l.writer} { // the writer last: it truncates the write-ahead log
		for range cap(pool) {
			if c := <-pool; c != nil {
				errs = append(errs, c.Close())
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("sqlitelog: close %s: %w", l.path, err)
	}
	return nil
}
