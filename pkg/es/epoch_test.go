package es_test

import (
	"testing"

	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/es/memlog"
)

// TestAnEngineForgetsALostFutureWhenANewEpochBegins restores the log under a running engine:
// what it remembers of streams and commands never happened.
func TestAnEngineForgetsALostFutureWhenANewEpochBegins(t *testing.T) {
	store := memlog.NewStore(memlog.Options{Clock: clock})
	log := store.Open()
	r := newRig(t, log)
	r.do(of(1, "a", payIn{5}))
	backup := store.Backup()
	r.do(of(2, "a", payIn{100}), of(3, "b", payIn{1}))
	store.Restore(backup)
	if _, err := log.NewEpoch(t.Context(), es.Renewal{}); err != nil {
		t.Fatal(err)
	}

	got := r.do(of(4, "a", payOut{50}), of(2, "a", payIn{7}), of(1, "a", payIn{5}))
	expect(t, got[0], es.StatusRefused, 1) // of the 105 that it remembers, 5 are there
	expect(t, got[1], es.StatusSucceeded, 2)
	expect(t, got[2], es.StatusSucceeded, 1)
	if got[1].Repeat || !got[2].Repeat {
		t.Errorf("a lost command is a repeat: %v; one that is kept: %v", got[1].Repeat, got[2].Repeat)
	}
	if balance, version := r.balance("a"); balance != 12 || version != 2 {
		t.Errorf("the balance is %d at version %d", balance, version)
	}
}

func TestAFeedThatForgetsReadsTheLog(t *testing.T) {
	store := memlog.NewStore(memlog.Options{Clock: clock})
	log := store.Open()
	feed := es.NewFeed(log)
	feed.Add(es.Head{}, []es.Record{{Position: 1, Stream: "lost-1"}})
	if got, err := feed.Read(t.Context(), 0, 10); err != nil || len(got) != 1 {
		t.Fatalf("from memory: %v, %v", got, err)
	}
	feed.Forget()
	if got, err := feed.Read(t.Context(), 0, 10); err != nil || len(got) != 0 {
		t.Fatalf("from an empty log: %v, %v", got, err)
	}
}
