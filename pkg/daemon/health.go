package daemon

import (
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Health knows of every part of the process whether it is ready, and what it misses.
// Parts report themselves; a probe reads what was reported last and so never waits for a
// broker or a database. It is safe for concurrent use.
type Health struct {
	log     *slog.Logger
	clock   func() time.Time
	stopped chan struct{} // closed by Stopping

	mu    sync.Mutex
	phase phase
	since time.Time
	parts []*Part
}

type phase string

const (
	starting phase = "starting"
	serving  phase = "serving"
	stopping phase = "stopping"
)

// NewHealth returns a health that is not ready until Started is called.
func NewHealth(log *slog.Logger, clock func() time.Time) *Health {
	return &Health{log: log, clock: clock, stopped: make(chan struct{}), phase: starting, since: clock()}
}

// Started says that every part has been started: from now on the process is ready while
// its required parts are. After Stopping it does nothing.
func (h *Health) Started() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.phase == starting {
		h.phase, h.since = serving, h.clock()
	}
}

// Stopping says that the process takes no more work; it is not ready from now on.
func (h *Health) Stopping() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.phase != stopping {
		h.phase, h.since = stopping, h.clock()
		close(h.stopped)
	}
}

// Part is one thing that the process consists of or depends on. It is made not ready. A nil
// part reports to nobody. It is safe for concurrent use.
type Part struct {
	health   *Health
	name     string
	required bool

	ready   atomic.Bool // written under health.mu
	missing string      // what it misses while it is not ready
	since   time.Time
}

// Require adds a part without which the process cannot serve: while it misses something
// /readyz fails and no traffic is sent here.
func (h *Health) Require(name string) *Part { return h.add(name, true) }

// Watch adds a part that the process can serve without for a while, as commands are taken
// in while a database is away: /readyz names it, and does not fail.
func (h *Health) Watch(name string) *Part { return h.add(name, false) }

func (h *Health) add(name string, required bool) *Part {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := &Part{health: h, name: name, required: required, missing: "not started", since: h.clock()}
	h.parts = append(h.parts, p)
	slices.SortStableFunc(h.parts, func(a, b *Part) int { return strings.Compare(a.name, b.name) })
	return p
}

// Ready says that the part misses nothing. Only a change is logged, and a repeat costs no
// more than a load, so that it may be said with every message.
func (p *Part) Ready() {
	if p == nil || p.ready.Load() {
		return
	}
	h := p.health
	h.mu.Lock()
	changed := !p.ready.Swap(true)
	if changed {
		p.missing, p.since = "", h.clock()
	}
	h.mu.Unlock()
	if changed {
		h.log.Info("ready", "part", p.name)
	}
}

// Missing says what the part misses, in words for an operator. A change is logged, a
// repeat is not, and neither is a reason that differs in its numbers only, as ports and
// attempts do.
func (p *Part) Missing(reason string) {
	if p == nil {
		return
	}
	h := p.health
	h.mu.Lock()
	was := p.ready.Swap(false)
	changed := was || withoutNumbers(p.missing) != withoutNumbers(reason)
	if was {
		p.since = h.clock()
	}
	p.missing = reason
	h.mu.Unlock()
	if changed {
		h.log.Warn("not ready", "part", p.name, "missing", reason)
	}
}

func withoutNumbers(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, s)
}

// Report is what /readyz answers.
type Report struct {
	Status string       `json:"status"` // ready, degraded (serves, but a watched part is missing), starting, not_ready or stopping
	Since  time.Time    `json:"since"`  // when the process started to start, serve or stop
	Parts  []PartReport `json:"parts"`  // by name
}

// PartReport is one part of a Report.
type PartReport struct {
	Name     string    `json:"name"`
	Ready    bool      `json:"ready"`
	Required bool      `json:"required"`
	Missing  string    `json:"missing,omitempty"`
	Since    time.Time `json:"since"` // when it became ready, or not
}

// Ready reports whether the process can be sent traffic.
func (r Report) Ready() bool { return r.Status == "ready" || r.Status == "degraded" }

// Report returns the state of every part as last reported.
func (h *Health) Report() Report {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := Report{Status: "ready", Since: h.since, Parts: make([]PartReport, len(h.parts))}
	for i, p := range h.parts {
		r.Parts[i] = PartReport{Name: p.name, Ready: p.ready.Load(), Required: p.required, Missing: p.missing, Since: p.since}
		switch {
		case r.Parts[i].Ready:
		case p.required:
			r.Status = "not_ready"
		case r.Status == "ready":
			r.Status = "degraded"
		}
	}
	if h.phase != serving {
		r.Status = string(h.phase)
	}
	return r
}
