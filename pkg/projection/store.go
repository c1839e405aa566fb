package projection

import (
	"context"
	"errors"

	"github.com/orderlane/orderlane/pkg/fault"
)

// Limits that every store holds.
const (
	MaxUpsertRows = 10_000 // rows of one Upsert; a step's bound times a few rows per record
	MaxLoadKeys   = 10_000 // keys of one Load
)

// Dialect says which SQL a store speaks, for the few statements that one text cannot
// serve, such as full-text search.
type Dialect string

// The dialects are those of pgstore and of sqlitestore.
const (
	Postgres Dialect = "postgres"
	SQLite   Dialect = "sqlite"
)

// Store is a read store: the rows of views and the checkpoints of their projections in one
// database. Implementations are pgstore and sqlitestore; storetest is what both pass.
//
// Statements are one text for both dialects wherever they can be: parameters are written
// $1, $2; column types are TEXT, BIGINT, BOOLEAN, DOUBLE PRECISION and BYTEA; times are
// microseconds since 1970 in a BIGINT; a sum is cast to BIGINT. Arguments and values of
// rows are nil, string, []byte, int, int64, float64 or bool.
//
// All methods are safe for concurrent use. Every error that comes from the database is a
// *StoreError.
type Store interface {
	Queryer

	// Dialect says which SQL the store speaks.
	Dialect() Dialect

	// Update runs fn in the one writer transaction at a time of this Store, and commits
	// unless fn returns an error or panics. An error that is not fn's own leaves it unknown
	// whether the transaction was committed. The Tx is not safe for concurrent use and ends
	// with fn.
	Update(ctx context.Context, fn func(tx Tx) error) error

	// Migrate brings the named schema up to date: the statements that have not been run
	// under that name before are run in order, all in one transaction. Statements may be
	// appended from release to release and never changed. Several instances may call it at once.
	Migrate(ctx context.Context, name string, statements []string) error

	// Close ends what is under way and releases the connections.
	Close() error
}

// Queryer reads: a Store from a pool of its own that sees what is committed and never waits
// for the writer, a Tx from within its transaction.
type Queryer interface {
	// Query runs a select and passes each row to scan, whose error ends it. The Row is
	// valid during the call of scan only. Statements are prepared once and kept, so their
	// text must come from a bounded set: values go into args.
	Query(ctx context.Context, sql string, args []any, scan func(Row) error) error

	// Load passes the rows of a table to scan whose key column has one of the values, in no
	// particular order: one statement on PostgreSQL, a prepared loop on SQLite. A key that is
	// named twice is read once or twice.
	Load(ctx context.Context, q Lookup, scan func(Row) error) error
}

// Lookup names rows by one key column.
type Lookup struct {
	Table   string
	Columns []string // what to select, in the order that scan finds them
	Key     string   // a column of type TEXT
	Values  []string // at most MaxLoadKeys
}

// Tx is one writer transaction.
type Tx interface {
	Queryer

	// Exec runs a statement and returns how many rows it changed.
	Exec(ctx context.Context, sql string, args ...any) (int64, error)

	// Upsert inserts rows, or updates those whose key is there already, in the order of
	// their keys, so that writers of the same rows wait for each other and never in a circle.
	// Of several rows with one key the last counts, or, with Table.Rank, the first of the
	// highest rank, or, with Table.Groups, that of each group, or, with Table.Sums, what they come to together. Each row has one value per column of t. At most MaxUpsertRows. Upsert may
	// reorder rows, and may write as late as at the commit: then that returns its error.
	Upsert(ctx context.Context, t Table, rows [][]any) error
}

// Table describes how rows are upserted into a table, or into some of its columns: a row
// that several topics feed has a Group for each, or a Table for each, with the columns that are
// its own.
type Table struct {
	Name    string
	Columns []Column
	Key     []string // columns of a unique index, all among Columns, of kind Text or Int and never null

	// Rank names a column of kind Int, or is empty. A row that is there gives way only to
	// a higher rank; a rank of null is below all. It makes upserts monotone: repeats and
	// late arrivals change nothing, whoever writes them.
	Rank string

	// Sums names columns of kind Int, never null, that are added to what a row has: the rows are
	// differences. Those of rows with one key in one Upsert are added up. It is for a table
	// whose rows have one writer at a time, since writing one twice counts twice. A table with
	// sums has neither a Rank nor Groups.
	Sums []string

	// Groups are columns that are written apart from each other, though in one statement: each
	// group gives way only to a higher rank of its own, and a row that brings no rank leaves it
	// alone. Columns in no group are written when the row is made, and stay. Of rows with one
	// key in one Upsert, the groups are put together. A table with groups has no Rank.
	Groups []Group
}

// Group is columns of a Table that are written together.
type Group struct {
	Rank    string   // a column of kind Int
	Columns []string // the others
}

// Kind is the type of a column.
type Kind uint8

// The kinds of columns.
const (
	Text  Kind = iota // TEXT
	Int               // BIGINT
	Bool              // BOOLEAN
	Float             // DOUBLE PRECISION
	Bytes             // BYTEA
)

// Column is a column of a Table.
type Column struct {
	Name string
	Kind Kind
}

// Row reads the columns of one row, from 0. A null reads as the zero value. A column of
// another type than asked for makes the query return an error after the row.
type Row interface {
	Text(i int) string
	Int(i int) int64
	Bool(i int) bool
	Float(i int) float64
	Bytes(i int) []byte // a copy
	Null(i int) bool
}

// StoreError is an error of the database.
type StoreError struct {
	Op  string // what was being done
	Err error
	// Data says that a value was refused (a constraint, a text that is not one), so that the
	// same statement would fail again, while others succeed. Everything else may pass, or
	// needs people: the step is retried and its partitions wait.
	Data bool
}

// Error says what was being done and what went wrong.
func (e *StoreError) Error() string { return "projection: " + e.Op + ": " + e.Err.Error() }

// Unwrap returns the driver's error.
func (e *StoreError) Unwrap() error { return e.Err }

// As makes a database that does not answer a refusal that may pass, for those who answer
// clients.
func (e *StoreError) As(target any) bool {
	f, ok := target.(**fault.Fault)
	if !ok || e.Data || errors.Is(e.Err, context.Canceled) {
		return false
	}
	*f = fault.Unavailable("view_unavailable", "the view's database does not answer; try again")
	return true
}

// ErrStoreClosed is returned by calls on a store that was closed.
var ErrStoreClosed = errors.New("projection: store is closed")
