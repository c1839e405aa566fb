package daemon_test

import (
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/orderlane/orderlane/pkg/daemon"
	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/projection"
	"github.com/orderlane/orderlane/pkg/relay"
)

var _ relay.Observer = (*daemon.RelayObserver)(nil)

// values reads all orderlane_ metrics: name{labels} to value, or to count and sum.
func values(t *testing.T, m *daemon.Metrics) map[string]string {
	t.Helper()
	families, err := m.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	for _, f := range families {
		for _, s := range f.GetMetric() {
			if !strings.HasPrefix(f.GetName(), "orderlane_") {
				continue
			}
			var labels []string
			for _, l := range s.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			got[f.GetName()[len("orderlane_"):]+"{"+strings.Join(labels, ",")+"}"] = value(f.GetType(), s)
		}
	}
	return got
}

func value(kind dto.MetricType, s *dto.Metric) string {
	switch kind {
	case dto.MetricType_COUNTER:
		return fmt.Sprint(s.GetCounter().GetValue())
	case dto.MetricType_GAUGE:
		return fmt.Sprint(s.GetGauge().GetValue())
	default:
		return fmt.Sprintf("%d/%g", s.GetHistogram().GetSampleCount(), s.GetHistogram().GetSampleSum())
	}
}

func expect(t *testing.T, m *daemon.Metrics, want map[string]string) {
	t.Helper()
	got := values(t, m)
	for name, v := range want {
		if got[name] != v {
			t.Errorf("%s is %q, want %q", name, got[name], v)
		}
	}
}

func TestAnEngineIsMeasured(t *testing.T) {
	m := daemon.NewMetrics()
	health := daemon.NewHealth(slog.New(slog.DiscardHandler), time.Now)
	health.Started()
	o := m.Engine("ordering", health.Watch("ordering engine"))
	m.Engine("catalog", nil).Failed(errors.New("away"))
	o.Appended(3, 5, time.Millisecond, 250*time.Millisecond)
	o.Conflicted(2, 1)
	o.Answered("orderlane.ordering.place_order.v1", es.StatusSucceeded, false)
	o.Answered("orderlane.ordering.place_order.v1", es.StatusSucceeded, false)
	o.Answered("orderlane.ordering.place_order.v1", es.StatusRefused, true)
	if r := health.Report(); r.Status != "ready" {
		t.Errorf("an engine that answers is %s", r.Status)
	}
	o.Failed(errors.New("no database"))
	if r := health.Report(); r.Parts[0].Missing != "no database" {
		t.Errorf("an engine that fails misses %q", r.Parts[0].Missing)
	}
	expect(t, m, map[string]string{
		"engine_batch_commands{service=ordering}":            "1/3",
		"engine_events_total{service=ordering}":              "5",
		"engine_decide_seconds{service=ordering}":            "1/0.001",
		"engine_append_seconds{service=ordering}":            "1/0.25",
		"engine_conflicts_total{service=ordering}":           "1",
		"engine_conflicting_streams_total{service=ordering}": "2",
		"engine_failures_total{service=ordering}":            "1",
		"engine_failures_total{service=catalog}":             "1",
		"engine_outcomes_total{repeat=false,service=ordering,status=succeeded,type=orderlane.ordering.place_order.v1}": "2",
		"engine_outcomes_total{repeat=true,service=ordering,status=refused,type=orderlane.ordering.place_order.v1}":    "1",
	})
}

func TestCommandTypesThatSomebodyMadeUpDoNotFillTheMemory(t *testing.T) {
	m := daemon.NewMetrics()
	o := m.Engine("ordering", nil)
	const made = 5000
	for i := range made {
		o.Answered(fmt.Sprintf("made.up.%d", i), es.StatusParked, false)
	}
	n := 0
	for name := range values(t, m) {
		if strings.HasPrefix(name, "engine_outcomes_total") {
			n++
		}
	}
	if n > 300 {
		t.Errorf("%d series for made up types", n)
	}
}

func TestARelayAProjectionAndASubscriberAreMeasured(t *testing.T) {
	m := daemon.NewMetrics()
	health := daemon.NewHealth(slog.New(slog.DiscardHandler), time.Now)
	r := m.Relay("ordering", health.Watch("relay"))
	r.Leading(true)
	r.Published(10, 4, 20*time.Millisecond)
	p := m.Projection("orders", health.Watch("view"))
	p.Stepped(projection.Stepped{Records: 9, Folded: 5, Repeats: 1, Skipped: 1, Broken: 1, Lost: 1, Commits: 2, Waiting: 7, Duration: 50 * time.Millisecond, Age: 2 * time.Second})
	p.BrokenKeys(3)
	p.Failed(errors.New("no database"))
	m.Subscriber("ordering", func() []kafka.ClaimStats {
		return []kafka.ClaimStats{{Partition: kafka.Partition{Topic: "ordering.commands.v1", ID: 2}, InFlight: 4, Done: 100, Redelivered: 1, Next: 100, End: 130}}
	})
	if parts := health.Report().Parts; !parts[0].Ready || parts[1].Missing != "no database" {
		t.Errorf("parts are %+v", parts)
	}
	const at = "{partition=2,service=ordering,topic=ordering.commands.v1}"
	expect(t, m, map[string]string{
		"relay_leading{service=ordering}":                     "1",
		"relay_lag_events{service=ordering}":                  "4",
		"relay_batch_events{service=ordering}":                "1/10",
		"relay_publish_seconds{service=ordering}":             "1/0.02",
		"projection_batch_records{view=orders}":               "1/9",
		"projection_step_seconds{view=orders}":                "1/0.05",
		"projection_records_total{result=folded,view=orders}": "5",
		"projection_records_total{result=broken,view=orders}": "1",
		"projection_commits_total{view=orders}":               "2",
		"projection_queue_records{view=orders}":               "7",
		"projection_lag_seconds{view=orders}":                 "2",
		"projection_broken_keys{view=orders}":                 "3",
		"projection_failures_total{view=orders}":              "1",
		"subscriber_in_flight_messages" + at:                  "4",
		"subscriber_lag_messages" + at:                        "30",
		"subscriber_done_messages_total" + at:                 "100",
		"subscriber_redelivered_messages_total" + at:          "1",
	})
	r.Leading(false)
	expect(t, m, map[string]string{"relay_leading{service=ordering}": "0", "relay_lag_events{service=ordering}": "0"})
}

func TestRequestsAreMeasuredByRouteAndStatusWithoutAllocating(t *testing.T) {
	m := daemon.NewMetrics()
	o := m.HTTP()
	o.Observe("POST", "/v1/orders", 202, 3*time.Millisecond)
	o.Observe("POST", "/v1/orders", 422, time.Millisecond)
	expect(t, m, map[string]string{
		"http_requests_total{method=POST,route=/v1/orders,status=202}": "1",
		"http_requests_total{method=POST,route=/v1/orders,status=422}": "1",
		"http_request_seconds{method=POST,route=/v1/orders}":           "2/0.004",
	})
	if n := testing.AllocsPerRun(100, func() { o.Observe("POST", "/v1/orders", 202, time.Millisecond) }); n != 0 {
		t.Errorf("%v allocations a request", n)
	}
}

func TestEveryMetricIsNamedWithItsUnit(t *testing.T) {
	m := daemon.NewMetrics()
	m.Engine("s", nil).Answered("t", es.StatusSucceeded, false)
	m.Relay("s", nil)
	m.Projection("v", nil)
	m.HTTP().Observe("GET", "/", 200, 0)
	unit := regexp.MustCompile(`(_seconds|_total|_commands|_events|_records|_messages|_keys|_info|_leading)$`)
	families, err := m.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	own := 0
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "orderlane_") {
			continue
		}
		own++
		if !unit.MatchString(f.GetName()) || f.GetHelp() == "" {
			t.Errorf("%s (%s)", f.GetName(), f.GetHelp())
		}
		if counter := f.GetType() == dto.MetricType_COUNTER; counter != strings.HasSuffix(f.GetName(), "_total") {
			t.Errorf("%s is a %s", f.GetName(), f.GetType())
		}
	}
	if own < 20 || len(families) < own+20 {
		t.Errorf("%d metrics of our own, %d in all", own, len(families))
	}
}
