//go:build unix

package realparts

import (
	"errors"
	"fmt"
	"os"
	"testing"
)

// Main runs the tests of a package and stops the servers that were started for
// them: `func TestMain(m *testing.M) { realparts.Main(m) }`. On Linux the servers
// end with the test binary in any case; elsewhere a package needs this. With
// goleak: `goleak.VerifyTestMain(realparts.Wrap(m))`.
func Main(m *testing.M) { os.Exit(Wrap(m).Run()) }

// Runner is a *testing.M that stops shared servers at its end.
type Runner struct{ m *testing.M }

// Wrap makes a Runner, which goleak.VerifyTestMain takes in place of m.
func Wrap(m *testing.M) Runner { return Runner{m: m} }

// Run runs the tests, stops what was started for them, and returns the exit code.
func (r Runner) Run() int {
	code := r.m.Run()
	if err := errors.Join(sharedKafka.close(), sharedPostgres.close()); err != nil {
		fmt.Fprintln(os.Stderr, "stop the servers of the tests:", err)
		return max(code, 1)
	}
	return code
}
