package pgstore

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/orderlane/orderlane/pkg/projection"
)

// tx is a transaction whose statements are sent when an answer is needed: the first query
// takes BEGIN along, and the last upserts go with COMMIT, so that a step costs two or three
// round trips however many tables it writes.
type tx struct {
	conn  *pgx.Conn
	batch *pgx.Batch
	ops   []string // what the queued statements do, for errors
}

func (t *tx) queue(sql string, args []any) {
	t.batch.Queue(sql, args...)
	t.ops = append(t.ops, sql)
}

// lock serializes what makes tables.
func (t *tx) lock(ctx context.Context, schema string) error {
	return t.Query(ctx, "SELECT 1 FROM (SELECT pg_advisory_xact_lock(hashtext($1))) AS l", []any{"projection " + schema}, nil)
}

// flush sends what is queued.
func (t *tx) flush(ctx context.Context) error {
	return t.send(ctx, nil)
}

// send sends what is queued and passes the results of the last statement to last.
func (t *tx) send(ctx context.Context, last func(pgx.BatchResults) error) (err error) {
	ops := t.ops
	results := t.conn.SendBatch(ctx, t.batch)
	t.batch, t.ops = &pgx.Batch{}, nil
	defer func() {
		if e := results.Close(); err == nil {
			err = wrap("write", e)
		}
	}()
	plain := len(ops)
	if last != nil {
		plain--
	}
	for _, op := range ops[:plain] {
		if _, err := results.Exec(); err != nil {
			return wrap(op, err)
		}
	}
	if last != nil {
		return last(results)
	}
	return nil
}

// Query runs a select within the transaction.
func (t *tx) Query(ctx context.Context, sql string, args []any, scan func(projection.Row) error) error {
	t.queue(sql, args)
	return t.send(ctx, func(results pgx.BatchResults) error {
		rows, err := results.Query()
		if err != nil {
			return wrap("query "+sql, err)
		}
		return read("query "+sql, rows, scan)
	})
}

// Load reads rows by key within the transaction.
func (t *tx) Load(ctx context.Context, q projection.Lookup, scan func(projection.Row) error) error {
	sql, err := lookup(q)
	if err != nil {
		return wrap("load", err)
	}
	return t.Query(ctx, sql, []any{q.Values}, scan)
}

// Exec runs a statement and counts the rows it changed.
func (t *tx) Exec(ctx context.Context, sql string, args ...any) (n int64, err error) {
	t.queue(sql, args)
	err = t.send(ctx, func(results pgx.BatchResults) error {
		tag, err := results.Exec()
		n = tag.RowsAffected()
		return wrap(sql, err)
	})
	return n, err
}

var arrayTypes = map[projection.Kind]string{
	projection.Text: "text[]", projection.Int: "bigint[]", projection.Bool: "boolean[]",
	projection.Float: "double precision[]", projection.Bytes: "bytea[]",
}

// upsertRows is how many rows one statement takes: the server keeps them in work_mem, and what
// does not fit goes through a file.
const upsertRows = 1000

// Upsert queues a statement for each thousand rows, with an array per column.
func (t *tx) Upsert(_ context.Context, table projection.Table, rows [][]any) error {
	if len(rows) == 0 {
		return nil
	}
	rows, err := table.Arrange(rows)
	if err != nil {
		return err
	}
	var sql strings.Builder
	sql.WriteString("INSERT INTO " + table.Name + " AS t (" + table.Names() + ") SELECT * FROM unnest(")
	for i, c := range table.Columns {
		if i > 0 {
			sql.WriteString(", ")
		}
		fmt.Fprintf(&sql, "$%d::%s", i+1, arrayTypes[c.Kind])
	}
	sql.WriteString(")" + table.OnConflict())
	for part := range slices.Chunk(rows, upsertRows) {
		args := make([]any, len(table.Columns))
		for i, c := range table.Columns {
			args[i] = &column{rows: part, index: i, kind: c.Kind}
		}
		t.queue(sql.String(), args)
	}
	return nil
}

// column is one column of rows as an array parameter; pgx reads it in place.
type column struct {
	rows  [][]any
	index int
	kind  projection.Kind
}

// Dimensions says that the array is a list.
func (c *column) Dimensions() []pgtype.ArrayDimension {
	return []pgtype.ArrayDimension{{Length: int32(len(c.rows)), LowerBound: 1}}
}

// Index returns the value of row i.
func (c *column) Index(i int) any { return c.rows[i][c.index] }

// IndexType returns a value of the column's type.
func (c *column) IndexType() any {
	switch c.kind {
	case projection.Int:
		return int64(0)
	case projection.Bool:
		return false
	case projection.Float:
		return float64(0)
	case projection.Bytes:
		return []byte{}
	default:
		return ""
	}
}
