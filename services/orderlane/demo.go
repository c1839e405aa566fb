package main

import (
	"context"
	"os"
	"os/signal"
	"time"

	"github.com/mattn/go-isatty"

	"github.com/orderlane/orderlane/services/orderlane/demo"
)

type demoCommand struct {
	API   string        `env:"ORDERLANE_API" default:"http://127.0.0.1:8080" placeholder:"URL" help:"Public address of the platform."`
	Token string        `env:"ORDERLANE_TOKEN" placeholder:"JWT" help:"Token of a member of staff, where authentication is on."`
	Rate  float64       `default:"5" placeholder:"N" help:"Orders a second, up to 1000."`
	For   time.Duration `placeholder:"DURATION" help:"How long; until it is interrupted, if not given."`
	Seed  uint64        `default:"1" help:"Who orders what follows from it."`
}

// Run drives traffic until it is interrupted.
func (c *demoCommand) Run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	return demo.Run(ctx, demo.Options{
		API: c.API, Token: c.Token, Rate: c.Rate, For: c.For, Seed: c.Seed, Clock: time.Now,
		Out: os.Stdout, Fancy: isatty.IsTerminal(os.Stdout.Fd()),
	})
}
