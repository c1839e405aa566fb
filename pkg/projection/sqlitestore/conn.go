package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/orderlane/orderlane/pkg/projection"
)

// maxStatements bounds the prepared statements of a connection. Views have some dozens.
const maxStatements = 256

// maxTries is how often a query is begun that finds the schema changed, before its first row. SQLite prepares such
// a one anew by itself, but a virtual table, as a full-text index is, prepares statements of its own meanwhile: if another
// connection changes the schema in between once more, as the drop of a build does table by table, SQLite gives up.
const maxTries = 100

// errNotText is what PostgreSQL says to such a text as well.
var errNotText = errors.New("text is no UTF-8 or has a zero byte")

// conn is a connection with its prepared statements. It is used by one goroutine at a time.
type conn struct {
	*sqlite.Conn
	statements map[string]*sqlite.Stmt
}

// prepare returns the statement of a text, whose parameters are written $1, $2. To SQLite
// those are names, numbered as they come; ?1, ?2 are numbers.
func (c *conn) prepare(sql string) (*sqlite.Stmt, error) {
	if s := c.statements[sql]; s != nil {
		return s, nil
	}
	if len(c.statements) >= maxStatements {
		for text, s := range c.statements {
			s.Finalize()
			delete(c.statements, text)
		}
	}
	s, trailing, err := c.PrepareTransient(numbered(sql))
	if err != nil {
		return nil, err
	}
	if trailing > 0 {
		s.Finalize()
		return nil, fmt.Errorf("more than one statement: %q", sql)
	}
	c.statements[sql] = s
	return s, nil
}

// limited is a LIMIT that is a parameter. SQLite plans by the value of such a one, and so prepares the statement
// anew whenever it is bound, which costs more than many a query; it does not look into a sum.
var limited = regexp.MustCompile(`(?i)\bLIMIT \?\d+`)

// numbered replaces $ before a digit, outside of quotes, by ?.
func numbered(sql string) string {
	if !strings.Contains(sql, "$") {
		return sql
	}
	b := []byte(sql)
	quote := byte(0)
	for i, c := range b {
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '\'' || c == '"':
			quote = c
		case c == '$' && i+1 < len(b) && b[i+1] >= '0' && b[i+1] <= '9':
			b[i] = '?'
		}
	}
	return limited.ReplaceAllString(string(b), "$0+0")
}

// Close finalizes the statements and closes the connection.
func (c *conn) Close() error {
	for _, s := range c.statements {
		s.Finalize()
	}
	return c.Conn.Close()
}

// script runs statements of a schema.
func (c *conn) script(sql string) error { return sqlitex.ExecuteScript(c.Conn, sql, nil) }

func bind(s *sqlite.Stmt, i int, v any) error {
	switch v := v.(type) {
	case nil:
		s.BindNull(i)
	case string:
		if !utf8.ValidString(v) || strings.IndexByte(v, 0) >= 0 {
			return &projection.StoreError{Op: "bind", Err: errNotText, Data: true}
		}
		s.BindText(i, v)
	case int64:
		s.BindInt64(i, v)
	case int:
		s.BindInt64(i, int64(v))
	case bool:
		s.BindBool(i, v)
	case float64:
		s.BindFloat(i, v)
	case []byte:
		if v == nil {
			s.BindNull(i)
		} else {
			s.BindBytes(i, v)
		}
	default:
		return &projection.StoreError{Op: "bind", Err: fmt.Errorf("argument %d is a %T", i, v)}
	}
	return nil
}

func (c *conn) query(ctx context.Context, sql string, args []any, scan func(projection.Row) error) error {
	began := false
	seen := scan
	if scan != nil {
		seen = func(r projection.Row) error {
			began = true
			return scan(r)
		}
	}
	for try := 1; ; try++ {
		if err := c.try(ctx, sql, args, seen); began || try == maxTries || sqlite.ErrCode(err) != sqlite.ResultSchema {
			return err
		}
	}
}

func (c *conn) try(ctx context.Context, sql string, args []any, scan func(projection.Row) error) error {
	s, err := c.prepare(sql)
	if err != nil {
		return wrap("prepare "+sql, err)
	}
	if n := s.BindParamCount(); n != len(args) {
		return wrap("query "+sql, fmt.Errorf("%d arguments for %d parameters", len(args), n))
	}
	return c.run(ctx, s, sql, args, scan)
}

// run binds, steps and resets a statement.
func (c *conn) run(ctx context.Context, s *sqlite.Stmt, sql string, args []any, scan func(projection.Row) error) (err error) {
	for i, a := range args {
		if err := bind(s, i+1, a); err != nil {
			return err
		}
	}
	reset := true
	defer func() {
		if reset { // left early: the statement must not hold its snapshot
			_ = s.Reset()
		}
	}()
	r := row{stmt: s}
	for n := 0; ; n++ {
		if n%checkEvery == 0 && ctx.Err() != nil {
			return wrap("query", ctx.Err())
		}
		more, err := s.Step()
		if err != nil {
			reset = false // a failed step has reset it
			return wrap("query "+sql, err)
		}
		if !more {
			reset = false
			if err := s.Reset(); err != nil {
				return wrap("query "+sql, err)
			}
			return nil
		}
		if scan == nil {
			continue
		}
		if err := scan(&r); err != nil {
			return err
		}
		if r.err != nil {
			return wrap("query "+sql, r.err)
		}
	}
}

func (c *conn) load(ctx context.Context, q projection.Lookup, scan func(projection.Row) error) error {
	if len(q.Values) > projection.MaxLoadKeys {
		return wrap("load", fmt.Errorf("%d keys of %s, at most %d", len(q.Values), q.Table, projection.MaxLoadKeys))
	}
	sql := "SELECT " + strings.Join(q.Columns, ", ") + " FROM " + q.Table + " WHERE " + q.Key + " = $1"
	arg := make([]any, 1)
	for _, v := range q.Values {
		arg[0] = v
		if err := c.query(ctx, sql, arg, scan); err != nil {
			return err
		}
	}
	return nil
}

// tx is the writing connection within a transaction.
type tx struct{ c *conn }

// Query runs a select within the transaction.
func (t tx) Query(ctx context.Context, sql string, args []any, scan func(projection.Row) error) error {
	return t.c.query(ctx, sql, args, scan)
}

// Load reads rows by key within the transaction.
func (t tx) Load(ctx context.Context, q projection.Lookup, scan func(projection.Row) error) error {
	return t.c.load(ctx, q, scan)
}

// Exec runs a statement and counts the rows it changed.
func (t tx) Exec(ctx context.Context, sql string, args ...any) (int64, error) {
	if err := t.c.query(ctx, sql, args, nil); err != nil {
		return 0, err
	}
	return int64(t.c.Changes()), nil
}

// Upsert runs one prepared insert for each row: within a process that costs no more than
// a statement of many rows would.
func (t tx) Upsert(ctx context.Context, table projection.Table, rows [][]any) error {
	if len(rows) == 0 {
		return nil
	}
	rows, err := table.Arrange(rows)
	if err != nil {
		return err
	}
	var sql strings.Builder
	sql.WriteString("INSERT INTO " + table.Name + " AS t (" + table.Names() + ") VALUES (")
	for i := range table.Columns {
		if i > 0 {
			sql.WriteString(", ")
		}
		fmt.Fprintf(&sql, "$%d", i+1)
	}
	sql.WriteString(")" + table.OnConflict())
	text := sql.String()
	s, err := t.c.prepare(text)
	if err != nil {
		return wrap("prepare "+text, err)
	}
	for _, row := range rows {
		if err := t.c.run(ctx, s, text, row, nil); err != nil {
			return err
		}
	}
	return nil
}

// row reads the statement's present row.
type row struct {
	stmt *sqlite.Stmt
	err  error
}

func (r *row) is(i int, want sqlite.ColumnType) bool {
	got := r.stmt.ColumnType(i)
	if got == want {
		return true
	}
	if got != sqlite.TypeNull && r.err == nil {
		r.err = fmt.Errorf("column %d is %v, not %v", i, got, want)
	}
	return false
}

func (r *row) Text(i int) string {
	if !r.is(i, sqlite.TypeText) {
		return ""
	}
	return r.stmt.ColumnText(i)
}

func (r *row) Int(i int) int64 {
	if !r.is(i, sqlite.TypeInteger) {
		return 0
	}
	return r.stmt.ColumnInt64(i)
}

func (r *row) Bool(i int) bool { return r.Int(i) != 0 }

// Float reads integers too: SQLite stores 2.0 as 2 in some columns.
func (r *row) Float(i int) float64 {
	if r.stmt.ColumnType(i) == sqlite.TypeInteger {
		return float64(r.stmt.ColumnInt64(i))
	}
	if !r.is(i, sqlite.TypeFloat) {
		return 0
	}
	return r.stmt.ColumnFloat(i)
}

func (r *row) Bytes(i int) []byte {
	if !r.is(i, sqlite.TypeBlob) {
		return nil
	}
	b := make([]byte, r.stmt.ColumnLen(i))
	r.stmt.ColumnBytes(i, b)
	return b
}

func (r *row) Null(i int) bool { return r.stmt.ColumnIsNull(i) }
