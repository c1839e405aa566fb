package live

import "github.com/prometheus/client_golang/prometheus"

// Metrics measure a hub. They are safe for concurrent use.
type Metrics struct {
	streams prometheus.Gauge
	events  prometheus.Counter
	cut     prometheus.Counter
	resets  prometheus.Counter
	replays prometheus.Counter
}

// NewMetrics returns the metrics of a process's hub, registered with r unless that is nil. A process
// has one.
func NewMetrics(r prometheus.Registerer) *Metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "orderlane_live_" + name, Help: help})
	}
	m := &Metrics{
		streams: prometheus.NewGauge(prometheus.GaugeOpts{Name: "orderlane_live_streams", Help: "Live streams that are open."}),
		events:  counter("events_total", "Events that were sent, once for each stream."),
		cut:     counter("cut_off_total", "Streams that were ended since their client did not keep up."),
		resets:  counter("resets_total", "Streams whose client was told to read anew, since what had happened meanwhile was too much, gone or taken back."),
		replays: counter("replays_total", "Streams that were resumed from the topics, since their place was not in memory any more."),
	}
	if r != nil {
		r.MustRegister(m.streams, m.events, m.cut, m.resets, m.replays)
	}
	return m
}
