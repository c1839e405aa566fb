package es_test

import (
	"testing"

	"github.com/orderlane/orderlane/pkg/es"
)

func TestTheFirstEpochIsWhateverCameWithTheDatabase(t *testing.T) {
	for epoch, want := range map[string]int64{
		"": 1, "8f3a": 1, "memory": 1, "2": 1, "2-8f3a": 2, "17-8f-3a": 17, "-8f3a": 1, "0-8f3a": 1, "two-8f3a": 1,
	} {
		if got := es.Generation(epoch); got != want {
			t.Errorf("the generation of %q is %d, not %d", epoch, got, want)
		}
	}
}
