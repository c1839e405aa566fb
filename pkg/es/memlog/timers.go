package memlog

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/es/internal/stored"
)

// timer is a stream's timer; handed is when it was handed out last, zero if never.
type timer struct {
	es.Timer
	handed time.Time
}

func (s *Store) setTimers(plan stored.Plan) {
	for _, t := range plan.Disarmed {
		delete(s.timers, t.Stream)
	}
	if s.timers == nil {
		s.timers = make(map[string]timer)
	}
	for _, t := range plan.Armed {
		t.Due = kept(t.Due)
		s.timers[t.Stream] = timer{Timer: t}
	}
}

// DueTimers implements es.Log.
func (l *Log) DueTimers(ctx context.Context, now time.Time, again time.Duration, limit int) (out []es.Timer, err error) {
	now = kept(now)
	err = l.do(ctx, "hand out timers", func(s *Store) error {
		for _, t := range s.timers {
			pause := max(again, min(t.handed.Sub(t.Due)/2, es.MaxTimerPause))
			if !t.Due.After(now) && (t.handed.IsZero() || !t.handed.Add(pause).After(now)) {
				out = append(out, t.Timer)
			}
		}
		slices.SortFunc(out, func(a, b es.Timer) int {
			return cmp.Or(a.Due.Compare(b.Due), cmp.Compare(a.Stream, b.Stream))
		})
		out = out[:min(len(out), bounded(limit))]
		for _, t := range out {
			s.timers[t.Stream] = timer{Timer: t, handed: now}
		}
		return nil
	})
	return out, err
}
