package main

import "testing"

func TestMemoryIsGivenBackOnceWhenALoadIsOver(t *testing.T) {
	var r rest
	allocated := uint64(0)
	given := func(bytes ...uint64) (looks []int) {
		for i, n := range bytes {
			if allocated += n; r.look(allocated) {
				looks = append(looks, i)
			}
		}
		return looks
	}
	const idle, load = 1 << 20, 100 << 20
	if looks := given(idle, idle, idle); len(looks) > 0 {
		t.Errorf("a process that has done nothing yet gave memory back at looks %v", looks)
	}
	if looks := given(load, load, load); len(looks) > 0 {
		t.Errorf("under load memory was given back at looks %v", looks)
	}
	if looks := given(idle, idle, idle); len(looks) != 1 || looks[0] != 0 {
		t.Errorf("after a load memory was given back at looks %v, not at the first alone", looks)
	}
}
