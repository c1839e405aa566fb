package inventory

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestTheFirstToExpireIsKnownWhateverIsAddedAndTakenOut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h expiring
		var all []*claim
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			if len(all) > 0 && rapid.IntRange(0, 2).Draw(t, "take out") == 0 {
				i := rapid.IntRange(0, len(all)-1).Draw(t, "which")
				h.remove(all[i])
				all = slices.Delete(all, i, i+1)
			} else {
				c := &claim{expires: noon.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "expires")) * time.Second)}
				h.add(c)
				all = append(all, c)
			}
			var first time.Time
			for _, c := range all {
				if h.claims[c.at] != c {
					t.Fatalf("%+v is not where it thinks it is", c)
				}
				if first.IsZero() || c.expires.Before(first) {
					first = c.expires
				}
			}
			if got := h.first(); (got == nil) != (len(all) == 0) || got != nil && !got.expires.Equal(first) {
				t.Fatalf("the first is %+v, want one of %s", got, first)
			}
			at := noon.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "now")) * time.Second)
			due := slices.DeleteFunc(slices.Clone(all), func(c *claim) bool { return c.expires.After(at) })
			if found := h.due(nil, at, 1000); len(found) != len(due) {
				t.Fatalf("%d are due, want %d", len(found), len(due))
			}
		}
	})
}
