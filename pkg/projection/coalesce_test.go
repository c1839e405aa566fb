package projection

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// gate is a read that waits until it is let through, and tells what it was asked for.
type gate struct {
	begun chan []string
	pass  chan error
}

func newGate() *gate {
	return &gate{begun: make(chan []string, 100), pass: make(chan error, 100)}
}

func (g *gate) read(ctx context.Context, keys []string) (map[string]string, error) {
	g.begun <- slices.Sorted(slices.Values(keys))
	select {
	case err := <-g.pass:
		if err != nil {
			return nil, err
		}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	found := make(map[string]string)
	for _, k := range keys {
		if k != "nothing" {
			found[k] = "what is there of " + k
		}
	}
	return found, nil
}

// asks lets callers ask for keys, and waits until all wait for an answer.
func asks(t *testing.T, c *Coalescer[string], wg *sync.WaitGroup, keys ...string) {
	t.Helper()
	for _, key := range keys {
		wg.Go(func() {
			got, err := c.Get(t.Context(), key)
			want := "what is there of " + key
			if key == "nothing" {
				want = ""
			}
			if got != want || err != nil {
				t.Errorf("%s: %q, %v", key, got, err)
			}
		})
	}
	synctest.Wait()
}

// coalesced runs a test of a coalescer whose reads wait at a gate, in a bubble: at the end nothing is under way.
func coalesced(t *testing.T, test func(t *testing.T, c *Coalescer[string], g *gate, wg *sync.WaitGroup)) {
	synctest.Test(t, func(t *testing.T) {
		g, wg := newGate(), new(sync.WaitGroup)
		c := NewCoalescer(g.read)
		test(t, c, g, wg)
		wg.Wait()
		synctest.Wait()
		if c.under != 0 || len(c.waiting) != 0 || len(c.queue) != 0 {
			t.Errorf("at the end %d reads are under way, and %d keys wait", c.under, len(c.waiting))
		}
	})
}

func TestCallersWhoComeWhileAReadIsUnderWayAreAnsweredByOne(t *testing.T) {
	coalesced(t, func(t *testing.T, c *Coalescer[string], g *gate, wg *sync.WaitGroup) {
		asks(t, c, wg, "a")
		first := <-g.begun
		asks(t, c, wg, "a", "c", "nothing", "c", "d")
		for range 2 {
			g.pass <- nil
		}
		if second := <-g.begun; fmt.Sprint(first, second) != "[a] [a c d nothing]" {
			t.Errorf("the reads were %v, %v: one that had begun may not have seen what a later caller waits for", first, second)
		}
	})
}

func TestACrowdIsReadForBesideTheReadUnderWay(t *testing.T) {
	coalesced(t, func(t *testing.T, c *Coalescer[string], g *gate, wg *sync.WaitGroup) {
		asks(t, c, wg, "a")
		<-g.begun
		for i := range coalesceCrowd - 1 {
			asks(t, c, wg, fmt.Sprint(i))
		}
		if len(g.begun) > 0 {
			t.Error("another read has begun for too few")
		}
		asks(t, c, wg, "the last")
		if second := <-g.begun; len(second) != coalesceCrowd {
			t.Errorf("beside the first there is a read of %d keys", len(second))
		}
		asks(t, c, wg, "b")
		if len(g.begun) > 0 {
			t.Error("a third read has begun beside two")
		}
		for range 3 {
			g.pass <- nil
		}
	})
}

func TestAReadIsForSoManyKeysOnly(t *testing.T) {
	coalesced(t, func(t *testing.T, c *Coalescer[string], g *gate, wg *sync.WaitGroup) {
		asks(t, c, wg, "a")
		<-g.begun
		for i := range coalesceCrowd {
			asks(t, c, wg, fmt.Sprint("b", i))
		}
		<-g.begun
		for i := range coalesceKeys + 1 {
			asks(t, c, wg, fmt.Sprint(i))
		}
		for range 4 {
			g.pass <- nil
		}
		if a, b := len(<-g.begun), len(<-g.begun); a+b != coalesceKeys+1 || max(a, b) > coalesceKeys {
			t.Errorf("reads of %d and %d keys", a, b)
		}
	})
}

func TestAReadThatFailsIsThatOfItsCallersOnly(t *testing.T) {
	failure := errors.New("the database is away")
	g := newGate()
	c := NewCoalescer(g.read)
	g.pass <- failure
	if _, err := c.Get(t.Context(), "a"); !errors.Is(err, failure) {
		t.Errorf("got %v", err)
	}
	g.pass <- nil
	if got, err := c.Get(t.Context(), "a"); got == "" || err != nil {
		t.Errorf("afterwards: %q, %v", got, err)
	}
	panics := NewCoalescer(func(context.Context, []string) (map[string]string, error) { panic("a bug") })
	for range 3 {
		if _, err := panics.Get(t.Context(), "a"); err == nil {
			t.Error("a read that panics has an answer")
		}
	}
}

func TestACallerWhoLeavesTakesNobodyAlong(t *testing.T) {
	coalesced(t, func(t *testing.T, c *Coalescer[string], g *gate, wg *sync.WaitGroup) {
		ctx, leave := context.WithCancel(t.Context())
		gone := make(chan error)
		go func() {
			_, err := c.Get(ctx, "a")
			gone <- err
		}()
		<-g.begun
		leave()
		if err := <-gone; !errors.Is(err, context.Canceled) {
			t.Errorf("left with %v", err)
		}
		asks(t, c, wg, "b")
		g.pass <- nil // the read of who has left has gone on
		<-g.begun
		g.pass <- nil
	})
}

func TestAReadThatHangsIsNotWaitedForInTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewCoalescer(func(ctx context.Context, _ []string) (map[string]string, error) {
			<-ctx.Done()
			return nil, fmt.Errorf("the database hangs: %w", ctx.Err())
		})
		began, failed := time.Now(), make(chan error)
		const callers = 5 * coalesceKeys
		for i := range callers {
			go func() {
				_, err := c.Get(t.Context(), fmt.Sprint(i))
				failed <- err
			}()
		}
		for range callers {
			if err := <-failed; !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		}
		if took := time.Since(began); took != coalesceTimeout {
			t.Errorf("the last one got an answer after %v", took)
		}
	})
}

// TestAReadHasNothingOfItsCallers: it is for all of them, and the next ones.
func TestAReadHasNothingOfItsCallers(t *testing.T) {
	type mark struct{}
	c := NewCoalescer(func(ctx context.Context, _ []string) (map[string]any, error) {
		return map[string]any{"a": ctx.Value(mark{})}, nil
	})
	if got, err := c.Get(context.WithValue(t.Context(), mark{}, "the caller's"), "a"); got != nil || err != nil {
		t.Errorf("a read knows of %v, %v", got, err)
	}
}
