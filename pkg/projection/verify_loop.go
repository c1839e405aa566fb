package projection

import (
	"context"
	"slices"
	"time"

	"github.com/orderlane/orderlane/pkg/fault"
)

// verifying is what Run's verifications share with those who ask for them.
type verifying struct {
	asked chan VerifyOptions
	count int
	last  Verification // under Builds.mu, as what follows is

	// found are the differences that nobody has mended yet, as far as is known here, in one build.
	found []Difference
	build int
}

// StartVerify has Run compare the active build with a fresh fold, and returns the number of that verification; see
// Verification. One that runs in the background gives way.
func (b *Builds) StartVerify(o VerifyOptions) (int, error) {
	if err := o.check(); err != nil {
		return 0, err
	}
	if !b.Ready() {
		return 0, errNotBuilt
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case b.verifying.asked <- o:
	default:
		return 0, fault.Conflict("already_verifying", "this view is being verified already; its result is to be seen soon")
	}
	b.verifying.count++
	b.verifying.last = Verification{Number: b.verifying.count, View: b.view, All: o.All, Running: true, Started: b.o.Clock().UTC()}
	return b.verifying.count, nil
}

// LastVerification is the one under way, or the last one that was asked for. Number 0: there was none.
func (b *Builds) LastVerification() Verification {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.verifying.last
}

// Differences are those of the active build that verifications here have found, and that were not
// mended here since.
func (b *Builds) Differences() []Difference {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.verifying.build != int(b.active.Load()) {
		return nil
	}
	return slices.Clone(b.verifying.found)
}

// mended forgets the differences of a key.
func (b *Builds) mended(key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.verifying.found = slices.DeleteFunc(b.verifying.found, func(d Difference) bool { return d.Key == key })
}

// verifyLoop verifies when it is asked to, and in the background.
func (b *Builds) verifyLoop(ctx context.Context) {
	tick := time.NewTicker(backgroundPause)
	defer tick.Stop()
	for pass := uint64(1); ; pass++ {
		select {
		case <-ctx.Done():
			return
		case o := <-b.verifying.asked:
			b.verifyNow(ctx, o)
		case <-tick.C:
			if o, ok := b.sample(ctx, pass); ok {
				b.inBackground(ctx, o)
			}
		}
	}
}

// verifyNow is a verification that was asked for.
func (b *Builds) verifyNow(ctx context.Context, o VerifyOptions) {
	b.mu.Lock()
	number := b.verifying.last.Number
	b.mu.Unlock()
	note := func(v Verification) {
		v.Number, v.Running = number, v.Ended.IsZero()
		b.mu.Lock()
		defer b.mu.Unlock()
		v.Differences, v.Skipped = slices.Clone(v.Differences), slices.Clone(v.Skipped)
		b.verifying.last = v
	}
	v, err := b.Verify(ctx, o, note)
	if err != nil {
		v.Error = reason(err)
	}
	note(v)
	b.verified(v)
}

// inBackground is one pass of the background, which ends when a verification is asked for.
func (b *Builds) inBackground(ctx context.Context, o VerifyOptions) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	v, err := b.Verify(ctx, o, func(Verification) {
		if len(b.verifying.asked) > 0 {
			stop()
		}
	})
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		b.o.Log.Warn("the view could not be verified", "view", b.view, "error", err)
		v.Error = reason(err)
	}
	b.verified(v)
}

func (b *Builds) verified(v Verification) {
	b.mu.Lock()
	if old := &b.verifying; old.build != v.Build || (v.All && v.Error == "") {
		old.build, old.found = v.Build, nil
	}
	for _, d := range v.Differences {
		known := func(o Difference) bool { return o.Table == d.Table && o.Row == d.Row && o.Column == d.Column }
		if len(b.verifying.found) < maxDifferences && !slices.ContainsFunc(b.verifying.found, known) {
			b.verifying.found = append(b.verifying.found, d)
		}
	}
	b.mu.Unlock()
	if b.o.Verified != nil {
		b.o.Verified(v)
	}
}

// sample says what the background compares next: a share of the keys, another one each time. One instance
// does that, the owner of the first partition, while no build is under way.
func (b *Builds) sample(ctx context.Context, pass uint64) (VerifyOptions, bool) {
	if b.o.VerifyRate <= 0 || b.o.Scratch == nil || !b.Ready() || b.Report().Progress != nil {
		return VerifyOptions{}, false
	}
	b.mu.Lock()
	live := b.runners[int(b.active.Load())]
	b.mu.Unlock()
	if live == nil || !slices.ContainsFunc(live.owned(), func(c *claim) bool { return c.Topic == live.sources[0].Topic && c.ID == 0 }) {
		return VerifyOptions{}, false
	}
	at, err := b.checkpoints(ctx, b.o.Store, int(b.active.Load()))
	if err != nil {
		return VerifyOptions{}, false
	}
	records := int64(1)
	for _, s := range at {
		records += s.next
	}
	// A key has several records; how many is not known, and does not matter much.
	return VerifyOptions{Sample: min(1, 4*backgroundKeys/float64(records)), Seed: pass, Rate: max(b.o.VerifyRate, int(records/backgroundPass))}, true
}
