package sqlitelog_test

import (
	"fmt"
	"testing"

	"github.com/orderlane/orderlane/pkg/es/logtest"
	"github.com/orderlane/orderlane/pkg/es/sqlitelog"
)

func BenchmarkAppend(b *testing.B) {
	for _, c := range []struct {
		callers int
		ordered bool
	}{{1, true}, {64, true}, {64, false}, {512, true}, {512, false}} {
		b.Run(fmt.Sprintf("callers=%d/ordered=%t", c.callers, c.ordered), func(b *testing.B) {
			log, err := sqlitelog.Open(b.Context(), b.TempDir()+"/log.db", sqlitelog.Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = log.Close() }()
			logtest.BenchmarkAppend(b, log, c.callers, c.ordered)
		})
	}
}

func BenchmarkLookUp(b *testing.B) {
	log, err := sqlitelog.Open(b.Context(), b.TempDir()+"/log.db", sqlitelog.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	logtest.BenchmarkLookUp(b, log, 64)
}

func BenchmarkOpenOfAnUpToDateLog(b *testing.B) {
	path := b.TempDir() + "/log.db"
	for b.Loop() {
		log, err := sqlitelog.Open(b.Context(), path, sqlitelog.Options{})
		if err != nil {
			b.Fatal(err)
		}
		if err := log.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
