//go:build unix

// Package realparts hands a real Apache Kafka and a real PostgreSQL to tests.
//
// Kafka and Postgres give addresses of one shared server each. They come from
// the environment (ORDERLANE_TEST_KAFKA=host:port[,host:port],
// ORDERLANE_TEST_POSTGRES=postgres://...), as the command realparts sets it
// around `make test`, so that all test binaries share them; or else the servers
// are started for this test binary, without Docker, when Java, Maven and
// PostgreSQL are installed; or else the test is skipped with a line that says
// what is missing. With ORDERLANE_TEST_REAL=required what is missing fails the
// test instead: continuous integration sets that.
//
// StartKafka and StartPostgres give a server to one test alone, which may stop
// it, kill it, freeze it and start it again.
//
// Since servers are shared, topics, groups and the like need names of their
// own: Unique makes them. Postgres returns a new database at each call.
package realparts

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orderlane/orderlane/e2e/realparts/server"
)

// The environment that says where the servers are and whether they must exist.
const (
	EnvKafka    = "ORDERLANE_TEST_KAFKA"    // brokers, comma-separated, or "missing: ..."
	EnvPostgres = "ORDERLANE_TEST_POSTGRES" // URL of a user that may create databases, or "missing: ..."
	EnvReal     = "ORDERLANE_TEST_REAL"     // "required": a missing server fails the test
)

// missingPrefix in place of an address says that a search has already failed,
// so that not every test binary searches again.
const missingPrefix = "missing:"

// databaseTimeout bounds creating and dropping a database.
const databaseTimeout = 30 * time.Second

// shared is one server for this test binary, started at the first call.
type shared[S interface{ Close() error }] struct {
	mu     sync.Mutex
	tried  bool
	server S
	err    error
}

func (s *shared[S]) get(start func() (S, error)) (S, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.tried {
		s.tried = true
		s.server, s.err = start()
	}
	return s.server, s.err
}

func (s *shared[S]) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.tried || s.err != nil {
		return nil
	}
	s.tried = false
	return s.server.Close()
}

var (
	sharedKafka    shared[*server.Kafka]
	sharedPostgres shared[*server.Postgres]
)

// Kafka returns the addresses of a real Apache Kafka that other tests use at
// the same time: name topics and groups with Unique, and do not stop it.
func Kafka(t testing.TB) []string {
	t.Helper()
	skipIfMissing(t, "Apache Kafka", EnvKafka)
	if address := os.Getenv(EnvKafka); address != "" {
		return strings.Split(address, ",")
	}
	kafka, err := sharedKafka.get(func() (*server.Kafka, error) { return server.StartKafka() })
	must(t, "Apache Kafka", err)
	return kafka.Brokers()
}

// Postgres returns the address of a new, empty database on a real PostgreSQL
// that other tests use at the same time. The database is dropped at the end of
// the test, after the clean-ups that the test registers later.
func Postgres(t testing.TB) string {
	t.Helper()
	skipIfMissing(t, "PostgreSQL", EnvPostgres)
	address := os.Getenv(EnvPostgres)
	if address == "" {
		postgres, err := sharedPostgres.get(func() (*server.Postgres, error) { return server.StartPostgres() })
		must(t, "PostgreSQL", err)
		address = postgres.URL()
	}
	return newDatabase(t, address)
}

func newDatabase(t testing.TB, address string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), databaseTimeout)
	defer cancel()
	name := strings.ReplaceAll(Unique(t, "test"), "-", "_")
	url, err := server.CreateDatabase(ctx, address, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), databaseTimeout)
		defer cancel()
		if err := server.DropDatabase(ctx, address, name); err != nil {
			t.Logf("drop database %s: %v", name, err) // a test may end with its own server stopped
		}
	})
	return url
}

// Unique makes a name that no other test, test binary or run uses: the given
// one, a dash, and ten random hexadecimal digits.
func Unique(t testing.TB, name string) string {
	t.Helper()
	var random [5]byte
	if _, err := rand.Read(random[:]); err != nil {
		t.Fatal(err)
	}
	return name + "-" + hex.EncodeToString(random[:])
}

// skipIfMissing ends the test when the environment says that there is no such
// server to be had, and why.
func skipIfMissing(t testing.TB, what, env string) {
	t.Helper()
	if address := os.Getenv(env); strings.HasPrefix(address, missingPrefix) {
		skip(t, what, errors.New(address))
	}
}

// must ends the test when a server could not be had: skipped if it is missing,
// failed if it is there and does not work.
func must(t testing.TB, what string, err error) {
	t.Helper()
	switch {
	case err == nil:
	case server.IsMissing(err):
		skip(t, what, err)
	default:
		t.Fatal(err)
	}
}

func skip(t testing.TB, what string, err error) {
	t.Helper()
	if os.Getenv(EnvReal) == "required" {
		t.Fatalf("%s=required, and there is no %s to test with: %v", EnvReal, what, err)
	}
	t.Skipf("NOT TESTED on a real %s: %v (or set %s and %s to running servers)", what, err, EnvKafka, EnvPostgres)
}
