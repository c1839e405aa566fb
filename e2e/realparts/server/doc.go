//go:build unix

// Package server runs a real Apache Kafka and a real PostgreSQL as child
// processes, without Docker, for tests, benchmarks and continuous integration.
//
// It stands below package realparts, which hands the servers to tests, and
// below the command realparts, which runs one of each around a whole test run.
// Everything listens on 127.0.0.1 only, on ports that the operating system does
// not give to outgoing connections, and keeps its data in a directory of its
// own that goes away with it. Downloads and prepared data directories are kept
// in the user's cache directory.
//
// The servers are children of this process and do not outlive it: on Linux the
// kernel kills them even when this process is killed or panics. Data that was
// left behind then is swept away by the next start.
package server

import (
	"errors"
	"fmt"
)

// MissingError says that a server can't be run on this machine because
// something is not installed or can't be downloaded. Anything else that goes
// wrong is an ordinary error: the machine has what it takes, and it failed.
type MissingError struct {
	What string // what is missing, in words for a person
	Get  string // how to get it
}

// Error says what is missing and how to get it, in one line.
func (e *MissingError) Error() string {
	return fmt.Sprintf("missing: %s; to get it: %s", e.What, e.Get)
}

// IsMissing tells whether err, or an error that it wraps, is a MissingError.
func IsMissing(err error) bool {
	var missing *MissingError
	return errors.As(err, &missing)
}
