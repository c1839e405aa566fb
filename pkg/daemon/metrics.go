package daemon

import (
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics are the measurements of the process. Each observer that it makes belongs to one
// engine, relay, projection, subscriber or listener, and may be used as that one's Observer;
// all those of a kind write to the same orderlane_* metrics under their own name.
// Making observers is safe for concurrent use.
type Metrics struct {
	// Registry is what /metrics serves. A service registers what it measures besides.
	Registry *prometheus.Registry

	engine      engineMetrics
	relay       relayMetrics
	projection  projectionMetrics
	subscribers *subscribers
	http        httpMetrics
	alarm       alarmMetrics
	forwarder   forwarderMetrics
	gateway     gatewayMetrics
}

// NewMetrics returns metrics with a registry of their own, which also holds those of the
// Go runtime and of the process.
func NewMetrics() *Metrics {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	in := promauto.With(r)
	buildInfo(in)
	m := &Metrics{
		Registry:    r,
		engine:      newEngineMetrics(in),
		relay:       newRelayMetrics(in),
		projection:  newProjectionMetrics(in),
		subscribers: newSubscribers(),
		http:        newHTTPMetrics(in),
		alarm:       newAlarmMetrics(in),
		forwarder:   newForwarderMetrics(in),
		gateway:     newGatewayMetrics(in),
	}
	r.MustRegister(m.subscribers)
	return m
}

func buildInfo(in promauto.Factory) {
	version, goVersion := "unknown", "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		version, goVersion = info.Main.Version, info.GoVersion
	}
	in.NewGauge(prometheus.GaugeOpts{
		Name: "orderlane_build_info", Help: "Always 1; the labels say what is running.",
		ConstLabels: prometheus.Labels{"version": version, "go_version": goVersion},
	}).Set(1)
}

// Buckets. Batches are powers of two up to what an engine takes, and on to a projection's;
// times go from a memory log's append to what a client gives up waiting for.
var (
	batchBuckets = prometheus.ExponentialBuckets(1, 2, 12) // 1 to 2048
	timeBuckets  = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
)

// vectors makes the vectors of one kind of part: all their names begin with prefix, and
// all carry the part's name as label.
type vectors struct {
	in     promauto.Factory
	prefix string
	label  string
}

func (v vectors) counter(name, help string, more ...string) *prometheus.CounterVec {
	return v.in.NewCounterVec(prometheus.CounterOpts{Name: v.prefix + name, Help: help}, append([]string{v.label}, more...))
}

func (v vectors) gauge(name, help string) *prometheus.GaugeVec {
	return v.in.NewGaugeVec(prometheus.GaugeOpts{Name: v.prefix + name, Help: help}, []string{v.label})
}

func (v vectors) histogram(name, help string, buckets []float64) *prometheus.HistogramVec {
	return v.in.NewHistogramVec(prometheus.HistogramOpts{Name: v.prefix + name, Help: help, Buckets: buckets}, []string{v.label})
}
