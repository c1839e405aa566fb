package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/orderlane/orderlane/pkg/fault"
	"github.com/orderlane/orderlane/pkg/service"
)

type projectionsCommand struct {
	List     projectionsList     `cmd:"" help:"List the views: their builds, how far one under way has come, and the keys that they could not go on with."`
	Rebuild  projectionsRebuild  `cmd:"" help:"Fold a view anew from its topics beside the one in use, which it replaces when it has caught up."`
	Rollback projectionsRollback `cmd:"" help:"Go back to the build of a view that was in use before, once it has caught up."`
	Cancel   projectionsCancel   `cmd:"" help:"Give up the build of a view that is under way."`
	Drop     projectionsDrop     `cmd:"" help:"Drop the tables that an older release kept of a view. Processes of that release fail from then on."`
	Verify   projectionsVerify   `cmd:"" help:"Compare views with a fresh fold of their topics, and name the rows that differ."`
	Repair   projectionsRepair   `cmd:"" help:"Fold a key anew from its topics."`
}

type projectionsList struct{ adminFlags }

// Run lists.
func (c *projectionsList) Run() error {
	views, err := c.views()
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "VIEW\tVERSION\tBUILD\tSTATE\tSINCE\tPROGRESS")
	broken := 0
	for _, v := range views {
		broken += len(v.Broken)
		for _, b := range v.Builds {
			number, since := fmt.Sprint(b.Build), b.Since.Format(time.RFC3339)
			if b.Build == 0 {
				number, since = "", "" // of a release that had no builds
			}
			fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\t%s\n", v.View, b.Version, number, b.State, since, cell(b.Progress))
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, v := range views {
		if len(v.Differences) > 0 {
			fmt.Printf("\n%s differs from a fresh fold of its topics:\n", v.View)
			tellDifferences(v.View, v.Differences)
		}
	}
	if broken == 0 {
		return nil
	}
	fmt.Println()
	t = tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "VIEW\tBUILD\tBROKEN KEY\tSINCE\tMESSAGE\tREASON")
	for _, v := range views {
		for _, b := range v.Broken {
			fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s/%d/%d\t%s\n", v.View, b.Build, cell(b.Key), b.Time.Format(time.RFC3339), b.Topic, b.Partition, b.Offset, cell(b.Reason))
		}
	}
	return t.Flush()
}

// views asks all processes and keeps one answer for each view: its instances say the same.
func (c *projectionsList) views() (views []service.ViewReport, err error) {
	listed := make(map[string]bool)
	for _, base := range c.Admin {
		found, err := ask[[]service.ViewReport](context.Background(), base, http.MethodGet, "/admin/projections")
		if err != nil {
			return nil, err
		}
		for _, v := range found {
			if !listed[v.View] {
				listed[v.View] = true
				views = append(views, v)
				continue
			}
			for i := range views {
				if views[i].View == v.View && len(views[i].Differences) == 0 { // one of the instances has verified it
					views[i].Differences = v.Differences
				}
			}
		}
	}
	return views, nil
}

// viewFlags name a view.
type viewFlags struct {
	adminFlags
	View string `arg:"" help:"The view, such as orderview."`
}

// on does something to a view by any of its instances.
func (c *viewFlags) on(action, rest string) (service.Build, error) {
	return one[service.Build](context.Background(), c.adminFlags, http.MethodPost, "/admin/projections/"+action+"/"+url.PathEscape(c.View)+rest)
}

type projectionsRebuild struct{ viewFlags }

// Run begins a build.
func (c *projectionsRebuild) Run() error {
	b, err := c.on("rebuild", "")
	if err == nil {
		fmt.Printf("build %d of %s is begun; it replaces the one in use when it has caught up: orderlane projections list\n", b.Build, b.View)
	}
	return err
}

type projectionsRollback struct{ viewFlags }

// Run goes back.
func (c *projectionsRollback) Run() error {
	b, err := c.on("rollback", "")
	if err == nil {
		fmt.Printf("build %d of %s goes on from where it was left; it replaces the one in use when it has caught up: orderlane projections list\n", b.Build, b.View)
	}
	return err
}

type projectionsCancel struct{ viewFlags }

// Run gives up.
func (c *projectionsCancel) Run() error {
	b, err := c.on("cancel", "")
	if err == nil {
		fmt.Printf("build %d of %s is given up\n", b.Build, b.View)
	}
	return err
}

type projectionsDrop struct {
	viewFlags
	Version int `arg:"" help:"The version, as projections list shows it."`
}

// Run drops.
func (c *projectionsDrop) Run() error {
	b, err := c.on("drop", fmt.Sprint("/", c.Version))
	if err == nil {
		fmt.Printf("version %d of %s is being dropped\n", b.Version, b.View)
	}
	return err
}

type projectionsRepair struct {
	adminFlags
	View string `help:"Only in this view."`
	Key  string `arg:"" help:"The key, such as order-<id> or product-<sku>."`
}

// Run repairs in every process that has the key.
func (c *projectionsRepair) Run() error {
	path := "/admin/projections/repair/" + url.PathEscape(c.Key) + "?view=" + url.QueryEscape(c.View)
	var missed error
	repaired := false
	for _, base := range c.Admin {
		done, err := ask[service.Repaired](context.Background(), base, http.MethodPost, path)
		if f, ok := fault.Of(err); ok && f.Kind == fault.KindNotFound {
			missed = err
			continue
		}
		if err != nil {
			return err
		}
		repaired = true
		fmt.Printf("%s: %s is folded anew in %s\n", base, done.Key, strings.Join(done.Views, ", "))
	}
	if repaired {
		return nil
	}
	return missed
}

type projectionsVerify struct {
	adminFlags
	View   string  `arg:"" optional:"" help:"The view, such as orderview; all, if none is named."`
	Sample float64 `default:"0.01" help:"The share of the keys that is compared."`
	All    bool    `help:"Compare every row, also those that add up over keys. Takes as long as a rebuild, and as much room."`
	Rate   int     `default:"0" placeholder:"N" help:"Records read per second at the most; 0 is no limit."`
}

// verifyPoll is how often it is asked what a verification has come to.
const verifyPoll = 300 * time.Millisecond

// Run verifies, and fails if there are differences.
func (c *projectionsVerify) Run() error {
	ctx := context.Background()
	list := projectionsList{c.adminFlags}
	views, err := list.views()
	if err != nil {
		return err
	}
	found, different := false, int64(0)
	for _, v := range views {
		if c.View != "" && c.View != v.View {
			continue
		}
		found = true
		result, err := c.verify(ctx, v.View)
		if err != nil {
			return err
		}
		different += result.Count
	}
	switch {
	case !found:
		return fmt.Errorf("there is no view %q here", c.View)
	case different > 0:
		return fmt.Errorf("%d rows differ", different)
	}
	return nil
}

// verify has one process verify a view, and waits for that.
func (c *projectionsVerify) verify(ctx context.Context, view string) (*service.Verification, error) {
	path := "/admin/projections/verify/" + url.PathEscape(view)
	for _, base := range c.Admin {
		v, err := ask[*service.Verification](ctx, base, http.MethodPost, fmt.Sprintf("%s?all=%v&sample=%v&rate=%d", path, c.All, c.Sample, c.Rate))
		if f, ok := fault.Of(err); ok && f.Kind == fault.KindNotFound {
			continue
		}
		number := 0
		if err == nil {
			number = v.Number
		}
		poll := time.NewTicker(verifyPoll)
		defer poll.Stop()
		for err == nil && v.Running {
			<-poll.C
			if v, err = ask[*service.Verification](ctx, base, http.MethodGet, path); err == nil && v.Number != number {
				err = fmt.Errorf("the verification of %s was replaced by another one", view)
			}
		}
		if err != nil {
			return nil, err
		}
		return v, tellVerification(v)
	}
	return nil, fmt.Errorf("no process has the view %s", view)
}

// tellVerification prints what a verification came to.
func tellVerification(v *service.Verification) error {
	if v.Error != "" {
		return fmt.Errorf("%s could not be verified: %s", v.View, v.Error)
	}
	of := "all keys"
	if !v.All {
		of = fmt.Sprintf("%d keys", v.Keys)
	}
	fmt.Printf("%s, build %d: %d rows of %s compared, %d differ\n", v.View, v.Build, v.Rows, of, v.Count)
	for _, s := range v.Skipped {
		fmt.Printf("  not compared: %s\n", cell(s))
	}
	if v.Undecided > 0 {
		fmt.Printf("  %d rows changed each time they were looked at\n", v.Undecided)
	}
	tellDifferences(v.View, v.Differences)
	return nil
}

// tellDifferences prints differences, and what mends them.
func tellDifferences(view string, differences []service.Difference) {
	for _, d := range differences {
		column := d.Column
		if column != "" {
			column += ": "
		}
		mend := "orderlane projections repair " + d.Key + " --view " + view
		if d.Key == "" {
			mend = "orderlane projections rebuild " + view
		}
		fmt.Printf("  %s of %s: %s%s, a fresh fold comes to %s\n    mend it by: %s\n", d.Table, cell(d.Row), column, cell(d.Live), cell(d.Fresh), cell(mend))
	}
}
