package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/orderlane/orderlane/bench/child"
	"github.com/orderlane/orderlane/bench/load"
	"github.com/orderlane/orderlane/bench/textbook"
	"github.com/orderlane/orderlane/bench/view"
	"github.com/orderlane/orderlane/pkg/projection"
	"github.com/orderlane/orderlane/services/orderview"
)

// Bounds of starting a system, and of the wait for orders.
const (
	startWithin = 60 * time.Second
	stalled     = 30 * time.Second // without a new row in the view
	lookEvery   = time.Millisecond
)

// kind is one of the two systems that are compared.
type kind int

const (
	ours kind = iota
	theirs
)

func (k kind) String() string { return [...]string{"orderlane", "textbook"}[k] }

// system is a system under measurement: everything in one process, with data of its own.
type system struct {
	kind       kind
	bench      *bench
	dir        string
	partitions int
	services   []string // to run, of ours; none: all
	postgres   string   // URL of a database of its own, or empty
	joins      []string // brokers of another system, instead of its own

	proc     *child.Process
	api      string // host:port
	operator string // host:port
	brokers  []string
	view     view.View
	seen     int64 // rows of the view that were seen
}

// newSystem prepares the place of a system, and topics that are empty. Nothing runs yet.
func (b *bench) newSystem(ctx context.Context, k kind, partitions int) (*system, error) {
	s, err := b.newPlace(ctx, k, partitions)
	if err == nil && len(b.kafka) > 0 {
		err = b.wipeTopics(ctx)
	}
	return s, err
}

// newPlace prepares the place of a system, beside another one's topics.
func (b *bench) newPlace(ctx context.Context, k kind, partitions int) (*system, error) {
	b.systems++
	s := &system{kind: k, bench: b, partitions: partitions, services: spine, dir: filepath.Join(b.dir, fmt.Sprintf("%02d-%v", b.systems, k))}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, err
	}
	if b.postgres != "" {
		var err error
		if s.postgres, err = b.newDatabase(ctx, fmt.Sprintf("bench_%d_%02d", os.Getpid(), b.systems)); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// start starts the process and waits until it serves.
func (s *system) start(ctx context.Context, args ...string) error {
	if err := s.launch(ctx, args...); err != nil {
		return err
	}
	err := s.proc.Until(ctx, startWithin, 10*time.Millisecond, func() error {
		if s.kind == ours {
			return ready("http://" + s.operator + "/readyz")
		}
		c, err := net.Dial("tcp", s.api)
		if err == nil {
			err = c.Close()
		}
		return err
	})
	if err != nil {
		return err
	}
	return s.openView(ctx)
}

// startUnready starts the process and waits until its view can be watched, which is before it serves: a view that is
// built for the first time answers nothing until it has caught up.
func (s *system) startUnready(ctx context.Context) error {
	if s.kind == theirs {
		return s.start(ctx)
	}
	if err := s.launch(ctx); err != nil {
		return err
	}
	return s.proc.Until(ctx, startWithin, time.Millisecond, func() error { return s.openView(ctx) })
}

// spine are the services that take orders and show them, which is what the textbook way does too.
var spine = []string{"commandapi", "catalog", "ordering", "orderview", "storefront"}

// launch starts the process.
func (s *system) launch(ctx context.Context, args ...string) (err error) {
	var addrs [3]string
	for i := range addrs {
		if addrs[i], err = child.FreeAddr(); err != nil {
			return err
		}
	}
	s.api, s.operator, s.brokers = addrs[0], addrs[1], []string{addrs[2]}
	binary := s.bench.binary
	all := append([]string{"serve"}, s.services...)
	all = append(all,
		"--listen", s.api, "--operator-listen", s.operator, "--data", s.dir,
		"--kafka-partitions", strconv.Itoa(s.partitions), "--embedded-listen", addrs[2],
	)
	if len(s.services) == 0 || slices.Contains(s.services, "catalog") {
		all = append(all, "--sample")
	}
	all = append(all, s.bench.settings...)
	brokers, postgres := "--kafka-brokers", "--postgres"
	if s.kind == theirs {
		binary = s.bench.self
		all = []string{roleTextbook, "-listen", s.api, "-dir", s.dir, "-partitions", strconv.Itoa(s.partitions), "-embedded", addrs[2]}
		brokers, postgres = "-kafka", "-postgres"
	}
	if len(s.joins) > 0 || len(s.bench.kafka) > 0 {
		s.brokers = s.joins
		if len(s.brokers) == 0 {
			s.brokers = s.bench.kafka
		}
		all = append(all, brokers, strings.Join(s.brokers, ","))
	}
	if s.postgres != "" {
		all = append(all, postgres, s.postgres)
	}
	s.proc, err = child.Start(ctx, s.dir, cmp.Or(strings.Join(s.services, "-"), s.kind.String()), binary, append(all, args...)...)
	if err == nil {
		s.bench.running = append(s.bench.running, s.proc)
	}
	return err
}

func ready(url string) error {
	resp, err := http.Get(url) //nolint:noctx // it is this machine, and Until bounds the wait
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	return nil
}

// openView opens the view, and passes over the rows that are there.
func (s *system) openView(ctx context.Context) (err error) {
	table, file := ourTable(), filepath.Join(s.dir, "orderview.view.db")
	if s.kind == theirs {
		table, file = view.Table{Schema: "public", Name: "orders", Key: "id", Writers: true}, textbook.ViewFile(s.dir)
	}
	if s.view, err = view.Open(ctx, s.postgres, file, table); err != nil {
		return err
	}
	s.seen = 0
	return s.view.Next(ctx, func(string) { s.seen++ })
}

// ourTable is where the first build of our view has its orders.
func ourTable() view.Table {
	v := orderview.NewView()
	return view.Table{Schema: v.Name(), Name: projection.TableName(v.Name(), v.Version(), "orders") + "_b1", Key: "key"}
}

// watch waits until the given number of new orders is visible.
func (s *system) watch(ctx context.Context, until func(visible int64) bool, tell func(int64)) ([]view.Seen, error) {
	seen, err := view.Watch(ctx, s.view, lookEvery, stalled, until, tell)
	s.seen += int64(len(seen))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("watch the view of %v: %w", s.kind, err), s.proc.Alive())
	}
	return seen, nil
}

// warm waits for the catalogue and places orders, so that everything has been done once.
func (s *system) warm(ctx context.Context) error {
	const orders = 500
	if s.kind == ours {
		for i, sku := range skus {
			// The token has the order wait until ordering knows the product.
			known := func() error { return s.firstOrder(ctx, i, "product-"+sku+"@1") }
			err := s.proc.Until(ctx, startWithin, 20*time.Millisecond, func() error { return s.get(ctx, "/v1/products/"+sku, "") })
			if err := errors.Join(err, known()); err != nil {
				return err
			}
		}
		if err := s.view.Next(ctx, func(string) { s.seen++ }); err != nil {
			return err
		}
	}
	_, _, err := s.drive(ctx, func(ctx context.Context, backlog *load.Backlog) (*load.Result, error) {
		return load.Count(ctx, load.Target{Addr: s.api}, 16, orders, backlog)
	})
	return err
}

// drive runs a load and waits until all that it placed is visible.
func (s *system) drive(ctx context.Context, run func(context.Context, *load.Backlog) (*load.Result, error)) (*load.Result, []view.Seen, error) {
	backlog := &load.Backlog{Limit: maxBacklog}
	var result *load.Result
	loaded := make(chan error, 1)
	loading, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		var err error
		result, err = run(loading, backlog)
		loaded <- err
	}()
	var ended bool
	var failed error
	seen, err := s.watch(ctx, func(visible int64) bool {
		if !ended {
			select {
			case failed = <-loaded:
				ended = true
			default:
			}
		}
		return ended && (failed != nil || visible >= result.Accepted())
	}, backlog.Visible)
	if !ended {
		cancel()
		failed = <-loaded
	}
	return result, seen, errors.Join(failed, err)
}

// stop stops the process and closes the view.
func (s *system) stop() error {
	var err error
	if s.view != nil {
		err = s.view.Close()
		s.view = nil
	}
	return errors.Join(s.proc.Stop(), err)
}

// end removes what the system leaves.
func (s *system) end() error {
	if s.bench.keep {
		return nil
	}
	return os.RemoveAll(s.dir)
}
