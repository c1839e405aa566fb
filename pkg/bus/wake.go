package bus

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"time"

	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/kafka"
)

// Wake is the body of the command that tells a stream that its deadline has passed. Its type is
// orderlane.<service>.wake.v1.
type Wake struct {
	Stream string    `json:"stream"`
	Due    time.Time `json:"due"` // the deadline
}

// wakeType is the ce_type of a service's wakes.
func wakeType(service string) string { return TypeName(service, "wake") }

// wakeAnew is how overdue a timer is when its wake gets another id. Whoever has not answered by
// then may never do, since the id has an outcome, and a stream must not be forgotten.
const wakeAnew = 10 * time.Minute

// WakeRecord is the message that a service wakes a stream with for a timer. at is when it is sent.
// Its id is the same for the same timer, so that the inbox knows it when it is sent again; another
// once the timer is overdue by wakeAnew, and each time that has doubled.
func WakeRecord(service string, t es.Timer, at time.Time) (kafka.Record, error) {
	data, err := Encode(&Wake{Stream: t.Stream, Due: t.Due})
	if err != nil {
		return kafka.Record{}, fmt.Errorf("bus: encode the wake of %s: %w", t.Stream, err)
	}
	of := []string{"wake", service, t.Stream, strconv.FormatInt(t.Version, 10), t.Due.UTC().Format(time.RFC3339Nano)}
	if overdue := at.Sub(t.Due); overdue >= wakeAnew {
		of = append(of, strconv.Itoa(bits.Len64(uint64(overdue/wakeAnew))))
	}
	id := DeriveID(of...).String()
	e := Envelope{
		ID: id, Type: wakeType(service), Source: Source(service), Subject: t.Stream, Time: t.Due,
		Correlation: id, Causation: fmt.Sprintf("%s/%d", t.Stream, t.Version),
		Caller: Caller{ID: service, Role: RoleService}, ReplyTo: noReply(),
	}
	r := e.Record(CommandsTopic(service), []byte(t.Stream), data)
	r.Time = at
	return r, nil
}

// WakeHandler wakes the streams of one aggregate; make it with Waker.
type WakeHandler struct {
	category string
	wake     func(ctx context.Context, r *received, id string, due time.Time) error
}

// Waker wakes the streams of an aggregate with the command that command returns for the id of a
// stream and the deadline that has passed. The engine decides it only if the stream's deadline
// is still that one or an earlier one, so the decider need not ask whether it comes too late.
func Waker[S, E, C any](engine *es.Engine, of *es.Aggregate[S, E, C], command func(id string, due time.Time) C) WakeHandler {
	return WakeHandler{of.Category, func(ctx context.Context, r *received, id string, due time.Time) error {
		c := r.command(of.Stream(id))
		c.Of, c.Body, c.Due = of, command(id, due), due
		_, err := engine.Submit(ctx, c)
		return err
	}}
}

// HandleWakes returns the handler of a service's wakes: one for all of its aggregates that have
// deadlines, since a wake is known by the category of its stream. A service with this handler
// gets its timers driven.
func HandleWakes(service string, wakers ...WakeHandler) Handler {
	h := &wakeHandler{service: service, wakers: make(map[string]WakeHandler, len(wakers))}
	for _, w := range wakers {
		if _, twice := h.wakers[w.category]; twice {
			panic(fmt.Sprintf("bus: %s wakes streams of %s in two ways", service, w.category))
		}
		h.wakers[w.category] = w
	}
	return h
}

// wakeCommand is a Wake that knows its type, which names the service.
type wakeCommand struct {
	Wake
	typeName string
}

// MessageType is the ce_type.
func (c *wakeCommand) MessageType() string { return c.typeName }

type wakeHandler struct {
	service string
	wakers  map[string]WakeHandler // by category
}

// HandlerName implements Watermill's handler of commands.
func (h *wakeHandler) HandlerName() string { return wakeType(h.service) }

// NewCommand implements Watermill's handler of commands.
func (h *wakeHandler) NewCommand() any { return &wakeCommand{typeName: wakeType(h.service)} }

// Handle implements Watermill's handler of commands.
func (h *wakeHandler) Handle(ctx context.Context, command any) error {
	c := command.(*wakeCommand)
	r, ok := ctx.Value(envelopeKey{}).(*received)
	if !ok {
		return errors.New("bus: wake outside of a command handler")
	}
	of := ResourceOf(c.Stream)
	w, ok := h.wakers[of.Type]
	switch d, _ := kafka.DeliveryFrom(ctx); {
	case !ok:
		return fmt.Errorf("bus: %s has no streams %.*q to wake", h.service, maxStreamName, c.Stream)
	case string(d.Key) != c.Stream || r.Subject != c.Stream:
		return fmt.Errorf("bus: the wake is for stream %.*q, but its key or %s is another", maxStreamName, c.Stream, HeaderSubject)
	case c.Due.IsZero():
		return errors.New("bus: the wake says no deadline")
	}
	return w.wake(ctx, r, of.ID, c.Due)
}

// IsWake reports whether a parked command is a wake of its service.
func IsWake(service string, p es.Parked) bool { return p.Type == wakeType(service) }

// Wakes reports whether the group handles wakes: whether its service has timers.
func (g *CommandGroup) Wakes() bool {
	for _, h := range g.handlers {
		if _, ok := h.(*wakeHandler); ok {
			return true
		}
	}
	return false
}
