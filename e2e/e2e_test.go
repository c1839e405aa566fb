//go:build unix

// Package e2e tests the whole platform from outside: the real binary, embedded and as a fleet
// on Kafka and PostgreSQL.
package e2e

import (
	"fmt"
	"os"
	"testing"

	"github.com/orderlane/orderlane/e2e/fleet"
	"github.com/orderlane/orderlane/e2e/realparts"
)

func TestMain(m *testing.M) {
	code := realparts.Wrap(m).Run()
	if err := fleet.RemoveBinary(); err != nil {
		fmt.Fprintln(os.Stderr, "remove the binary of the tests:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// slow leaves a test out of short runs: it starts processes, which takes its time.
func slow(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts processes, which takes its time")
	}
}

// onBoth runs a story on an embedded fleet and on one with real parts.
func onBoth(t *testing.T, o fleet.Options, story func(t *testing.T, f *fleet.Fleet)) {
	t.Helper()
	slow(t)
	for _, kind := range []fleet.Kind{fleet.Embedded, fleet.Real} {
		t.Run(string(kind), func(t *testing.T) { story(t, fleet.Start(t, kind, o)) })
	}
}
