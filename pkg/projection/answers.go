package projection

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// brokenRefresh is how old the list that answers look at may be: another instance may have marked or
// repaired a key.
const brokenRefresh = time.Second

// Answers is what queries ask beside the rows: whether the view shows a version of a stream yet, and
// whether it could go on with a key. It looks at what queries see, which is the active build, whichever
// instance folds it. All methods are safe for concurrent use.
type Answers struct {
	view    View
	version int64
	store   Queryer
	clock   func() time.Time
	id      func() string // of the build that queries see, in projection_broken
	waits   waits
	broken  brokenList
}

func newAnswers(v View, q Queryer, clock func() time.Time, id func() string) *Answers {
	return &Answers{view: v, version: int64(v.Version()), store: q, clock: clock, id: id}
}

// brokenList is what answers look at: all broken keys of the view, whoever marked them.
type brokenList struct {
	list  atomic.Pointer[brokenSnapshot]
	mu    sync.Mutex   // held while the list is read
	epoch atomic.Int64 // moves when the list is out of date for certain
}

type brokenSnapshot struct {
	epoch int64
	at    time.Time
	keys  map[string][]BrokenKey
}

func (l *brokenList) forget() { l.epoch.Add(1) }

// Broken returns why answers about a key are out of date: what broke it, by topic, or nothing,
// as is usual. It looks at a list that is read again when this instance has changed it, and
// at most once a second otherwise, so it may be asked for each answer.
func (a *Answers) Broken(ctx context.Context, key string) ([]BrokenKey, error) {
	l := &a.broken
	fresh := func(s *brokenSnapshot) bool {
		return s != nil && s.epoch == l.epoch.Load() && a.clock().Sub(s.at) < brokenRefresh
	}
	if s := l.list.Load(); fresh(s) {
		return s.keys[key], nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.list.Load(); fresh(s) {
		return s.keys[key], nil
	}
	s := &brokenSnapshot{epoch: l.epoch.Load(), at: a.clock(), keys: make(map[string][]BrokenKey)}
	all, err := a.AllBroken(ctx, "", maxListed)
	if err != nil {
		return nil, err
	}
	for _, k := range all {
		s.keys[k.Key] = append(s.keys[k.Key], k)
	}
	l.list.Store(s)
	return s.keys[key], nil
}

// AllBroken lists the broken keys of the view, those of other instances too, by key and
// topic: up to limit after the key given, and then what else there is of the last key.
func (a *Answers) AllBroken(ctx context.Context, after string, limit int) ([]BrokenKey, error) {
	return allBroken(ctx, a.store, a.id(), a.version, after, limit)
}
