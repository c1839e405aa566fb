package process

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/kafka"
)

// Rule chooses the events of one type, and says which stream of the process each is for.
type Rule struct {
	Type string // ce_type of the event, and of the command that it becomes
	// Stream returns the full name of the process's stream; "" means that the event is not for
	// the process. An error means that the event can't be read.
	Stream func(*kafka.Record) (string, error)
}

// Forward is the rule for events of type E: stream names the process's stream of each, or is "".
func Forward[E any, P interface {
	*E
	bus.Typed
}](stream func(event *E) string) Rule {
	name := P(new(E)).MessageType()
	return Rule{Type: name, Stream: func(r *kafka.Record) (string, error) {
		var event E
		if err := bus.Decode(r.Value, &event); err != nil {
			return "", fmt.Errorf("decode %s: %w", name, err)
		}
		return stream(&event), nil
	}}
}

// ForwarderObserver sees what a forwarder does, for metrics. It is called concurrently.
type ForwarderObserver interface {
	// Forwarded: events of a batch that went to the process, and those that could not be read.
	Forwarded(events, dead int)
	// Failed: a batch was not published, and will be tried again.
	Failed(err error)
}

// ForwarderOptions are the settings of a forwarder.
type ForwarderOptions struct {
	Process  string // the service that manages the process
	Rules    []Rule
	Producer kafka.Producer
	// Committed returns how far the forwarder's group has come with partitions (see
	// kafka.Admin.Committed); partitions that are missing are read from their start.
	Committed func(ctx context.Context, parts []kafka.Partition) (map[kafka.Partition]int64, error)
	Clock     func() time.Time
	Observer  ForwarderObserver // optional
	Log       *slog.Logger      // optional
}

// Forwarder passes events of other services on to a process manager: each event that a rule
// chooses becomes a command of the same type and with the same bytes on the process's command
// topic. It is a kafka.BatchHandler.
//
// It delivers at least once: an offset is marked when all before it is on the topic. A repeat has
// the same id, made from the event's, so the process's inbox knows it. Events of one partition
// that are for the same stream stay in order; there is none between topics.
type Forwarder struct {
	opts   ForwarderOptions
	rules  map[string]Rule // by type
	topics []string

	mu         sync.Mutex
	generation kafka.Generation
}

var _ kafka.BatchHandler = (*Forwarder)(nil)

// ForwarderGroup is the consumer group of a process's forwarder.
func ForwarderGroup(process string) string { return process + "-forwarder" }

// NewForwarder returns a forwarder. It panics if a rule's type is given twice or is no type of an
// event of another service, which is a mistake in the program.
func NewForwarder(opts ForwarderOptions) *Forwarder {
	if opts.Observer == nil {
		opts.Observer = blind{}
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	f := &Forwarder{opts: opts, rules: make(map[string]Rule, len(opts.Rules))}
	seen := make(map[string]bool)
	for _, r := range opts.Rules {
		service := bus.ServiceOf(r.Type)
		if _, twice := f.rules[r.Type]; twice || service == "" || service == opts.Process {
			panic(fmt.Sprintf("process: a rule of %s for %q, which is given twice or no event of another service", opts.Process, r.Type))
		}
		f.rules[r.Type] = r
		if !seen[service] {
			seen[service] = true
			f.topics = append(f.topics, bus.EventsTopic(service))
		}
	}
	return f
}

// Topics are the event topics that the rules choose from.
func (f *Forwarder) Topics() []string { return f.topics }

// Assigned implements kafka.BatchHandler: it goes on where the group has come to.
func (f *Forwarder) Assigned(ctx context.Context, g kafka.Generation, parts []kafka.Partition) (map[kafka.Partition]int64, error) {
	next, err := f.opts.Committed(ctx, parts)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.generation = g
	return next, nil
}

// Revoked implements kafka.BatchHandler.
func (f *Forwarder) Revoked([]kafka.Partition) {}

// Deliver implements kafka.BatchHandler: it publishes what the rules choose of the records, all at
// once, and marks their offsets.
func (f *Forwarder) Deliver(ctx context.Context, recs []kafka.Record) error {
	f.mu.Lock()
	g := f.generation // of this delivery: it has begun before, and ends after
	f.mu.Unlock()
	out := make([]kafka.Record, 0, len(recs))
	dead := 0
	for i := range recs {
		command, ok, err := f.command(&recs[i])
		if err != nil {
			dead++
			f.opts.Log.Error("an event can't be forwarded", "process", f.opts.Process, "topic", recs[i].Topic,
				"partition", recs[i].Partition, "offset", recs[i].Offset, "error", err)
			if command, err = f.deadLetter(&recs[i], err); err != nil {
				return err
			}
			ok = true
		}
		if ok {
			out = append(out, command)
		}
	}
	if len(out) > 0 {
		if err := f.opts.Producer.Publish(ctx, out); err != nil {
			err = fmt.Errorf("process: forward %d events to %s: %w", len(out), f.opts.Process, err)
			f.opts.Observer.Failed(err)
			return err
		}
	}
	last := &recs[len(recs)-1]
	g.Mark(kafka.Partition{Topic: last.Topic, ID: last.Partition}, last.Offset+1)
	f.opts.Observer.Forwarded(len(out)-dead, dead)
	return nil
}

// command returns the command that an event becomes; ok is false if it is not for the process.
func (f *Forwarder) command(r *kafka.Record) (command kafka.Record, ok bool, err error) {
	name := r.Header(bus.HeaderType)
	rule, ok := f.rules[name]
	switch {
	case name == "":
		return kafka.Record{}, false, errors.New("it has no " + bus.HeaderType)
	case !ok:
		return kafka.Record{}, false, nil
	}
	e, err := bus.EnvelopeOf(r)
	if err != nil {
		return kafka.Record{}, false, err
	}
	if e.ID == "" {
		return kafka.Record{}, false, errors.New("it has no " + bus.HeaderID)
	}
	stream, err := safely(func() (string, error) { return rule.Stream(r) })
	if err != nil || stream == "" {
		return kafka.Record{}, false, err
	}
	noReply := bus.NoReply
	// The time tells the event from one that it took the place of when its log was restored.
	id := bus.DeriveID("forward", f.opts.Process, e.Source, e.ID, strconv.FormatInt(e.Time.UnixMicro(), 10))
	c := bus.Envelope{
		ID: id.String(), Type: name, Source: bus.Source(f.opts.Process),
		Subject: stream, Time: e.Time, Traceparent: e.Traceparent, Correlation: e.Correlation, Causation: e.ID,
		Caller: bus.Caller{ID: f.opts.Process, Role: bus.RoleService}, ReplyTo: &noReply,
	}
	command = c.Record(bus.CommandsTopic(f.opts.Process), []byte(stream), r.Value)
	command.Time = f.opts.Clock() // by the event's, an old one would be past the topic's retention
	return command, true, nil
}

// safely turns a panic into an error.
func safely(do func() (string, error)) (s string, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	return do()
}

func (f *Forwarder) deadLetter(r *kafka.Record, why error) (kafka.Record, error) {
	return bus.DeadLetterRecord(f.opts.Process, bus.DeadLetterOf(r, ForwarderGroup(f.opts.Process), why, f.opts.Clock()))
}

type blind struct{}

func (blind) Forwarded(int, int)       {}
func (blind) Fired(int, time.Duration) {}
func (blind) Failed(error)             {}
