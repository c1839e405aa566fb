// Command orderlane is the whole platform in one binary: `orderlane serve` runs every
// service in one process with everything embedded, `orderlane serve ordering` one service
// of a fleet. It is the only place that knows every service.
package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/alecthomas/kong"
	"github.com/posener/complete"
	"github.com/willabides/kongplete"

	"github.com/orderlane/orderlane/pkg/daemon"
)

type cli struct {
	Serve       serveCommand       `cmd:"" help:"Run all services in this process, or those that are named."`
	Config      configCommand      `cmd:"" help:"Print every setting of serve: its value, where that comes from, and what it is."`
	Deadletters deadlettersCommand `cmd:"" help:"Look at commands that could not be handled, and send them again or give them up."`
	Projections projectionsCommand `cmd:"" help:"Look at the views, build them anew, and mend keys that they could not go on with."`
	Audit       auditCommand       `cmd:"" help:"Check the promises on a live system, and name the first order that breaks one."`
	Demo        demoCommand        `cmd:"" help:"Drive believable traffic through a running platform, to see it live."`
	Epochs      epochsCommand      `cmd:"" help:"Look at the lives of the event logs, and begin a new one after a database was restored."`
	Migrate     migrateCommand     `cmd:"" help:"Make the topics of a fleet and bring its databases up to date, before processes of this release start."`
	Sample      sampleCommand      `cmd:"" help:"Define a few products on a running platform that has none."`
	Health      healthCommand      `cmd:"" help:"Ask a process whether it is ready; the exit code tells."`
	List        listCommand        `cmd:"" name:"services" help:"List the services, and the HTTP routes that each serves."`
	Version     versionCommand     `cmd:"" help:"Print the version."`
	Contracts   contractsCommand   `cmd:"" hidden:"" help:"Write the public contracts."`

	InstallCompletions kongplete.InstallCompletions `cmd:"" name:"completion" help:"Print the line that turns on completion in your shell."`
}

// ballast is memory that is reserved and never touched, so that it costs none. The collector
// runs when the heap has grown by as much as is in use; what is in use here is small and
// what passes through is much, so without ballast it would run some twenty times a second.
// With it a process takes up to its size more memory, and a fifth less CPU.
var ballast = make([]byte, 16<<20)

func main() {
	defer runtime.KeepAlive(ballast)
	var c cli
	parser := kong.Must(&c,
		kong.Name("orderlane"),
		kong.Description("An order platform for a shop: commands over HTTP, events on Kafka, views of their own."),
		kong.UsageOnError(),
	)
	names := make([]string, len(services))
	for i, s := range services {
		names[i] = s.name
	}
	kongplete.Complete(parser, kongplete.WithPredictor("service", complete.PredictSet(names...)))
	os.Exit(daemon.Execute(parser, os.Args[1:]))
}

type versionCommand struct{}

// Run prints the version.
func (versionCommand) Run() error {
	fmt.Println("orderlane", version())
	return nil
}

// release is the version that a build was given, with -ldflags "-X main.release=...".
var release string

// version is the one that the build was given, that of the module, or the commit it was built from.
func version() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return s.Value[:12]
		}
	}
	return "development"
}

type configCommand struct {
	daemon.Settings `embed:""`
}

// Run prints the settings.
func (c *configCommand) Run(ctx *kong.Context) error { return daemon.PrintSettings(os.Stdout, ctx) }
