package memlog

import (
	"maps"
	"slices"
)

// Backup is what a store held at some time.
type Backup struct{ content }

// Backup copies what the store holds now. It is safe for concurrent use with the store's logs.
func (s *Store) Backup() Backup {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Backup{s.content.clone()}
}

// Restore puts the store back to what it held when the backup was made, as is done with a
// database. Open logs go on with that; what those who use them believe is theirs to find out.
func (s *Store) Restore(b Backup) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.content = b.clone()
	for _, open := range s.logs {
		open.watch.Reset(s.head())
	}
}

// clone copies the maps and slices. What they hold is never changed in place.
func (c *content) clone() content {
	n := *c
	n.events, n.parked = slices.Clone(c.events), slices.Clone(c.parked)
	n.streams = maps.Clone(c.streams)
	for stream, positions := range n.streams {
		n.streams[stream] = slices.Clone(positions)
	}
	n.personal, n.outcomes, n.states = maps.Clone(c.personal), maps.Clone(c.outcomes), maps.Clone(c.states)
	n.leases, n.cursors, n.timers = maps.Clone(c.leases), maps.Clone(c.cursors), maps.Clone(c.timers)
	return n
}
