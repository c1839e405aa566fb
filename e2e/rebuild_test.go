//go:build unix

package e2e

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/orderlane/orderlane/e2e/fleet"
)

// swapPoints are the places between the states of a build where the process that takes it through them is killed.
var swapPoints = []string{
	"projection.before_swapping", "projection.after_swapping", "projection.frozen", "projection.before_swap", "projection.after_swap",
}

// buildLine is a build of orderview in what `projections list` prints.
var buildLine = regexp.MustCompile(`(?m)^orderview +\d+ +(\d+) +(\w+) `)

// awaitActive waits until a build of orderview is the active one and none is under way.
func awaitActive(t *testing.T, f *fleet.Fleet, number int) {
	t.Helper()
	fleet.Wait(t, fmt.Sprintf("build %d of orderview is active", number), func() string {
		list := f.Operate("projections", "list")
		active := false
		for _, m := range buildLine.FindAllStringSubmatch(list, -1) {
			switch m[2] {
			case "building", "swapping":
				return list
			case "active":
				active = m[1] == fmt.Sprint(number)
			}
		}
		if !active {
			return list
		}
		return ""
	})
}

func TestAViewIsRebuiltUnderLoadWhereverItsProcessIsKilled(t *testing.T) {
	onBoth(t, fleet.Options{Static: true}, func(t *testing.T, f *fleet.Fleet) {
		client := f.Client("")
		load := client.StartLoad(t, 2)
		load.Await(t, 50)
		p := f.Process(fleet.OrderView)
		build := 1
		for _, point := range swapPoints {
			t.Run(point, func(t *testing.T) {
				p.Stop()
				p.Start("ORDERLANE_FAILPOINT=" + point)
				f.Operate("projections", "rebuild", "orderview")
				if code := p.Exited(fleet.Patience); code != -1 {
					t.Errorf("it exits with %d, and was to be killed", code)
				}
				p.Start()
				build++
				awaitActive(t, f, build)
				load.Await(t, 20)
			})
		}
		f.Operate("projections", "rollback", "orderview")
		awaitActive(t, f, build-1)
		load.Await(t, 20)
		if a := client.Get(t, "/v1/orders?limit=1"); a.Status != http.StatusOK {
			t.Fatal(a)
		}
		client.Check(t, load.Stop(t))
		for _, how := range []string{"--all", "--sample=1"} {
			if report := f.Operate("projections", "verify", "orderview", how); !strings.Contains(report, " 0 differ") {
				t.Fatal(report)
			}
		}
	})
}
