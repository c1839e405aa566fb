package pgstore_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/orderlane/orderlane/e2e/realparts"
	"github.com/orderlane/orderlane/pkg/projection"
	"github.com/orderlane/orderlane/pkg/projection/pgstore"
	"github.com/orderlane/orderlane/pkg/projection/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(realparts.Wrap(m)) }

func TestPostgreSQLKeepsWhatEveryReadStorePromises(t *testing.T) {
	storetest.Run(t, func(t *testing.T) (projection.Store, func() projection.Store) {
		url := realparts.Postgres(t)
		open := func() projection.Store {
			s, err := pgstore.Open(t.Context(), url, "read_store", pgstore.Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			return s
		}
		return open(), open
	})
}
