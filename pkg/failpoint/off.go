//go:build !failpoints

// Package failpoint names the places where the crash tests kill the process. In an
// ordinary build it does nothing and costs nothing.
package failpoint

// Hit marks that a named place is passed.
func Hit(string) {}

// Panic marks a place where work on a key can be made to panic.
func Panic(_, _ string) {}
