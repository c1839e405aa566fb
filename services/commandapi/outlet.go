package commandapi

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/httpapi"
	"github.com/orderlane/orderlane/pkg/kafka"
)

// Bounds of the way to the broker.
const (
	publishWait  = 10 * time.Second       // of a client; then it is told to try again
	suspectAfter = time.Second            // that a publish may take while none succeeds; then the broker is away
	awayWait     = 100 * time.Millisecond // of a client while the broker is away: it may be back this moment
	// maxPublishing is how many publishes may be under way or wait for their turn, those included
	// whose clients were told to try again. It leaves half of the API's requests to queries.
	maxPublishing = httpapi.DefaultMaxInFlight / 2
)

// outlet is the way to the broker. Kafka's producers hold on to a message for many seconds while
// the broker is away, which a short outage is worth, and a long one not: once nothing has come
// through for suspectAfter, clients are told at once. It is a circuit breaker, and an own one
// since the sign of a failure is a publish that does not end, and since what hangs is not lost:
// when one of those that hang succeeds, everything is as before, at that moment. While the
// broker is away one command at a time tries the way, so that it is found open again.
//
// It is safe for concurrent use.
type outlet struct {
	limit int
	log   *slog.Logger

	mu         sync.Mutex
	publishing int           // what Kafka has not answered yet
	waiting    int           // clients that wait for the broker to be back
	successes  uint64        // publishes that have succeeded
	back       chan struct{} // closed when the broker is back; nil unless it is away
	probe      *publish      // what tries the way while the broker is away, unless it has taken too long
}

func newOutlet(limit int, log *slog.Logger) *outlet { return &outlet{limit: limit, log: log} }

// publish is one command on its way.
type publish struct {
	outlet *outlet
	since  uint64        // the successes before it
	wait   time.Duration // how long its client is kept
	late   *time.Timer
}

// enter lets a command go its way, which must end with its leave; ok is false if it is not to go.
func (o *outlet) enter(ctx context.Context) (p *publish, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.publishing+o.waiting >= o.limit || o.probe != nil && !o.await(ctx) {
		return nil, false
	}
	p = &publish{outlet: o, since: o.successes, wait: publishWait}
	if o.back != nil {
		p.wait = awayWait
		o.probe = p
	}
	o.publishing++
	p.late = time.AfterFunc(suspectAfter, func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.suspect(p)
	})
	return p, true
}

// await gives up the lock while it waits for the probe to come through.
func (o *outlet) await(ctx context.Context) bool {
	back := o.back
	o.waiting++
	o.mu.Unlock()
	timer := time.NewTimer(awayWait)
	defer timer.Stop()
	ok := false
	select {
	case <-back:
		ok = true
	case <-timer.C:
	case <-ctx.Done():
	}
	o.mu.Lock()
	o.waiting--
	return ok
}

// leave says how a publish ended.
func (p *publish) leave(err error) {
	p.late.Stop()
	o := p.outlet
	o.mu.Lock()
	defer o.mu.Unlock()
	o.publishing--
	switch {
	case err == nil:
	case ofCommand(err):
		if o.probe == p {
			o.probe = nil
		}
		return
	default:
		o.suspect(p)
		return
	}
	o.successes++
	if o.back != nil {
		close(o.back)
		o.back, o.probe = nil, nil
		o.log.Info("the broker answers again: commands are accepted")
	}
}

// ofCommand reports whether a publish failed for what the command is, which tells nothing of the
// broker.
func ofCommand(err error) bool { return kafka.IsTooLarge(err) || errors.Is(err, bus.ErrUnencodable) }

// suspect takes the broker for away if nothing has come through since p went its way. A probe
// makes room for the next one.
func (o *outlet) suspect(p *publish) {
	if o.probe == p {
		o.probe = nil
	}
	if o.back == nil && o.successes == p.since {
		o.back = make(chan struct{})
		o.log.Warn("the broker does not answer: commands are refused until it does")
	}
}
