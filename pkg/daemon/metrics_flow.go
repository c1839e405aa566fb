package daemon

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/orderlane/orderlane/pkg/projection"
)

type relayMetrics struct {
	batch, publish *prometheus.HistogramVec
	lag, leading   *prometheus.GaugeVec
	failures       *prometheus.CounterVec
}

func newRelayMetrics(in promauto.Factory) relayMetrics {
	v := vectors{in, "orderlane_relay_", "service"}
	return relayMetrics{
		batch:    v.histogram("batch_events", "Events of one publication; the sum is all events published.", batchBuckets),
		publish:  v.histogram("publish_seconds", "Time to read, translate and publish a batch.", timeBuckets),
		lag:      v.gauge("lag_events", "Events in the log behind the last published one."),
		leading:  v.gauge("leading", "1 if this process publishes the log, 0 if it stands by."),
		failures: v.counter("failures_total", "Attempts that failed, and were made again."),
	}
}

// RelayObserver measures one relay; it implements relay.Observer.
type RelayObserver struct {
	part           *Part
	batch, publish prometheus.Observer
	lag, leading   prometheus.Gauge
	failures       prometheus.Counter
}

// Relay returns the observer of a service's relay. It also keeps part informed (nil: no
// part): a relay is ready when it leads or publishes.
func (m *Metrics) Relay(service string, part *Part) *RelayObserver {
	r := &m.relay
	return &RelayObserver{
		part:     part,
		batch:    r.batch.WithLabelValues(service),
		publish:  r.publish.WithLabelValues(service),
		lag:      r.lag.WithLabelValues(service),
		leading:  r.leading.WithLabelValues(service),
		failures: r.failures.WithLabelValues(service),
	}
}

// Published tells of a batch: its events, how many wait behind it, and the time it took.
func (o *RelayObserver) Published(events int, lag int64, took time.Duration) {
	o.part.Ready()
	o.batch.Observe(float64(events))
	o.lag.Set(float64(lag))
	o.publish.Observe(took.Seconds())
}

// Leading tells that the relay has become the one that publishes, or no longer is.
func (o *RelayObserver) Leading(leads bool) {
	if !leads {
		o.leading.Set(0)
		o.lag.Set(0) // the leader's to tell
		return
	}
	o.part.Ready()
	o.leading.Set(1)
}

// Failed tells of an attempt that will be made again.
func (o *RelayObserver) Failed(err error) {
	o.failures.Inc()
	o.part.Missing(oneLine(err))
}

type projectionMetrics struct {
	batch, step         *prometheus.HistogramVec
	records             *prometheus.CounterVec
	commits, failures   *prometheus.CounterVec
	queue, lag, brokens *prometheus.GaugeVec
}

func newProjectionMetrics(in promauto.Factory) projectionMetrics {
	v := vectors{in, "orderlane_projection_", "view"}
	return projectionMetrics{
		batch:    v.histogram("batch_records", "Records of one step.", batchBuckets),
		step:     v.histogram("step_seconds", "Time to fold a batch and commit it.", timeBuckets),
		records:  v.counter("records_total", "Records taken, by what became of them: folded, repeat, skipped (their key is broken), broken (they broke it), lost (the partition has another owner).", "result"),
		commits:  v.counter("commits_total", "Transactions."),
		failures: v.counter("failures_total", "Steps that failed, and were made again."),
		queue:    v.gauge("queue_records", "Records that wait, as of the last step."),
		lag:      v.gauge("lag_seconds", "Age of the oldest record of the last step at its commit."),
		brokens:  v.gauge("broken_keys", "Keys of the partitions owned that the view cannot fold on."),
	}
}

// ProjectionObserver measures one projection. Its methods are called as
// projection.Observer says.
type ProjectionObserver struct {
	part                                   *Part
	batch, step                            prometheus.Observer
	folded, repeats, skipped, broken, lost prometheus.Counter
	commits, failures                      prometheus.Counter
	queue, lag, brokens                    prometheus.Gauge
}

var _ projection.Observer = (*ProjectionObserver)(nil)

// Projection returns the observer of a view's projection. It also keeps part informed
// (nil: no part): a projection is ready again when a step has succeeded.
func (m *Metrics) Projection(view string, part *Part) *ProjectionObserver {
	p := &m.projection
	return &ProjectionObserver{
		part:     part,
		batch:    p.batch.WithLabelValues(view),
		step:     p.step.WithLabelValues(view),
		folded:   p.records.WithLabelValues(view, "folded"),
		repeats:  p.records.WithLabelValues(view, "repeat"),
		skipped:  p.records.WithLabelValues(view, "skipped"),
		broken:   p.records.WithLabelValues(view, "broken"),
		lost:     p.records.WithLabelValues(view, "lost"),
		commits:  p.commits.WithLabelValues(view),
		failures: p.failures.WithLabelValues(view),
		queue:    p.queue.WithLabelValues(view),
		lag:      p.lag.WithLabelValues(view),
		brokens:  p.brokens.WithLabelValues(view),
	}
}

// Stepped implements projection.Observer.
func (o *ProjectionObserver) Stepped(s projection.Stepped) {
	o.part.Ready()
	if s.Records == 0 {
		return
	}
	o.batch.Observe(float64(s.Records))
	o.step.Observe(s.Duration.Seconds())
	o.folded.Add(float64(s.Folded))
	o.repeats.Add(float64(s.Repeats))
	o.skipped.Add(float64(s.Skipped))
	o.broken.Add(float64(s.Broken))
	o.lost.Add(float64(s.Lost))
	o.commits.Add(float64(s.Commits))
	o.queue.Set(float64(s.Waiting))
	o.lag.Set(s.Age.Seconds())
}

// Failed implements projection.Observer.
func (o *ProjectionObserver) Failed(err error) {
	o.failures.Inc()
	o.part.Missing(oneLine(err))
}

// Idle says that there is no such projection at the moment: what it was like last is no longer told.
func (o *ProjectionObserver) Idle() {
	o.queue.Set(0)
	o.lag.Set(0)
	o.brokens.Set(0)
}

// BrokenKeys implements projection.Observer.
func (o *ProjectionObserver) BrokenKeys(n int) { o.brokens.Set(float64(n)) }
