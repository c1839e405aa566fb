// Command bench measures Orderlane and prints one table: each measure with its goal, its
// figure, and the figure of its baseline in the same run. It needs nothing but Go: the broker is
// the embedded one and the databases are SQLite files, unless flags name real ones.
//
// The baseline is the textbook way (package textbook), or what the measure's line says. After
// each run of orders everything is counted, and a wrong count fails the program.
//
// Run it with `make bench`, on a machine that does nothing else.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// measures are all that can be measured, in the order of the table.
var measures = []struct {
	name string
	run  func(context.Context, *bench) error
}{
	{"orders", measureOrders},
	{"drain", measureDrain},
	{"accept", measureAccept},
	{"latency", measureLatency},
	{"log", measureLog},
	{"waiting", measureWaiting},
	{"rebuild", measureRebuild},
	{"footprint", measureFootprint},
	{"complete", measureComplete},
	{"slow", measureSlow},
	{"flash", measureFlash},
	{"mix", measureMix},
	{"scale", measureScale},
	{"lists", measureLists},
	{"reads", measureReads},
	{"swap", measureSwap},
	{"beside", measureBeside},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out, progress io.Writer) (err error) {
	if len(args) > 0 && roles[args[0]] != nil {
		return roles[args[0]](ctx, args[1:])
	}
	b := &bench{progress: progress}
	chosen, err := b.parse(args)
	if err != nil {
		return err
	}
	if b.self, err = os.Executable(); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp("", "orderlane-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.clean()) }()
	if err := b.claimKafka(ctx); err != nil {
		return err
	}
	if err := b.build(ctx); err != nil {
		return err
	}
	var failed []error
	for _, m := range measures {
		if !slices.Contains(chosen, m.name) || ctx.Err() != nil {
			continue
		}
		b.doing = m.name
		err := m.run(ctx, b)
		if err = errors.Join(err, b.stopAll()); err != nil {
			b.say("%s failed: %v", m.name, err)
			failed = append(failed, fmt.Errorf("measure %s: %w", m.name, err))
			b.report.add(row{measure: m.name, goal: "-", measured: "failed"})
		}
	}
	fmt.Fprintln(out)
	if err := b.report.print(out); err != nil {
		return err
	}
	return errors.Join(failed...)
}

// parse reads the flags and returns the names of the measures.
func (b *bench) parse(args []string) ([]string, error) {
	var names []string
	for _, m := range measures {
		names = append(names, m.name)
	}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	only := f.String("only", "", "measure only these, comma-separated: "+strings.Join(names, ", "))
	kafka := f.String("kafka", address("ORDERLANE_TEST_KAFKA"), "host:port of an empty Kafka, to be used instead of the embedded broker; it is left empty")
	f.StringVar(&b.postgres, "postgres", address("ORDERLANE_TEST_POSTGRES"), "URL of a PostgreSQL server, to be used instead of SQLite; its user may create databases")
	seconds := f.Float64("seconds", 10, "how long each load lasts")
	f.IntVar(&b.orders, "orders", 50_000, "orders of the data set that is queried")
	f.IntVar(&b.scale, "scale", 500_000, "events that a view has when it is measured whether it has become slower")
	f.BoolVar(&b.quick, "quick", false, "loads of 2 seconds and fewer orders: to try it out, not to compare")
	f.StringVar(&b.binary, "binary", "", "measure this build of orderlane instead of a new one")
	f.BoolVar(&b.keep, "keep", false, "keep the data and the logs of the processes, and say where they are")
	f.BoolVar(&b.alone, "alone", false, "leave the textbook way out: to profile, not to compare")
	settings := f.String("settings", "", "more flags for orderlane serve, separated by spaces")
	f.StringVar(&b.profiles, "profiles", "", "directory for CPU profiles of the measured process under each load")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("%q is no flag; measures are named with -only", f.Arg(0))
	}
	b.kafka = split(*kafka)
	b.settings = strings.Fields(*settings)
	b.lasting = time.Duration(*seconds * float64(time.Second))
	if b.quick {
		b.lasting = 2 * time.Second
		b.orders, b.scale = min(b.orders, 5_000), min(b.scale, 100_000)
	}
	if b.lasting < time.Second {
		return nil, errors.New("a load lasts a second at least")
	}
	if b.profiles != "" {
		if err := os.MkdirAll(b.profiles, 0o750); err != nil {
			return nil, err
		}
	}
	if *only == "" {
		return names, nil
	}
	chosen := split(*only)
	for _, name := range chosen {
		if !slices.Contains(names, name) {
			return nil, fmt.Errorf("there is no measure %q; there are %s", name, strings.Join(names, ", "))
		}
	}
	return chosen, nil
}

// address reads an address that the test harness has put into the environment, unless it
// says there that it has found none.
func address(name string) string {
	if v := os.Getenv(name); !strings.HasPrefix(v, "missing:") {
		return v
	}
	return ""
}
