//go:build unix

// Package fleet runs the real binary for tests of the whole platform: as one process with
// everything embedded, or as a process per service (two of ordering) on a real Kafka and
// PostgreSQL that belong to the test alone.
//
// A Fleet starts, kills, freezes and restarts its processes; a Client talks to them as any
// client does; a Load places orders in the background and remembers what was accepted; and
// Check compares what was accepted with what the topics, the logs and the views say.
//
// Everything is seen from outside: over HTTP, on the topics, in the logs' databases.
package fleet

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Patience bounds every wait for a condition. It is long: a machine that runs other tests
// beside these takes its time, and a condition that holds is seen at once.
const Patience = 90 * time.Second

// built is the binary, once per test binary.
var built struct {
	once sync.Once
	path string
	err  error
}

// EnvBinary names a binary to test, built with -tags failpoints, instead of building one.
const EnvBinary = "ORDERLANE_TEST_BINARY"

// Binary returns the path of the orderlane binary, built with the places where crash tests
// kill it. It lies in a temporary directory that RemoveBinary deletes.
func Binary(t testing.TB) string {
	t.Helper()
	if path := os.Getenv(EnvBinary); path != "" {
		return path
	}
	built.once.Do(func() {
		dir, err := os.MkdirTemp("", "orderlane-e2e-")
		if err != nil {
			built.err = err
			return
		}
		built.path = filepath.Join(dir, "orderlane")
		cmd := exec.Command("go", "build", "-tags", "failpoints", "-o", built.path, "github.com/orderlane/orderlane/services/orderlane")
		if out, err := cmd.CombinedOutput(); err != nil {
			built.err = fmt.Errorf("build the binary: %w\n%s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.path
}

// RemoveBinary deletes what Binary built; for TestMain.
func RemoveBinary() error {
	if built.path == "" {
		return nil
	}
	return os.RemoveAll(filepath.Dir(built.path))
}

// Wait polls until the condition holds, and fails the test with what it says is missing when
// that takes longer than Patience. The condition returns "" when it holds.
func Wait(t testing.TB, what string, condition func() (missing string)) {
	t.Helper()
	if err := waitFor(what, condition); err != nil {
		t.Fatal(err)
	}
}

// waitFor is Wait for goroutines that are not the test's own.
func waitFor(what string, condition func() string) error {
	deadline := time.Now().Add(Patience)
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		missing := condition()
		if missing == "" {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: not within %s: %s", what, Patience, missing)
		}
		<-ticker.C
	}
}

// lastPort is counted on for each address that is given out, from a random place: an address that a process is
// about to listen on is not given to another one.
var lastPort = sync.OnceValue(func() *atomic.Uint64 {
	var port atomic.Uint64
	port.Store(rand.Uint64N(1 << 32))
	return &port
})

// FreeAddress returns an address of 127.0.0.1 that nothing listens on, and that was not given out lately. Its
// port is below the range of outgoing connections, so that no client is given it before the server is.
func FreeAddress(t testing.TB) string {
	t.Helper()
	const lowest, highest, attempts = 10000, 20000, 200
	for range attempts {
		address := fmt.Sprintf("127.0.0.1:%d", lowest+lastPort().Add(1)%(highest-lowest))
		l, err := net.Listen("tcp4", address)
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		return address
	}
	t.Fatal(errors.New("no free port"))
	return ""
}
