package sqlitewal

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, path string, statements ...string) *sqlite.Conn {
	t.Helper()
	c, err := sqlite.OpenConn(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	for _, s := range statements {
		run(t, c, s)
	}
	return c
}

func run(t *testing.T, c *sqlite.Conn, statement string) {
	t.Helper()
	if err := sqlitex.ExecuteTransient(c, statement, nil); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// writtenBack is how many rows the database file holds by itself, without its log.
func writtenBack(t *testing.T, path string) (rows int) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	alone := filepath.Join(t.TempDir(), "alone.db")
	if err := os.WriteFile(alone, data, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := sqlite.OpenConn(alone)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	err = sqlitex.ExecuteTransient(c, "SELECT count(*) FROM t", &sqlitex.ExecOptions{
		ResultFunc: func(s *sqlite.Stmt) error {
			rows = s.ColumnInt(0)
			return nil
		},
	})
	if err != nil {
		return 0 // read in the middle of a write-back, or before the first one
	}
	return rows
}

func TestWhatIsCommittedIsWrittenBackWhileTheWriterGoesOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.db")
	writer := open(t, path, "PRAGMA journal_mode=WAL", "PRAGMA wal_autocheckpoint=0", "CREATE TABLE t (n INTEGER PRIMARY KEY)")
	k := New(path)
	for range every {
		if n := writtenBack(t, path); n > 0 {
			t.Fatalf("%d rows are written back before it is due", n)
		}
		run(t, writer, "INSERT INTO t DEFAULT VALUES")
		k.Committed()
	}
	run(t, writer, "BEGIN IMMEDIATE")
	run(t, writer, "INSERT INTO t DEFAULT VALUES") // under way all the time
	deadline := time.Now().Add(time.Minute)
	for writtenBack(t, path) != every {
		if time.Now().After(deadline) {
			t.Fatalf("%d rows of %d are written back", writtenBack(t, path), every)
		}
	}
	run(t, writer, "COMMIT")
	k.Close()
	k.Close()
}

func TestAConnectionFromBeforeTheLogIsOpenedAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "early.db")
	early, err := sqlite.OpenConn(path, sqlite.OpenReadWrite, sqlite.OpenCreate) // not in WAL mode
	if err != nil {
		t.Fatal(err)
	}
	defer early.Close()
	if writeBack(early) {
		t.Fatal("a log is found before there is one")
	}
	writer := open(t, path, "PRAGMA journal_mode=WAL", "PRAGMA wal_autocheckpoint=0", "CREATE TABLE t (n INTEGER PRIMARY KEY)")
	run(t, writer, "INSERT INTO t DEFAULT VALUES")
	if writeBack(early) {
		t.Fatal("the connection has found the log: nothing needs to be opened anew any more")
	}
	if !writeBack(open(t, path)) {
		t.Fatal("a connection that is opened now does not find the log")
	}
}

func TestADatabaseThatIsAwayForAWhileIsWrittenBackLater(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "later")
	path := filepath.Join(dir, "t.db")
	k := New(path)
	defer k.Close()
	for range every {
		k.Committed()
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	writer := open(t, path, "PRAGMA journal_mode=WAL", "PRAGMA wal_autocheckpoint=0", "CREATE TABLE t (n INTEGER PRIMARY KEY)")
	run(t, writer, "INSERT INTO t DEFAULT VALUES")
	deadline := time.Now().Add(time.Minute)
	for writtenBack(t, path) != 1 {
		if time.Now().After(deadline) {
			t.Fatal("the row is not written back")
		}
		for range every {
			k.Committed()
		}
	}
}
