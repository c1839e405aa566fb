package service

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/orderlane/orderlane/pkg/daemon"
	"github.com/orderlane/orderlane/pkg/projection"
)

// buildMetrics measure the builds of views.
type buildMetrics struct {
	active, building, done, total, rate *prometheus.GaugeVec
	verified, different                 *prometheus.CounterVec
	wrong, verifiedAt                   *prometheus.GaugeVec
}

func newBuildMetrics(registry prometheus.Registerer) *buildMetrics {
	in := promauto.With(registry)
	gauge := func(name, help string) *prometheus.GaugeVec {
		return in.NewGaugeVec(prometheus.GaugeOpts{Name: "orderlane_projection_" + name, Help: help}, []string{"view"})
	}
	counter := func(name, help string) *prometheus.CounterVec {
		return in.NewCounterVec(prometheus.CounterOpts{Name: "orderlane_projection_" + name, Help: help}, []string{"view"})
	}
	return &buildMetrics{
		verified:   counter("verified_rows_total", "Rows that were compared with a fresh fold."),
		different:  counter("different_rows_total", "Rows that were found to differ from a fresh fold."),
		wrong:      gauge("different_rows", "Rows that the last verification found to differ from a fresh fold."),
		verifiedAt: gauge("verified_timestamp_seconds", "When the last verification ended, in seconds since 1970; 0: there was none yet."),
		active:     gauge("active_build", "The number of the build that queries see, 0 while there is none."),
		building:   gauge("building", "The number of the build that is under way, 0 if there is none."),
		done:       gauge("build_done_records", "Records that the build under way has folded."),
		total:      gauge("build_total_records", "Records that the build under way has to fold."),
		rate:       gauge("build_records_per_second", "Records that the build under way folds in a second, in all instances."),
	}
}

// viewObserver measures the builds of one view, and says whether it is ready.
type viewObserver struct {
	platform *Platform
	name     string
	parts    readParts

	live    projection.Observer
	rebuild *daemon.ProjectionObserver
	shown   atomic.Pointer[buildObserver] // whose broken keys are those of live
}

func newViewObserver(p *Platform, name string, parts readParts) *viewObserver {
	return &viewObserver{
		platform: p, name: name, parts: parts,
		live: p.Metrics.Projection(name, parts.database), rebuild: p.Metrics.Projection(name+" rebuild", nil),
	}
}

// observe returns the observer of a build: what it does is measured as the view's while it is the active one.
func (o *viewObserver) observe(active func() bool) projection.Observer {
	return &buildObserver{view: o, active: active}
}

// told implements projection.BuildsOptions.Told.
func (o *viewObserver) told(r projection.Report) {
	m := o.platform.operator.metrics()
	active, building := 0, 0
	for _, b := range r.Builds {
		switch b.State {
		case projection.Active:
			active = b.Number
		case projection.Building, projection.Swapping:
			building = b.Number
		}
	}
	m.active.WithLabelValues(o.name).Set(float64(active))
	m.building.WithLabelValues(o.name).Set(float64(building))
	if p := r.Progress; p != nil {
		m.done.WithLabelValues(o.name).Set(float64(p.Done))
		m.total.WithLabelValues(o.name).Set(float64(p.Total))
		m.rate.WithLabelValues(o.name).Set(p.Rate)
	} else {
		m.rate.WithLabelValues(o.name).Set(0)
	}
	if building == 0 {
		o.rebuild.Idle()
	}
	if r.Ready {
		o.parts.view.Ready()
	} else {
		o.parts.view.Missing("the view is being built: " + r.Waiting)
	}
}

// verified implements projection.BuildsOptions.Verified.
func (o *viewObserver) verified(v projection.Verification) {
	m := o.platform.operator.metrics()
	m.verified.WithLabelValues(o.name).Add(float64(v.Rows))
	m.different.WithLabelValues(o.name).Add(float64(v.Count))
	if v.Error == "" {
		m.wrong.WithLabelValues(o.name).Set(float64(v.Count))
		m.verifiedAt.WithLabelValues(o.name).Set(float64(v.Ended.Unix()))
	}
}

// buildObserver measures one build.
type buildObserver struct {
	view   *viewObserver
	active func() bool

	broken atomic.Int64
}

func (o *buildObserver) now() projection.Observer {
	if !o.active() {
		return o.view.rebuild
	}
	if o.view.shown.Swap(o) != o {
		o.view.live.BrokenKeys(int(o.broken.Load()))
	}
	return o.view.live
}

// Stepped implements projection.Observer.
func (o *buildObserver) Stepped(s projection.Stepped) { o.now().Stepped(s) }

// Failed implements projection.Observer.
func (o *buildObserver) Failed(err error) { o.now().Failed(err) }

// BrokenKeys implements projection.Observer.
func (o *buildObserver) BrokenKeys(n int) {
	o.broken.Store(int64(n))
	o.now().BrokenKeys(n)
}
