package daemon

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/process"
)

type alarmMetrics struct {
	fired, failures *prometheus.CounterVec
	late            *prometheus.HistogramVec
}

func newAlarmMetrics(in promauto.Factory) alarmMetrics {
	v := vectors{in, "orderlane_timers_", "service"}
	return alarmMetrics{
		fired:    v.counter("fired_total", "Streams woken at their deadlines; again, where they did not answer."),
		late:     v.histogram("late_seconds", "How long after its deadline the first stream of a round was woken.", timeBuckets),
		failures: v.counter("failures_total", "Rounds that failed, and were made again."),
	}
}

// AlarmObserver measures the timers of one service; it implements process.AlarmObserver.
type AlarmObserver struct {
	fired, failures prometheus.Counter
	late            prometheus.Observer
}

var _ process.AlarmObserver = (*AlarmObserver)(nil)

// Alarm returns the observer of a service's alarm.
func (m *Metrics) Alarm(service string) *AlarmObserver {
	a := &m.alarm
	return &AlarmObserver{a.fired.WithLabelValues(service), a.failures.WithLabelValues(service), a.late.WithLabelValues(service)}
}

// Fired implements process.AlarmObserver.
func (o *AlarmObserver) Fired(timers int, late time.Duration) {
	o.fired.Add(float64(timers))
	o.late.Observe(late.Seconds())
}

// Failed implements process.AlarmObserver.
func (o *AlarmObserver) Failed(error) { o.failures.Inc() }

type forwarderMetrics struct {
	events, dead, failures *prometheus.CounterVec
}

func newForwarderMetrics(in promauto.Factory) forwarderMetrics {
	v := vectors{in, "orderlane_forwarder_", "process"}
	return forwarderMetrics{
		events:   v.counter("events_total", "Events passed on to the process as commands; after a crash, some again."),
		dead:     v.counter("dead_letters_total", "Events that could not be read, and were left out."),
		failures: v.counter("failures_total", "Batches that were not published, and were tried again."),
	}
}

// ForwarderObserver measures the forwarder of one process; it implements process.ForwarderObserver.
type ForwarderObserver struct{ events, dead, failures prometheus.Counter }

var _ process.ForwarderObserver = (*ForwarderObserver)(nil)

// Forwarder returns the observer of a process's forwarder.
func (m *Metrics) Forwarder(name string) *ForwarderObserver {
	f := &m.forwarder
	return &ForwarderObserver{f.events.WithLabelValues(name), f.dead.WithLabelValues(name), f.failures.WithLabelValues(name)}
}

// Forwarded implements process.ForwarderObserver.
func (o *ForwarderObserver) Forwarded(events, dead int) {
	o.events.Add(float64(events))
	o.dead.Add(float64(dead))
}

// Failed implements process.ForwarderObserver.
func (o *ForwarderObserver) Failed(error) { o.failures.Inc() }

type gatewayMetrics struct {
	attempts *prometheus.CounterVec
	took     *prometheus.HistogramVec
}

func newGatewayMetrics(in promauto.Factory) gatewayMetrics {
	v := vectors{in, "orderlane_gateway_", "service"}
	return gatewayMetrics{
		attempts: v.counter("attempts_total", "Attempts at tasks, by what came of them: done, failed (tried again), refused (the outside world said no), exhausted (given up), broken (a fault of ours).", "result"),
		took:     v.histogram("attempt_seconds", "Time of one attempt: the outside world's, for the most part.", timeBuckets),
	}
}

// GatewayObserver measures one gateway; it implements bus.TaskObserver.
type GatewayObserver struct {
	attempts *prometheus.CounterVec // by result
	took     prometheus.Observer
}

var _ bus.TaskObserver = (*GatewayObserver)(nil)

// Gateway returns the observer of a service's gateway.
func (m *Metrics) Gateway(service string) *GatewayObserver {
	g := &m.gateway
	return &GatewayObserver{g.attempts.MustCurryWith(prometheus.Labels{"service": service}), g.took.WithLabelValues(service)}
}

// Attempted implements bus.TaskObserver.
func (o *GatewayObserver) Attempted(_ string, result bus.TaskResult, took time.Duration) {
	o.attempts.WithLabelValues(string(result)).Inc()
	o.took.Observe(took.Seconds())
}
