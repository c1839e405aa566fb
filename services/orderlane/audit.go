package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"text/tabwriter"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/orderlane/orderlane/pkg/daemon"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/service"
	"github.com/orderlane/orderlane/services/orderlane/audit"
)

type auditCommand struct {
	adminFlags
	API   string               `env:"ORDERLANE_API" default:"http://127.0.0.1:8080" placeholder:"URL" help:"Public address of the platform, to compare the views with the topics; empty: they are left out."`
	Token string               `env:"ORDERLANE_TOKEN" placeholder:"JWT" help:"Token of a member of staff, where authentication is on."`
	Views int                  `default:"1000" help:"Orders to compare with the views, the last ones."`
	Grace time.Duration        `default:"15s" help:"How long what belongs together may take to arrive: orders that have changed since are not judged whole."`
	Kafka daemon.KafkaSettings `embed:"" prefix:"kafka-"`
}

// Run audits, and fails if a promise does not hold.
func (c *auditCommand) Run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	admin, err := c.broker(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = admin.Close() }() // only read
	options := audit.Options{
		Source: admin, Views: c.Views, Grace: c.Grace, Now: time.Now(),
		Tell: func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) },
	}
	if c.API != "" {
		options.Get = c.get
	}
	report, err := audit.Run(ctx, options)
	if err != nil {
		return err
	}
	fmt.Printf("%d messages, %d orders, %d of them at rest; %d commands; %d orders compared with the views\n",
		report.Records, report.Orders, report.Judged, report.Commands, report.Compared)
	if report.Broken == 0 {
		fmt.Println("every promise holds")
		return nil
	}
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SINCE\tPROMISE\tWHERE\tWHAT IS WRONG")
	for _, f := range report.Findings {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", f.At.UTC().Format(time.RFC3339), f.Rule, cell(f.What), cell(f.Detail))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	first := report.Findings[0]
	return fmt.Errorf("%d promises do not hold; the first one is that of %s: %s", report.Broken, first.What, first.Rule)
}

// broker connects to the brokers that are named, or to those of a running process.
func (c *auditCommand) broker(ctx context.Context) (*kafka.Admin, error) {
	settings := daemon.Settings{Kafka: c.Kafka}
	if len(c.Kafka.Brokers) == 0 {
		b, err := one[service.Broker](ctx, c.adminFlags, http.MethodGet, "/admin/broker")
		if err != nil {
			return nil, err
		}
		settings.Kafka.Brokers = b.Brokers
	}
	config, err := settings.KafkaConfig()
	if err != nil {
		return nil, err
	}
	return kafka.NewAdmin(config)
}

// get reads a resource of the public API.
func (c *auditCommand) get(ctx context.Context, path string, answer any) (int, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.API+path, nil)
	if err != nil {
		return 0, err
	}
	if c.Token != "" {
		r.Header.Set("Authorization", "Bearer "+c.Token)
	}
	resp, err := (&http.Client{Timeout: operatorTimeout}).Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, 4<<20))
	if err != nil || resp.StatusCode != http.StatusOK {
		return resp.StatusCode, err
	}
	return resp.StatusCode, json.Unmarshal(data, answer)
}
