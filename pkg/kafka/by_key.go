package kafka

import (
	"encoding/binary"
	"hash/fnv"
	"sync"
	"time"
)

// byKey is the flight of a claim in ByKey mode. A message whose key is free gets a goroutine,
// which hands it out, waits for its end, and goes on with the next of that key. Waiting is
// what such handlers do, so a goroutine each costs nothing that matters.
type byKey struct {
	*claim
	wg sync.WaitGroup

	mu      sync.Mutex
	pending []*entry          // not done, oldest first
	tails   map[string]*entry // the last in flight of each key
}

func newByKey(c *claim) *byKey {
	return &byKey{claim: c, tails: make(map[string]*entry)}
}

func (f *byKey) admit(e *entry) bool {
	f.mu.Lock()
	f.pending = append(f.pending, e)
	first := true
	if e.source.Key != nil { // without a key there is no order to keep
		key := string(e.source.Key)
		if last := f.tails[key]; last != nil {
			last.next, first = e, false
		}
		f.tails[key] = e
	}
	f.mu.Unlock()
	if first {
		f.wg.Go(func() { f.lane(e) })
	}
	return true
}

func (f *byKey) drain() {
	deadline := time.AfterFunc(f.cfg.Drain, f.cancel)
	defer deadline.Stop()
	f.wg.Wait()
}

// lane handles e and what comes behind it of the same key, one after the other.
func (f *byKey) lane(e *entry) {
	for e != nil {
		switch f.deliver(e) {
		case done:
			e = f.pass(e)
		case waiting:
			e.failed++
			if !f.pause(e.spread(f.cfg.backoff(e.failed))) {
				return
			}
			e.attempt(nil)
			f.redelivered.Add(1)
		case flying:
			return
		}
	}
}

// deliver hands a message out and waits for its end: done, waiting for another attempt, or
// still flying when the claim ended first.
func (f *byKey) deliver(e *entry) state {
	select {
	case f.lanes <- struct{}{}:
	case <-f.stop:
		return flying
	}
	defer func() { <-f.lanes }()
	select {
	case <-f.stop: // both were ready
		return flying
	default:
	}
	select {
	case f.out <- e.msg:
	case <-f.stop:
		return flying
	}
	select {
	case <-e.msg.Acked():
		return done
	case <-e.msg.Nacked():
		return waiting
	case <-f.ctx.Done():
		return flying
	}
}

// spread shortens a pause by up to a half, by the message's place and attempt: messages that
// failed together do not all come back together, and it takes no chance.
func (e *entry) spread(d time.Duration) time.Duration {
	const parts = 64
	h := fnv.New64a()
	_ = binary.Write(h, binary.LittleEndian, [...]int64{int64(e.source.Partition), e.source.Offset, int64(e.failed)}) // never fails
	return d - d/2*time.Duration(h.Sum64()%parts)/parts
}

// pause reports false when the claim ends first.
func (f *byKey) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-f.stop:
		return false
	}
}

// pass marks the run of done messages at the front and returns the next of e's key, if any.
func (f *byKey) pass(e *entry) *entry {
	f.mu.Lock()
	defer f.mu.Unlock()
	e.state = done
	n := 0
	next := int64(0)
	for n < len(f.pending) && f.pending[n].state == done {
		next = f.pending[n].source.Offset + 1
		n++
	}
	if n > 0 {
		clear(f.pending[:n])
		f.pending = f.pending[n:]
		f.finished(n, next)
	}
	if e.next == nil && e.source.Key != nil {
		delete(f.tails, string(e.source.Key))
	}
	return e.next
}
