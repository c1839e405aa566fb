package projection

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/orderlane/orderlane/pkg/kafka"
)

// Defaults of Options.
const (
	DefaultQueue      = 16_384
	DefaultQueueBytes = 16 << 20
	DefaultStep       = 8192
	DefaultMaxBroken  = 10_000
)

// Options are what a projection is made of.
type Options struct {
	View  View             // required
	Store Store            // required
	Clock func() time.Time // required; for ages and the times of broken keys
	Log   *slog.Logger     // default: discards
	Watch Observer         // default: none

	// Replay reads topics again, as kafka.Admin.ReadRange does: records of offsets from..to-1,
	// in order. Without it Repair fails, and a database that lost its last commits is made good
	// only when Deliver is called next.
	Replay func(ctx context.Context, p kafka.Partition, from, to int64, fn func(kafka.Record) error) error

	// DeadLetter is told of each record that broke its key, after that was committed, so
	// at most once. Its error is logged: the store holds the truth. Nil: nobody is told.
	DeadLetter func(ctx context.Context, d DeadLetter) error

	// Build numbers the builds of a version of a view, which have tables, checkpoints and broken keys
	// of their own, see Builds. 0, for a view that is kept by one projection alone, has the plain names.
	Build int

	answers *Answers // of Builds

	Queue      int // records that wait at the most; default DefaultQueue
	QueueBytes int // bytes of records that wait, about, at the most; default DefaultQueueBytes
	// Step is how many records one transaction takes at the most; default DefaultStep. A step
	// takes what waits, so it is this large only when the view is far behind: then each page of
	// an index that is written takes up as many new entries as possible.
	Step      int
	MaxBroken int // broken keys of the partitions owned; beyond it the view itself is at fault and the partitions wait; default DefaultMaxBroken

	// Linger is how long Run waits for more records, at the most, when the last step was a
	// small one, and never longer than a few times what that step took: it trades latency for
	// fewer, larger transactions. Default 0: it never waits.
	Linger time.Duration
}

func (o *Options) defaults() error {
	if o.View == nil || o.Store == nil || o.Clock == nil {
		return fmt.Errorf("projection: options lack the view, the store or the clock")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Watch == nil {
		o.Watch = nobody{}
	}
	if o.Queue <= 0 {
		o.Queue = DefaultQueue
	}
	if o.QueueBytes <= 0 {
		o.QueueBytes = DefaultQueueBytes
	}
	if o.Step <= 0 {
		o.Step = DefaultStep
	}
	if o.MaxBroken <= 0 {
		o.MaxBroken = DefaultMaxBroken
	}
	return nil
}

// Observer sees what a projection does; its methods are quick and are called by the loop.
type Observer interface {
	// Stepped is called after each step that found records, and, with none, when the database
	// has answered while nothing was going on.
	Stepped(s Stepped)
	// Failed is called when a step failed and will be tried again.
	Failed(err error)
	// BrokenKeys is called with the number of broken keys of the partitions owned, when it
	// may have changed.
	BrokenKeys(n int)
}

type nobody struct{}

func (nobody) Stepped(Stepped) {}
func (nobody) Failed(error)    {}
func (nobody) BrokenKeys(int)  {}

// Stepped is what one step did.
type Stepped struct {
	Records  int           // taken from the queue
	Folded   int           // passed to the view and written
	Repeats  int           // skipped, at or below the checkpoint
	Skipped  int           // skipped, since their key is broken
	Broken   int           // records that broke their key
	Lost     int           // dropped, since their partition has another owner now
	Commits  int           // transactions; more than one only while a bad record is looked for
	Waiting  int           // records left in the queue, or taken from it ahead
	Duration time.Duration // of the whole step
	Age      time.Duration // from the oldest record's time to the commit: how far the view lags behind
}

// BrokenKey is a key that a view cannot fold on, and the record that broke it.
type BrokenKey struct {
	Topic     string
	Key       string
	Partition int32
	Offset    int64
	Type      string // of the record
	Reason    string // at most maxReason bytes
	Time      time.Time
}

// DeadLetter is a copy of a record that broke its key. It carries ids only, since values may
// hold personal data.
type DeadLetter struct {
	View string
	ID   string // ce_id of the record
	BrokenKey
}
