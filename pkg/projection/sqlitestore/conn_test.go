package sqlitestore

import (
	"path/filepath"
	"testing"

	"zombiezen.com/go/sqlite"

	"github.com/orderlane/orderlane/pkg/projection"
)

// TestAStatementIsPreparedOnceWhateverItsParametersAre: SQLite asks an authorizer whenever it prepares a statement, also
// when it does so by itself.
func TestAStatementIsPreparedOnceWhateverItsParametersAre(t *testing.T) {
	sqliteConn, err := sqlite.OpenConn(":memory:")
	if err != nil {
		t.Fatal(err)
	}
	c := &conn{Conn: sqliteConn, statements: make(map[string]*sqlite.Stmt)}
	defer func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := c.script("CREATE TABLE t (a TEXT, b BIGINT); CREATE INDEX t_a ON t (a, b); INSERT INTO t VALUES ('x', 1), ('x', 2), ('y', 3)"); err != nil {
		t.Fatal(err)
	}
	asked := 0
	err = c.SetAuthorizer(sqlite.AuthorizeFunc(func(sqlite.Action) sqlite.AuthResult {
		asked++
		return sqlite.AuthResultOK
	}))
	if err != nil {
		t.Fatal(err)
	}
	page := func(a string, limit int) (n int) {
		t.Helper()
		err := c.query(t.Context(), "SELECT b FROM (SELECT * FROM t WHERE a = $1 ORDER BY b LIMIT $2) LIMIT $2", []any{a, limit}, func(projection.Row) error {
			n++
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := page("x", 5); n != 2 || asked == 0 {
		t.Fatalf("%d rows, and %d questions", n, asked)
	}
	asked = 0
	if n := page("x", 1) + page("y", 2); n != 2 || asked != 0 {
		t.Errorf("%d rows, and %d questions, so it was prepared again", n, asked)
	}
}

// TestASearchGoesOnWhileTheSchemaChanges: a full-text index prepares statements of its own.
func TestASearchGoesOnWhileTheSchemaChanges(t *testing.T) {
	store, err := Open(filepath.Join(t.TempDir(), "view.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	change := func(statements ...string) {
		for _, sql := range statements {
			err := store.Update(t.Context(), func(tx projection.Tx) error {
				_, err := tx.Exec(t.Context(), sql)
				return err
			})
			if err != nil {
				t.Error(err)
			}
		}
	}
	change("CREATE VIRTUAL TABLE words USING fts5 (name)", "INSERT INTO words VALUES ('tea')")
	begin, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for range begin {
			change("CREATE TABLE other (a TEXT)", "DROP TABLE other")
		}
	}()
	for i := range 1000 {
		begin <- struct{}{} // a change for each search, so that none is overtaken again and again
		n := 0
		err := store.Query(t.Context(), "SELECT name FROM words WHERE words MATCH $1", []any{"te*"}, func(projection.Row) error {
			n++
			return nil
		})
		if err != nil || n != 1 {
			t.Errorf("search %d finds %d: %v", i, n, err)
			break
		}
	}
	close(begin)
	<-done
}
