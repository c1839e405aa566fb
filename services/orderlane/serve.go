package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/daemon"
	"github.com/orderlane/orderlane/pkg/service"
	"github.com/orderlane/orderlane/services/catalog"
	"github.com/orderlane/orderlane/services/commandapi"
	"github.com/orderlane/orderlane/services/fulfilment"
	"github.com/orderlane/orderlane/services/insights"
	"github.com/orderlane/orderlane/services/inventory"
	"github.com/orderlane/orderlane/services/notifications"
	"github.com/orderlane/orderlane/services/ordering"
	"github.com/orderlane/orderlane/services/orderview"
	"github.com/orderlane/orderlane/services/payments"
	"github.com/orderlane/orderlane/services/shipping"
	"github.com/orderlane/orderlane/services/storefront"
)

// services are all services of the platform.
var services = []struct {
	name string
	add  func(*service.Platform)
}{
	{"catalog", catalog.Add},
	{"ordering", ordering.Add},
	{"inventory", inventory.Add},
	{"payments", payments.Add},
	{"shipping", shipping.Add},
	{"fulfilment", fulfilment.Add},
	{"notifications", notifications.Add},
	{orderview.Service, orderview.Add},
	{storefront.Service, storefront.Add},
	{insights.Service, insights.Add},
	{commandapi.Service, commandapi.Add},
}

// views are the read services.
var views = []string{orderview.Service, storefront.Service, insights.Service}

const apiTitle = "Orderlane"

const apiDescription = `Orders for a shop. Commands are accepted with 202 and decided a moment later: follow the ` +
	"`Location`, or send `Prefer: wait=5` to get the outcome in the answer."

type serveCommand struct {
	daemon.Settings `embed:""`
	Sample          bool     `env:"ORDERLANE_SAMPLE" help:"Define a few products when there are none, and say how to order one."`
	Services        []string `arg:"" optional:"" name:"service" predictor:"service" help:"Services to run; all, if none is named."`
}

// Run serves until a signal.
func (c *serveCommand) Run() error {
	chosen, err := choose(c.Services)
	if err != nil {
		return err
	}
	if _, port, err := net.SplitHostPort(c.Embedded.Listen); len(c.Kafka.Brokers) == 0 && len(chosen) < len(services) && (err != nil || port == "0") {
		return daemon.Usagef("services in processes of their own share a broker: name it with --kafka-brokers, have this process embed it " +
			"where others find it with --embedded-listen, or run all services in one process")
	}
	return daemon.Serve(context.Background(), &c.Settings, os.Stderr, func(env *daemon.Env, sup *daemon.Supervisor) error {
		api, err := service.NewAPI(env, apiTitle, version(), apiDescription)
		if err != nil {
			return err
		}
		serveContracts(api, len(chosen) == len(services))
		all := topics(c.Kafka.Partitions, c.Kafka.Replication)
		bus.RetainOutcomes(all, c.OutcomeRetention)
		platform := service.New(env, sup, api, all)
		for _, add := range chosen {
			add(platform)
		}
		server := daemon.NewServer("public", c.Listen, api, env.Log)
		server.OnStop(api.Drain)
		sup.Add(daemon.StageHTTP, server.Component())
		sup.Add(daemon.StageReady, daemon.Component{Name: "memory", Run: giveMemoryBack})
		if c.Sample {
			sup.Add(daemon.StageReady, daemon.Component{Name: "sample catalogue", Start: func(ctx context.Context) error {
				return loadSample(ctx, "http://"+server.Addr(), "http://"+c.OperatorListen, os.Stdout)
			}})
		}
		return nil
	})
}

// choose returns what adds the named services; all of them if none is named.
func choose(names []string) ([]func(*service.Platform), error) {
	var chosen []func(*service.Platform)
	known := make([]string, len(services))
	for i, s := range services {
		known[i] = s.name
	}
	wanted := make(map[string]bool)
	for _, n := range names {
		wanted[n] = true
	}
	for _, s := range services {
		if len(names) == 0 || wanted[s.name] {
			chosen = append(chosen, s.add)
			delete(wanted, s.name)
		}
	}
	for n := range wanted {
		return nil, daemon.Usagef("there is no service %q; there are %s", n, strings.Join(known, ", "))
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("no service is chosen")
	}
	return chosen, nil
}
