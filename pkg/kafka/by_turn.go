package kafka

import "time"

// sweepEvery is how often, while the oldest message is not done, the others are looked at:
// for turns to release, and for nacked messages to deliver again.
const sweepEvery = 20 * time.Millisecond

// byTurn is the flight of a claim in ByTurn mode. One goroutine per claim waits for the oldest
// message and marks whole runs of done ones, so that a message costs two looks at a channel
// and no goroutine.
type byTurn struct {
	*claim
	feed    chan *entry   // from the reader; never full, since the window bounds it
	ended   chan struct{} // closed when the watcher has ended
	pending []*entry      // not done, oldest first; the watcher's own
	room    []*entry      // what pending starts in whenever it is empty
	moved   bool          // the oldest message was done since the last sweep
}

func newByTurn(c *claim) *byTurn {
	f := &byTurn{
		claim: c, feed: make(chan *entry, c.cfg.Window), ended: make(chan struct{}),
		room: make([]*entry, 0, c.cfg.Window),
	}
	go f.watch()
	return f
}

func (f *byTurn) admit(e *entry) bool {
	select {
	case f.out <- e.msg:
		f.feed <- e
		return true
	case <-f.stop:
		e.turn.Release()
		return false
	}
}

func (f *byTurn) drain() {
	close(f.feed)
	<-f.ended
}

func (f *byTurn) watch() {
	defer close(f.ended)
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	for {
		if len(f.pending) == 0 {
			e, ok := <-f.feed
			if !ok {
				return
			}
			f.pending = append(f.pending, e)
		}
		f.advance()
		if len(f.pending) == 0 {
			continue
		}
		oldest := f.pending[0]
		nacked := oldest.msg.Nacked()
		if oldest.state == waiting {
			nacked = nil
		}
		select {
		case <-oldest.msg.Acked():
		case <-nacked:
			oldest.fail(time.Time{})
		case now := <-sweep.C:
			if !f.moved { // what moves on comes to the others by itself
				f.sweep(now)
			}
			f.moved = false
		case <-f.stop:
			f.finish()
			return
		}
	}
}

// advance takes the run of done messages off the front and marks the last of them.
func (f *byTurn) advance() {
	n := 0
	next := int64(0)
	for {
		if n == len(f.pending) && !f.pull() {
			break
		}
		e := f.pending[n]
		if e.state != done {
			if !e.acked() {
				break
			}
			e.turn.Release()
		}
		next = e.source.Offset + 1
		n++
	}
	if n == 0 {
		return
	}
	f.moved = true
	clear(f.pending[:n])
	f.pending = f.pending[n:]
	if len(f.pending) == 0 {
		f.pending = f.room
	}
	f.finished(n, next)
}

// pull takes over what the reader has handed out meanwhile, and reports whether there was any.
func (f *byTurn) pull() bool {
	before := len(f.pending)
	for {
		select {
		case e, ok := <-f.feed:
			if !ok {
				return len(f.pending) > before
			}
			f.pending = append(f.pending, e)
		default:
			return len(f.pending) > before
		}
	}
}

// sweep looks at all messages in flight: it releases the turns of done ones, so that their
// keys go on although the oldest message is not done, and delivers nacked ones again.
func (f *byTurn) sweep(now time.Time) {
	f.pull()
	for _, e := range f.pending {
		switch e.state {
		case flying:
			if e.acked() {
				e.turn.Release()
				e.state = done
			} else if e.nacked() {
				e.fail(now.Add(f.cfg.backoff(e.failed + 1)))
			}
		case waiting:
			if e.due.IsZero() {
				e.due = now.Add(f.cfg.backoff(e.failed))
			}
			if now.Before(e.due) {
				continue
			}
			e.attempt(nil)
			e.state = flying
			select {
			case f.out <- e.msg:
				f.redelivered.Add(1)
			case <-f.stop:
				e.fail(now)
				return
			}
		}
	}
}

func (e *entry) fail(due time.Time) {
	e.failed++
	e.due = due
	e.state = waiting
}

// finish waits for handlers that are at work when the claim ends, up to the drain time.
// Nothing nacked is delivered again; it goes to the next owner, and so does what comes behind
// it of the same key, whose handlers may be waiting for a turn that will not come.
func (f *byTurn) finish() {
	for e := range f.feed {
		f.pending = append(f.pending, e)
	}
	deadline := time.NewTimer(f.cfg.Drain)
	defer deadline.Stop()
	left := make(map[string]bool)
	for _, e := range f.pending {
		key := string(e.source.Key)
		if e.state == waiting || left[key] {
			left[key] = e.source.Key != nil
			continue
		}
		select {
		case <-e.msg.Acked():
			e.turn.Release()
			e.state = done
		case <-e.msg.Nacked():
			left[key] = e.source.Key != nil
		case <-deadline.C:
			f.advance()
			return
		}
	}
	f.advance()
}
