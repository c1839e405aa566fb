package es

import (
	"errors"
	"strconv"
	"strings"
)

// Head is the end of a log. Epoch names one life of the log: it is made with the
// database, and another one begins when the log was restored to an earlier point (see
// Log.NewEpoch). Epoch and position together name one event for ever.
type Head struct {
	Epoch    string
	Position int64
}

// Renewal says what a new epoch of a log has to reckon with.
type Renewal struct {
	Above  int64 // the new epoch's Generation is above this one, and above the log's own
	Cursor int64 // cursors beyond it go back to it, since what their readers have read may be lost
}

// Generation is the place of an epoch in the row of a log's epochs: the number that its
// name begins with, as in 2-8f3a…, and 1 for the epoch that came with the database.
func Generation(epoch string) int64 {
	number, _, ok := strings.Cut(epoch, "-")
	n, err := strconv.ParseInt(number, 10, 64)
	if !ok || err != nil || n < 1 {
		return 1
	}
	return n
}

// ErrEpochChanged is wrapped by Append's error when a new epoch has begun since the writer
// read the head: what it knows of streams and commands may be of a future that is lost.
var ErrEpochChanged = errors.New("es: the log runs under a new epoch")

// ErrRestored is wrapped by the error of whoever finds that a log was restored to an earlier
// point, and that no new epoch was begun.
var ErrRestored = errors.New("the log was restored to an earlier point")
