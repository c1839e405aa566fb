package bus

import (
	"context"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/kafka"
)

// Publication turns a service's stored events into its public messages, for the relay.
type Publication struct {
	Service string
	Log     es.Log // for what is personal
	// Public returns the public name (past tense, without prefix and version) and body of a
	// stored event. Every stored event has exactly one.
	Public func(*es.Record) (name string, body any, err error)
	// Asks returns what a stored event asks of services; optional. It must return the same
	// whenever it is asked: what an event asked for is told by its place in the slice.
	Asks func(*es.Record) ([]Ask, error)
	// Clock is when messages of asks are sent, for the retention of their topics; optional. By
	// the time of an event that waited long to be published, they might be gone at once.
	Clock func() time.Time
}

// Translate returns the messages that publish one event: the public event, what is personal
// of its stream now if the event changed that, and what the event asks of services.
func (p *Publication) Translate(ctx context.Context, epoch string, r *es.Record) ([]kafka.Record, error) {
	records, err := p.published(ctx, epoch, r)
	if err != nil {
		return nil, err
	}
	asked, err := p.asked(r)
	return append(records, asked...), err
}

// published returns the public event, and what is personal beside it.
func (p *Publication) published(ctx context.Context, epoch string, r *es.Record) ([]kafka.Record, error) {
	name, body, err := p.Public(r)
	if err != nil {
		return nil, err
	}
	data, err := Encode(body)
	if err != nil {
		return nil, fmt.Errorf("bus: encode public event %s: %w", r.ID(), err)
	}
	e := Envelope{
		ID: r.ID(), Type: TypeName(p.Service, name), Source: Source(p.Service), Subject: r.Stream, Time: r.Time,
		Traceparent: r.Meta.Traceparent, Correlation: r.Meta.Correlation, Causation: r.Meta.Command.String(),
		Caller: Caller{ID: r.Meta.Caller}, StreamVersion: r.Version, Position: r.Position, Epoch: epoch, Trigger: r.Meta.Causation,
	}
	key := []byte(r.Stream)
	records := []kafka.Record{e.Record(EventsTopic(p.Service), key, data)}
	if !r.HasPersonal && !r.Erases {
		return records, nil
	}
	personal, err := p.personal(ctx, r)
	if err != nil {
		return nil, err
	}
	e.Type = TypeName(p.Service, "personal")
	return append(records, e.Record(PersonalTopic(p.Service), key, personal)), nil
}

// personal returns all that is personal of the stream as of the event: nil, a tombstone,
// if it is erased by now.
func (p *Publication) personal(ctx context.Context, r *es.Record) ([]byte, error) {
	if r.Erases {
		return nil, nil
	}
	if r.Version == 1 && r.Personal != nil {
		return r.Personal, nil
	}
	payloads, err := p.Log.Personal(ctx, r.Stream, r.Version)
	if err != nil {
		return nil, fmt.Errorf("bus: read what is personal of %s: %w", r.Stream, err)
	}
	return merge(payloads)
}

// merge overlays JSON objects member by member; later ones win.
func merge(payloads [][]byte) ([]byte, error) {
	if len(payloads) < 2 {
		for _, p := range payloads {
			return p, nil
		}
		return nil, nil
	}
	all := map[string]jsontext.Value{}
	for _, p := range payloads {
		if err := json.Unmarshal(p, &all); err != nil {
			return nil, fmt.Errorf("bus: read a personal payload: %w", err)
		}
	}
	return Encode(all)
}
