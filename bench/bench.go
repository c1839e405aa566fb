package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/orderlane/orderlane/bench/child"
	"github.com/orderlane/orderlane/bench/mix"
)

// bench is one run of the program.
type bench struct {
	dir      string // of all that the run leaves until its end
	binary   string // orderlane
	self     string // this program
	kafka    []string
	claimed  bool // the Kafka that was named is ours
	postgres string
	lasting  time.Duration // of a load
	quick    bool
	keep     bool
	alone    bool     // without the textbook way
	orders   int      // of the data set that is queried
	scale    int      // events
	settings []string // more flags for orderlane
	profiles string   // directory for CPU profiles; empty: none
	progress io.Writer

	doing     string // which measure
	report    report
	maximum   float64 // orders per second of measureOrders with 8 partitions
	complete  float64 // orders per second of measureComplete
	systems   int
	learned   *mix.Lives // what data sets are made of
	standing  *standing  // the data set that is queried
	running   []*child.Process
	databases []string
}

// say tells what is going on.
func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.progress, "%s  %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, args...))
}

// build builds the program that is measured, unless one was named.
func (b *bench) build(ctx context.Context) (err error) {
	if b.binary != "" {
		b.binary, err = filepath.Abs(b.binary)
		return err
	}
	b.binary = filepath.Join(b.dir, "orderlane")
	c := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", b.binary, "github.com/orderlane/orderlane/services/orderlane")
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("build orderlane: %w\n%s", err, out)
	}
	return nil
}

// clean ends what an error or an interrupt has left running, and removes the data.
func (b *bench) clean() error {
	errs := []error{b.stopAll()}
	ctx, cancel := context.WithTimeout(context.Background(), startWithin)
	defer cancel()
	for _, name := range b.databases {
		errs = append(errs, b.execute(ctx, "DROP DATABASE IF EXISTS "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)"))
	}
	if b.claimed && !b.keep {
		errs = append(errs, b.leaveKafka(ctx))
	}
	if !b.keep {
		errs = append(errs, os.RemoveAll(b.dir))
	}
	return errors.Join(errs...)
}

// stopAll stops the processes that still run.
func (b *bench) stopAll() error {
	var errs []error
	for _, p := range b.running {
		if p.Alive() == nil {
			errs = append(errs, p.Stop())
		}
	}
	b.running = nil
	return errors.Join(errs...)
}

// newDatabase makes a database on the PostgreSQL server, and returns its URL.
func (b *bench) newDatabase(ctx context.Context, name string) (string, error) {
	config, err := pgx.ParseConfig(b.postgres)
	if err != nil {
		return "", err
	}
	if err := b.execute(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()+" TEMPLATE template0"); err != nil {
		return "", fmt.Errorf("create a database: %w", err)
	}
	b.databases = append(b.databases, name)
	return fmt.Sprintf("postgres://%s:%s@%s:%d/%s?sslmode=prefer", config.User, config.Password, config.Host, config.Port, name), nil
}

func (b *bench) execute(ctx context.Context, sql string) error {
	c, err := pgx.Connect(ctx, b.postgres)
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	_, err = c.Exec(ctx, sql)
	return err
}

// profile takes a CPU profile of our process from now on, and one of its memory and its metrics
// when done is called, if that is asked for.
func (b *bench) profile(ctx context.Context, s *system, lasting time.Duration) (done func()) {
	if b.profiles == "" || s.kind != ours {
		return func() {}
	}
	path := filepath.Join(b.profiles, filepath.Base(s.dir)+"-"+b.doing)
	ended := make(chan error, 1)
	go func() {
		ended <- download(ctx, fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", s.operator, max(1, int(lasting.Seconds()))), path+".cpu.pprof")
	}()
	return func() {
		err := errors.Join(<-ended,
			download(ctx, fmt.Sprintf("http://%s/debug/pprof/allocs", s.operator), path+".mem.pprof"),
			download(ctx, fmt.Sprintf("http://%s/metrics", s.operator), path+".metrics"))
		if err != nil {
			b.say("  no profile: %v", err)
		}
	}
}

func download(ctx context.Context, url, path string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, resp.Body)
	return errors.Join(err, f.Close())
}
