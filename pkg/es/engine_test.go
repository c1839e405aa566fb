package es_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/es/memlog"
	"github.com/orderlane/orderlane/pkg/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func clock() time.Time { return noon }

// rig is an engine that a test drives step by step.
type rig struct {
	t       testing.TB
	log     es.Log
	engine  *es.Engine
	answers []es.Answer
	pending sync.WaitGroup
}

func newRig(t testing.TB, log es.Log) *rig {
	r := &rig{t: t, log: log}
	r.engine = es.NewEngine(es.Options{Log: log, Clock: clock, Publish: func(_ context.Context, a []es.Answer) error {
		r.answers = append(r.answers, a...)
		return nil
	}})
	t.Cleanup(r.pending.Wait)
	return r
}

func newLog(t testing.TB) es.Log {
	l := memlog.New(memlog.Options{Clock: clock})
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func id(n int) uuid.UUID { return uuid.NewSHA1(uuid.NameSpaceOID, fmt.Append(nil, n)) }

func of(n int, stream string, body command) *es.Command {
	return &es.Command{
		Type: fmt.Sprintf("%T", body), Stream: "account-" + stream, Of: accounts, Body: body,
		Meta: es.Metadata{Command: id(n)}, Parked: es.Parked{Topic: "commands", Key: "account-" + stream, Payload: []byte("{}")},
	}
}

// submit queues commands in order; they are answered by drive.
func (r *rig) submit(commands ...*es.Command) {
	for _, c := range commands {
		queued := make(chan struct{})
		ctx := withTurn(r.t.Context(), func() { close(queued) })
		r.pending.Go(func() { _, _ = r.engine.Submit(ctx, c) })
		<-queued
	}
}

// drive steps until nothing waits, and returns the answers.
func (r *rig) drive() []es.Answer {
	r.t.Helper()
	for {
		s, err := r.engine.Step(r.t.Context())
		if err != nil {
			r.t.Fatal(err)
		}
		if _, err := r.engine.Answer(r.t.Context()); err != nil {
			r.t.Fatal(err)
		}
		if s.Commands == 0 && !s.Again {
			out := r.answers
			r.answers = nil
			return out
		}
	}
}

func (r *rig) do(commands ...*es.Command) []es.Answer {
	r.t.Helper()
	r.submit(commands...)
	return r.drive()
}

func (r *rig) balance(stream string) (balance, version int64) {
	r.t.Helper()
	st, err := r.log.Load(r.t.Context(), []es.StreamQuery{{Stream: "account-" + stream, StateVersion: 1}})
	if err != nil {
		r.t.Fatal(err)
	}
	a, err := accounts.Fold(st[0])
	if err != nil {
		r.t.Fatal(err)
	}
	return a.Balance, st[0].Version
}

func expect(t testing.TB, a es.Answer, status es.Status, version int64) {
	t.Helper()
	if a.Outcome.Status != status || a.Outcome.Version != version {
		t.Fatalf("got %s at version %d (%v), want %s at %d", a.Outcome.Status, a.Outcome.Version, a.Outcome.Fault, status, version)
	}
}

func TestABatchIsDecidedInOrderOnTheStatesItMakes(t *testing.T) {
	r := newRig(t, newLog(t))
	got := r.do(of(1, "a", payIn{5}), of(2, "a", payOut{3}), of(3, "b", payOut{1}), of(4, "a", payOut{3}), of(5, "a", payOut{0}))
	expect(t, got[0], es.StatusSucceeded, 1)
	expect(t, got[1], es.StatusSucceeded, 2)
	expect(t, got[2], es.StatusRefused, 0)
	expect(t, got[3], es.StatusRefused, 2)
	expect(t, got[4], es.StatusSucceeded, 2)
	if b, v := r.balance("a"); b != 2 || v != 2 {
		t.Fatalf("balance %d at version %d, want 2 at 2", b, v)
	}
	if p := got[1].Outcome.Position; p != 2 {
		t.Fatalf("the second event is at position %d", p)
	}
}

func TestADuplicateGetsTheStoredOutcomeWhereverItComesFrom(t *testing.T) {
	log := newLog(t)
	first := newRig(t, log)
	commands := []*es.Command{of(1, "a", payIn{5}), of(2, "a", payOut{9})}
	first.do(commands...)
	for name, r := range map[string]*rig{"same engine": first, "another engine": newRig(t, log)} {
		for range 5 {
			got := r.do(of(1, "a", payIn{5}), of(1, "a", payIn{5}), of(2, "a", payOut{9}))
			for i, want := range []es.Status{es.StatusSucceeded, es.StatusSucceeded, es.StatusRefused} {
				expect(t, got[i], want, 1)
				if !got[i].Repeat {
					t.Fatalf("%s: answer %d is no repeat", name, i)
				}
			}
		}
		if b, v := r.balance("a"); b != 5 || v != 1 {
			t.Fatalf("%s: balance %d at version %d, want 5 at 1", name, b, v)
		}
	}
}

func TestADuplicateWithinABatchHasOneEffect(t *testing.T) {
	r := newRig(t, newLog(t))
	got := r.do(of(1, "a", payIn{5}), of(1, "a", payIn{5}))
	expect(t, got[0], es.StatusSucceeded, 1)
	expect(t, got[1], es.StatusSucceeded, 1)
	if got[0].Repeat || !got[1].Repeat {
		t.Fatal("the second one, and only that, is a repeat")
	}
}

func TestAReusedKeyIsAnsweredToItsCallerOnly(t *testing.T) {
	r := newRig(t, newLog(t))
	with := func(digest string) *es.Command {
		c := of(1, "a", payIn{5})
		c.Meta.Digest = digest
		return c
	}
	r.do(with("one"))
	got := r.do(with("two"), with("one"))
	if !got[0].Private || !errors.Is(got[0].Outcome.Fault, fault.Invalid("idempotency_key_reused", "")) {
		t.Fatalf("another body is answered with %+v", got[0])
	}
	if got[1].Private {
		t.Fatal("the same body gets the outcome")
	}
	expect(t, got[1], es.StatusSucceeded, 1)
}

func TestAWrongGuessThatAStreamIsNewIsDecidedAgain(t *testing.T) {
	log := newLog(t)
	newRig(t, log).do(of(1, "a", payIn{5}))
	r := newRig(t, log)
	guess := func(n int, c command) *es.Command { k := of(n, "a", c); k.Creates = true; return k }
	got := r.do(guess(2, payOut{5}), guess(1, payIn{5}))
	expect(t, got[0], es.StatusSucceeded, 2)
	expect(t, got[1], es.StatusSucceeded, 1)
	if !got[1].Repeat {
		t.Fatal("the known command is decided again")
	}
}

func TestIfVersionRefusesWhatHasMovedOn(t *testing.T) {
	r := newRig(t, newLog(t))
	at := func(n int, stream string, v int64) *es.Command {
		c := of(n, stream, payIn{1})
		c.IfVersion = &v
		return c
	}
	got := r.do(of(1, "a", payIn{5}), at(2, "a", 2), at(3, "a", 1), at(4, "a", es.AnyVersion), at(5, "b", es.AnyVersion))
	expect(t, got[1], es.StatusRefused, 1)
	expect(t, got[2], es.StatusSucceeded, 2)
	expect(t, got[3], es.StatusSucceeded, 3)
	expect(t, got[4], es.StatusRefused, 0)
	if !errors.Is(got[1].Outcome.Fault, fault.Precondition("stream_moved_on", "")) {
		t.Fatalf("got %v", got[1].Outcome.Fault)
	}
}

func TestAConditionTellsNothingOfWhatACallerMayNotSee(t *testing.T) {
	r := newRig(t, newLog(t))
	r.do(of(1, "a", payIn{5}))
	for n, version := range []int64{7, es.AnyVersion, 1} {
		c := of(2+n, "a", hidden{})
		c.IfVersion = &version
		got := r.do(c)[0].Outcome
		if !errors.Is(got.Fault, fault.NotFound("account", "")) {
			t.Errorf("at version %d: %v", version, got.Fault)
		}
	}
}

func TestAFaultOfOursParksOneCommandAndTheStreamGoesOn(t *testing.T) {
	for _, bad := range []command{boom{}, bug{}, lost{}} {
		t.Run(fmt.Sprintf("%T", bad), func(t *testing.T) {
			r := newRig(t, newLog(t))
			got := r.do(of(1, "a", payIn{5}), of(2, "a", bad), of(3, "a", payOut{5}), of(4, "b", payIn{1}))
			expect(t, got[0], es.StatusSucceeded, 1)
			expect(t, got[1], es.StatusParked, 0)
			expect(t, got[2], es.StatusSucceeded, 2)
			expect(t, got[3], es.StatusSucceeded, 1)
			parked, err := r.log.ParkedCommands(t.Context(), uuid.Nil, 10)
			if err != nil || len(parked) != 1 || parked[0].Command != id(2) || parked[0].Reason == "" || string(parked[0].Payload) != "{}" {
				t.Fatalf("parked are %+v (%v)", parked, err)
			}
		})
	}
}

func TestAParkedCommandIsDecidedWhenItComesAgain(t *testing.T) {
	r := newRig(t, newLog(t))
	r.do(of(1, "a", boom{}), of(1, "a", boom{}))
	if got := r.do(of(1, "a", boom{})); got[0].Outcome.Status != es.StatusParked {
		t.Fatalf("got %+v", got[0].Outcome)
	}
	expect(t, r.do(of(1, "a", payIn{1}))[0], es.StatusSucceeded, 1)
	if parked, _ := r.log.ParkedCommands(t.Context(), uuid.Nil, 10); len(parked) != 0 {
		t.Fatalf("%d commands are still parked", len(parked))
	}
}

func TestACommandWithoutBehaviourIsParked(t *testing.T) {
	r := newRig(t, newLog(t))
	c := of(1, "a", nil)
	c.Of, c.Parked.Reason = nil, "not decodable"
	expect(t, r.do(c)[0], es.StatusParked, 0)
}

func TestADiscardedCommandHasFailed(t *testing.T) {
	r := newRig(t, newLog(t))
	r.do(of(1, "a", boom{}))
	p, _, _ := r.log.ParkedCommand(t.Context(), id(1))
	queued := make(chan struct{})
	ctx := withTurn(t.Context(), func() { close(queued) })
	r.pending.Go(func() { _, _ = r.engine.Discard(ctx, p, "account-a", noon) })
	<-queued
	expect(t, r.drive()[0], es.StatusFailed, 0)
	got := r.do(of(1, "a", payIn{1}))
	expect(t, got[0], es.StatusFailed, 0)
	if _, ok, _ := r.log.ParkedCommand(t.Context(), id(1)); ok {
		t.Fatal("the command is still parked")
	}
}

func TestALargeStateIsWrittenNowAndThen(t *testing.T) {
	r := newRig(t, newLog(t))
	const events = 120
	for n := range events {
		r.do(of(n, "a", note{longText}))
	}
	st, err := r.log.Load(t.Context(), []es.StreamQuery{{Stream: "account-a", StateVersion: 1}})
	if err != nil {
		t.Fatal(err)
	}
	if st[0].Version != events || len(st[0].Tail) == 0 || len(st[0].Tail) > 100 {
		t.Fatalf("version %d is row at %d and %d events", st[0].Version, st[0].StateAt, len(st[0].Tail))
	}
	a, err := accounts.Fold(st[0])
	if err != nil || len(a.Notes) != events {
		t.Fatalf("%d notes (%v), want %d", len(a.Notes), err, events)
	}
}

func TestRunAnswersManyCallersAndStopsCleanly(t *testing.T) {
	log := newLog(t)
	answered := 0
	e := es.NewEngine(es.Options{Log: log, Clock: clock, Publish: func(_ context.Context, a []es.Answer) error {
		answered += len(a)
		return nil
	}})
	ctx, stop := context.WithCancel(t.Context())
	var running, callers sync.WaitGroup
	running.Go(func() { _ = e.Run(ctx, time.Second) })
	const n = 2000
	for i := range n {
		callers.Go(func() {
			if _, err := e.Submit(t.Context(), of(i, fmt.Sprint(i%7), payIn{1})); err != nil {
				t.Error(err)
			}
		})
	}
	callers.Wait()
	stop()
	running.Wait()
	if answered != n {
		t.Fatalf("%d answers, want %d", answered, n)
	}
	if _, err := e.Submit(t.Context(), of(n, "a", payIn{1})); !errors.Is(err, es.ErrStopped) {
		t.Fatalf("a stopped engine answers %v", err)
	}
	if h, _ := log.Head(t.Context()); h.Position != n {
		t.Fatalf("%d events, want %d", h.Position, n)
	}
}

func TestWhatCannotBeFoldedParksTheStreamsCommandsOnly(t *testing.T) {
	log := newLog(t)
	_, err := log.Append(t.Context(), es.Batch{
		Streams:  []es.StreamVersion{{Stream: "account-a"}},
		Events:   []es.Record{{Stream: "account-a", Version: 1, Type: "from_the_future", Schema: 1, Data: []byte("{}"), Time: noon, Meta: es.Metadata{Command: id(100)}}},
		Outcomes: []es.Outcome{{Command: id(100), Stream: "account-a", Status: es.StatusSucceeded, Version: 1, Time: noon}},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := newRig(t, log).do(of(1, "a", payIn{1}), of(2, "b", payIn{1}))
	expect(t, got[0], es.StatusParked, 0)
	expect(t, got[1], es.StatusSucceeded, 1)
	if !strings.Contains(got[0].Outcome.Fault.Detail, "from_the_future") {
		t.Fatalf("the reason is %q", got[0].Outcome.Fault.Detail)
	}
}

// strict is a log that finds the batches of one command invalid.
type strict struct {
	es.Log
	bad uuid.UUID
}

func (s strict) Append(ctx context.Context, b es.Batch) (es.Head, error) {
	for _, o := range b.Outcomes {
		if o.Command == s.bad {
			return es.Head{}, fmt.Errorf("test: %w", es.ErrInvalidBatch)
		}
	}
	return s.Log.Append(ctx, b)
}

func TestACommandThatBreaksTheLogsRulesIsFoundAndParked(t *testing.T) {
	r := newRig(t, strict{newLog(t), id(2)})
	got := r.do(of(1, "a", payIn{1}), of(2, "a", payIn{1}), of(3, "a", payIn{1}), of(4, "b", payIn{1}))
	byID := map[uuid.UUID]es.Outcome{}
	for _, a := range got {
		byID[a.Outcome.Command] = a.Outcome
	}
	if s := byID[id(2)].Status; s != es.StatusParked {
		t.Fatalf("the command is %s", s)
	}
	if b, v := r.balance("a"); b != 2 || v != 2 {
		t.Fatalf("balance %d at version %d, want 2 at 2", b, v)
	}
	if len(got) != 4 {
		t.Fatalf("%d answers, want 4", len(got))
	}
}

func TestAPayloadTooLargeToKeepIsParkedWithout(t *testing.T) {
	r := newRig(t, newLog(t))
	c := of(1, "a", boom{})
	c.Parked.Payload = make([]byte, es.MaxPayload+1)
	expect(t, r.do(c)[0], es.StatusParked, 0)
	p, ok, err := r.log.ParkedCommand(t.Context(), id(1))
	if err != nil || !ok || len(p.Payload) != 0 || !strings.Contains(p.Reason, "larger than what is kept") {
		t.Fatalf("parked is %+v (%v)", p, err)
	}
}
