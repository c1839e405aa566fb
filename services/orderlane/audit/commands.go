package audit

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/orderlane/orderlane/api"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/kafka"
)

// sent is a command that is on its topic.
type sent struct {
	kind string
	at   time.Time
}

// commands holds that every accepted command has exactly one final outcome. Commands between
// services have theirs too, but it is published only if it is no success: they are judged by
// what they lead to.
func (p *part) commands(ctx context.Context) error {
	open := make(map[uuid.UUID]sent)
	for _, s := range api.Services {
		err := p.read(ctx, bus.CommandsTopic(s.Name), func(r *kafka.Record, e *bus.Envelope) error {
			id, err := uuid.Parse(e.ID)
			if err != nil || e.Internal() || !p.mine(e.ID) || p.Now.Sub(r.Time) < p.Grace {
				return nil
			}
			open[id] = sent{e.Type, r.Time}
			return nil
		})
		if err != nil {
			return err
		}
	}
	p.report.Commands += int64(len(open))
	final := make(map[uuid.UUID]es.Status)
	err := p.read(ctx, bus.OutcomesTopic, func(r *kafka.Record, e *bus.Envelope) error {
		id, err := uuid.Parse(string(r.Key))
		if err != nil || e.Type != bus.TypeOutcome || !p.mine(string(r.Key)) {
			return nil
		}
		status := es.Status(r.Header(bus.HeaderStatus))
		if status == es.StatusParked {
			delete(open, id) // it waits for an operator, visibly
			return nil
		}
		if before, ok := final[id]; ok && before != status {
			p.found(r.Time, "a command has one outcome", id.String(), "it is %s and %s", before, status)
		}
		final[id] = status
		delete(open, id)
		return nil
	})
	for id, c := range open {
		p.found(c.at, "every accepted command has an outcome", id.String(), "%s of %s has none", c.kind, c.at.Format(time.RFC3339))
	}
	return err
}
