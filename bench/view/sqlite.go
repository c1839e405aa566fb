package view

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"zombiezen.com/go/sqlite"
)

// sqliteView reads by row id, which SQLite gives in the order of the inserts.
type sqliteView struct {
	conn  *sqlite.Conn
	table Table
	last  int64
}

func openSQLite(file string, table Table) (View, error) {
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the view %s is not there yet", file)
	}
	c, err := sqlite.OpenConn(file, sqlite.OpenReadWrite|sqlite.OpenWAL)
	if err != nil {
		return nil, fmt.Errorf("open the view %s: %w", file, err)
	}
	c.SetBusyTimeout(5 * time.Second)
	return &sqliteView{conn: c, table: table}, nil
}

func (v *sqliteView) query(sql string, arg *int64, row func(*sqlite.Stmt)) error {
	s, err := v.conn.Prepare(sql)
	if err != nil {
		if absent(err) {
			return nil
		}
		return fmt.Errorf("read the view: %w", err)
	}
	defer func() { _ = s.Reset() }() // its error is that of Step
	if arg != nil {
		s.BindInt64(1, *arg)
	}
	for {
		more, err := s.Step()
		if err != nil {
			return fmt.Errorf("read the view: %w", err)
		}
		if !more {
			return nil
		}
		row(s)
	}
}

func (v *sqliteView) Next(_ context.Context, seen func(string)) error {
	return v.query("SELECT rowid, "+v.table.Key+" FROM "+v.table.Name+" WHERE rowid > ? ORDER BY rowid", &v.last, func(s *sqlite.Stmt) {
		v.last = s.ColumnInt64(0)
		seen(s.ColumnText(1))
	})
}

func (v *sqliteView) Count(context.Context) (rows, keys int64, err error) {
	err = v.query("SELECT count(*), count(DISTINCT "+v.table.Key+") FROM "+v.table.Name, nil, func(s *sqlite.Stmt) {
		rows, keys = s.ColumnInt64(0), s.ColumnInt64(1)
	})
	return rows, keys, err
}

func (v *sqliteView) Close() error { return v.conn.Close() }
