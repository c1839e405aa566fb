package projection

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// run makes what this process folds what is to be folded.
func (b *Builds) run(ctx context.Context, all builds) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	wanted := make(map[int]bool)
	for _, one := range all {
		wanted[one.Number] = !one.Frozen && (one.State == Active || one.State == Building || one.State == Swapping)
	}
	for number, r := range b.runners {
		switch {
		case r.stopping:
			// It leaves its group first; a member of the same name can't join before. If the build is wanted
			// again by then, another runner goes on.
			select {
			case <-r.done:
				delete(b.runners, number)
			default:
			}
		case wanted[number]:
		case r.cancel == nil:
			delete(b.runners, number)
		default:
			r.cancel()
			r.stopping = true
		}
	}
	active := all.active()
	for number, want := range wanted {
		if !want {
			continue
		}
		r := b.runners[number]
		if r == nil {
			p, err := b.projection(ctx, number)
			if err != nil {
				return err
			}
			r = &runner{Projection: p, done: make(chan struct{})}
			b.runners[number] = r
		}
		limit := b.o.Step
		if active != nil && active.Number != number {
			limit = min(limit, rebuildStep)
		}
		r.limit.Store(int64(limit))
	}
	return nil
}

// start starts what is not running yet.
func (b *Builds) start(ctx context.Context) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for number, r := range b.runners {
		if r.cancel != nil {
			continue
		}
		var own context.Context
		own, r.cancel = context.WithCancel(ctx)
		go func() {
			defer b.hurry() // the build may be wanted again
			defer close(r.done)
			if err := b.fold(own, number, r.Projection); err != nil {
				select {
				case b.failed <- err:
				default:
				}
			}
		}()
	}
}

// fold consumes and folds for one build until ctx ends: it stops to consume first.
func (b *Builds) fold(ctx context.Context, number int, p *Projection) error {
	group := fmt.Sprintf("%s-v%d", b.view, b.version)
	if number > 1 {
		group += fmt.Sprintf("-b%d", number)
	}
	folding, stop := context.WithCancel(context.WithoutCancel(ctx))
	var loop sync.WaitGroup
	loop.Go(func() { _ = p.Run(folding) }) // which returns no error
	err := b.o.Consume(ctx, group, p.Topics(), p)
	stop()
	loop.Wait()
	return err
}

// Run folds, and takes the builds through their states, until ctx ends.
func (b *Builds) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	var beside sync.WaitGroup
	beside.Go(func() { b.verifyLoop(ctx) })
	defer func() {
		stop()
		beside.Wait()
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, r := range b.runners {
			if r.cancel != nil {
				r.cancel()
				<-r.done
			}
		}
		clear(b.runners)
	}()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		b.start(ctx)
		select {
		case <-ctx.Done():
			return nil
		case err := <-b.failed:
			return err
		case <-timer.C:
		case <-b.soon:
		}
		wait, err := b.Look(ctx)
		if err != nil && ctx.Err() == nil {
			b.o.Log.Warn("the builds of a view can't be looked after, will be tried again", "view", b.view, "error", err)
			wait = lookEvery
		}
		timer.Reset(wait)
	}
}

// Look looks at the builds once and does what is due. It returns when to look again. Run calls it; tests
// may instead.
func (b *Builds) Look(ctx context.Context) (next time.Duration, err error) {
	all, err := b.read(ctx)
	if err != nil {
		return 0, err
	}
	if !b.Ready() {
		if all, err = b.begin(ctx, all); err != nil {
			return 0, err
		}
	}
	moved, err := b.advance(ctx, all)
	if err != nil {
		return 0, err
	}
	if moved {
		if all, err = b.read(ctx); err != nil {
			return 0, err
		}
	}
	if err := b.run(ctx, all); err != nil {
		return 0, err
	}
	b.tell(all)
	more := b.dropSome(ctx)
	switch candidate := all.candidate(); {
	case more, candidate != nil && candidate.State == Swapping:
		return swapEvery, nil
	case candidate != nil:
		return buildEvery, nil
	}
	return lookEvery, nil
}
