package sqlitelog_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/es/logtest"
	"github.com/orderlane/orderlane/pkg/es/sqlitelog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, path string, opts sqlitelog.Options) *sqlitelog.Log {
	t.Helper()
	log, err := sqlitelog.Open(t.Context(), path, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := log.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return log
}

func file(t *testing.T) string { return filepath.Join(t.TempDir(), "a service?#%.db") }

func TestSQLiteLogIsALog(t *testing.T) {
	logtest.Run(t, logtest.Instances(file, func(t *testing.T, path string) es.Log {
		return open(t, path, sqlitelog.Options{BusyTimeout: time.Minute}) // instances that write all the time let each other wait
	}))
}

func TestInstancesThatStartTogetherMigrateOnce(t *testing.T) {
	path := file(t)
	epochs := make([]string, 6)
	var wg sync.WaitGroup
	for i := range epochs {
		wg.Go(func() {
			log, err := sqlitelog.Open(t.Context(), path, sqlitelog.Options{})
			if err != nil {
				t.Errorf("open: %v", err)
				return
			}
			defer func() { _ = log.Close() }()
			head, err := log.Head(t.Context())
			if err != nil {
				t.Errorf("head: %v", err)
			}
			epochs[i] = head.Epoch
		})
	}
	wg.Wait()
	for _, epoch := range epochs {
		if epoch == "" || epoch != epochs[0] {
			t.Fatalf("epochs of one log: %q", epochs)
		}
	}
}

func TestADatabaseLockedByAnotherIsAClearError(t *testing.T) {
	path := file(t)
	opts := sqlitelog.Options{BusyTimeout: 10 * time.Millisecond}
	log := open(t, path, opts)
	other, err := sqlite.OpenConn(path, sqlite.OpenReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	if err := sqlitex.ExecuteTransient(other, `BEGIN IMMEDIATE`, nil); err != nil {
		t.Fatal(err)
	}
	cursor := es.Cursor{Name: "relay", Position: 1}
	if err := log.SaveCursor(t.Context(), cursor); !errors.Is(err, sqlitelog.ErrBusy) {
		t.Fatalf("got %v, want %v", err, sqlitelog.ErrBusy)
	}
	if _, err := log.Append(t.Context(), es.Batch{Cursors: []es.Cursor{cursor}}); !errors.Is(err, sqlitelog.ErrBusy) {
		t.Fatalf("got %v, want %v", err, sqlitelog.ErrBusy)
	}
	if err := sqlitex.ExecuteTransient(other, `ROLLBACK`, nil); err != nil {
		t.Fatal(err)
	}
	if err := log.SaveCursor(t.Context(), cursor); err != nil {
		t.Fatalf("after the lock is gone: %v", err)
	}
}

// TestAFileLockedByAnotherIsWaitedForOnce: however often SQLite is asked, that is not for longer than was set.
func TestAFileLockedByAnotherIsWaitedForOnce(t *testing.T) {
	path := file(t)
	other, err := sqlite.OpenConn(path, sqlite.OpenReadWrite|sqlite.OpenCreate)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	if err := sqlitex.ExecuteTransient(other, `BEGIN EXCLUSIVE`, nil); err != nil {
		t.Fatal(err)
	}
	const patience = 200 * time.Millisecond
	began := time.Now()
	if _, err := sqlitelog.Open(t.Context(), path, sqlitelog.Options{BusyTimeout: patience}); !errors.Is(err, sqlitelog.ErrBusy) {
		t.Errorf("got %v, want %v", err, sqlitelog.ErrBusy)
	}
	if took := time.Since(began); took > 20*patience {
		t.Errorf("that took %v", took)
	}
}

func TestErasedPayloadsAreNotInTheFile(t *testing.T) {
	// The bytes are looked for in the database itself, after the write-ahead log went into it.
	path := file(t)
	log := open(t, path, sqlitelog.Options{})
	event := es.Record{Stream: "order-1", Version: 1, Type: "placed", Data: []byte(`{}`), Personal: []byte(`"Ada Lovelace"`)}
	if _, err := log.Append(t.Context(), es.Batch{Streams: []es.StreamVersion{{Stream: "order-1"}}, Events: []es.Record{event}}); err != nil {
		t.Fatal(err)
	}
	if !contains(t, path, "Ada Lovelace") {
		t.Fatal("the payload is not in the file before it is erased: the test proves nothing")
	}
	erase := es.Record{Stream: "order-1", Version: 2, Type: "erased", Data: []byte(`{}`), Erases: true}
	if _, err := log.Append(t.Context(), es.Batch{Seen: 1, Streams: []es.StreamVersion{{Stream: "order-1", Version: 1}}, Events: []es.Record{erase}}); err != nil {
		t.Fatal(err)
	}
	if contains(t, path, "Ada Lovelace") {
		t.Fatal("the payload is still in the file")
	}
}

// contains says whether the file, with all of the write-ahead log in it, holds text.
func contains(t *testing.T, path, text string) bool {
	t.Helper()
	c, err := sqlite.OpenConn(path, sqlite.OpenReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if err := sqlitex.ExecuteTransient(c, `PRAGMA wal_checkpoint(TRUNCATE)`, nil); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Contains(b, []byte(text))
}
