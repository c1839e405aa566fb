// Package memlog keeps an event log in memory: for tests, and for simulations of the whole
// platform from one seed. It does nothing by itself: no goroutine, no clock of its own, no
// order that depends on a map.
package memlog

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/es/internal/headwatch"
)

// Options are the settings of a store.
type Options struct {
	// Clock is the database's clock, which leases expire by. It is required.
	Clock func() time.Time
	// Epoch names the life of the log; "memory" if empty.
	Epoch string
}

// Store is what lasts: the database behind any number of logs. A simulation closes a log and
// opens another one to restart a service.
type Store struct {
	clock func() time.Time
	first string // epoch

	mu    sync.Mutex
	logs  []*Log // open ones, in order of opening
	begun int    // epochs, also those that a Restore has taken back
	content
}

// content is what is in a store, and in its backups.
type content struct {
	epoch    string
	events   []es.Record
	streams  map[string][]int64 // position by version - 1
	personal map[int64][]byte   // by position
	outcomes map[uuid.UUID]outcome
	written  int64 // outcomes ever written
	states   map[string]es.State
	parked   []es.Parked // in the order of first parking
	leases   map[string]lease
	cursors  map[string]int64
	timers   map[string]timer
}

// outcome is an outcome row. Once expired, it says at which event the command is found.
type outcome struct {
	es.Outcome
	seq     int64
	expired bool
}

type lease struct {
	holder  string
	expires time.Time
}

// NewStore returns an empty store.
func NewStore(opts Options) *Store {
	if opts.Clock == nil {
		panic("memlog: Options.Clock is required")
	}
	if opts.Epoch == "" {
		opts.Epoch = "memory"
	}
	return &Store{
		clock: opts.Clock, first: opts.Epoch,
		content: content{
			epoch: opts.Epoch, streams: map[string][]int64{}, personal: map[int64][]byte{}, outcomes: map[uuid.UUID]outcome{},
			states: map[string]es.State{}, leases: map[string]lease{}, cursors: map[string]int64{},
		},
	}
}

// New returns a log on an empty store of its own.
func New(opts Options) *Log { return NewStore(opts).Open() }

// Open returns another log on the store, as another instance of the service would.
func (s *Store) Open() *Log {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := &Log{store: s, watch: headwatch.New(int64(len(s.events)))}
	l.watch.See(s.head())
	s.logs = append(s.logs, l)
	return l
}

// Log is an es.Log on a store.
type Log struct {
	store *Store
	watch *headwatch.Watch
}

var _ es.Log = (*Log)(nil)

// do runs fn under the store's lock, unless the log is closed or ctx has ended.
func (l *Log) do(ctx context.Context, what string, fn func(s *Store) error) error {
	err := context.Cause(ctx)
	if err == nil {
		l.store.mu.Lock()
		defer l.store.mu.Unlock()
		if err = l.watch.Err(); err == nil {
			err = fn(l.store)
		}
	}
	if err != nil {
		return fmt.Errorf("memlog: %s: %w", what, err)
	}
	return nil
}

// Head implements es.Log.
func (l *Log) Head(ctx context.Context) (h es.Head, err error) {
	err = l.do(ctx, "read the head", func(s *Store) error {
		h = s.head()
		return nil
	})
	return h, err
}

func (s *Store) head() es.Head { return es.Head{Epoch: s.epoch, Position: int64(len(s.events))} }

// NewEpoch implements es.Log. The epoch's name is made of numbers and the store's first epoch, so
// that it is the same in every run.
func (l *Log) NewEpoch(ctx context.Context, r es.Renewal) (h es.Head, err error) {
	err = l.do(ctx, "begin a new epoch", func(s *Store) error {
		s.begun++
		s.epoch = fmt.Sprintf("%d-%s.%d", max(es.Generation(s.epoch), r.Above)+1, s.first, s.begun)
		for name, position := range s.cursors {
			s.cursors[name] = min(position, r.Cursor)
		}
		h = s.head()
		for _, open := range s.logs {
			open.watch.See(h)
		}
		return nil
	})
	return h, err
}

// Wait implements es.Log.
func (l *Log) Wait(ctx context.Context, after int64) error {
	if err := l.watch.Wait(ctx, after, 0, nil); err != nil {
		return fmt.Errorf("memlog: %w", err)
	}
	return nil
}

// Close implements es.Log. The store stays as it is.
func (l *Log) Close() error {
	l.watch.Close()
	s := l.store
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, open := range s.logs {
		if open == l {
			s.logs = append(s.logs[:i:i], s.logs[i+1:]...)
			break
		}
	}
	return nil
}

// kept is a time as the other logs store it.
func kept(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// copied keeps the caller's buffers out of the store, and the store's out of the caller's.
func copied(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return bytes.Clone(b)
}
