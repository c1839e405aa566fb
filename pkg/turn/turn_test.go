package turn

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

func TestTurnsOfAKeyAreInOrderHoweverTheirGoroutinesRun(t *testing.T) {
	line := NewLine()
	const keys, each = 20, 200
	var mu sync.Mutex
	got := map[string][]int{}
	var running sync.WaitGroup
	for i := range each {
		for k := range keys {
			key := strconv.Itoa(k)
			turn := line.Join(key)
			running.Go(func() {
				if rand.IntN(4) == 0 {
					turn.Release() // a message that is never submitted
					return
				}
				turn.Take(func() {
					mu.Lock()
					defer mu.Unlock()
					got[key] = append(got[key], i)
				})
				turn.Release() // the subscriber does it in any case
			})
		}
	}
	running.Wait()
	for key, order := range got {
		if !slices.IsSorted(order) {
			t.Fatalf("key %s ran in the order %v", key, order)
		}
	}
	if len(line.last) != 0 {
		t.Fatalf("the line still holds %d keys", len(line.last))
	}
}

func TestATurnWaitsForTheOnesBeforeOfItsKeyOnly(t *testing.T) {
	line := NewLine()
	first, second, other := line.Join("a"), line.Join("a"), line.Join("b")
	var ran []string
	second.Take(func() { ran = append(ran, "second") })
	second.Release()
	other.Take(func() { ran = append(ran, "other") })
	if !slices.Equal(ran, []string{"other"}) {
		t.Fatalf("before the first turn ran %v", ran)
	}
	first.Release()
	if !slices.Equal(ran, []string{"other", "second"}) {
		t.Fatalf("after the first turn ran %v", ran)
	}
}

func TestARetriedMessageTakesItsTurnAgainAtOnce(t *testing.T) {
	line := NewLine()
	turn := line.Join("a")
	n := 0
	turn.Take(func() { n++ })
	turn.Take(func() { n++ })
	if n != 2 {
		t.Fatalf("ran %d times, want 2", n)
	}
}

func TestAnyOrderOfTakingRunsInTheOrderOfJoining(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		line := NewLine()
		n := rapid.IntRange(1, 8).Draw(t, "turns")
		turns := make([]*Turn, n)
		for i := range turns {
			turns[i] = line.Join("a")
		}
		order := rapid.Permutation(turns).Draw(t, "order")
		var ran []int
		for _, turn := range order {
			turn.Take(func() { ran = append(ran, slices.Index(turns, turn)) })
		}
		if len(ran) != n || !slices.IsSorted(ran) {
			t.Fatalf("ran in the order %v", ran)
		}
	})
}
