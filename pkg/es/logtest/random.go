package logtest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/es/memlog"
)

// The random histories are drawn from few streams and commands, so that they meet often.
const (
	histories      = 12
	historySteps   = 30
	randomStreams  = 4
	randomCommands = 25
)

// step is one action of a random history.
type step struct {
	Expire   int // hours after noon up to which outcomes expire; 0: it is an append
	Behind   int64
	Commands []randomCommand
	Parked   []int
	Digest   string // of those that are parked
	Cursor   int64
	Due      int // hours after noon at which timers are asked for
}

type randomCommand struct {
	Command, Stream int
	Off             int64 // how far the version is from the truth
	Events          int
	Personal        bool
	Erases          bool
	StateVersion    int // 0: no state is written
	NoOutcome       bool
	Hour            int
	Timer           int // 0: none is set; 1: it is deleted; else due so many hours after 11
}

func steps() *rapid.Generator[[]step] {
	command := rapid.Custom(func(t *rapid.T) randomCommand {
		return randomCommand{
			Command: rapid.IntRange(0, randomCommands-1).Draw(t, "command"), Stream: rapid.IntRange(0, randomStreams-1).Draw(t, "stream"),
			Off:    rapid.SampledFrom([]int64{0, 0, 0, 0, 0, 0, -1, 1}).Draw(t, "off"),
			Events: rapid.IntRange(0, 3).Draw(t, "events"), Personal: rapid.Bool().Draw(t, "personal"),
			Erases: rapid.IntRange(0, 4).Draw(t, "erases") == 0, StateVersion: rapid.IntRange(0, 2).Draw(t, "state version"),
			NoOutcome: rapid.IntRange(0, 5).Draw(t, "no outcome") == 0, Hour: rapid.IntRange(0, 9).Draw(t, "hour"), Timer: rapid.IntRange(0, 6).Draw(t, "timer"),
		}
	})
	one := rapid.Custom(func(t *rapid.T) step {
		s := step{
			Behind: rapid.SampledFrom([]int64{0, 0, 0, 1, 5}).Draw(t, "behind"), Commands: rapid.SliceOfN(command, 0, 3).Draw(t, "commands"),
			Cursor: rapid.Int64Range(0, 20).Draw(t, "cursor"), Digest: rapid.SampledFrom([]string{"digest-1", "digest-2", ""}).Draw(t, "digest"),
		}
		if rapid.IntRange(0, 5).Draw(t, "expire") == 0 {
			s.Expire = rapid.IntRange(1, 10).Draw(t, "hours")
		}
		s.Due = rapid.IntRange(0, 6).Draw(t, "due")
		s.Parked = rapid.SliceOfN(rapid.IntRange(0, randomCommands-1), 0, 1).Draw(t, "parked")
		return s
	})
	return rapid.SliceOfN(one, historySteps, historySteps)
}

// testHistories does the same to the log and to the log in memory, and sees the same.
func testHistories(t *testing.T, open func(t *testing.T) es.Log) {
	for seed := range histories {
		t.Run(fmt.Sprintf("history %d", seed), func(t *testing.T) {
			model := memlog.New(memlog.Options{Clock: func() time.Time { return noon }})
			log := open(t)
			for i, s := range steps().Example(seed) {
				var want, got string
				if s.Expire > 0 {
					want, got = expired(t, model, s), expired(t, log, s)
				} else {
					b := s.batch(t, model)
					want, got = appended(t, model, b), appended(t, log, b)
				}
				want, got = want+due(t, model, s), got+due(t, log, s)
				if want += seen(t, model); want != got+seen(t, log) {
					t.Fatalf("step %d, %+v:\n%s", i, s, difference(got+seen(t, log), want))
				}
			}
		})
	}
}

// difference is the first line in which two texts differ.
func difference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return fmt.Sprintf("line %d:\ngot  %s\nwant %s", i, g[i], w[i])
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(g), len(w))
}

func randomID(n int) uuid.UUID {
	return uuid.NewSHA1(uuid.NameSpaceOID, fmt.Appendf(nil, "random %d", n))
}

// batch makes the batch of a step, with versions as the model has them, or nearly.
func (s *step) batch(t *testing.T, model es.Log) es.Batch {
	t.Helper()
	head, err := model.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b := es.Batch{Seen: head.Position - s.Behind, Cursors: []es.Cursor{{Name: "relay", Position: s.Cursor}}}
	streams, commands := map[int]bool{}, map[int]bool{}
	for _, c := range s.Commands {
		if streams[c.Stream] || commands[c.Command] {
			continue
		}
		streams[c.Stream], commands[c.Command] = true, true
		name := fmt.Sprintf("order-%d", c.Stream)
		st, err := model.Load(t.Context(), []es.StreamQuery{{Stream: name}})
		if err != nil {
			t.Fatal(err)
		}
		b = join(b, c.batch(b.Seen, name, max(0, st[0].Version+c.Off)))
	}
	for _, n := range s.Parked {
		if !commands[n] {
			p := parkedCommand(randomID(n))
			p.Digest = s.Digest
			b.Parked = append(b.Parked, p)
		}
	}
	return b
}

func (c *randomCommand) batch(seen int64, stream string, version int64) es.Batch {
	b := commandOn(randomID(c.Command), seen, stream, version, c.Events)
	for i := range b.Events {
		if c.Personal {
			b.Events[i].Personal = fmt.Appendf(nil, `{"version":%d}`, b.Events[i].Version)
		}
		b.Events[i].Erases = c.Erases && i == c.Events-1
	}
	if b.Outcomes[0].Time = noon.Add(time.Duration(c.Hour) * time.Hour); c.Events == 0 {
		b.Outcomes[0].Status = es.StatusRefused
	}
	if c.NoOutcome {
		b.Outcomes = nil
	}
	if c.Timer > 0 {
		b.Timers = []es.Timer{{Stream: stream, Version: version + int64(c.Events)}}
	}
	if c.Timer > 1 {
		b.Timers[0].Due = noon.Add(time.Duration(c.Timer-1) * time.Hour)
	}
	if b.States[0].StateVersion = c.StateVersion; c.StateVersion == 0 || c.Events == 0 {
		b.States = nil
	}
	return b
}

func expired(t *testing.T, log es.Log, s step) string {
	t.Helper()
	n, err := log.ExpireOutcomes(t.Context(), noon.Add(time.Duration(s.Expire)*time.Hour), es.MaxRead)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("expired %d", n)
}

// due asks for timers; a log may not hand out the same again before two hours have passed.
func due(t *testing.T, log es.Log, s step) string {
	t.Helper()
	timers, err := log.DueTimers(t.Context(), noon.Add(time.Duration(s.Due)*time.Hour), 2*time.Hour, 3)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("\ndue %v", timers)
}

func appended(t *testing.T, log es.Log, b es.Batch) string {
	t.Helper()
	head, err := log.Append(t.Context(), b)
	if conflict := (*es.ConflictError)(nil); errors.As(err, &conflict) {
		return conflict.Error() + fmt.Sprint(conflict.Commands, conflict.Reused)
	}
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("appended up to %d", head.Position)
}

// seen is all that can be seen of a log, but its epoch.
func seen(t *testing.T, log es.Log) string {
	t.Helper()
	ctx, text := t.Context(), ""
	note := func(v any, err error) {
		if err != nil {
			t.Fatal(err)
		}
		text += fmt.Sprintf("\n%v", v)
	}
	records, err := log.Read(ctx, 0, es.MaxRead)
	for _, r := range records {
		note(show(r), err)
	}
	for n := range randomStreams {
		name := fmt.Sprintf("order-%d", n)
		note(log.Personal(ctx, name, es.MaxRead))
		note(log.Load(ctx, []es.StreamQuery{{Stream: name, StateVersion: 1}, {Stream: name, StateVersion: 2}}))
	}
	ids := make([]uuid.UUID, 0, randomCommands)
	for n := range randomCommands {
		ids = append(ids, randomID(n))
	}
	note(log.Outcomes(ctx, ids)) // a map prints in the order of its keys
	note(log.ParkedCommands(ctx, uuid.Nil, es.MaxRead))
	note(log.Cursor(ctx, "relay"))
	return text
}
