package memlog

import (
	"context"
	"maps"

	"github.com/google/uuid"

	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/es/internal/stored"
)

// Append implements es.Log.
func (l *Log) Append(ctx context.Context, b es.Batch) (h es.Head, err error) {
	err = l.do(ctx, "append", func(s *Store) error {
		plan, err := stored.NewPlan(&b)
		if err != nil {
			return err
		}
		if b.Epoch != "" && b.Epoch != s.epoch {
			return es.ErrEpochChanged
		}
		if conflict := s.conflict(&b, &plan); conflict != nil {
			return conflict
		}
		base := int64(len(s.events))
		s.appendEvents(&b, plan)
		s.appendOutcomes(&b, plan, base)
		s.appendRest(&b)
		s.setTimers(plan)
		h = s.head()
		for _, open := range s.logs {
			open.watch.Advance(h.Position)
		}
		return nil
	})
	return h, err
}

// conflict says why the batch can't be written, or nil. Where the head has not moved, only
// streams that get events can be in the way; but if anything is, all that differs is named.
func (s *Store) conflict(b *es.Batch, plan *stored.Plan) error {
	c := &es.ConflictError{}
	blocked, moved := false, b.Seen != int64(len(s.events))
	for i, q := range b.Streams {
		if int64(len(s.streams[q.Stream])) != q.Version {
			c.Streams = append(c.Streams, q.Stream)
			blocked = blocked || moved || plan.Streams[i].Events > 0
		}
	}
	known := func(id uuid.UUID, digest string) {
		if _, ok := s.outcomes[id]; ok {
			c.Commands = append(c.Commands, id)
		}
		if i := s.indexParked(id); i >= 0 && !es.SameRequest(s.parked[i].Digest, stored.Clean(digest)) {
			c.Reused = append(c.Reused, id)
		}
	}
	for i := range b.Outcomes {
		known(b.Outcomes[i].Command, b.Outcomes[i].Digest)
	}
	for i := range b.Parked {
		known(b.Parked[i].Command, b.Parked[i].Digest)
	}
	if blocked || len(c.Commands)+len(c.Reused) > 0 {
		return c
	}
	return nil
}

func (s *Store) appendEvents(b *es.Batch, plan stored.Plan) {
	for _, r := range b.Events {
		r.Position = int64(len(s.events)) + 1
		if len(r.Personal) > 0 {
			s.personal[r.Position] = copied(r.Personal)
		}
		r.HasPersonal, r.Personal, r.Event = len(r.Personal) > 0, nil, nil
		r.Data, r.Time = copied(r.Data), kept(r.Time)
		s.events = append(s.events, r)
		s.streams[r.Stream] = append(s.streams[r.Stream], r.Position)
	}
	for _, e := range plan.Erasures {
		for _, position := range s.streams[e.Stream][:e.Version-1] {
			delete(s.personal, position)
		}
	}
}

func (s *Store) appendOutcomes(b *es.Batch, plan stored.Plan, base int64) {
	for i, o := range b.Outcomes {
		o.Position = 0
		if plan.Last[i] > 0 {
			o.Position = base + plan.Last[i]
		}
		o.Type, o.Stream, o.Digest = stored.Clean(o.Type), stored.Clean(o.Stream), stored.Clean(o.Digest)
		o.Time = kept(o.Time)
		if o.Fault != nil {
			f := *o.Fault
			o.Fault = &f
		}
		s.put(outcome{Outcome: o})
		s.unpark(o.Command)
	}
	for _, stray := range plan.Strays {
		if old, ok := s.outcomes[stray.Command]; !ok || old.expired {
			s.put(outcome{Outcome: es.Outcome{Command: stray.Command, Position: base + stray.Last}, expired: true})
		}
	}
}

func (s *Store) put(o outcome) {
	s.written++
	o.seq = s.written
	s.outcomes[o.Command] = o
}

func (s *Store) appendRest(b *es.Batch) {
	for _, st := range b.States {
		old, ok := s.states[st.Stream]
		if !ok || st.Version > old.Version || st.Version == old.Version && st.StateVersion != old.StateVersion {
			st.Data = copied(st.Data)
			s.states[st.Stream] = st
		}
	}
	for _, p := range b.Parked {
		s.park(p)
	}
	for _, c := range b.Cursors {
		s.saveCursor(c)
	}
}

func (s *Store) park(p es.Parked) {
	p.Type, p.Topic, p.Reason, p.Digest = stored.Clean(p.Type), stored.Clean(p.Topic), stored.Clean(p.Reason), stored.Clean(p.Digest)
	p.Headers, p.Payload, p.Time, p.Attempts = maps.Clone(p.Headers), copied(p.Payload), kept(p.Time), 1
	if i := s.indexParked(p.Command); i >= 0 {
		p.Attempts = s.parked[i].Attempts + 1
		s.parked[i] = p
		return
	}
	s.parked = append(s.parked, p)
}

func (s *Store) unpark(id uuid.UUID) {
	if i := s.indexParked(id); i >= 0 {
		s.parked = append(s.parked[:i:i], s.parked[i+1:]...)
	}
}

func (s *Store) indexParked(id uuid.UUID) int {
	for i := range s.parked {
		if s.parked[i].Command == id {
			return i
		}
	}
	return -1
}
