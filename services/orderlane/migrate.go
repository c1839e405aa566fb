package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/daemon"
)

type migrateCommand struct {
	daemon.Settings `embed:""`
	Within          time.Duration `default:"2m" help:"How long to wait for the broker and the database."`
	Services        []string      `arg:"" optional:"" name:"service" predictor:"service" help:"Services whose databases are seen to; all, if none is named. Topics are always those of all."`
}

// Run makes topics and schemas, and returns when they are as this release wants them.
func (c *migrateCommand) Run() error {
	chosen, err := choose(c.Services)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, c.Within)
	defer cancel()
	logs := c.Log
	if logs.Level == "info" {
		logs.Level = "warn" // what is waited for; what was done is printed
	}
	platform, err := describe(&c.Settings, daemon.NewLogger(os.Stderr, logs), chosen)
	if err != nil {
		return err
	}
	all := topics(c.Kafka.Partitions, c.Kafka.Replication)
	bus.RetainOutcomes(all, c.OutcomeRetention)
	return platform.Migrate(ctx, all, func(part, did string) { fmt.Printf("%s: %s\n", part, did) })
}
