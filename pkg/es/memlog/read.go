package memlog

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/es/internal/stored"
)

// Load implements es.Log.
func (l *Log) Load(ctx context.Context, streams []es.StreamQuery) (out []es.StreamState, err error) {
	err = l.do(ctx, "load streams", func(s *Store) error {
		for _, q := range streams {
			st := es.StreamState{Stream: q.Stream, Version: int64(len(s.streams[q.Stream]))}
			if row, ok := s.states[q.Stream]; ok && row.StateVersion == q.StateVersion {
				st.State, st.StateAt = copied(row.Data), row.Version
			}
			st.Tail = s.records(s.streams[q.Stream][st.StateAt:])
			out = append(out, st)
		}
		return nil
	})
	return out, err
}

// records returns the records at positions, as copies.
func (s *Store) records(positions []int64) []es.Record {
	var out []es.Record
	for _, p := range positions {
		r := s.events[p-1]
		r.Data = copied(r.Data)
		out = append(out, r)
	}
	return out
}

// Outcomes implements es.Log.
func (l *Log) Outcomes(ctx context.Context, ids []uuid.UUID) (out map[uuid.UUID]es.Outcome, err error) {
	out = make(map[uuid.UUID]es.Outcome, len(ids))
	err = l.do(ctx, "read outcomes", func(s *Store) error {
		for _, id := range ids {
			o, ok := s.outcomes[id]
			if !ok {
				continue
			}
			out[id] = o.Outcome
			if o.expired {
				out[id] = stored.FromEvent(&s.events[o.Position-1])
			}
		}
		return nil
	})
	return out, err
}

// Read implements es.Log.
func (l *Log) Read(ctx context.Context, after int64, limit int) (out []es.Record, err error) {
	err = l.do(ctx, "read", func(s *Store) error {
		after, limit := clamp(after, len(s.events)), bounded(limit)
		for _, r := range s.events[after:min(len(s.events), after+limit)] {
			r.Data = copied(r.Data)
			out = append(out, r)
		}
		return nil
	})
	return out, err
}

// ReadStream implements es.Log.
func (l *Log) ReadStream(ctx context.Context, stream string, after int64, limit int) (out []es.Record, err error) {
	err = l.do(ctx, "read stream "+stream, func(s *Store) error {
		positions := s.streams[stream]
		after, limit := clamp(after, len(positions)), bounded(limit)
		out = s.records(positions[after:min(len(positions), after+limit)])
		return nil
	})
	return out, err
}

// Personal implements es.Log.
func (l *Log) Personal(ctx context.Context, stream string, upTo int64) (out [][]byte, err error) {
	err = l.do(ctx, "read what is personal of stream "+stream, func(s *Store) error {
		positions := s.streams[stream]
		for _, p := range positions[:clamp(upTo, len(positions))] {
			if data, ok := s.personal[p]; ok {
				out = append(out, copied(data))
			}
		}
		return nil
	})
	return out, err
}

// ParkedCommands implements es.Log.
func (l *Log) ParkedCommands(ctx context.Context, after uuid.UUID, limit int) (out []es.Parked, err error) {
	err = l.do(ctx, "list parked commands", func(s *Store) error {
		from := s.indexParked(after) + 1
		for _, p := range s.parked[from:min(len(s.parked), from+bounded(limit))] {
			out = append(out, copyParked(p))
		}
		return nil
	})
	return out, err
}

// ParkedCommand implements es.Log.
func (l *Log) ParkedCommand(ctx context.Context, id uuid.UUID) (p es.Parked, ok bool, err error) {
	err = l.do(ctx, "read a parked command", func(s *Store) error {
		if i := s.indexParked(id); i >= 0 {
			p, ok = copyParked(s.parked[i]), true
		}
		return nil
	})
	return p, ok, err
}

func copyParked(p es.Parked) es.Parked {
	p.Headers, p.Payload = maps.Clone(p.Headers), copied(p.Payload)
	return p
}

// Lease implements es.Log.
func (l *Log) Lease(ctx context.Context, name, holder string, ttl time.Duration) (ok bool, err error) {
	err = l.do(ctx, "take lease "+name, func(s *Store) error {
		now := s.clock()
		if held, taken := s.leases[name]; taken && held.holder != holder && held.expires.After(now) {
			return nil
		}
		s.leases[name], ok = lease{holder, now.Add(ttl)}, true
		return nil
	})
	return ok, err
}

// Release implements es.Log.
func (l *Log) Release(ctx context.Context, name, holder string) error {
	return l.do(ctx, "release lease "+name, func(s *Store) error {
		if s.leases[name].holder == holder {
			delete(s.leases, name)
		}
		return nil
	})
}

// Cursor implements es.Log.
func (l *Log) Cursor(ctx context.Context, name string) (position int64, err error) {
	err = l.do(ctx, "read cursor "+name, func(s *Store) error {
		position = s.cursors[name]
		return nil
	})
	return position, err
}

// SaveCursor implements es.Log.
func (l *Log) SaveCursor(ctx context.Context, c es.Cursor) error {
	return l.do(ctx, "save cursor "+c.Name, func(s *Store) error {
		s.saveCursor(c)
		return nil
	})
}

func (s *Store) saveCursor(c es.Cursor) {
	if c.Position <= int64(len(s.events)) {
		s.cursors[c.Name] = max(s.cursors[c.Name], c.Position)
	}
}

// ExpireOutcomes implements es.Log.
func (l *Log) ExpireOutcomes(ctx context.Context, before time.Time, limit int) (n int, err error) {
	err = l.do(ctx, "expire outcomes", func(s *Store) error {
		var old []outcome
		for _, o := range s.outcomes {
			if !o.expired && o.Time.Before(before) {
				old = append(old, o)
			}
		}
		slices.SortFunc(old, func(a, b outcome) int {
			return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.seq, b.seq))
		})
		for _, o := range old[:min(len(old), bounded(limit))] {
			if o.Position == 0 {
				delete(s.outcomes, o.Command)
			} else {
				s.put(outcome{Outcome: es.Outcome{Command: o.Command, Position: o.Position}, expired: true})
			}
			n++
		}
		return nil
	})
	return n, err
}

// clamp is the number of records up to and including a version or position.
func clamp(n int64, have int) int { return int(min(max(n, 0), int64(have))) }

func bounded(limit int) int { return min(max(limit, 0), es.MaxRead) }
