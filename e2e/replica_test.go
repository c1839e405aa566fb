//go:build unix

package e2e

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/orderlane/orderlane/e2e/fleet"
)

// TestAReplicaAnswersAndIsWaitedFor: queries are answered by the replica alone, and who has written sees that there, or is
// told to wait.
func TestAReplicaAnswersAndIsWaitedFor(t *testing.T) {
	slow(t)
	f := fleet.New(t, fleet.Real, fleet.Options{OwnDatabase: true})
	standby := f.Postgres.StartStandby()
	replica := sameDatabase(t, f.Database, standby.URL())
	for _, name := range f.Names() {
		if name != fleet.OrderView {
			f.Process(name).Launch()
		}
	}
	f.Process(fleet.OrderView).Launch("ORDERLANE_POSTGRES_REPLICA=" + replica)
	for _, name := range f.Names() {
		f.Process(name).WaitReady()
	}
	admin, err := pgx.Connect(t.Context(), replica)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(t.Context())
	replay := func(what string) {
		t.Helper()
		if _, err := admin.Exec(t.Context(), "SELECT pg_wal_replay_"+what+"()"); err != nil {
			t.Fatal(err)
		}
	}
	client := f.Client("")
	product := client.Define(t, "TEA-001", 1299)
	place := func() (path, token string) {
		t.Helper()
		a := client.Accept(t, http.StatusOK, http.MethodPost, "/v1/orders", fleet.Order("c-1", "TEA-001", 2), "Consistency-Token", product, "Prefer", "wait=10")
		return a.Links["resource"], a.ConsistencyToken
	}
	first, token := place()
	if a := client.Get(t, first, "Consistency-Token", token, "Prefer", "wait=10"); a.Status != http.StatusOK {
		t.Fatal(a)
	}

	replay("pause")
	second, token := place()
	if a := client.Get(t, second, "Consistency-Token", token, "Prefer", "wait=1"); a.Status != http.StatusServiceUnavailable {
		t.Errorf("what the replica does not have yet: %v", a)
	}
	if a := client.Get(t, first); a.Status != http.StatusOK {
		t.Errorf("what it has: %v", a)
	}
	replay("resume")
	if a := client.Get(t, second, "Consistency-Token", token, "Prefer", "wait=10"); a.Status != http.StatusOK {
		t.Errorf("once it has it: %v", a)
	}
}

// sameDatabase is the address of a database on another server.
func sameDatabase(t *testing.T, database, server string) string {
	t.Helper()
	d, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	s, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	s.Path = d.Path
	return s.String()
}
