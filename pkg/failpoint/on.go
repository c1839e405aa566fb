//go:build failpoints

// Package failpoint names the places where the crash tests kill the process. This build
// (tag failpoints) kills its own process when the place in ORDERLANE_FAILPOINT is passed.
package failpoint

import (
	"os"
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
