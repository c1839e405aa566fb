package bus

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/ThreeDotsLabs/watermill/components/cqrs"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"

	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/failpoint"
	"github.com/orderlane/orderlane/pkg/kafka"
)

// CommandGroup handles all command types of one topic with one consumer group: Watermill's
// own command processor would make a group of each type, and each would read everything.
type CommandGroup struct {
	topic    string
	handlers map[string]cqrs.CommandHandler // by ce_type
	engine   *es.Engine
}

// NewCommandGroup returns the group of a service whose handlers end in an engine. Each
// handler's command type must be Typed.
func NewCommandGroup(service string, engine *es.Engine, handlers ...cqrs.CommandHandler) *CommandGroup {
	g := &CommandGroup{topic: CommandsTopic(service), engine: engine, handlers: make(map[string]cqrs.CommandHandler)}
	for _, h := range handlers {
		name := marshaler{}.Name(h.NewCommand())
		if name == "" || g.handlers[name] != nil {
			panic(fmt.Sprintf("bus: handler %s has the command type %q, which is empty or taken", h.HandlerName(), name))
		}
		g.handlers[name] = h
	}
	return g
}

// Attach adds the group to a router, as the consumer of its topic.
func (g *CommandGroup) Attach(router *message.Router, subscriber message.Subscriber) {
	router.AddConsumerHandler(g.topic, g.topic, subscriber, g.Handle)
}

// Handle handles one message: it returns when the command's outcome is published. Only an
// engine that stops is an error; what can't be handled is parked, and the next commands go on.
func (g *CommandGroup) Handle(m *message.Message) error {
	ctx := m.Context()
	r := received{message: m}
	err := r.read()
	switch reason := m.Metadata[HeaderDiscard]; {
	case err != nil:
	case reason != "":
		err = g.discard(&r, reason)
	default:
		err = g.dispatch(withEnvelope(ctx, &r), m)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, es.ErrStopped), ctx.Err() != nil:
		return err
	}
	c := r.command(r.Subject)
	c.Parked.Reason = err.Error()
	if _, err := g.engine.Submit(ctx, c); err != nil {
		return fmt.Errorf("bus: park %s: %w", m.UUID, err)
	}
	return nil
}

// discard gives up a command that was parked.
func (g *CommandGroup) discard(r *received, reason string) error {
	d, _ := kafka.DeliveryFrom(r.message.Context())
	_, err := g.engine.Discard(r.message.Context(), es.Parked{
		Command: r.id, Type: r.Type, Reason: reason, Digest: r.Digest,
	}, string(d.Key), d.Time)
	return err
}

// dispatch calls the handler of the message's type, and turns a panic into an error.
func (g *CommandGroup) dispatch(ctx context.Context, m *message.Message) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	name := marshaler{}.NameFromMessage(m)
	failpoint.Panic("bus.handle", m.UUID)
	h := g.handlers[name]
	if h == nil {
		return fmt.Errorf("no handler for the command type %q", name)
	}
	command := h.NewCommand()
	if err := (marshaler{}).Unmarshal(m, command); err != nil {
		return fmt.Errorf("decode %s: %w", name, err)
	}
	return h.Handle(ctx, command)
}

// received is a command message on its way through a handler.
type received struct {
	Envelope
	id      uuid.UUID // the command's
	message *message.Message
}

// read takes over what the message says of itself. A message without a usable id gets one
// from its place in the topic, so that it can be parked and found again: it is not handled,
// since its repeats could not be told from it, but sent again with that id it is.
func (r *received) read() (err error) {
	if r.Envelope, err = envelopeOfMessage(r.message); err != nil {
		err = fmt.Errorf("read the message: %w", err)
	}
	var idErr error
	if r.id, idErr = uuid.Parse(r.message.UUID); idErr == nil && r.id == uuid.Nil {
		idErr = errors.New("it is the nil UUID")
	}
	if idErr != nil {
		d, _ := kafka.DeliveryFrom(r.message.Context())
		r.id = DeriveID("message", d.Topic, fmt.Sprint(d.Partition), fmt.Sprint(d.Offset))
		err = fmt.Errorf("the message has no usable id: %w", idErr)
	}
	return err
}

// maxStreamName bounds the names of streams, in bytes: databases index them.
const maxStreamName = 200

type envelopeKey struct{}

func withEnvelope(ctx context.Context, r *received) context.Context {
	return context.WithValue(ctx, envelopeKey{}, r)
}

// EnvelopeFrom returns the envelope of the command that is being handled; the zero
// Envelope outside of a handler.
func EnvelopeFrom(ctx context.Context) Envelope {
	if r, ok := ctx.Value(envelopeKey{}).(*received); ok {
		return r.Envelope
	}
	return Envelope{}
}

// Submit hands a domain command to the engine, with what the message in ctx says of it,
// and waits until its outcome is published. A refusal is an outcome, no error. A command whose
// message has another stream for its key or its subject is an error, and is parked: nothing
// keeps it in order with the other commands of its stream, and its status would name another one.
func Submit[S, E, C any](ctx context.Context, engine *es.Engine, of *es.Aggregate[S, E, C], id string, body C, creates bool) error {
	r, ok := ctx.Value(envelopeKey{}).(*received)
	if !ok {
		return errors.New("bus: submit outside of a command handler")
	}
	stream := of.Stream(id)
	if len(stream) > maxStreamName || clean(stream) != stream {
		return fmt.Errorf("bus: %.*q is no name of a stream", maxStreamName, stream)
	}
	if d, _ := kafka.DeliveryFrom(ctx); string(d.Key) != stream || r.Subject != stream {
		return fmt.Errorf("bus: the command is for stream %s, but the key of its message is %.*q and its %s is %.*q",
			stream, maxStreamName, d.Key, HeaderSubject, maxStreamName, r.Subject)
	}
	c := r.command(stream)
	c.Of, c.Body, c.Creates = of, body, creates
	_, err := engine.Submit(ctx, c)
	return err
}

// command is the engine's command for this message.
func (r *received) command(stream string) *es.Command {
	d, _ := kafka.DeliveryFrom(r.message.Context())
	headers := r.message.Metadata // the message's own; nobody else writes to it
	headers[HeaderID] = r.id.String()
	return &es.Command{
		Type: r.Type, Stream: stream, IfVersion: r.IfVersion,
		Meta: es.Metadata{
			Command: r.id, Correlation: r.Correlation, Causation: r.Causation,
			Caller: r.Caller.ID, Traceparent: r.Traceparent,
			Digest: strings.Clone(r.Digest), // outlives the message, whose headers share their memory
		},
		Parked: es.Parked{Topic: d.Topic, Key: string(d.Key), Headers: headers, Payload: r.message.Payload},
		Reply:  r.ReplyTo,
	}
}
