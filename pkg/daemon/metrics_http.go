package daemon

import (
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type httpMetrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

func newHTTPMetrics(in promauto.Factory) httpMetrics {
	return httpMetrics{
		requests: in.NewCounterVec(prometheus.CounterOpts{Name: "orderlane_http_requests_total", Help: "Requests answered, by the route's pattern and status."}, []string{"method", "route", "status"}),
		seconds:  in.NewHistogramVec(prometheus.HistogramOpts{Name: "orderlane_http_request_seconds", Help: "Time to answer; with Prefer: wait and streams it holds the wait.", Buckets: timeBuckets}, []string{"method", "route"}),
	}
}

// HTTPObserver measures the requests of the public listener; it implements
// httpapi.Observer. It is safe for concurrent use.
type HTTPObserver struct {
	m *httpMetrics

	mu     sync.RWMutex
	series map[requestLabels]requestSeries // to build no label values per request
}

type requestLabels struct {
	method, route string
	status        int
}

type requestSeries struct {
	requests prometheus.Counter
	seconds  prometheus.Observer
}

// HTTP returns the observer of the public listener.
func (m *Metrics) HTTP() *HTTPObserver {
	return &HTTPObserver{m: &m.http, series: make(map[requestLabels]requestSeries)}
}

// Observe tells of a request that was answered. Method and route come from bounded sets:
// the route is the pattern that was matched, not the path.
func (o *HTTPObserver) Observe(method, route string, status int, took time.Duration) {
	k := requestLabels{method, route, status}
	o.mu.RLock()
	s, ok := o.series[k]
	o.mu.RUnlock()
	if !ok {
		s = requestSeries{o.m.requests.WithLabelValues(method, route, strconv.Itoa(status)), o.m.seconds.WithLabelValues(method, route)}
		o.mu.Lock()
		o.series[k] = s
		o.mu.Unlock()
	}
	s.requests.Inc()
	s.seconds.Observe(took.Seconds())
}
