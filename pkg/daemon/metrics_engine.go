package daemon

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/orderlane/orderlane/pkg/es"
)

// maxOutcomeLabels bounds the combinations of type and status that one engine counts
// apart: the type of a parked command may be anything that somebody put on the topic.
const maxOutcomeLabels = 256

type engineMetrics struct {
	batch, decide, append        *prometheus.HistogramVec
	events, conflicts, redecided *prometheus.CounterVec
	outcomes, failures           *prometheus.CounterVec
}

func newEngineMetrics(in promauto.Factory) engineMetrics {
	v := vectors{in, "orderlane_engine_", "service"}
	return engineMetrics{
		batch:     v.histogram("batch_commands", "Commands of one append.", batchBuckets),
		decide:    v.histogram("decide_seconds", "Time to load states and decide a batch.", timeBuckets),
		append:    v.histogram("append_seconds", "Time to write a batch to the log.", timeBuckets),
		events:    v.counter("events_total", "Events written to the log."),
		conflicts: v.counter("conflicts_total", "Batches decided again since another writer was first."),
		redecided: v.counter("conflicting_streams_total", "Streams that another writer had changed."),
		outcomes:  v.counter("outcomes_total", "Commands answered, by type and status; repeat says that the outcome was stored before.", "type", "status", "repeat"),
		failures:  v.counter("failures_total", "Attempts that failed for the log or the broker, and were made again."),
	}
}

// EngineObserver measures one engine. Its methods are called as es.Observer says.
type EngineObserver struct {
	part                         *Part
	batch, decide, append        prometheus.Observer
	events, conflicts, redecided prometheus.Counter
	failures                     prometheus.Counter

	answered map[outcomeLabels]prometheus.Counter // owned by Answered
	outcomes *prometheus.CounterVec
	service  string
}

type outcomeLabels struct {
	command string
	status  es.Status
	repeat  bool
}

var _ es.Observer = (*EngineObserver)(nil)

// Engine returns the observer of a service's engine. It also keeps part informed (nil: no
// part): an engine is ready again when it has answered a command.
func (m *Metrics) Engine(service string, part *Part) *EngineObserver {
	e := &m.engine
	return &EngineObserver{
		part:      part,
		batch:     e.batch.WithLabelValues(service),
		decide:    e.decide.WithLabelValues(service),
		append:    e.append.WithLabelValues(service),
		events:    e.events.WithLabelValues(service),
		conflicts: e.conflicts.WithLabelValues(service),
		redecided: e.redecided.WithLabelValues(service),
		failures:  e.failures.WithLabelValues(service),
		answered:  make(map[outcomeLabels]prometheus.Counter),
		outcomes:  e.outcomes,
		service:   service,
	}
}

// Appended implements es.Observer.
func (o *EngineObserver) Appended(commands, events int, decide, write time.Duration) {
	o.batch.Observe(float64(commands))
	o.events.Add(float64(events))
	o.decide.Observe(decide.Seconds())
	o.append.Observe(write.Seconds())
}

// Conflicted implements es.Observer.
func (o *EngineObserver) Conflicted(streams, _ int) {
	o.conflicts.Inc()
	o.redecided.Add(float64(streams))
}

// Answered implements es.Observer.
func (o *EngineObserver) Answered(commandType string, status es.Status, repeat bool) {
	o.part.Ready()
	k := outcomeLabels{commandType, status, repeat}
	c, ok := o.answered[k]
	if !ok {
		if len(o.answered) >= maxOutcomeLabels {
			k.command = "other"
		}
		c = o.outcomes.WithLabelValues(o.service, k.command, string(k.status), strconv.FormatBool(k.repeat))
		o.answered[k] = c
	}
	c.Inc()
}

// Failed implements es.Observer.
func (o *EngineObserver) Failed(err error) {
	o.failures.Inc()
	o.part.Missing(oneLine(err))
}
