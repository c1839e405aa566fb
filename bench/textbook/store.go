package textbook

import (
	"context"
	"path/filepath"

	"github.com/go-json-experiment/json"
)

// store is the two databases: that of the orders' events and outcomes, and that of the view.
// It is safe for concurrent use.
type store interface {
	// Place writes an event and the outcome of its command in one transaction; event is nil for
	// a refusal. It returns the event to publish: the one stored first, if the command comes again.
	Place(ctx context.Context, event *OrderPlaced, out outcome) (*OrderPlaced, error)

	// Show writes the event's row, in one transaction; an event that comes again changes nothing.
	Show(ctx context.Context, event *OrderPlaced) error

	Close() error
}

// ViewFile is the SQLite file of the view, in the directory of a process.
func ViewFile(dir string) string { return filepath.Join(dir, "textbook.view.db") }

// LogFile is the SQLite file of events and outcomes.
func LogFile(dir string) string { return filepath.Join(dir, "textbook.log.db") }

func openStore(ctx context.Context, o Options) (store, error) {
	if o.Postgres != "" {
		return openPostgres(ctx, o.Postgres)
	}
	return openSQLite(o.Dir)
}

// The statements, for both databases: parameters are numbered, and times are microseconds.
const (
	insertOutcome = `INSERT INTO outcomes (command, order_id, status, reason, at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`
	insertEvent   = `INSERT INTO events (order_id, version, type, command, at, data) VALUES ($1, $2, 'order_placed', $3, $4, $5)`
	selectEvent   = `SELECT data FROM events WHERE command = $1`
	upsertOrder   = `INSERT INTO orders (id, version, customer_id, status, placed_at, doc) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (id) DO UPDATE SET version = excluded.version, status = excluded.status, doc = excluded.doc
		WHERE excluded.version > orders.version`
)

// logTables and viewTables are the tables, with the indexes that Orderlane's queries have.
var logTables = []string{
	`CREATE TABLE IF NOT EXISTS outcomes (command TEXT PRIMARY KEY, order_id TEXT NOT NULL, status TEXT NOT NULL, reason TEXT, at BIGINT NOT NULL)`,
	`CREATE TABLE IF NOT EXISTS events (order_id TEXT NOT NULL, version BIGINT NOT NULL, type TEXT NOT NULL, command TEXT NOT NULL UNIQUE,
		at BIGINT NOT NULL, data TEXT NOT NULL, PRIMARY KEY (order_id, version))`,
}

var viewTables = []string{
	`CREATE TABLE IF NOT EXISTS orders (id TEXT PRIMARY KEY, version BIGINT NOT NULL, customer_id TEXT, status TEXT, placed_at BIGINT, doc TEXT)`,
	`CREATE INDEX IF NOT EXISTS orders_placed ON orders (placed_at, id)`,
	`CREATE INDEX IF NOT EXISTS orders_customer ON orders (customer_id, placed_at, id)`,
	`CREATE INDEX IF NOT EXISTS orders_status ON orders (status, placed_at, id)`,
}

func encode(event *OrderPlaced) ([]byte, error) { return json.Marshal(event) }

func decode(data []byte) (*OrderPlaced, error) {
	var e OrderPlaced
	if err := json.Unmarshal(data, &e); err != nil {
		return nil, err
	}
	return &e, nil
}
