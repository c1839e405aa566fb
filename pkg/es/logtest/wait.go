package logtest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/orderlane/orderlane/pkg/es"
)

var waiting = map[string]func(*testing.T, *fixture){
	"a wait for what is there returns at once": func(_ *testing.T, f *fixture) {
		f.append(f.order(0, "order-1", 0, 2))
		f.must(f.log.Wait(f.ctx, 1))
		f.must(f.open().Wait(f.ctx, 1))
	},
	"an append wakes a wait": func(_ *testing.T, f *fixture) {
		woken := f.wait(f.log, 0)
		f.append(f.order(0, "order-1", 0, 1))
		f.must(<-woken)
	},
	"another instance's append wakes a wait": func(_ *testing.T, f *fixture) {
		other := f.open()
		woken := f.wait(other, 0)
		f.append(f.order(0, "order-1", 0, 1))
		f.must(<-woken)
		woken = f.wait(other, 1) // which listens already
		f.append(f.order(1, "order-1", 1, 1))
		f.must(<-woken)
	},
	"a wait ends with its context": func(t *testing.T, f *fixture) {
		ctx, cancel := context.WithCancel(f.ctx)
		woken := make(chan error, 1)
		go func() { woken <- f.log.Wait(ctx, 0) }()
		cancel()
		if err := <-woken; !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v, want %v", err, context.Canceled)
		}
	},
	"an append that writes no event wakes nobody": func(t *testing.T, f *fixture) {
		ctx, cancel := context.WithCancel(f.ctx)
		woken := make(chan error, 1)
		go func() { woken <- f.log.Wait(ctx, 0) }()
		b := f.order(0, "order-1", 0, 0)
		b.States = nil
		f.append(b)
		cancel()
		if err := <-woken; !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v, want %v", err, context.Canceled)
		}
	},
}

func (f *fixture) wait(log es.Log, after int64) <-chan error {
	woken := make(chan error, 1)
	go func() { woken <- log.Wait(f.ctx, after) }()
	return woken
}

var leasing = map[string]func(*testing.T, *fixture){
	"a lease has one holder, who can prolong it and give it back": func(_ *testing.T, f *fixture) {
		other := f.open()
		f.lease(f.log, "relay", "a", time.Hour, true)
		f.lease(other, "relay", "b", time.Hour, false)
		f.lease(f.log, "relay", "a", time.Hour, true)
		f.lease(other, "timers", "b", time.Hour, true)
		f.must(other.Release(f.ctx, "relay", "b")) // not b's to give back
		f.lease(other, "relay", "b", time.Hour, false)
		f.must(f.log.Release(f.ctx, "relay", "a"))
		f.lease(other, "relay", "b", time.Hour, true)
		f.lease(f.log, "relay", "a", time.Hour, false)
		f.must(f.log.Release(f.ctx, "nobody's", "a"))
	},
	"an expired lease goes to who asks": func(_ *testing.T, f *fixture) {
		f.lease(f.log, "relay", "a", 30*time.Millisecond, true)
		f.eventually("the lease expires", func() bool {
			ok, err := f.log.Lease(f.ctx, "relay", "b", time.Hour)
			f.must(err)
			return ok
		})
		f.lease(f.log, "relay", "a", time.Hour, false)
	},
	"cursors move forward only, and up to the head": func(_ *testing.T, f *fixture) {
		f.cursor("relay", 0)
		f.must(f.log.SaveCursor(f.ctx, es.Cursor{Name: "relay", Position: 1}))
		f.cursor("relay", 0) // the log is empty
		f.append(f.order(0, "order-1", 0, 5))
		f.must(f.log.SaveCursor(f.ctx, es.Cursor{Name: "relay", Position: 5}))
		f.must(f.log.SaveCursor(f.ctx, es.Cursor{Name: "relay", Position: 3}))
		f.must(f.log.SaveCursor(f.ctx, es.Cursor{Name: "relay", Position: 6}))
		f.cursor("relay", 5)
		b := f.order(5, "order-1", 5, 1)
		b.Cursors = []es.Cursor{{Name: "relay", Position: 4}, {Name: "timers", Position: 2}}
		f.append(b)
		f.cursor("relay", 5)
		f.cursor("timers", 2)
		b = f.order(6, "order-1", 6, 1)
		b.Cursors = []es.Cursor{{Name: "relay", Position: 7}, {Name: "timers", Position: 8}}
		f.append(b)
		f.cursor("relay", 7)
		f.cursor("timers", 2)
	},
}

func (f *fixture) lease(log es.Log, name, holder string, ttl time.Duration, want bool) {
	f.Helper()
	got, err := log.Lease(f.ctx, name, holder, ttl)
	f.must(err)
	f.equal("lease of "+name+" for "+holder, got, want)
}

func (f *fixture) cursor(name string, want int64) {
	f.Helper()
	got, err := f.log.Cursor(f.ctx, name)
	f.must(err)
	f.equal("cursor "+name, got, want)
}

var closing = map[string]func(*testing.T, *fixture){
	"a closed log refuses every call, and ends waits": func(t *testing.T, f *fixture) {
		f.append(f.order(0, "order-1", 0, 1))
		woken := f.wait(f.log, 1)
		f.must(f.log.Close())
		if err := <-woken; !errors.Is(err, es.ErrClosed) {
			t.Errorf("wait: got %v, want %v", err, es.ErrClosed)
		}
		for name, call := range calls(f) {
			if err := call(); !errors.Is(err, es.ErrClosed) {
				t.Errorf("%s: got %v, want %v", name, err, es.ErrClosed)
			}
		}
		f.must(f.log.Close())
	},
	"what was written is there for the next instance": func(_ *testing.T, f *fixture) {
		f.append(f.order(0, "order-1", 0, 1))
		before := f.everything()
		f.must(f.log.Close())
		f.log = f.open()
		f.equal("log", f.everything(), before)
	},
	"calls end with their context": func(t *testing.T, f *fixture) {
		ctx, cancel := context.WithCancel(f.ctx)
		cancel()
		f.ctx = ctx
		for name, call := range calls(f) {
			if err := call(); !errors.Is(err, context.Canceled) {
				t.Errorf("%s: got %v, want %v", name, err, context.Canceled)
			}
		}
	},
}

// calls is every call of the port but Close.
func calls(f *fixture) map[string]func() error {
	id := f.id()
	return map[string]func() error{
		"Head":           func() error { _, err := f.log.Head(f.ctx); return err },
		"NewEpoch":       func() error { _, err := f.log.NewEpoch(f.ctx, es.Renewal{}); return err },
		"Append":         func() error { _, err := f.log.Append(f.ctx, commandOn(id, 0, "order-9", 0, 1)); return err },
		"Load":           func() error { _, err := f.log.Load(f.ctx, []es.StreamQuery{{Stream: "order-1"}}); return err },
		"Outcomes":       func() error { _, err := f.log.Outcomes(f.ctx, []uuid.UUID{id}); return err },
		"Read":           func() error { _, err := f.log.Read(f.ctx, 0, 1); return err },
		"ReadStream":     func() error { _, err := f.log.ReadStream(f.ctx, "order-1", 0, 1); return err },
		"Personal":       func() error { _, err := f.log.Personal(f.ctx, "order-1", 1); return err },
		"Wait":           func() error { return f.log.Wait(f.ctx, 99) },
		"ParkedCommands": func() error { _, err := f.log.ParkedCommands(f.ctx, uuid.Nil, 1); return err },
		"ParkedCommand":  func() error { _, _, err := f.log.ParkedCommand(f.ctx, id); return err },
		"Lease":          func() error { _, err := f.log.Lease(f.ctx, "relay", "a", time.Hour); return err },
		"Release":        func() error { return f.log.Release(f.ctx, "relay", "a") },
		"Cursor":         func() error { _, err := f.log.Cursor(f.ctx, "relay"); return err },
		"SaveCursor":     func() error { return f.log.SaveCursor(f.ctx, es.Cursor{Name: "relay", Position: 1}) },
		"ExpireOutcomes": func() error { _, err := f.log.ExpireOutcomes(f.ctx, noon, 1); return err },
	}
}
