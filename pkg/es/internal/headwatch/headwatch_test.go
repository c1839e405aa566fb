package headwatch

import (
	"testing"

	"github.com/orderlane/orderlane/pkg/es"
)

func TestTheWatchGoesBackWithANewEpochOnly(t *testing.T) {
	w := New(0)
	for _, step := range []struct {
		what string
		seen es.Head
		want int64
	}{
		{"the first head", es.Head{Epoch: "e1", Position: 5}, 5},
		{"a head that was read before", es.Head{Epoch: "e1", Position: 3}, 5},
		{"a new epoch at an earlier point", es.Head{Epoch: "2-e1.1", Position: 2}, 2},
		{"a head of the old epoch, read before", es.Head{Epoch: "e1", Position: 5}, 2},
		{"the next one of the new epoch", es.Head{Epoch: "2-e1.1", Position: 3}, 3},
		{"an epoch of the same place in another row", es.Head{Epoch: "2-other", Position: 1}, 1},
		{"a newer epoch further on", es.Head{Epoch: "3-other", Position: 7}, 7},
	} {
		if w.See(step.seen); w.Head() != step.want {
			t.Fatalf("%s: the watch stands at %d, want %d", step.what, w.Head(), step.want)
		}
	}
}
