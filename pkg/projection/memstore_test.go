package projection_test

import (
	"path/filepath"
	"testing"

	"github.com/orderlane/orderlane/pkg/projection"
	"github.com/orderlane/orderlane/pkg/projection/sqlitestore"
)

// newMemStore is the quick store of tests that are not about stores.
func newMemStore(t *testing.T) projection.Store {
	s, err := sqlitestore.Open(filepath.Join(t.TempDir(), "view.db"), sqlitestore.Options{Readers: 1})
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	return s
}
