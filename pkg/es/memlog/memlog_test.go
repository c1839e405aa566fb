package memlog_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/es/logtest"
	"github.com/orderlane/orderlane/pkg/es/memlog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMemoryLogIsALog(t *testing.T) {
	logtest.Run(t, logtest.Instances(
		func(*testing.T) *memlog.Store { return memlog.NewStore(memlog.Options{Clock: time.Now}) },
		func(_ *testing.T, s *memlog.Store) es.Log { return s.Open() },
	))
}

func TestLeasesExpireByTheStoresClock(t *testing.T) {
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	log := memlog.New(memlog.Options{Clock: func() time.Time { return now }})
	for _, step := range []struct {
		holder string
		after  time.Duration
		want   bool
	}{{"a", 0, true}, {"b", time.Minute - 1, false}, {"b", 1, true}, {"a", 0, false}} {
		now = now.Add(step.after)
		if ok, err := log.Lease(t.Context(), "relay", step.holder, time.Minute); err != nil || ok != step.want {
			t.Fatalf("lease for %s at %s: %v, %v; want %v", step.holder, now, ok, err, step.want)
		}
	}
}
