package daemon

import (
	"strconv"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderlane/orderlane/pkg/kafka"
)

// subscribers asks subscribers how far they are when metrics are read, so that nothing is
// counted on the way of a message.
type subscribers struct {
	inFlight, lag, done, redelivered *prometheus.Desc

	mu   sync.Mutex
	list []subscriber
}

type subscriber struct {
	service string
	stats   func() []kafka.ClaimStats
}

func newSubscribers() *subscribers {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("orderlane_subscriber_"+name, help, []string{"service", "topic", "partition"}, nil)
	}
	return &subscribers{
		inFlight:    desc("in_flight_messages", "Messages handed out or waiting for their key, not done."),
		lag:         desc("lag_messages", "Messages of a partition held here that are not done, as of the last fetch."),
		done:        desc("done_messages_total", "Messages done since the partition came here."),
		redelivered: desc("redelivered_messages_total", "Messages handed out again since the partition came here."),
	}
}

// Subscriber measures the partitions that a service's subscriber holds; stats is its Stats.
func (m *Metrics) Subscriber(service string, stats func() []kafka.ClaimStats) {
	m.subscribers.mu.Lock()
	defer m.subscribers.mu.Unlock()
	m.subscribers.list = append(m.subscribers.list, subscriber{service, stats})
}

// Describe implements prometheus.Collector.
func (s *subscribers) Describe(out chan<- *prometheus.Desc) {
	out <- s.inFlight
	out <- s.lag
	out <- s.done
	out <- s.redelivered
}

// Collect implements prometheus.Collector.
func (s *subscribers) Collect(out chan<- prometheus.Metric) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sub := range s.list {
		for _, c := range sub.stats() {
			labels := []string{sub.service, c.Topic, strconv.Itoa(int(c.ID))}
			out <- prometheus.MustNewConstMetric(s.inFlight, prometheus.GaugeValue, float64(c.InFlight), labels...)
			// The end is that of the last fetch, and may be behind what was done since.
			out <- prometheus.MustNewConstMetric(s.lag, prometheus.GaugeValue, float64(max(c.End-c.Next, 0)), labels...)
			out <- prometheus.MustNewConstMetric(s.done, prometheus.CounterValue, float64(c.Done), labels...)
			out <- prometheus.MustNewConstMetric(s.redelivered, prometheus.CounterValue, float64(c.Redelivered), labels...)
		}
	}
}
