package bus

import (
	"fmt"
	"strconv"
	"time"

	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/kafka"
)

// Ask is what a stored event asks of a service, its own one included: a command, or a task for
// its gateway. The relay publishes it behind the event, in the same batch. It may be published
// again, always with the same id, so that the receiver's inbox, or the provider behind the
// gateway, tells the repeat.
type Ask struct {
	Service string // that is asked
	Task    bool   // for the service's gateway; otherwise it is a command
	Stream  string // that it is for, and the key: the full name, as Decider.Stream returns it
	Body    Typed
}

// asked returns the messages of what an event asks for.
func (p *Publication) asked(r *es.Record) ([]kafka.Record, error) {
	if p.Asks == nil {
		return nil, nil
	}
	asks, err := p.Asks(r)
	if err != nil {
		return nil, fmt.Errorf("bus: what %s asks for: %w", r.ID(), err)
	}
	records := make([]kafka.Record, 0, len(asks))
	for i, a := range asks {
		if a.Service == "" || a.Stream == "" {
			return nil, fmt.Errorf("bus: ask %d of %s names no service or no stream", i, r.ID())
		}
		data, err := Encode(a.Body)
		if err != nil {
			return nil, fmt.Errorf("bus: encode ask %d of %s: %w", i, r.ID(), err)
		}
		topic := CommandsTopic(a.Service)
		if a.Task {
			topic = TasksTopic(a.Service)
		}
		e := Envelope{
			ID: AskID(p.Service, r.ID(), r.Time, i), Type: a.Body.MessageType(),
			Source: Source(p.Service), Subject: a.Stream, Time: r.Time, Traceparent: r.Meta.Traceparent,
			Correlation: correlationOf(r), Causation: r.ID(), Caller: Caller{ID: p.Service, Role: RoleService},
			ReplyTo: noReply(),
		}
		ask := e.Record(topic, []byte(a.Stream), data)
		if p.Clock != nil {
			ask.Time = p.Clock()
		}
		records = append(records, ask)
	}
	return records, nil
}

// AskID is the id of the i-th message, from 0, that an event of a service asks for. The time tells
// the event from one that it took the place of when the log was restored: what that one asked for
// is known to the receiver, and is no answer to this.
func AskID(service, event string, at time.Time, i int) string {
	return DeriveID("ask", service, event, strconv.FormatInt(at.UnixMicro(), 10), strconv.Itoa(i)).String()
}

// correlationOf is the command that began what an event is a part of.
func correlationOf(r *es.Record) string {
	if r.Meta.Correlation != "" {
		return r.Meta.Correlation
	}
	return r.Meta.Command.String()
}
