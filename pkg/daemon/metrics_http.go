package daemon

import (
	"strconv"
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

// HTTPObserver measures the requests of the public listener. It is safe for concurrent use.
type HTTPObserver struct{ m *httpMetrics }

// HTTP returns the observer of the public listener.
func (m *Metrics) HTTP() *HTTPObserver { return &HTTPObserver{&m.http} }

// Observed tells of a request that was answered. route is the pattern that it matched, not
// its path, and "" if it matched none.
func (o *HTTPObserver) Observed(method, route string, status int, took time.Duration) {
	if route == "" { // whatever a scanner asks for, under whatever method, is one
		method, route = "other", "none"
	}
	o.m.requests.WithLabelValues(method, route, strconv.Itoa(status)).Inc()
	o.m.seconds.WithLabelValues(method, route).Observe(took.Seconds())
}
