// Package pglog keeps a service's event log in a schema of a PostgreSQL database, which any
// number of instances of the service share.
//
// One connection of an instance writes, some read, and one listens for the appends of other
// instances. An append is one pipeline with one Sync, which is one transaction: it takes the
// log's lock, checks that nothing has moved, inserts all rows with arrays, and commits. The
// lock, an advisory one, is what makes positions gap-free in commit order.
//
// Connections that break are made anew by the next call; the call that met the break returns
// its error.
package pglog

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"regexp"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/es/internal/headwatch"
)

// Options are the settings of a log. The zero value is what a service uses.
type Options struct {
	// Readers is how many reads run at the same time; 4 if 0.
	Readers int
	// Timeout bounds each call to the database, beside the caller's context; 30 s if 0.
	Timeout time.Duration
	// Poll is how often a waiting reader looks for appends that no notification told of, since
	// their instance died between commit and notification, or our listener was away; 1 s if 0.
	Poll time.Duration
}

const (
	// lockTimeout is how long an append waits for the log's lock. Appends hold it for
	// milliseconds; what holds it longer has frozen.
	lockTimeout = "10s"
	// idleTimeout is when the server cuts off a connection that has frozen with a transaction open.
	idleTimeout = "5s"
	// relistenAfter is the pause before a listener that lost its connection makes another one.
	relistenAfter = 500 * time.Millisecond
	// notifyInterval is the least time between two notifications. Under load it makes one of many:
	// a notification takes a lock of the whole server while it commits.
	notifyInterval = 10 * time.Millisecond
)

var schemaName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)

// Log is an es.Log in a schema of a PostgreSQL database.
type Log struct {
	url    *pgx.ConnConfig
	schema string
	opts   Options
	lock   int64 // number of the advisory lock
	from   int64 // versions of the schema, see Migrated
	to     int64
	watch  *headwatch.Watch
	pool   *pgxpool.Pool
	writer chan *writer // holds the writer while nobody uses it

	appended chan struct{} // tells the notifier
	listens  chan struct{} // tells the listener that someone waits
	stop     context.CancelFunc
	stopped  chan struct{} // closed when notifier and listener have ended
}

var _ es.Log = (*Log)(nil)

// Open opens the log in a schema of the database at url, and creates or migrates it where
// needed. The schema's name is lower-case letters, digits and underscores.
func Open(ctx context.Context, url, schema string, opts Options) (*Log, error) {
	l, err := open(ctx, url, schema, opts)
	if err != nil {
		return nil, fmt.Errorf("pglog: open schema %s: %w", schema, err)
	}
	return l, nil
}

func open(ctx context.Context, url, schema string, opts Options) (*Log, error) {
	if !schemaName.MatchString(schema) {
		return nil, fmt.Errorf("%q is no name for a schema: use a to z, 0 to 9 and _", schema)
	}
	if opts.Readers == 0 {
		opts.Readers = 4
	}
	if opts.Timeout == 0 {
		opts.Timeout = 30 * time.Second
	}
	if opts.Poll == 0 {
		opts.Poll = time.Second
	}
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err // which hides the password
	}
	name := fnv.New64a()
	_, _ = name.Write([]byte("orderlane/" + schema)) // never fails
	l := &Log{
		url: config.ConnConfig.Copy(), schema: schema, opts: opts, lock: int64(name.Sum64()),
		writer: make(chan *writer, 1), appended: make(chan struct{}, 1), listens: make(chan struct{}, 1), stopped: make(chan struct{}),
	}
	config.ConnConfig.Config = *l.config(lockTimeout)
	config.MaxConns, config.MinConns = int32(opts.Readers), 0
	if err := l.migrate(ctx); err != nil {
		return nil, fmt.Errorf("migrate: %w", err)
	}
	if l.pool, err = pgxpool.NewWithConfig(context.WithoutCancel(ctx), config); err != nil {
		return nil, err
	}
	var head es.Head
	if err := l.pool.QueryRow(ctx, selectHead).Scan(&head.Epoch, &head.Position); err != nil {
		l.pool.Close()
		return nil, fmt.Errorf("read the head: %w", err)
	}
	l.watch = headwatch.New(head.Position)
	l.watch.See(head)
	l.writer <- &writer{}
	l.start()
	return l, nil
}

// config is the configuration of every connection. Statements are written for the indexes, and
// prepared once: a plan that ignores both, made on the statistics of an empty table, must not happen.
func (l *Log) config(lockTimeout string) *pgconn.Config {
	c := l.url.Config.Copy()
	for name, value := range map[string]string{
		"search_path":                         pgx.Identifier{l.schema}.Sanitize(),
		"application_name":                    "orderlane " + l.schema,
		"plan_cache_mode":                     "force_generic_plan",
		"enable_seqscan":                      "off",
		"enable_hashjoin":                     "off",
		"enable_mergejoin":                    "off",
		"jit":                                 "off",
		"default_transaction_isolation":       "read committed", // a statement after the lock must see what was committed before it
		"idle_in_transaction_session_timeout": idleTimeout,
		"lock_timeout":                        lockTimeout,
	} {
		c.RuntimeParams[name] = value
	}
	return c
}

// explain wraps an error with what was being done, and tells a closed log from a broken one.
func (l *Log) explain(what string, err error) error {
	if closed := l.watch.Err(); closed != nil && !errors.Is(err, closed) {
		err = closed
	}
	return fmt.Errorf("pglog: %s: %w", what, err)
}

// Head implements es.Log.
func (l *Log) Head(ctx context.Context) (h es.Head, err error) {
	err = l.read(ctx, "read the head", func(ctx context.Context) error {
		return l.pool.QueryRow(ctx, selectHead).Scan(&h.Epoch, &h.Position)
	})
	if err != nil {
		return es.Head{}, err
	}
	l.watch.See(h)
	return h, nil
}

// NewEpoch implements es.Log.
func (l *Log) NewEpoch(ctx context.Context, r es.Renewal) (h es.Head, err error) {
	err = l.read(ctx, "begin a new epoch", func(ctx context.Context) error {
		return pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, l.lock); err != nil {
				return err
			}
			if err := tx.QueryRow(ctx, selectHead).Scan(&h.Epoch, &h.Position); err != nil {
				return err
			}
			generation := strconv.FormatInt(max(es.Generation(h.Epoch), r.Above)+1, 10)
			if err := tx.QueryRow(ctx, renewEpoch, generation).Scan(&h.Epoch); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, renewCursors, r.Cursor)
			return err
		})
	})
	if err != nil {
		return es.Head{}, err
	}
	l.watch.See(h)
	return h, nil
}

// read runs fn, which uses the pool, within the log's time-out.
func (l *Log) read(ctx context.Context, what string, fn func(ctx context.Context) error) error {
	err := errors.Join(l.watch.Err(), context.Cause(ctx))
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, l.opts.Timeout)
		defer cancel()
		err = fn(ctx)
	}
	if err != nil {
		return l.explain(what, err)
	}
	return nil
}

// Wait implements es.Log.
func (l *Log) Wait(ctx context.Context, after int64) error {
	select {
	case l.listens <- struct{}{}: // the listener starts when it is needed first
	default:
	}
	err := l.watch.Wait(ctx, after, l.opts.Poll, func(ctx context.Context) (int64, error) {
		head, err := l.Head(ctx)
		return head.Position, err
	})
	if err != nil {
		return fmt.Errorf("pglog: %w", err)
	}
	return nil
}

// Close implements es.Log. It waits for calls that are under way.
func (l *Log) Close() error {
	if !l.watch.Close() {
		return nil
	}
	l.stop()
	<-l.stopped
	if w := <-l.writer; w.conn != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = w.conn.Close(ctx) // nothing depends on a polite end
	}
	l.writer <- &writer{}
	l.pool.Close()
	return nil
}

// channel is the name that notifications of this log go by.
func (l *Log) channel() string { return "orderlane_" + strconv.FormatUint(uint64(l.lock), 16) }
