package estest_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/es/estest"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// A kettle whistles when it is due, and again a minute later if it is deaf to that.
type (
	heated    struct{ Until time.Time }
	whistle   struct{ Deaf bool }
	kettleNow struct{ Until map[string]time.Time } // shared by copies, as a large state would be
)

var kettles = &es.Aggregate[kettleNow, heated, whistle]{
	Decider: es.Decider[kettleNow, heated, whistle]{
		Category: "kettle",
		Initial:  func() kettleNow { return kettleNow{map[string]time.Time{}} },
		Decide: func(c whistle, k kettleNow) ([]heated, error) {
			if c.Deaf {
				return nil, nil
			}
			return []heated{{k.Until["due"].Add(time.Minute)}}, nil
		},
		Evolve:   func(e heated, k kettleNow) kettleNow { k.Until["due"] = e.Until; return k },
		Deadline: func(k kettleNow) time.Time { return k.Until["due"] },
	},
	Codec: es.NewCodec[heated](es.Stored[heated, heated]("heated")),
}

func TestADeadlineAndWhatItLeadsToAreExpected(t *testing.T) {
	hot := estest.Of(t, kettles).Given(heated{noon}).Deadline(noon)
	for range 2 {
		hot.WhenWoken(func(time.Time) whistle { return whistle{} }).Then(heated{noon.Add(time.Minute)})
	}
	estest.Of(t, kettles).Given().Deadline(time.Time{})
}

// failing is a test that may fail.
type failing struct {
	testing.TB
	reason string
}

func (f *failing) Helper() {}
func (f *failing) Fatalf(format string, args ...any) {
	f.reason = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func TestAnotherDeadlineOrOneThatStaysFailsTheTest(t *testing.T) {
	deaf := func(time.Time) whistle { return whistle{Deaf: true} }
	for what, test := range map[string]func(estest.Spec[kettleNow, heated, whistle]){
		"another deadline": func(s estest.Spec[kettleNow, heated, whistle]) { s.Given(heated{noon}).Deadline(noon.Add(1)) },
		"none":             func(s estest.Spec[kettleNow, heated, whistle]) { s.Given().WhenWoken(deaf) },
		"it stays":         func(s estest.Spec[kettleNow, heated, whistle]) { s.Given(heated{noon}).WhenWoken(deaf).Then() },
	} {
		f := &failing{TB: t}
		done := make(chan struct{})
		go func() {
			defer close(done)
			test(estest.Of(f, kettles))
		}()
		if <-done; f.reason == "" {
			t.Errorf("%s: the test passes", what)
		}
	}
}
