package storefront

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/orderlane/orderlane/api/catalog"
	"github.com/orderlane/orderlane/e2e/realparts"
	"github.com/orderlane/orderlane/pkg/httpapi"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/kafka/memkafka"
	"github.com/orderlane/orderlane/pkg/money"
	"github.com/orderlane/orderlane/pkg/projection"
	"github.com/orderlane/orderlane/pkg/projection/pgstore"
	"github.com/orderlane/orderlane/pkg/projection/sqlitestore"
	"github.com/orderlane/orderlane/pkg/service"
	"github.com/orderlane/orderlane/pkg/service/servicetest"
)

// patience is how long a test waits for what has to happen.
const patience = 30 * time.Second

func TestASearchFindsTheSameInABuildThatReplacesAnother(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		store, err := sqlitestore.Open(filepath.Join(t.TempDir(), "view.db"), sqlitestore.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		rebuildTwice(t, store)
	})
	t.Run("postgres", func(t *testing.T) {
		store, err := pgstore.Open(t.Context(), realparts.Postgres(t), "storefront", pgstore.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		rebuildTwice(t, store)
	})
}

// rebuildTwice rebuilds the view until its first build is dropped, and searches in each.
func rebuildTwice(t *testing.T, store projection.Store) {
	events := &world{t: t, versions: map[string]int64{}, epoch: "e1"}
	broker := memkafka.New(servicetest.Clock, kafka.TopicSpec{Name: "catalog.events.v1", Partitions: 2}, kafka.TopicSpec{Name: "inventory.events.v1", Partitions: 2})
	for sku, name := range map[string]string{"TEA": "Assam tea", "POT": "Teapot", "CUP": "Cup"} {
		r := events.described(sku, catalog.Details{Name: name, Price: money.Of(1, "EUR")})
		if err := broker.Producer().Publish(t.Context(), []kafka.Record{r}); err != nil {
			t.Fatal(err)
		}
	}
	builds := servicetest.RunBuilds(t, newView(), broker, store)
	q := newQueries(&service.Reader{Store: builds.Store(), Answers: builds.Answers()})
	search := func(words string) string {
		found := ""
		list, err := q.list(t.Context(), &Filter{Q: words}, true, &httpapi.PageParams{Limit: 10}, &httpapi.ReadParams{})
		if err != nil {
			t.Fatal(err)
		}
		for i := range list.Items {
			found += list.Items[i].SKU + " "
		}
		return found
	}
	for number := 1; number <= 3; number++ {
		if number > 1 {
			if _, err := builds.Rebuild(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		until(t, func() bool { return is(t, builds, number, projection.Active) })
		if got := search("te"); got != "POT TEA " {
			t.Errorf("build %d finds %q", number, got)
		}
	}
	until(t, func() bool { return is(t, builds, 1, projection.Dropped) })
	if got := search("cup"); got != "CUP " {
		t.Errorf("after the first one was dropped %q is found", got)
	}
}

func is(t *testing.T, builds *projection.Builds, number int, state projection.BuildState) bool {
	t.Helper()
	list, err := builds.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range list {
		if one.Number == number {
			return one.State == state
		}
	}
	return state == projection.Dropped
}

func until(t *testing.T, condition func() bool) {
	t.Helper()
	deadline := time.After(patience)
	for look := time.NewTicker(5 * time.Millisecond); !condition(); {
		select {
		case <-look.C:
		case <-deadline:
			t.Fatal("what had to happen has not happened")
		}
	}
}
