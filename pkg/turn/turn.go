// Package turn keeps messages of one key in their order while their handlers run
// concurrently: the subscriber gives each message a Turn, and whatever must happen in
// order is passed to Take. Nobody waits for a turn; a message that never takes its turn
// releases it.
package turn

import (
	"context"
	"sync"
)

// Line is the order of messages of one partition, key by key. Messages of different
// keys never wait for each other. It is safe for concurrent use.
type Line struct {
	mu   sync.Mutex
	last map[string]*Turn
}

// NewLine returns an empty line.
func NewLine() *Line { return &Line{last: make(map[string]*Turn)} }

// Turn is the place of one message among those of its key.
type Turn struct {
	line   *Line
	key    string
	ready  bool   // the turn before has passed
	passed bool   // this turn is over
	do     func() // taken before it was ready
	next   *Turn
}

// Join gives the next message of a key its turn. The caller must see to it that the turn
// is taken or released in the end.
func (l *Line) Join(key string) *Turn {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := &Turn{line: l, key: key, ready: true}
	if p := l.last[key]; p != nil {
		p.next, t.ready = t, false
	}
	l.last[key] = t
	return t
}

// Take runs do when all earlier turns of the key are over, and ends the turn with it: at
// once on the calling goroutine, or later on the one that ends the turn before. do must
// not block, and must not take or release turns of the same line. Taking a turn that is
// over (a retry of the same message) runs do at once.
func (t *Turn) Take(do func()) {
	t.line.mu.Lock()
	defer t.line.mu.Unlock()
	switch {
	case t.passed:
		do()
	case t.ready:
		do()
		t.pass()
	default:
		t.do = do
	}
}

// Release ends a turn that was not taken; after Take it does nothing.
func (t *Turn) Release() {
	t.line.mu.Lock()
	taken := t.passed || t.do != nil
	t.line.mu.Unlock()
	if !taken {
		t.Take(func() {})
	}
}

// pass ends t and every following turn that was taken already.
func (t *Turn) pass() {
	for {
		t.passed = true
		n := t.next
		if n == nil {
			delete(t.line.last, t.key)
			return
		}
		t.next, n.ready = nil, true
		if n.do == nil {
			return
		}
		n.do()
		n.do = nil
		t = n
	}
}

// Key is the key of a message's turn among the values of its context. It is for contexts that carry
// more than that; NewContext is for all others.
type Key struct{}

// NewContext returns a context that carries a message's turn.
func NewContext(ctx context.Context, t *Turn) context.Context {
	return context.WithValue(ctx, Key{}, t)
}

// FromContext returns the turn that the message's subscriber gave it, or nil.
func FromContext(ctx context.Context) *Turn {
	t, _ := ctx.Value(Key{}).(*Turn)
	return t
}
