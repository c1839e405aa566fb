package es

// early reports whether a command that answers a timer finds that its stream's deadline has
// moved on: there is nothing to decide then. It notes what the log has, so that timers finds
// out whether that is to be changed.
func early(p *pending) bool {
	if p.Due.IsZero() {
		return false
	}
	s := p.stream
	s.woken, s.due = true, p.Due
	due := p.Of.deadline(s.state)
	return due.IsZero() || due.After(p.Due)
}

// timers sets the timers of the streams whose deadline is not what the log has.
func (d *decision) timers() *stateError {
	for _, s := range d.streams {
		if !s.woken && (s.version == s.base || !s.of.timed()) {
			continue
		}
		due := s.due
		if err := safely(func() error { due = s.of.deadline(s.state); return nil }); err != nil {
			return &stateError{s, err}
		}
		if !due.Equal(s.due) {
			d.write.Timers = append(d.write.Timers, Timer{Stream: s.name, Version: s.version, Due: due})
		}
	}
	return nil
}
