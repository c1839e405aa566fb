package logtest

import (
	"sync"
	"testing"

	"github.com/orderlane/orderlane/pkg/es"
)

// Instances makes an open function for Run of two steps: place makes a new, empty place for
// a log (a directory, a database), once for each test, and open opens an instance there.
func Instances[P any](place func(t *testing.T) P, open func(t *testing.T, place P) es.Log) func(t *testing.T) es.Log {
	var places sync.Map
	return func(t *testing.T) es.Log {
		t.Helper()
		at, ok := places.Load(t)
		if !ok {
			at = place(t)
			places.Store(t, at)
		}
		log := open(t, at.(P))
		t.Cleanup(func() {
			if err := log.Close(); err != nil {
				t.Errorf("close the log: %v", err)
			}
		})
		return log
	}
}
