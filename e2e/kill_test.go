//go:build unix

package e2e

import (
	"fmt"
	"testing"

	"github.com/orderlane/orderlane/e2e/fleet"
)

// killPoints are the places where processes are killed under load, and of a real fleet, which one.
var killPoints = []struct{ point, process string }{
	{"commandapi.after_publish", fleet.CommandAPI},
	{"engine.before_commit", fleet.OrderingA},
	{"engine.after_commit", fleet.OrderingA},
	{"engine.after_answer", fleet.OrderingA},
	{"relay.before_publish", fleet.OrderingA},
	{"relay.after_publish", fleet.OrderingA},
	{"projection.before_commit", fleet.OrderView},
	{"projection.after_commit", fleet.OrderView},
}

func TestAProcessKilledUnderLoadLosesAndDoublesNothing(t *testing.T) {
	onBoth(t, fleet.Options{Static: true, Without: []string{fleet.OrderingB}}, func(t *testing.T, f *fleet.Fleet) {
		client := f.Client("")
		load := client.StartLoad(t, 3)
		for _, k := range killPoints {
			t.Run(k.point, func(t *testing.T) {
				p := f.Process(k.process)
				p.Stop()
				p.Launch(fmt.Sprintf("ORDERLANE_FAILPOINT=%s:%d", k.point, 20)) // it may die before it is seen ready
				if code := p.Exited(fleet.Patience); code != -1 {
					t.Errorf("it exits with %d, and was to be killed", code)
				}
				p.Start()
				load.Await(t, 50)
			})
		}
		client.Check(t, load.Stop(t))
	})
}
