package view_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/orderlane/orderlane/bench/view"
)

func TestRowsAreSeenOnceEachWhenTheyAreThere(t *testing.T) {
	file := filepath.Join(t.TempDir(), "view.db")
	writer, err := sqlite.OpenConn(file)
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	exec := func(sql string) {
		t.Helper()
		if err := sqlitex.ExecuteTransient(writer, sql, nil); err != nil {
			t.Fatal(err)
		}
	}
	v, err := view.Open(t.Context(), "", file, view.Table{Name: "orders", Key: "id"})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	look := func() (keys []string) {
		t.Helper()
		if err := v.Next(t.Context(), func(key string) { keys = append(keys, key) }); err != nil {
			t.Fatal(err)
		}
		return keys
	}
	if keys := look(); keys != nil {
		t.Fatalf("a table that is not there has %v", keys)
	}
	exec("CREATE TABLE orders (id TEXT PRIMARY KEY, version BIGINT)")
	exec("INSERT INTO orders VALUES ('b', 1), ('a', 1)")
	if keys := fmt.Sprint(look()); keys != "[b a]" {
		t.Fatalf("got %v", keys)
	}
	exec("BEGIN")
	exec("INSERT INTO orders VALUES ('c', 1) ON CONFLICT DO NOTHING")
	if keys := look(); keys != nil {
		t.Fatalf("%v is seen before it is committed", keys)
	}
	exec("INSERT INTO orders VALUES ('a', 2) ON CONFLICT (id) DO UPDATE SET version = excluded.version")
	exec("COMMIT")
	if keys := fmt.Sprint(look()); keys != "[c]" {
		t.Fatalf("got %v", keys)
	}
	if rows, keys, err := v.Count(t.Context()); rows != 3 || keys != 3 || err != nil {
		t.Fatalf("counted %d rows and %d keys: %v", rows, keys, err)
	}
}

func TestAWatchOfAViewThatStandsStillFails(t *testing.T) {
	file := filepath.Join(t.TempDir(), "view.db")
	writer, err := sqlite.OpenConn(file)
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	v, err := view.Open(t.Context(), "", file, view.Table{Name: "orders", Key: "id"})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	_, err = view.Watch(t.Context(), v, time.Millisecond, 20*time.Millisecond, func(n int64) bool { return n == 1 }, func(int64) {})
	if err == nil {
		t.Fatal("a watch has ended without its order")
	}
}
