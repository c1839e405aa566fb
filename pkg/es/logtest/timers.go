package logtest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/orderlane/orderlane/pkg/es"
)

var timing = map[string]func(*testing.T, *fixture){
	"timers are handed out when they are due, the earliest first": func(_ *testing.T, f *fixture) {
		f.armed("order-3", noon.Add(2*time.Second))
		f.armed("order-1", noon.Add(time.Second))
		f.armed("order-2", noon.Add(time.Second))
		f.due(noon.Add(time.Second-time.Microsecond), time.Minute, 10)
		f.due(noon.Add(time.Second), time.Minute, 10, timer("order-1", time.Second), timer("order-2", time.Second))
		f.due(noon.Add(time.Hour), 2*time.Hour, 10, timer("order-3", 2*time.Second))
	},
	"no more timers are handed out than are asked for": func(_ *testing.T, f *fixture) {
		for i := range 3 {
			f.armed(fmt.Sprintf("order-%d", i), noon.Add(time.Duration(i)*time.Second))
		}
		f.due(noon.Add(time.Minute), time.Hour, 0)
		f.due(noon.Add(time.Minute), time.Hour, -1)
		f.due(noon.Add(time.Minute), time.Hour, 2, timer("order-0", 0), timer("order-1", time.Second))
		f.due(noon.Add(time.Minute), time.Hour, 2, timer("order-2", 2*time.Second))
	},
	"a timer that was handed out comes again after a while, to any instance": func(_ *testing.T, f *fixture) {
		f.armed("order-1", noon)
		f.due(noon, time.Minute, 10, timer("order-1", 0))
		f.log = f.open()
		f.due(noon.Add(time.Minute-time.Microsecond), time.Minute, 10)
		f.due(noon.Add(time.Minute), time.Minute, 10, timer("order-1", 0))
		f.due(noon.Add(2*time.Minute-time.Microsecond), time.Minute, 10)
		f.due(noon.Add(2*time.Minute), time.Minute, 10, timer("order-1", 0))
	},
	"a timer that is overdue comes again ever more seldom, and not more seldom than once an hour": func(_ *testing.T, f *fixture) {
		f.armed("order-1", noon)
		f.due(noon.Add(time.Hour), time.Minute, 10, timer("order-1", 0))
		f.due(noon.Add(time.Hour+30*time.Minute-time.Microsecond), time.Minute, 10)
		f.due(noon.Add(time.Hour+30*time.Minute), time.Minute, 10, timer("order-1", 0))
		f.due(noon.Add(48*time.Hour), time.Minute, 10, timer("order-1", 0))
		f.due(noon.Add(49*time.Hour-time.Microsecond), time.Minute, 10)
		f.due(noon.Add(49*time.Hour), time.Minute, 10, timer("order-1", 0))
		f.due(noon.Add(51*time.Hour-time.Microsecond), 2*time.Hour, 10) // unless that is asked for
		f.due(noon.Add(51*time.Hour), 2*time.Hour, 10, timer("order-1", 0))
	},
	"a later timer of a stream replaces the one before, handed out or not": func(_ *testing.T, f *fixture) {
		f.armed("order-1", noon)
		f.due(noon, time.Hour, 10, timer("order-1", 0))
		b := f.order(-1, "order-1", 1, 2)
		b.Timers = []es.Timer{{Stream: "order-1", Version: 3, Due: noon.Add(time.Second)}}
		f.append(b)
		f.due(noon, time.Hour, 10)
		f.due(noon.Add(time.Second), time.Hour, 10, es.Timer{Stream: "order-1", Version: 3, Due: noon.Add(time.Second)})
	},
	"a timer is deleted by one that is never due": func(_ *testing.T, f *fixture) {
		f.armed("order-1", noon)
		f.armed("order-2", noon)
		b := f.order(-1, "order-1", 1, 1)
		b.Timers = []es.Timer{{Stream: "order-1", Version: 2}}
		f.append(b)
		f.due(noon, time.Hour, 10, timer("order-2", 0))
	},
	"a timer can be set and deleted without an event": func(_ *testing.T, f *fixture) {
		f.append(f.order(0, "order-1", 0, 1))
		for _, due := range []time.Time{noon.Add(time.Second), {}} {
			b := f.order(-1, "order-1", 1, 0)
			b.States, b.Timers = nil, []es.Timer{{Stream: "order-1", Version: 1, Due: due}}
			f.append(b)
			if !due.IsZero() {
				f.due(noon.Add(time.Second), 0, 10, timer("order-1", time.Second))
			}
		}
		f.due(noon.Add(time.Hour), 0, 10)
		b := f.order(-1, "order-2", 0, 0) // of a stream that does not exist
		b.States, b.Timers = nil, []es.Timer{{Stream: "order-2"}}
		f.append(b)
	},
	"a batch sets timers of many streams": func(_ *testing.T, f *fixture) {
		var b es.Batch
		var want []es.Timer
		for i := range 50 {
			stream := fmt.Sprintf("order-%02d", i)
			b = join(b, f.order(0, stream, 0, 1))
			want = append(want, timer(stream, time.Duration(i)*time.Millisecond))
		}
		b.Timers = want
		f.append(b)
		f.due(noon.Add(time.Hour), time.Hour, 100, want...)
	},
	"a batch that conflicts sets no timer": func(_ *testing.T, f *fixture) {
		f.armed("order-1", noon)
		b := f.order(0, "order-1", 0, 1)
		b.Timers = []es.Timer{{Stream: "order-1", Version: 1, Due: noon.Add(time.Second)}}
		_ = f.conflict(b)
		f.due(noon.Add(time.Hour), time.Hour, 10, timer("order-1", 0))
	},
	"timers that break the rules are told, and write nothing": func(t *testing.T, f *fixture) {
		for name, timers := range map[string][]es.Timer{
			"of an unnamed stream":  {{Stream: "order-2", Version: 1, Due: noon}},
			"of another version":    {{Stream: "order-1", Version: 2, Due: noon}},
			"two of a stream":       {timer("order-1", 0), timer("order-1", time.Second)},
			"out of reach":          {{Stream: "order-1", Version: 1, Due: noon.AddDate(9000, 0, 0)}},
			"before times are kept": {{Stream: "order-1", Version: 1, Due: noon.AddDate(-1000, 0, 0)}},
		} {
			b := f.order(0, "order-1", 0, 1)
			b.Timers = timers
			if _, err := f.log.Append(f.ctx, b); !errors.Is(err, es.ErrInvalidBatch) {
				t.Errorf("a timer %s: got %v, want %v", name, err, es.ErrInvalidBatch)
			}
		}
		f.due(noon.AddDate(1, 0, 0), time.Hour, 10)
	},
	"no two instances are handed the same timer": testRivals,
}

// timer is that of a stream at version 1, due after noon by d.
func timer(stream string, d time.Duration) es.Timer {
	return es.Timer{Stream: stream, Version: 1, Due: noon.Add(d)}
}

// armed appends an event of a new stream, with a timer.
func (f *fixture) armed(stream string, due time.Time) {
	f.Helper()
	b := f.order(-1, stream, 0, 1)
	b.Timers = []es.Timer{{Stream: stream, Version: 1, Due: due}}
	f.append(b)
}

// due asks for timers and fails the test unless it gets these.
func (f *fixture) due(now time.Time, again time.Duration, limit int, want ...es.Timer) {
	f.Helper()
	got, err := f.log.DueTimers(f.ctx, now, again, limit)
	f.must(err)
	f.equal("timers", got, want)
}

// testRivals has instances ask at the same time, while timers are set and deleted.
func testRivals(t *testing.T, f *fixture) {
	const timers, asked = 200, 7
	for i := range timers / 10 {
		var b es.Batch
		for j := range 10 {
			stream := fmt.Sprintf("order-%d", 10*i+j)
			b = join(b, f.order(-1, stream, 0, 1))
			b.Timers = append(b.Timers, timer(stream, time.Duration(j)*time.Second))
		}
		f.append(b)
	}
	var mu sync.Mutex
	handed := map[string]int{}
	var wg sync.WaitGroup
	for _, log := range []es.Log{f.log, f.open(), f.open()} {
		wg.Go(func() {
			for range timers {
				got, err := log.DueTimers(f.ctx, noon.Add(time.Minute), time.Hour, asked)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				for _, due := range got {
					handed[due.Stream]++
				}
				done := len(handed) == timers
				mu.Unlock()
				if done {
					return
				}
			}
		})
	}
	wg.Go(func() { // others are written meanwhile
		for i := range 20 {
			f.armed(fmt.Sprintf("later-%d", i), noon.Add(time.Hour))
		}
	})
	wg.Wait()
	for stream, n := range handed {
		if n != 1 {
			t.Errorf("the timer of %s was handed out %d times", stream, n)
		}
	}
	if len(handed) != timers {
		t.Errorf("%d timers were handed out, want %d", len(handed), timers)
	}
}
