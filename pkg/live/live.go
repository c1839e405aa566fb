// Package live tells clients of events while they happen: a Hub follows event topics and hands each
// event to the Streams that it is for, and a Stream is what one client is sent, as Server-Sent
// Events that can be resumed at any instance.
//
// In the flow it stands beside the projections, behind the event topics. It keeps nothing: every
// instance follows the topics itself, without a consumer group, and only while somebody listens. The
// id of an event says where its stream stands in each partition that it depends on, so whichever
// instance a client comes back to goes on from there: from the events that it has in memory, or from
// the topic. Where that is too much, or gone, or not true any more, the client has to read anew what it
// shows, and to begin where that was as of.
//
// Ids are not sealed: who reads one knows how many records the partitions have that its stream depends on,
// and with them about how much the shop sells, which is accepted for ids that need no key and no store.
//
// Events of one partition are sent in its order and at least once. The hub waits for no client: one
// that does not keep up is cut off, and comes back with the id of the last event that it got.
package live

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/orderlane/orderlane/pkg/kafka"
)

// Event is what clients are told of one record.
type Event struct {
	Name       string    // the SSE event name, without line breaks
	Key        string    // what it is about; streams with this key get it, and those of everything
	Data       []byte    // one line of JSON, which nobody changes
	Time       time.Time // when it happened; it orders what is caught up on
	Restricted bool      // for streams that may see what is restricted

	// TakenBack says that what was told before of the record's partition may not be so any more. It is
	// not sent: every stream that depends on the partition ends at it, whatever its key, and cannot be
	// resumed from before it (ErrTakenBack).
	TakenBack bool
}

// Source is where the hub reads topics: Kafka, or a broker in memory.
type Source interface {
	// Offsets returns what each partition of a topic holds, as far as it is committed.
	Offsets(ctx context.Context, topic string) (map[int32]kafka.Range, error)
	// ReadRange calls fn for each committed record at offsets from..to-1 that there is, in order.
	ReadRange(ctx context.Context, p kafka.Partition, from, to int64, fn func(kafka.Record) error) error
	// Consume hands every partition of the topics to h until ctx ends, as kafka.ConsumeAll does.
	Consume(ctx context.Context, topics []string, h kafka.BatchHandler) error
}

// Options are what a Hub is made of. Topics, Source and Decode are required; everything else has a
// default, which is the constant of its name.
type Options struct {
	Topics []string // that it follows; in this order they are in event ids
	Source Source

	// Decode returns what clients are told of a record; ok is false for nothing. It is called once per
	// record and for what streams catch up on, at the same time for different partitions.
	Decode func(r *kafka.Record) (event Event, ok bool)

	Log     *slog.Logger // slog.DiscardHandler if nil
	Metrics *Metrics     // nil: nothing is measured

	Ring       int           // events that are kept in memory for those who resume, over all partitions
	Buffer     int           // events that may wait for one client
	MaxReplay  int64         // offsets of topics that one client may catch up on
	ReplayTime time.Duration // how long that may take
	Standing   time.Duration // how long the first clients wait for the hub to stand in the topics; after that nobody does
	Heartbeat  time.Duration // how long a stream may be silent
	Idle       time.Duration // how long the topics are followed after the last client has gone, or twice that
}

// Defaults of Options.
const (
	// Ring holds what happens in half a minute at 2,000 events a second: as long as the oldest id that
	// a client has (Heartbeat) and the time that it takes to come back. At some 450 bytes each that is
	// up to 30 MB, while somebody listens.
	Ring = 65_536
	// Buffer is what one client may be behind: two seconds of 500 events each, for who follows everything.
	Buffer = 1024
	// MaxReplay and ReplayTime bound what resuming may cost. Reading a shop's resource anew is cheaper
	// than to be told of ten thousand changes to it.
	MaxReplay  = 10_000
	ReplayTime = 5 * time.Second
	// Standing is time enough to find a broker and its topics. While there is none, requests that wait would
	// take the room of others that need none.
	Standing = 5 * time.Second
	// Heartbeat is below the 30 s after which the most impatient of usual proxies cut what is silent. With
	// it comes the position reached, so that a client which nothing has happened to for a day resumes from
	// 15 s ago.
	Heartbeat = 15 * time.Second
	// Idle bridges a client that comes back, or a page that is loaded anew.
	Idle = 30 * time.Second
)

// replays is how many streams catch up from topics at the same time, so that a thousand that come
// back at once do not read the topics a thousand times at once.
const replays = 4

// The reasons why a stream does not begin, or ends.
var (
	// ErrMalformedID says that an event id is none of ours.
	ErrMalformedID = errors.New("live: the event id cannot be read")
	// ErrForeignID says that an event id is of another stream, or of a platform with other partitions.
	ErrForeignID = errors.New("live: the event id is of another stream")
	// ErrTooOld says that what has happened since is more than may be caught up on, or gone.
	ErrTooOld = errors.New("live: there is too much to catch up on, or it is gone")
	// ErrTakenBack says that some of what was told may not be so any more.
	ErrTakenBack = errors.New("live: what was told before was taken back")
	// ErrNotStanding says that the topics cannot be followed at present.
	ErrNotStanding = errors.New("live: the topics cannot be followed at present")
	// ErrSlow says that the client did not keep up.
	ErrSlow = errors.New("live: the client did not keep up")
)

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	orDefault(&o.Ring, Ring)
	orDefault(&o.Buffer, Buffer)
	orDefault(&o.MaxReplay, MaxReplay)
	orDefault(&o.ReplayTime, ReplayTime)
	orDefault(&o.Standing, Standing)
	orDefault(&o.Heartbeat, Heartbeat)
	orDefault(&o.Idle, Idle)
	return o
}

func orDefault[T int | int64 | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}
