package sqlitestore_test

import (
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/orderlane/orderlane/pkg/projection"
	"github.com/orderlane/orderlane/pkg/projection/sqlitestore"
	"github.com/orderlane/orderlane/pkg/projection/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSQLiteKeepsWhatEveryReadStorePromises(t *testing.T) {
	storetest.Run(t, func(t *testing.T) (projection.Store, func() projection.Store) {
		path := filepath.Join(t.TempDir(), "view.db")
		open := func() projection.Store {
			s, err := sqlitestore.Open(path, sqlitestore.Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
			return s
		}
		return open(), open
	})
}
