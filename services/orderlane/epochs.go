package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"text/tabwriter"

	"github.com/orderlane/orderlane/pkg/service"
)

type epochsCommand struct {
	List  epochsList  `cmd:"" help:"List the event logs with their epochs, compared with what is on their topics."`
	Begin epochsBegin `cmd:"" help:"Begin a new epoch of a log whose database was restored to an earlier point, so that its events are published again."`
}

type epochsList struct{ adminFlags }

// Run lists.
func (c *epochsList) Run() error {
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SERVICE\tEPOCH\tENDS AT\tSTATE")
	listed := make(map[string]bool) // instances of a service list the same log
	for _, base := range c.Admin {
		epochs, err := ask[[]service.Epoch](context.Background(), base, http.MethodGet, "/admin/epochs")
		if err != nil {
			return err
		}
		for _, e := range epochs {
			if listed[e.Service] {
				continue
			}
			listed[e.Service] = true
			state := "as published"
			if e.Restored != "" {
				state = e.Restored
			}
			fmt.Fprintf(t, "%s\t%s\t%d\t%s\n", e.Service, e.Epoch, e.Position, cell(state))
		}
	}
	return t.Flush()
}

type epochsBegin struct {
	adminFlags
	Service string `arg:"" help:"The service whose log it is, such as ordering."`
}

// Run begins.
func (c *epochsBegin) Run() error {
	e, err := one[service.Epoch](context.Background(), c.adminFlags, http.MethodPost, "/admin/epochs/"+url.PathEscape(c.Service)+"/begin")
	if err != nil {
		return err
	}
	fmt.Printf("the log of %s, which ends at position %d, runs under epoch %s; it was %s\n", e.Service, e.Position, e.Epoch, e.Was)
	if e.Restored == "" {
		fmt.Println("nothing on its topics showed that it was restored")
	} else {
		fmt.Println(cell(e.Restored))
	}
	fmt.Println("its relay goes on within seconds, and views take back what is lost")
	return nil
}
