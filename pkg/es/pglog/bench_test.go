package pglog_test

import (
	"fmt"
	"testing"

	"github.com/orderlane/orderlane/e2e/realparts"
	"github.com/orderlane/orderlane/pkg/es/logtest"
)

func BenchmarkAppend(b *testing.B) {
	for _, c := range []struct {
		callers int
		ordered bool
	}{{1, true}, {64, true}, {64, false}, {512, true}, {512, false}} {
		b.Run(fmt.Sprintf("callers=%d/ordered=%t", c.callers, c.ordered), func(b *testing.B) {
			logtest.BenchmarkAppend(b, open(b, realparts.Postgres(b), "ordering"), c.callers, c.ordered)
		})
	}
}

func BenchmarkLookUp(b *testing.B) {
	logtest.BenchmarkLookUp(b, open(b, realparts.Postgres(b), "ordering"), 64)
}
