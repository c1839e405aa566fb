package projection_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/projection"
)

func TestAStepTakesNoMoreThanTheBytesThatMayWait(t *testing.T) {
	w := newTopics()
	for i := range 60 {
		w.event(0, fmt.Sprint("order-", i), strings.Repeat("0", 10_000))
	}
	in := start(t, w, newMemStore(t), 1, func(o *projection.Options) { o.QueueBytes = 100_000 })
	p := w.all()[0]
	_, err := in.Assigned(t.Context(), in, []kafka.Partition{p})
	must(t, err)
	ended := make(chan error, 1)
	go func() { ended <- in.Deliver(t.Context(), w.parts[p]) }()
	within(t, "all is folded", func() bool {
		s, err := in.Step(t.Context())
		must(t, err)
		if s.Records > 20 || s.Waiting > 10 { // a step may take one delivery more than fits
			t.Fatalf("%d records of 10 kB were taken and %d wait", s.Records, s.Waiting)
		}
		return in.marks[p] == 60
	})
	must(t, <-ended)
}
