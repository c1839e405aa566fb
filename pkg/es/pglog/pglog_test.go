package pglog_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/orderlane/orderlane/e2e/realparts"
	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/es/logtest"
	"github.com/orderlane/orderlane/pkg/es/pglog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(realparts.Wrap(m)) }

func open(t testing.TB, url, schema string) *pglog.Log {
	t.Helper()
	log, err := pglog.Open(t.Context(), url, schema, pglog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := log.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return log
}

func TestPostgresLogIsALog(t *testing.T) {
	url := realparts.Postgres(t)
	var schemas atomic.Int64
	logtest.Run(t, logtest.Instances(
		func(*testing.T) string { return fmt.Sprintf("log_%d", schemas.Add(1)) },
		func(t *testing.T, schema string) es.Log { return open(t, url, schema) },
	))
}

func TestInstancesThatStartTogetherMigrateOnce(t *testing.T) {
	url := realparts.Postgres(t)
	epochs := make([]string, 6)
	var wg sync.WaitGroup
	for i := range epochs {
		wg.Go(func() {
			log, err := pglog.Open(t.Context(), url, "ordering", pglog.Options{})
			if err != nil {
				t.Errorf("open: %v", err)
				return
			}
			defer func() { _ = log.Close() }()
			head, err := log.Head(t.Context())
			if err != nil {
				t.Errorf("head: %v", err)
			}
			epochs[i] = head.Epoch
		})
	}
	wg.Wait()
	for _, epoch := range epochs {
		if epoch == "" || epoch != epochs[0] {
			t.Fatalf("epochs of one log: %q", epochs)
		}
	}
}

func TestLogsInOneDatabaseAreApart(t *testing.T) {
	url := realparts.Postgres(t)
	one, other := open(t, url, "ordering"), open(t, url, "catalog")
	event := es.Record{Stream: "order-1", Version: 1, Type: "placed", Data: []byte(`{}`)}
	if _, err := one.Append(t.Context(), es.Batch{Streams: []es.StreamVersion{{Stream: "order-1"}}, Events: []es.Record{event}}); err != nil {
		t.Fatal(err)
	}
	heads := make([]es.Head, 2)
	for i, log := range []es.Log{one, other} {
		var err error
		if heads[i], err = log.Head(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if heads[0].Position != 1 || heads[1].Position != 0 || heads[0].Epoch == heads[1].Epoch {
		t.Fatalf("heads: %+v", heads)
	}
}

func TestABadSchemaOrAddressIsAClearError(t *testing.T) {
	for _, c := range []struct{ url, schema string }{
		{"postgres://localhost:1/x", `a"; DROP TABLE events; --`},
		{"postgres://localhost:1/x", ""},
		{"not an address", "ordering"},
		{"postgres://127.0.0.1:1/x?connect_timeout=1", "ordering"},
	} {
		log, err := pglog.Open(t.Context(), c.url, c.schema, pglog.Options{})
		if err == nil {
			_ = log.Close()
			t.Errorf("open of %q in %q: no error", c.schema, c.url)
		}
	}
}
