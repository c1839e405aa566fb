package projection

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// A wait looks at the store again after firstPoll, then after twice that, up to lastPoll:
// another instance may own the partition. What this instance commits is told at once.
const (
	firstPoll = 10 * time.Millisecond
	lastPoll  = 80 * time.Millisecond
)

// waits are those who wait for a record with a certain key or id.
type waits struct {
	count atomic.Int64 // spares the loop the lock when nobody waits
	mu    sync.Mutex
	byID  map[string]map[chan struct{}]struct{}
}

func (w *waits) join(id string) chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.byID == nil {
		w.byID = make(map[string]map[chan struct{}]struct{})
	}
	if w.byID[id] == nil {
		w.byID[id] = make(map[chan struct{}]struct{})
	}
	ch := make(chan struct{}, 1)
	w.byID[id][ch] = struct{}{}
	w.count.Add(1)
	return ch
}

func (w *waits) leave(id string, ch chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.byID[id], ch)
	if len(w.byID[id]) == 0 {
		delete(w.byID, id)
	}
	w.count.Add(-1)
}

// tell wakes those who wait for one of the records.
func (w *waits) tell(recs []Record) {
	if w.count.Load() == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range recs {
		r := &recs[i]
		w.wake(r.Key)
		for j := range r.Headers {
			if r.Headers[j].Key == headerID {
				w.wake(string(r.Headers[j].Value))
				break
			}
		}
	}
}

func (w *waits) wake(id string) {
	for ch := range w.byID[id] {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

// Await returns when check answers true, or with its error, or with ctx's. check is asked at
// once, whenever this instance has committed a record whose key or ce_id is id, and every 10
// to 80 ms besides, since another instance may own the record's partition. ctx must have a
// deadline: the record may never come.
func (a *Answers) Await(ctx context.Context, id string, check func(context.Context) (bool, error)) error {
	if ok, err := check(ctx); ok || err != nil {
		return err
	}
	told := a.waits.join(id)
	defer a.waits.leave(id, told)
	poll := firstPoll
	timer := time.NewTimer(poll)
	defer timer.Stop()
	for {
		// Once more after joining: it may have been committed in between.
		if ok, err := check(ctx); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-told:
		case <-timer.C:
			poll = min(2*poll, lastPoll)
			timer.Reset(poll)
		}
	}
}

// WaitVersion returns when the view shows at least that version of a stream, at once if it
// never shows that stream, or with ctx's error: what a Consistency-Token asks for.
func (a *Answers) WaitVersion(ctx context.Context, stream string, version int64) error {
	return a.Await(ctx, stream, func(ctx context.Context) (bool, error) { return a.Shows(ctx, stream, version) })
}

// Shows reports whether the view shows at least that version of a stream, or never shows that
// stream.
func (a *Answers) Shows(ctx context.Context, stream string, version int64) (bool, error) {
	shown, held, err := a.view.StreamVersion(ctx, a.store, stream)
	return !held || shown >= version, err
}
