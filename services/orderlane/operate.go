package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/orderlane/orderlane/pkg/fault"
	"github.com/orderlane/orderlane/pkg/service"
)

// operatorTimeout is how long an operator command waits for one process.
const operatorTimeout = 40 * time.Second

// adminFlags say which processes an operator command asks.
type adminFlags struct {
	Admin []string `env:"ORDERLANE_ADMIN" default:"http://127.0.0.1:8081" placeholder:"URL,..." help:"Operator addresses of the processes to ask."`
}

// ask calls an admin route of one process.
func ask[T any](ctx context.Context, base, method, path string) (answer T, err error) {
	if !strings.Contains(base, "://") {
		base = "http://" + base
	}
	r, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(base, "/")+path, nil)
	if err != nil {
		return answer, err
	}
	resp, err := (&http.Client{Timeout: operatorTimeout}).Do(r)
	if err != nil {
		return answer, fmt.Errorf("no process answers at %s; is orderlane running there? (%w)", base, errors.Unwrap(err))
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer, err
	}
	if resp.StatusCode != http.StatusOK {
		f := &fault.Fault{}
		if json.Unmarshal(data, f) != nil || f.Code == "" {
			return answer, fmt.Errorf("%s answers %s", base, resp.Status)
		}
		return answer, f
	}
	return answer, json.Unmarshal(data, &answer)
}

// one asks each process until one knows the thing.
func one[T any](ctx context.Context, flags adminFlags, method, path string) (answer T, err error) {
	for _, base := range flags.Admin {
		answer, err = ask[T](ctx, base, method, path)
		if f, ok := fault.Of(err); !ok || f.Kind != fault.KindNotFound {
			return answer, err
		}
	}
	return answer, err
}

type deadlettersCommand struct {
	List    deadlettersList    `cmd:"" help:"List parked commands."`
	Show    deadlettersShow    `cmd:"" help:"Show a parked command with its payload and why it was parked."`
	Retry   deadlettersRetry   `cmd:"" help:"Send a parked command through its topic again."`
	Discard deadlettersDiscard `cmd:"" help:"Give a parked command up: its outcome is failed, for good. Wakes can't be: streams wait for them."`
}

type deadlettersList struct {
	adminFlags
	Service string `help:"Only those of one service."`
}

// Run lists.
func (c *deadlettersList) Run() error {
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "COMMAND\tSERVICE\tTYPE\tKEY\tPARKED\tATTEMPTS\tREASON")
	listed := make(map[string]bool) // instances of a service list the same ones
	for _, base := range c.Admin {
		parked, err := ask[[]service.ParkedCommand](context.Background(), base, http.MethodGet, "/admin/deadletters?service="+url.QueryEscape(c.Service))
		if err != nil {
			return err
		}
		for _, p := range parked {
			if listed[p.ID] {
				continue
			}
			listed[p.ID] = true
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", p.ID, p.Service, cell(p.Type), cell(p.Key), p.Time.Format(time.RFC3339), p.Attempts, cell(p.Reason))
		}
	}
	if len(listed) == 0 {
		fmt.Println("no command is parked")
		return nil
	}
	return t.Flush()
}

// cell is the first line of a text that came with a message, without what a terminal or the
// table would obey.
func cell(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// parkedID names a parked command.
type parkedID struct {
	adminFlags
	ID string `arg:"" help:"The command's id."`
}

func (c *parkedID) path(action string) string {
	return "/admin/deadletters/" + url.PathEscape(c.ID) + action
}

type deadlettersShow struct{ parkedID }

// Run shows.
func (c *deadlettersShow) Run() error {
	p, err := one[service.ParkedCommand](context.Background(), c.adminFlags, http.MethodGet, c.path(""))
	if err != nil {
		return err
	}
	text, err := json.Marshal(p, jsontext.Multiline(true), json.Deterministic(true))
	if err != nil {
		return err
	}
	fmt.Println(string(text))
	return nil
}

type deadlettersRetry struct{ parkedID }

// Run sends again.
func (c *deadlettersRetry) Run() error {
	p, err := one[service.ParkedCommand](context.Background(), c.adminFlags, http.MethodPost, c.path("/retry"))
	if err == nil {
		fmt.Printf("command %s is on %s again; its status tells what becomes of it\n", p.ID, p.Topic)
	}
	return err
}

type deadlettersDiscard struct{ parkedID }

// Run gives up.
func (c *deadlettersDiscard) Run() error {
	p, err := one[service.ParkedCommand](context.Background(), c.adminFlags, http.MethodPost, c.path("/discard"))
	if err == nil {
		fmt.Printf("command %s is given up\n", p.ID)
	}
	return err
}
