package es

import "time"

// early reports whether a command that answers a timer finds that its stream's deadline has
// moved on: there is nothing to decide then. The timer that the log has may be this one all the
// same, as another release or another instance has set it: timers sets it anew.
func early(p *pending) bool {
	if p.Due.IsZero() {
		return false
	}
	s := p.stream
	due := p.Of.deadline(s.state)
	moved := due.IsZero() || due.After(p.Due)
	s.woken, s.moved = true, s.moved || moved
	return moved
}

// timers sets the timers of the streams whose deadline is not what the log has, or may not be.
// Those of streams that were woken and have changed are set whatever they are: the timer that
// the log has is used up, also where the new deadline is the old one. What is due already is due
// now: how late a wake is counts from there, and decisions that count from it stay sane.
func (d *decision) timers(now time.Time) *stateError {
	for _, s := range d.streams {
		changed := s.version != s.base
		if !s.woken && (!changed || !s.of.timed()) {
			continue
		}
		due := s.due
		if err := safely(func() error { due = s.of.deadline(s.state); return nil }); err != nil {
			return &stateError{s, err}
		}
		if due.Equal(s.due) && !s.moved && !(changed && (s.woken || s.unsure)) {
			continue
		}
		s.due, s.unsure = due, false
		if !due.IsZero() && due.Before(now) {
			due = now
		}
		d.write.Timers = append(d.write.Timers, Timer{Stream: s.name, Version: s.version, Due: due})
	}
	return nil
}
