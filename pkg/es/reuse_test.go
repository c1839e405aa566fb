package es_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/fault"
)

// request is a command that came with an idempotency key.
func request(n int, digest string, creates bool, body command) *es.Command {
	c := of(n, "a", body)
	c.Meta.Digest, c.Creates = digest, creates
	c.Parked.Payload = fmt.Appendf(nil, "body of %s", digest)
	return c
}

func wantReused(t *testing.T, a es.Answer) {
	t.Helper()
	if !a.Private || a.Outcome.Status != es.StatusRefused || !errors.Is(a.Outcome.Fault, fault.Invalid("idempotency_key_reused", "")) {
		t.Fatalf("another body is answered with %+v", a)
	}
}

// wantParked asks for the one command that is parked.
func (r *rig) wantParked(payload string, attempts int) {
	r.t.Helper()
	list, err := r.log.ParkedCommands(r.t.Context(), uuid.Nil, 10)
	if err != nil || len(list) != 1 || string(list[0].Payload) != payload || list[0].Attempts != attempts {
		r.t.Fatalf("parked are %+v (%v), want %s after %d attempts", list, err, payload, attempts)
	}
}

func TestAnotherBodyLeavesTheParkedCommandOfItsKeyAlone(t *testing.T) {
	for _, creates := range []bool{false, true} {
		for what, other := range map[string]command{"that could be decided": payIn{5}, "that can't be handled either": boom{}} {
			t.Run(fmt.Sprintf("%s, creates %t", what, creates), func(t *testing.T) {
				log := newLog(t)
				first := newRig(t, log)
				expect(t, first.do(request(1, "one", creates, boom{}))[0], es.StatusParked, 0)
				for name, r := range map[string]*rig{"the same engine": first, "another engine": newRig(t, log)} {
					got := r.do(request(1, "two", creates, other), of(2, "b", payIn{1}))
					wantReused(t, got[0])
					if got[1].Private {
						t.Fatalf("%s: what was decided beside it is answered with %+v", name, got[1])
					}
					r.wantParked("body of one", 1)
					if b, v := r.balance("a"); b != 0 || v != 0 {
						t.Fatalf("%s: balance %d at version %d", name, b, v)
					}
				}
			})
		}
	}
}

func TestTheSameBodyIsDecidedAgainWhereverTheParkedOneIs(t *testing.T) {
	for _, creates := range []bool{false, true} {
		r := newRig(t, newLog(t))
		r.do(request(1, "one", creates, boom{}))
		expect(t, r.do(request(1, "one", creates, boom{}))[0], es.StatusParked, 0)
		r.wantParked("body of one", 2)
		// The bug is mended; another body comes before and behind the retry, in one batch.
		got := r.do(request(1, "two", creates, payIn{9}), request(1, "one", creates, payIn{5}), request(1, "two", creates, payIn{9}))
		wantReused(t, got[0])
		expect(t, got[1], es.StatusSucceeded, 1)
		wantReused(t, got[2])
		if i := slices.IndexFunc(got, func(a es.Answer) bool { return a.Outcome.Status == es.StatusSucceeded && a.Private }); i >= 0 {
			t.Fatalf("answer %d is private", i)
		}
		if b, v := r.balance("a"); b != 5 || v != 1 {
			t.Fatalf("balance %d at version %d", b, v)
		}
		wantReused(t, r.do(request(1, "two", creates, payIn{9}))[0])
	}
}

func TestAKeyWhoseCommandWasGivenUpStaysThatCommands(t *testing.T) {
	r := newRig(t, newLog(t))
	r.do(request(1, "one", true, boom{}))
	parked, _, err := r.log.ParkedCommand(t.Context(), id(1))
	if err != nil {
		t.Fatal(err)
	}
	queued := make(chan struct{})
	r.pending.Go(func() {
		_, _ = r.engine.Discard(withTurn(t.Context(), func() { close(queued) }), parked, "account-a", noon)
	})
	<-queued
	expect(t, r.drive()[0], es.StatusFailed, 0)
	wantReused(t, r.do(request(1, "two", true, payIn{5}))[0])
	expect(t, r.do(request(1, "one", true, payIn{5}))[0], es.StatusFailed, 0)
}
