package main

import (
	"context"
	"errors"
	"flag"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/orderlane/orderlane/bench/normal"
	"github.com/orderlane/orderlane/bench/textbook"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/embedded"
	"github.com/orderlane/orderlane/pkg/kafka"
)

// The roles that this program plays in processes of its own, by its first argument.
const (
	roleTextbook = "as-textbook" // the baseline, all in one process
	roleBroker   = "as-broker"   // an embedded broker alone
	roleBare     = "as-bare"     // the bare handler that accepts orders
	roleNormal   = "as-normal"   // the queries of normalised tables
)

var roles = map[string]func(context.Context, []string) error{
	roleTextbook: playTextbook, roleBroker: playBroker, roleBare: playBare, roleNormal: playNormal,
}

func playTextbook(ctx context.Context, args []string) error {
	var o textbook.Options
	var brokers string
	f := flag.NewFlagSet(roleTextbook, flag.ExitOnError)
	f.StringVar(&o.Listen, "listen", "", "address of the API")
	f.StringVar(&o.Dir, "dir", "", "directory of data")
	f.StringVar(&o.Embedded, "embedded", "", "address of the embedded broker")
	f.StringVar(&brokers, "kafka", "", "brokers instead")
	f.StringVar(&o.Postgres, "postgres", "", "URL of a database")
	f.IntVar(&o.Partitions, "partitions", 8, "partitions of a topic")
	if err := f.Parse(args); err != nil {
		return err
	}
	o.Brokers = split(brokers)
	return textbook.Run(ctx, o)
}

func playBroker(ctx context.Context, args []string) error {
	f := flag.NewFlagSet(roleBroker, flag.ExitOnError)
	dir := f.String("dir", "", "directory of data")
	listen := f.String("listen", "", "address")
	partitions := f.Int("partitions", 8, "partitions of a topic")
	if err := f.Parse(args); err != nil {
		return err
	}
	broker, err := embedded.Start(ctx, embedded.Options{
		Dir: filepath.Join(*dir, "broker"), Addr: *listen, Topics: orderTopics(*partitions),
	})
	if err != nil {
		return err
	}
	<-ctx.Done()
	return broker.Close()
}

func playNormal(ctx context.Context, args []string) error {
	f := flag.NewFlagSet(roleNormal, flag.ExitOnError)
	listen := f.String("listen", "", "address of the API")
	url := f.String("postgres", "", "URL of a database")
	file := f.String("file", "", "of SQLite, instead")
	if err := f.Parse(args); err != nil {
		return err
	}
	store, err := normal.Open(ctx, *url, *file)
	if err != nil {
		return err
	}
	server := &http.Server{Addr: *listen, Handler: normal.NewHandler(store), ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return errors.Join(err, store.Close())
	}
	return store.Close()
}

// orderTopics are the topics of the ordering service, as the platform makes them.
func orderTopics(partitions int) []kafka.TopicSpec {
	return bus.ServiceTopics("ordering", true, partitions, 1)
}

func split(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}
