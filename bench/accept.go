package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/go-chi/chi/v5"
	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/bench/child"
	"github.com/orderlane/orderlane/bench/load"
	"github.com/orderlane/orderlane/bench/textbook"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/kafka"
)

// measureAccept is how many orders per second commandapi accepts, against a bare handler that
// decodes the order and publishes the same message to the same broker, which runs in a process
// of its own. Nothing consumes.
func measureAccept(ctx context.Context, b *bench) (err error) {
	dir := filepath.Join(b.dir, "accept")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	brokers := b.kafka
	if len(brokers) == 0 {
		addr, err := child.FreeAddr()
		if err != nil {
			return err
		}
		broker, err := child.Start(ctx, dir, "broker", b.self, roleBroker, "-dir", dir, "-listen", addr)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, broker.Stop()) }()
		if err := broker.Until(ctx, startWithin, 10*time.Millisecond, func() error { return listens(addr) }); err != nil {
			return err
		}
		brokers = []string{addr}
	} else if err := b.wipeTopics(ctx); err != nil {
		return err
	}
	list := strings.Join(brokers, ",")
	our, err := b.accepts(ctx, dir, "commandapi", func(api, operator string) []string {
		return []string{b.binary, "serve", "commandapi", "--listen", api, "--operator-listen", operator, "--kafka-brokers", list, "--data", dir}
	})
	if err != nil {
		return err
	}
	bare, err := b.accepts(ctx, dir, "bare", func(api, _ string) []string {
		return []string{b.self, roleBare, "-listen", api, "-kafka", list}
	})
	if err != nil {
		return err
	}
	b.report.add(row{
		measure: "accepting (202)", goal: ">= 0.7x bare handler", measured: perSecond(our), baseline: perSecond(bare),
		ratio: fmt.Sprintf("%.2fx", our/bare), met: our >= 0.7*bare,
	})
	return nil
}

func listens(addr string) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	return c.Close()
}

// accepts starts a server and returns how many orders per second it accepts.
func (b *bench) accepts(ctx context.Context, dir, name string, command func(api, operator string) []string) (perSec float64, err error) {
	b.say("accept: %s for %v", name, b.lasting)
	api, err := child.FreeAddr()
	if err != nil {
		return 0, err
	}
	operator, err := child.FreeAddr()
	if err != nil {
		return 0, err
	}
	args := command(api, operator)
	p, err := child.Start(ctx, dir, name, args[0], args[1:]...)
	if err != nil {
		return 0, err
	}
	b.running = append(b.running, p)
	if err := p.Until(ctx, startWithin, 10*time.Millisecond, func() error { return listens(api) }); err != nil {
		return 0, err
	}
	if _, err := load.Count(ctx, load.Target{Addr: api}, connections, 1000, &load.Backlog{}); err != nil {
		return 0, err
	}
	result, err := load.Closed(ctx, load.Target{Addr: api}, connections, b.lasting, &load.Backlog{})
	if err != nil {
		return 0, errors.Join(err, p.Alive())
	}
	perSec = rate(result.Accepted(), result.Took)
	b.say("  %s", perSecond(perSec))
	return perSec, p.Stop()
}

// playBare is the bare handler: chi, one decoding, one message made by hand, Watermill's
// publisher, one answer.
func playBare(ctx context.Context, args []string) error {
	f := flag.NewFlagSet(roleBare, flag.ExitOnError)
	listen := f.String("listen", "", "address of the API")
	brokers := f.String("kafka", "", "brokers")
	if err := f.Parse(args); err != nil {
		return err
	}
	publisher, err := kafka.NewPublisher(kafka.Config{Brokers: split(*brokers)})
	if err != nil {
		return err
	}
	defer publisher.Close()
	router := chi.NewRouter()
	router.Post("/v1/orders", func(w http.ResponseWriter, r *http.Request) { acceptBare(w, r, publisher) })
	server := &http.Server{Addr: *listen, Handler: router, ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func acceptBare(w http.ResponseWriter, r *http.Request, publisher message.Publisher) {
	order, ok := textbook.Decode(w, r)
	if !ok {
		return
	}
	id := uuid.NewString()
	c := textbook.Command(order)
	data, err := json.Marshal(&c)
	if err == nil {
		m := message.NewMessage(id, data)
		m.Metadata = message.Metadata{
			kafka.MetadataKey: orderStreams + c.OrderID, bus.HeaderSpecVersion: "1.0", bus.HeaderType: ordering.TypePlaceOrder,
			bus.HeaderSource: "/orderlane/commandapi", bus.HeaderTime: time.Now().UTC().Format(time.RFC3339Nano),
			bus.HeaderSubject: orderStreams + c.OrderID, bus.HeaderContentType: "application/json",
			bus.HeaderCorrelation: id, bus.HeaderCaller: "local", bus.HeaderRole: bus.RoleStaff,
		}
		err = publisher.Publish(bus.CommandsTopic(ordering.Service), m)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	textbook.Answer(w, id, c.OrderID)
}
