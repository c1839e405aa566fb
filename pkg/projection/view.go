package projection

import (
	"context"
	"fmt"
	"strconv"

	"github.com/orderlane/orderlane/pkg/kafka"
)

// View folds records into rows. It works in two halves: Fold collects in memory what a
// record changes, and Flush writes what the records of a whole batch have changed, with as
// few statements as there are tables. Documents and Rows are made for that; a view holds
// some of them in a Parts, which provides Flush and Reset.
//
// Fold, Flush, Reset and Forget are called by one goroutine at a time. The same records may
// be folded again after a Reset, so folding depends on nothing but the record (and, in
// Documents, the document).
//
// A view is written so that each topic has tables or columns of its own: topics are not
// ordered relative to each other, and their partitions may be folded by different instances
// at the same time.
type View interface {
	// Name names the view in checkpoints, metrics and tables: lower case, without spaces.
	Name() string

	// Version tells builds of the view apart: each has its own tables (see TableName) and
	// checkpoints, so that a new one is built from the topics beside the one in use.
	Version() int

	// Sources are the topics that the view is fed by.
	Sources() []Source

	// Schema is the statements that make the view's tables, see Store.Migrate. Within a version none may be added:
	// only the tables and columns that an SQL view was made of are seen under its name, until the next build takes over.
	Schema(d Dialect) []string

	// Fold collects what the record changes. An error or a panic breaks the record's key
	// in this topic: the projection marks it, and passes no later record of it. A type of
	// record that the view has no interest in is no error. The record is valid until Reset.
	Fold(rec *Record) error

	// Flush writes what was collected. An error or panic of its own, or a value that the
	// store refuses, breaks the keys of those records that cause it, found one by one unless
	// the error is or joins *RecordError.
	Flush(ctx context.Context, tx Tx) error

	// Reset drops what was collected, written or not.
	Reset()

	// Forget deletes what records of the topic with that key have written, before they are
	// folded anew (see Projection.Repair). What is written by monotone upserts (Rows with a
	// rank) may stay, since they come to the same.
	Forget(ctx context.Context, tx Tx, topic, key string) error

	// StreamVersion returns the version of a stream that the view shows, 0 for none. Held
	// is false for a stream that this view never shows; waiting for it is pointless.
	StreamVersion(ctx context.Context, q Queryer, stream string) (version int64, held bool, err error)
}

// Twin is a View of which there may be two: while what one has collected is written, the other
// collects the next batch. Only one of them is flushed at a time, and never one before what
// the other has collected earlier is written.
type Twin interface {
	View

	// Twin returns another View of the same name, version and tables, with nothing collected.
	Twin() View
}

// Source is a topic that feeds a view.
type Source struct {
	Topic string

	// Log says that the topic has one event log behind it, published in the log's order with
	// its positions: an event at or below the partition's position is a repeat and is skipped.
	// A topic with several producers (commands, outcomes) has none: views upsert its rows
	// by rank.
	Log bool
}

// Record is a message as a view sees it, with the headers that every view needs.
type Record struct {
	*kafka.Record
	Key      string // the record's key as a string; of an event its stream
	Type     string // ce_type
	Version  int64  // ce_streamversion, 0 if there is none
	Position int64  // ce_position, 0 if there is none
	Epoch    string // ce_epoch, empty if there is none

	claim  *claim
	begins bool // an epoch; the view does not see it
}

// RecordError says which record a Flush failed for.
type RecordError struct {
	Record *Record
	Err    error
}

// Error names the record and what is wrong with it.
func (e *RecordError) Error() string {
	return fmt.Sprintf("projection: %s/%d/%d: %v", e.Record.Topic, e.Record.Partition, e.Record.Offset, e.Err)
}

// Unwrap returns what is wrong with the record.
func (e *RecordError) Unwrap() error { return e.Err }

// TableName is the name of a view's table, such as orderview_orders_v1: every version of a
// view has tables of its own.
func TableName(view string, version int, table string) string {
	return view + "_" + table + "_v" + strconv.Itoa(version)
}

// Part is a piece of a view that collects changes of one table.
type Part interface {
	Flush(ctx context.Context, tx Tx) error
	Reset()
}

// preparer is a Part that can do some of Flush's work before the transaction. What fails then
// fails in Flush.
type preparer interface{ prepare() }

// Parts are the pieces of a view. They are flushed in their order, which must be the same in
// every instance.
type Parts []Part

// Flush flushes each part, up to the first error.
func (p Parts) Flush(ctx context.Context, tx Tx) error {
	for _, part := range p {
		if err := part.Flush(ctx, tx); err != nil {
			return err
		}
	}
	return nil
}

func (p Parts) prepare() {
	for _, part := range p {
		if part, ok := part.(preparer); ok {
			part.prepare()
		}
	}
}

// Reset resets each part.
func (p Parts) Reset() {
	for _, part := range p {
		part.Reset()
	}
}
