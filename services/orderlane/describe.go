package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/orderlane/orderlane/pkg/daemon"
	"github.com/orderlane/orderlane/pkg/httpapi"
	"github.com/orderlane/orderlane/pkg/service"
)

// describe puts services together on a platform and an API that are never started, to look at
// what they consist of.
func describe(settings *daemon.Settings, log *slog.Logger, adds []func(*service.Platform)) (*service.Platform, error) {
	api, err := httpapi.New(httpapi.Options{
		Title: apiTitle, Version: contractsVersion, Description: apiDescription, Addr: "127.0.0.1:8080",
		Clock: func() time.Time { return time.Time{} }, Random: rand.Reader,
	})
	if err != nil {
		return nil, err
	}
	env := daemon.NewEnv(settings, log)
	platform := service.New(env, daemon.NewSupervisor(env.Log, env.Health, 0), api, nil)
	for _, add := range adds {
		add(platform)
	}
	return platform, nil
}

type listCommand struct{}

// Run lists the services.
func (listCommand) Run() error { return listServices(os.Stdout) }

// listServices writes a line for each route of each service, and one for a service that has
// none. What every process serves, such as the documentation, is left out.
func listServices(w io.Writer) error {
	common, err := routes()
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SERVICE\tMETHOD\tPATH")
	for _, s := range services {
		own, err := routes(s.add)
		if err != nil {
			return err
		}
		own = slices.DeleteFunc(own, func(r string) bool { return slices.Contains(common, r) })
		if len(own) == 0 {
			own = []string{"-\t-"}
		}
		for _, r := range own {
			fmt.Fprintf(t, "%s\t%s\n", s.name, r)
		}
	}
	return t.Flush()
}

// routes are the routes of an API with these services, each as its method, a tab and its path.
func routes(adds ...func(*service.Platform)) ([]string, error) {
	settings := &daemon.Settings{}
	settings.Kafka.Partitions = 1
	platform, err := describe(settings, slog.New(slog.DiscardHandler), adds)
	if err != nil {
		return nil, err
	}
	var all []string
	err = chi.Walk(platform.API.Router, func(method, path string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		all = append(all, method+"\t"+path)
		return nil
	})
	slices.Sort(all)
	return all, err
}

type healthCommand struct {
	Admin string `env:"ORDERLANE_ADMIN" default:"http://127.0.0.1:8081" placeholder:"URL" help:"Operator address of the process to ask."`
}

// Run asks once. It is what containers without a shell are probed with.
func (c *healthCommand) Run() error {
	report, err := ask[daemon.Report](context.Background(), c.Admin, http.MethodGet, "/readyz")
	if err == nil {
		fmt.Println(report.Status)
	}
	return err
}

type sampleCommand struct {
	API string `env:"ORDERLANE_API" default:"http://127.0.0.1:8080" placeholder:"URL" help:"Public address of the platform."`
}

// Run defines the sample products if there are none.
func (c *sampleCommand) Run() error {
	err := loadSample(context.Background(), c.API, "", io.Discard)
	if err == nil {
		fmt.Printf("there are products to order: %s/v1/products\n", c.API)
	}
	return err
}
