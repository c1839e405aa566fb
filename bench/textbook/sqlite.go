package textbook

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// sqliteStore has a file for the events and one for the view. Each has one connection behind
// a lock: SQLite has one writer at a time, and waiting for it in Go is cheaper than in SQLite.
type sqliteStore struct {
	log, view file
}

type file struct {
	mu   sync.Mutex
	conn *sqlite.Conn
}

func openSQLite(dir string) (store, error) {
	s := &sqliteStore{}
	// As Orderlane has them: an event is on disk when its transaction ends. So must a row of this
	// view be, since its checkpoint, the group's offset, is kept elsewhere: after a power cut
	// nobody would bring back a row that is lost.
	if err := s.log.open(LogFile(dir), "FULL", logTables); err != nil {
		return nil, err
	}
	if err := s.view.open(ViewFile(dir), viewSync, viewTables); err != nil {
		return nil, errors.Join(err, s.log.conn.Close())
	}
	return s, nil
}

// viewSync is when the view is written to disk.
const viewSync = "FULL"

func (f *file) open(path, synchronous string, tables []string) error {
	c, err := sqlite.OpenConn(path, sqlite.OpenReadWrite|sqlite.OpenCreate|sqlite.OpenWAL)
	if err != nil {
		return fmt.Errorf("textbook: open %s: %w", path, err)
	}
	c.SetBusyTimeout(5 * time.Second)
	setup := append([]string{
		"PRAGMA synchronous = " + synchronous, "PRAGMA wal_autocheckpoint = 4000",
		"PRAGMA cache_size = -16000", "PRAGMA temp_store = MEMORY",
	}, tables...)
	for _, sql := range setup {
		if err := sqlitex.ExecuteTransient(c, sql, nil); err != nil {
			return errors.Join(fmt.Errorf("textbook: %s: %w", sql, err), c.Close())
		}
	}
	f.conn = c
	return nil
}

// exec runs a prepared statement and returns how many rows it changed.
func (f *file) exec(sql string, bind func(*sqlite.Stmt)) (int, error) {
	s, err := f.conn.Prepare(sql)
	if err != nil {
		return 0, err
	}
	if bind != nil {
		bind(s)
	}
	if _, err := s.Step(); err != nil {
		return 0, err
	}
	return f.conn.Changes(), s.Reset()
}

func (f *file) transaction(fn func() error) error {
	if _, err := f.exec("BEGIN IMMEDIATE", nil); err != nil {
		return err
	}
	err := fn()
	if err == nil {
		_, err = f.exec("COMMIT", nil)
	}
	if err != nil && !f.conn.AutocommitEnabled() {
		_, rollback := f.exec("ROLLBACK", nil)
		err = errors.Join(err, rollback)
	}
	return err
}

// Place implements store.
func (s *sqliteStore) Place(_ context.Context, event *OrderPlaced, out outcome) (*OrderPlaced, error) {
	order := ""
	var data []byte
	if event != nil {
		order = event.OrderID
		var err error
		if data, err = encode(event); err != nil {
			return nil, err
		}
	}
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	stored := event
	err := s.log.transaction(func() error {
		n, err := s.log.exec(insertOutcome, func(st *sqlite.Stmt) {
			st.BindText(1, out.command)
			st.BindText(2, order)
			st.BindText(3, out.status)
			st.BindText(4, out.reason)
			st.BindInt64(5, time.Now().UnixMicro())
		})
		if err != nil {
			return err
		}
		if n == 0 {
			stored, err = s.stored(out.command)
			return err
		}
		if event == nil {
			return nil
		}
		_, err = s.log.exec(insertEvent, func(st *sqlite.Stmt) {
			st.BindText(1, order)
			st.BindInt64(2, event.Version)
			st.BindText(3, out.command)
			st.BindInt64(4, event.PlacedAt.UnixMicro())
			st.BindText(5, string(data))
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("textbook: place %s: %w", order, err)
	}
	return stored, nil
}

// stored returns the event that a command has written before.
func (s *sqliteStore) stored(command string) (e *OrderPlaced, err error) {
	st, err := s.log.conn.Prepare(selectEvent)
	if err != nil {
		return nil, err
	}
	st.BindText(1, command)
	found, err := st.Step()
	if err != nil || !found {
		return nil, err
	}
	if e, err = decode([]byte(st.ColumnText(0))); err != nil {
		return nil, err
	}
	return e, st.Reset()
}

// Show implements store.
func (s *sqliteStore) Show(_ context.Context, e *OrderPlaced) error {
	doc, err := encode(e)
	if err != nil {
		return err
	}
	s.view.mu.Lock()
	defer s.view.mu.Unlock()
	_, err = s.view.exec(upsertOrder, func(st *sqlite.Stmt) { // a transaction by itself
		st.BindText(1, e.OrderID)
		st.BindInt64(2, e.Version)
		st.BindText(3, e.CustomerID)
		st.BindText(4, string(e.Status))
		st.BindInt64(5, e.PlacedAt.UnixMicro())
		st.BindText(6, string(doc))
	})
	if err != nil {
		return fmt.Errorf("textbook: show %s: %w", e.OrderID, err)
	}
	return nil
}

func (s *sqliteStore) Close() error { return errors.Join(s.log.conn.Close(), s.view.conn.Close()) }
