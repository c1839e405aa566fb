//go:build failpoints

// Package failpoint names the places where the crash tests kill the process. This build
// (tag failpoints) kills its own process when the place in ORDERLANE_FAILPOINT is passed, and
// panics where the file that ORDERLANE_PANIC_FILE names says so.
package failpoint

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// armed is "name:n": die at the n-th time the place is passed.
var armed, count = parse(os.Getenv("ORDERLANE_FAILPOINT"))

var passed atomic.Int64

func parse(s string) (name string, n int64) {
	name, number, _ := strings.Cut(s, ":")
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		n = 1
	}
	return name, n
}

// Hit kills the process, as kill -9 does, when the armed place is passed for the n-th time.
func Hit(name string) {
	if name == armed && passed.Add(1) == count {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // nothing after this place may run
	}
}

// panicFile names a file with a line "place key" for each piece of work that panics. It is
// read at each pass, so that a test can mend the fault while the process runs.
var panicFile = os.Getenv("ORDERLANE_PANIC_FILE")

// Panic panics if the panic file names this place and key.
func Panic(place, key string) {
	if panicFile == "" {
		return
	}
	data, err := os.ReadFile(panicFile)
	if err != nil {
		return // nothing panics yet
	}
	if line := place + " " + key; slices.Contains(strings.Split(string(data), "\n"), line) {
		panic(fmt.Sprintf("failpoint %s", line))
	}
}
