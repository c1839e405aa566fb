package es

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/orderlane/orderlane/pkg/fault"
)

// Limits that every log holds.
const (
	MaxBatchCommands = 512        // commands that an engine decides in one append
	MaxRead          = 10_000     // records that one Read returns at the most
	MaxPayload       = 512 * 1024 // bytes of one event, personal payload or parked command

	// MaxTimerPause is how long a timer that nobody answers rests between two hand-outs at the
	// most, unless the caller asks for longer.
	MaxTimerPause = time.Hour
)

// Log is the port to a service's own event log: events, outcomes, states,
// personal payloads, parked commands and relay cursors in one database.
// Implementations are pglog, sqlitelog and memlog; logtest is what all of them pass.
// All methods are safe for concurrent use and wrap their errors with what was being done.
type Log interface {
	// Head returns where the log ends.
	Head(ctx context.Context) (Head, error)

	// NewEpoch begins a new life of the log, as whoever restored its database to an earlier point
	// must do: what the old life had written after that point is on the topics, and positions and
	// versions come again with other contents. What was decided under the old epoch is not
	// written any more. It returns the head under the new one.
	NewEpoch(ctx context.Context, r Renewal) (Head, error)

	// Append writes the whole batch in one transaction under the log's lock, or nothing.
	// Event i gets position Head-len(Events)+1+i, where Head is what it returns: positions are
	// 1..n over the life of the log, without gaps, in commit order.
	//
	// It writes only if the log's head is still b.Seen, or none of b.Streams has another
	// version than the one named there; and only if each event's version is its stream's next, and
	// no command of b.Outcomes or b.Parked has an outcome or an event already, or is parked with another digest (an empty one is
	// like any). Otherwise it returns a *ConflictError and nothing is written.
	// An error that wraps ErrEpochChanged says that the log runs under another epoch than b.Epoch, and that nothing is written.
	// A stored outcome is never overwritten. An outcome deletes the parked command of the same id.
	// States replace older ones only. An error that wraps ErrInvalidBatch means that the batch can
	// never be written. Any other error leaves it unknown whether it was; read Outcomes to know.
	//
	// Append does not change b, and keeps nothing of it after it returns. Times are stored to the microsecond.
	Append(ctx context.Context, b Batch) (Head, error)

	// Load returns the present state of streams, in the order asked for.
	// A stream that does not exist has version 0.
	Load(ctx context.Context, streams []StreamQuery) ([]StreamState, error)

	// Outcomes returns the final outcomes of the commands that have one. A command whose
	// outcome has expired, or was never given, but which wrote events, is found by the last of
	// them: it succeeded, with that event's stream, version, position, time and digest, and no type.
	Outcomes(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]Outcome, error)

	// Read returns up to limit records (MaxRead at the most) after a position, in order,
	// without personal payloads.
	Read(ctx context.Context, after int64, limit int) ([]Record, error)

	// ReadStream returns up to limit records (MaxRead at the most) of a stream after a version,
	// in order, without personal payloads.
	ReadStream(ctx context.Context, stream string, after int64, limit int) ([]Record, error)

	// Personal returns the personal payloads of a stream that are not erased,
	// of versions up to and including upTo, by version.
	Personal(ctx context.Context, stream string, upTo int64) ([][]byte, error)

	// Wait returns when the head has moved past after, whoever moved it, or with ctx's error.
	Wait(ctx context.Context, after int64) error

	// ParkedCommands lists commands put aside, in the order in which they were first parked, up
	// to limit (MaxRead at the most) after the given id. uuid.Nil, or a command that is no longer parked, lists from the start.
	ParkedCommands(ctx context.Context, after uuid.UUID, limit int) ([]Parked, error)

	// ParkedCommand returns one; ok is false if there is none.
	ParkedCommand(ctx context.Context, id uuid.UUID) (p Parked, ok bool, err error)

	// Lease takes or prolongs the named lease for holder. It returns false while another
	// holder's has not expired. Expiry is by the database's clock.
	Lease(ctx context.Context, name, holder string, ttl time.Duration) (bool, error)

	// Release gives a lease back; releasing another holder's does nothing.
	Release(ctx context.Context, name, holder string) error

	// Cursor returns the saved position of the named reader; 0 if there is none.
	Cursor(ctx context.Context, name string) (int64, error)

	// SaveCursor moves the named cursor forward, as Append does with those of a batch. A lower
	// position changes nothing, nor does one beyond the head: its reader has read what was lost since.
	SaveCursor(ctx context.Context, c Cursor) error

	// ExpireOutcomes deletes up to limit outcomes (MaxRead at the most) older than before, oldest first, and says how many.
	// What Outcomes tells of a command by its events stays.
	ExpireOutcomes(ctx context.Context, before time.Time, limit int) (int, error)

	// DueTimers hands out timers that are due at now, up to limit (MaxRead at the most), the
	// earliest first, and notes in the same transaction that they were: the same timer is not
	// handed out again, to any instance, before again has passed by the callers' clocks, nor before
	// half of what it was overdue then (MaxTimerPause at the most). A timer stays, and is handed out
	// over and over, ever more seldom, until the deadline of its stream changes.
	DueTimers(ctx context.Context, now time.Time, again time.Duration, limit int) ([]Timer, error)

	// Close releases what the log holds. Waits that are under way end with an error.
	Close() error
}

// Record is a stored event.
type Record struct {
	Position int64 // in the log, from 1, without gaps; set by Append
	Stream   string
	Version  int64 // in the stream, from 1
	Type     string
	Schema   int // version of the type's stored shape, from 1
	Time     time.Time
	Data     []byte // JSON; nothing personal
	Meta     Metadata

	// Personal is stored apart, and erased on request. Append takes it; Read leaves it nil.
	Personal []byte
	// HasPersonal says that the event was written with a personal payload, erased or not.
	// Append takes it from Personal.
	HasPersonal bool
	// Erases deletes all personal payloads of the stream's earlier versions when it is appended.
	Erases bool

	// Event is the decoded event where the record comes straight from the engine, else nil.
	// Logs do not keep it.
	Event any
}

// ID is the same at every publication of the event.
func (r *Record) ID() string { return fmt.Sprintf("%s/%d", r.Stream, r.Version) }

// Metadata says where an event or an outcome came from. It holds nothing personal.
type Metadata struct {
	Command     uuid.UUID `json:"command"`
	Correlation string    `json:"correlation,omitempty"`
	Causation   string    `json:"causation,omitempty"`
	Caller      string    `json:"caller,omitempty"`
	Traceparent string    `json:"traceparent,omitempty"`
	Digest      string    `json:"digest,omitempty"` // of the request's body, to tell a reused idempotency key
}

// StreamVersion is a stream and the version it was seen at.
type StreamVersion struct {
	Stream  string
	Version int64
}

// StreamQuery asks for a stream's state in the shape of a state version.
type StreamQuery struct {
	Stream       string
	StateVersion int
}

// StreamState is what a stream's state is folded from: a stored state (nil if there is
// none in the shape asked for) as of version StateAt, and all records after it.
type StreamState struct {
	Stream  string
	Version int64
	State   []byte
	StateAt int64
	Tail    []Record
}

// State is the state row of a stream as of a version.
type State struct {
	Stream       string
	Version      int64
	StateVersion int
	Data         []byte
}

// Status is how a command ended.
type Status string

// The final statuses are StatusSucceeded, StatusRefused and StatusFailed; a parked
// command waits for a retry.
const (
	StatusSucceeded Status = "succeeded"
	StatusRefused   Status = "refused"
	StatusParked    Status = "parked"
	StatusFailed    Status = "failed"
)

// Outcome is the answer to a command: the inbox entry, the status and the reply in one.
type Outcome struct {
	Command  uuid.UUID
	Type     string // of the command
	Stream   string
	Status   Status
	Version  int64        // of the stream after the command
	Position int64        // of the last event the command wrote, 0 if none; set by Append
	Fault    *fault.Fault // why it was refused, parked or failed
	Digest   string
	Time     time.Time
}

// SameRequest reports whether two digests may be of the same request. An empty one is like
// any: its command came without an idempotency key, and nobody else has its id.
func SameRequest(digest, other string) bool {
	return digest == "" || other == "" || digest == other
}

// Parked is a command that could not be handled for a fault of ours. The payload is kept
// so that it can be sent again.
type Parked struct {
	Command  uuid.UUID
	Type     string
	Topic    string
	Key      string
	Reason   string
	Headers  map[string]string
	Payload  []byte
	Digest   string    // of the request's body; see Outcome
	Attempts int       // how often it was parked; Append counts
	Time     time.Time // when it was parked last
}

// Timer says when a stream is to be woken: the deadline of its state (see Decider.Deadline).
type Timer struct {
	Stream  string
	Version int64     // of the stream, when the timer was set
	Due     time.Time // in a batch, the zero time deletes the stream's timer
}

// Cursor is how far a named reader of the log has come.
type Cursor struct {
	Name     string
	Position int64
}

// Batch is what one append writes.
type Batch struct {
	Epoch    string          // under which the writer read all of this; empty: whichever it is
	Seen     int64           // the head where the writer last saw it; -1: compare the streams' versions in any case
	Streams  []StreamVersion // every stream decided on, refusals and no-ops included, before the batch
	Events   []Record        // in order; versions continue those of Streams
	Outcomes []Outcome       // final ones only
	States   []State
	Parked   []Parked
	Cursors  []Cursor
	Timers   []Timer // of streams of the batch, as of their versions after it; one of a stream replaces the one before
}

// ConflictError says that a batch was not written since others have written before.
type ConflictError struct {
	Streams  []string    // whose version is another than the batch says
	Commands []uuid.UUID // that have an outcome or events already
	Reused   []uuid.UUID // that are parked with another digest: the id is taken by another request
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("es: append conflicts on streams [%s], %d known commands and %d that are parked for another request",
		strings.Join(e.Streams, " "), len(e.Commands), len(e.Reused))
}

// ErrClosed is returned by calls on a log that was closed.
var ErrClosed = errors.New("es: log is closed")

// ErrInvalidBatch is wrapped by Append's error on a batch that breaks the rules of Batch or
// a limit: a fault of the caller, found before anything is written.
var ErrInvalidBatch = errors.New("es: invalid batch")
