package projection

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Bounds of a Coalescer.
const (
	coalesceWidth   = 2               // reads under way at once: more would only be smaller
	coalesceCrowd   = 64              // callers who wait, before another read begins beside the first
	coalesceKeys    = 128             // keys of one read, so that nobody waits long for others' rows
	coalesceTimeout = 3 * time.Second // of one read, which is nobody's own
)

// Coalescer answers many callers who each ask for one key with few reads for many keys: callers
// who come while a read is under way are answered together by the next one, which begins when that ends, or
// beside it for a crowd. Alone, a caller is answered at once; the more there are, the less each costs. Callers who
// ask for the same key share its answer.
//
// A read that a caller is answered by begins after the caller has asked, so it sees what was
// committed before, as a read of the caller's own would. It is safe for concurrent use.
type Coalescer[T any] struct {
	read func(ctx context.Context, keys []string) (map[string]T, error)

	mu      sync.Mutex
	waiting map[string]*call[T]
	queue   []*call[T] // those of waiting, in order
	under   int        // reads under way
}

// call is a key that is asked for by one caller or more, and its answer.
type call[T any] struct {
	key  string
	done chan struct{} // closed when the answer is there
	val  T
	err  error
}

// NewCoalescer returns a coalescer of reads. A read gets different keys, at most 128, and returns what it
// has found by key; it is called by two goroutines at once at most, and has 3 s. If that
// is too little, those who wait for the next read get an error too: a store that hangs is not waited for in turns.
func NewCoalescer[T any](read func(ctx context.Context, keys []string) (map[string]T, error)) *Coalescer[T] {
	return &Coalescer[T]{read: read, waiting: make(map[string]*call[T])}
}

// Get returns what a read finds for a key, which is shared with other callers and not to be changed; the
// zero T if it finds nothing. It returns an error if the read fails or panics, or ctx's if that ends first:
// the read goes on for the others.
func (c *Coalescer[T]) Get(ctx context.Context, key string) (T, error) {
	c.mu.Lock()
	mine := c.waiting[key]
	if mine == nil {
		mine = &call[T]{key: key, done: make(chan struct{})}
		c.waiting[key] = mine
		c.queue = append(c.queue, mine)
		if c.under == 0 || c.under < coalesceWidth && len(c.queue) >= coalesceCrowd {
			c.under++
			go c.work()
		}
	}
	c.mu.Unlock()
	select {
	case <-mine.done:
		return mine.val, mine.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// work reads for those who wait, until nobody does.
func (c *Coalescer[T]) work() {
	for {
		calls := c.take()
		if calls == nil {
			return
		}
		if err := c.answer(calls); errors.Is(err, context.DeadlineExceeded) {
			c.refuse(&StoreError{Op: "read together", Err: err})
		}
	}
}

// refuse gives all who wait an error.
func (c *Coalescer[T]) refuse(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, each := range c.queue {
		delete(c.waiting, each.key)
		each.err = err
		close(each.done)
	}
	clear(c.queue)
	c.queue = c.queue[:0]
}

// take returns the calls of the next read; nil, and there is one read less under way, if nobody waits.
func (c *Coalescer[T]) take() []*call[T] {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := min(len(c.queue), coalesceKeys)
	if n == 0 {
		c.under--
		return nil
	}
	calls := append([]*call[T](nil), c.queue[:n]...)
	rest := copy(c.queue, c.queue[n:])
	clear(c.queue[rest:])
	c.queue = c.queue[:rest]
	for _, each := range calls {
		delete(c.waiting, each.key)
	}
	return calls
}

// answer reads the keys of some calls and answers all of them, whatever happens; it returns the error they got.
// The read is nobody's own: it has nothing of a caller's context, which it would keep for as long as others come.
func (c *Coalescer[T]) answer(calls []*call[T]) error {
	ctx, cancel := context.WithTimeout(context.Background(), coalesceTimeout)
	defer cancel()
	keys := make([]string, len(calls))
	for i, each := range calls {
		keys[i] = each.key
	}
	found, err := c.guarded(ctx, keys)
	for _, each := range calls {
		each.val, each.err = found[each.key], err
		close(each.done)
	}
	return err
}

// guarded reads, and makes a panic an error of those who have asked: others are not to end with it.
func (c *Coalescer[T]) guarded(ctx context.Context, keys []string) (found map[string]T, err error) {
	err = protect(func(found *map[string]T) (err error) {
		*found, err = c.read(ctx, keys)
		return err
	}, &found)
	if err != nil {
		return nil, err
	}
	return found, nil
}
