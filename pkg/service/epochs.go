package service

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/fault"
)

// Epoch says under which epoch the log of a service runs, as operators see it.
type Epoch struct {
	Service  string `json:"service"`
	Epoch    string `json:"epoch"`
	Position int64  `json:"position"`           // where the log ends
	Restored string `json:"restored,omitempty"` // what shows that the log was restored and no new epoch begun
	Was      string `json:"was,omitempty"`      // of an epoch that was begun: the one before
}

// listEpochs compares each log here with its topics.
func (o *operator) listEpochs(r *http.Request) (any, error) {
	out := []Epoch{}
	names, logs := o.services()
	for _, name := range names {
		e, _, err := o.epoch(r.Context(), name, logs[name])
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

func (o *operator) epoch(ctx context.Context, service string, l parkedLog) (Epoch, *bus.Published, error) {
	// The topics first: what is on them then is in the log, if it is the log that they come from.
	published, err := bus.ReadPublished(ctx, o.platform.Admin, l.publication, l.published...)
	if err != nil {
		return Epoch{}, nil, fmt.Errorf("read what is published of %s: %w", service, err)
	}
	head, err := l.log.Head(ctx)
	if err != nil {
		return Epoch{}, nil, fmt.Errorf("read the head of %s: %w", service, err)
	}
	e := Epoch{Service: service, Epoch: head.Epoch, Position: head.Position}
	err = published.Check(ctx, head)
	if errors.Is(err, es.ErrRestored) {
		e.Restored, err = err.Error(), nil
	}
	return e, published, err
}

// beginEpoch begins a new epoch of a service's log, above all that its topics tell of. The
// relay that leads goes on under it by itself.
func (o *operator) beginEpoch(r *http.Request) (any, error) {
	name := r.PathValue("service")
	_, logs := o.services()
	l, ok := logs[name]
	if !ok {
		return nil, fault.NotFound("log", name)
	}
	e, published, err := o.epoch(r.Context(), name, l)
	if err != nil {
		return nil, err
	}
	renewal, err := published.Renewal(r.Context(), es.Head{Epoch: e.Epoch, Position: e.Position})
	if err != nil {
		return nil, err
	}
	head, err := l.log.NewEpoch(r.Context(), renewal)
	if err != nil {
		return nil, fmt.Errorf("begin a new epoch of %s: %w", name, err)
	}
	o.platform.Logger(name).Warn("a new epoch has begun", "epoch", head.Epoch, "was", e.Epoch, "position", head.Position, "restored", e.Restored)
	e.Was, e.Epoch, e.Position = e.Epoch, head.Epoch, head.Position
	return e, nil
}
