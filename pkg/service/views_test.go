package service

import (
	"testing"

	"github.com/orderlane/orderlane/pkg/daemon"
	"github.com/orderlane/orderlane/pkg/projection"
)

func TestBrokenKeysAreThoseOfTheBuildThatQueriesSee(t *testing.T) {
	m := daemon.NewMetrics()
	o := &viewObserver{name: "shop", live: m.Projection("shop", nil), rebuild: m.Projection("shop rebuild", nil)}
	gauges := func() map[string]float64 {
		t.Helper()
		all, err := m.Registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		found := make(map[string]float64)
		for _, family := range all {
			if family.GetName() != "orderlane_projection_broken_keys" {
				continue
			}
			for _, each := range family.GetMetric() {
				found[each.GetLabel()[0].GetValue()] = each.GetGauge().GetValue()
			}
		}
		return found
	}
	want := func(what string, live, rebuild float64) {
		t.Helper()
		if got := gauges(); got["shop"] != live || got["shop rebuild"] != rebuild {
			t.Errorf("%s: %v", what, got)
		}
	}
	active := 1
	build := func(n int) func() bool { return func() bool { return active == n } }
	first, second := o.observe(build(1)), o.observe(build(2))
	first.BrokenKeys(3)
	second.BrokenKeys(1)
	want("while it is built", 3, 1)
	active = 2
	second.Stepped(projection.Stepped{})
	o.rebuild.Idle() // as there is no build under way any more
	want("after the swap", 1, 0)
	active = 1
	first.Stepped(projection.Stepped{})
	want("after the roll-back", 3, 0)
}
