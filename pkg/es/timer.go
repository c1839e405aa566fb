package es

// early reports whether a command that answers a timer finds that its stream's deadline has
// moved on: there is nothing to decide then. The timer that the log has may be this one all the
// same, as another release or another instance has set it: timers sets it anew.
func early(p *pending) bool {
	if p.Due.IsZero() {
		return false
	}
	s := p.stream
	due := p.Of.deadline(s.state)
	s.woken = true
	s.unsure = s.unsure || !due.Equal(p.Due)
	return due.IsZero() || due.After(p.Due)
}

// timers sets the timers of the streams whose deadline is not what the log has, or may not be.
// Those of streams that were woken and have changed are set whatever they are: the timer that
// the log has is used up, also where the new deadline is the old one.
func (d *decision) timers() *stateError {
	for _, s := range d.streams {
		changed := s.version != s.base
		if !s.woken && (!changed || !s.of.timed()) {
			continue
		}
		due := s.due
		if err := safely(func() error { due = s.of.deadline(s.state); return nil }); err != nil {
			return &stateError{s, err}
		}
		if s.unsure || s.woken && changed || !due.Equal(s.due) {
			d.write.Timers = append(d.write.Timers, Timer{Stream: s.name, Version: s.version, Due: due})
		}
	}
	return nil
}
