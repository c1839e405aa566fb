package stored

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/orderlane/orderlane/pkg/es"
)

// Plan is what a batch's rows need beside the batch.
type Plan struct {
	// Armed and Disarmed are the timers that are set and deleted.
	Armed, Disarmed []es.Timer
	// Streams says, for each of the batch's streams, what the batch does to it.
	Streams []Change
	// Of is, for each event, the index of its stream.
	Of []int
	// Last is, for each outcome, the place in the batch (from 1) of the last event that its
	// command wrote; 0 if it wrote none.
	Last []int64
	// Strays are commands that wrote events of the batch but have no outcome in it.
	Strays []Stray
	// Erasures say up to where personal payloads go: those of lower versions.
	Erasures []es.StreamVersion
	// Personal counts the events with a personal payload.
	Personal int
}

// Change is what a batch does to one of its streams.
type Change struct {
	Version int64     // after the batch
	Events  int       // how many it adds
	State   *es.State // its new state row; nil if there is none
}

// Stray is a command without an outcome, and the place in the batch of its last event.
type Stray struct {
	Command uuid.UUID
	Last    int64
}

// NewPlan checks a batch and plans its rows. Its errors wrap es.ErrInvalidBatch.
func NewPlan(b *es.Batch) (Plan, error) {
	var p Plan
	if n := len(b.Outcomes) + len(b.Parked); n > es.MaxBatchCommands {
		return p, invalid("%d commands, more than %d", n, es.MaxBatchCommands)
	}
	if err := p.streams(b); err != nil {
		return p, err
	}
	if err := p.commands(b); err != nil {
		return p, err
	}
	if err := p.timers(b); err != nil {
		return p, err
	}
	for _, c := range b.Cursors {
		if !plain(c.Name) {
			return p, invalid("cursor %q", c.Name)
		}
	}
	return p, nil
}

// streams checks the names of the batch's streams and the versions of their states.
func (p *Plan) streams(b *es.Batch) error {
	index := make(map[string]int, len(b.Streams))
	p.Streams = make([]Change, len(b.Streams))
	for i, s := range b.Streams {
		if _, twice := index[s.Stream]; twice || !plain(s.Stream) {
			return invalid("stream %q is named twice or is no name", s.Stream)
		}
		index[s.Stream] = i
		p.Streams[i].Version = s.Version
	}
	if err := p.events(b, index); err != nil {
		return err
	}
	for i := range b.States {
		s := &b.States[i]
		of, named := index[s.Stream]
		if !named || p.Streams[of].State != nil || s.Version < 1 || s.Version > p.Streams[of].Version {
			return invalid("state of stream %q at version %d, which the batch does not name or reach", s.Stream, s.Version)
		}
		p.Streams[of].State = s
	}
	return nil
}

// events checks that versions continue those of the streams, so that no log can store a gap.
func (p *Plan) events(b *es.Batch, index map[string]int) error {
	p.Of = make([]int, len(b.Events))
	for i := range b.Events {
		r := &b.Events[i]
		of, named := index[r.Stream]
		if !named {
			return invalid("event of stream %q, which the batch does not name", r.Stream)
		}
		p.Of[i] = of
		change := &p.Streams[of]
		switch {
		case r.Version != change.Version+1:
			return invalid("event %s follows version %d", r.ID(), change.Version)
		case !plain(r.Type):
			return invalid("event %s has type %q", r.ID(), r.Type)
		case len(r.Data) == 0 || len(r.Data) > es.MaxPayload || len(r.Personal) > es.MaxPayload:
			return invalid("event %s has %d bytes and %d personal ones; at most %d", r.ID(), len(r.Data), len(r.Personal), es.MaxPayload)
		}
		change.Version = r.Version
		change.Events++
		if r.Erases {
			p.Erasures = append(p.Erasures, es.StreamVersion{Stream: r.Stream, Version: r.Version})
		}
		if len(r.Personal) > 0 {
			p.Personal++
		}
	}
	return nil
}

// commands checks outcomes and parked commands, and finds the last event of each command.
func (p *Plan) commands(b *es.Batch) error {
	last := make(map[uuid.UUID]int64, len(b.Outcomes)+len(b.Parked))
	for i := range b.Outcomes {
		o := &b.Outcomes[i]
		switch _, twice := last[o.Command]; {
		case twice || o.Command == uuid.Nil:
			return invalid("command %s has two outcomes or no id", o.Command)
		case o.Status != es.StatusSucceeded && o.Status != es.StatusRefused && o.Status != es.StatusFailed:
			return invalid("outcome of command %s is %q, which is not final", o.Command, o.Status)
		}
		last[o.Command] = 0
	}
	for i := range b.Parked {
		k := &b.Parked[i]
		if _, twice := last[k.Command]; twice || k.Command == uuid.Nil {
			return invalid("parked command %s has an outcome too, or no id", k.Command)
		}
		if len(k.Payload) > es.MaxPayload {
			return invalid("parked command %s has %d bytes, more than %d", k.Command, len(k.Payload), es.MaxPayload)
		}
		last[k.Command] = 0
	}
	known := len(last)
	for i := range b.Events {
		if c := b.Events[i].Meta.Command; c != uuid.Nil {
			last[c] = int64(i + 1)
		}
	}
	p.Last = make([]int64, len(b.Outcomes))
	for i := range b.Outcomes {
		p.Last[i] = last[b.Outcomes[i].Command]
	}
	for i := range b.Parked {
		if last[b.Parked[i].Command] != 0 {
			return invalid("parked command %s wrote events", b.Parked[i].Command)
		}
	}
	if len(last) > known {
		p.strays(b, last)
	}
	return nil
}

func (p *Plan) strays(b *es.Batch, last map[uuid.UUID]int64) {
	for i := range b.Outcomes {
		delete(last, b.Outcomes[i].Command)
	}
	for i := range b.Events { // in the order of the batch, which a map does not have
		c := b.Events[i].Meta.Command
		if last[c] == int64(i+1) {
			p.Strays = append(p.Strays, Stray{Command: c, Last: int64(i + 1)})
		}
	}
}

// plain says whether every store can hold s as a name: PostgreSQL refuses NUL and invalid UTF-8.
func plain(s string) bool {
	return s != "" && utf8.ValidString(s) && strings.IndexByte(s, 0) < 0
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{es.ErrInvalidBatch}, args...)...)
}

// Clean makes s fit every store; what came in with a message may hold anything.
func Clean(s string) string {
	if utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 {
		return s
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
