package daemon_test

import (
	"errors"
	"testing"
	"time"

	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/daemon"
)

func TestTimersForwardersAndGatewaysAreMeasured(t *testing.T) {
	m := daemon.NewMetrics()
	alarm, forwarder, gateway := m.Alarm("deal"), m.Forwarder("deal"), m.Gateway("till")
	alarm.Fired(3, 500*time.Millisecond)
	alarm.Failed(errors.New("away"))
	forwarder.Forwarded(5, 2)
	forwarder.Failed(errors.New("away"))
	gateway.Attempted("orderlane.till.charge.v1", bus.TaskFailed, time.Second)
	gateway.Attempted("orderlane.till.charge.v1", bus.TaskDone, time.Second)
	expect(t, m, map[string]string{
		"timers_fired_total{service=deal}":                   "3",
		"timers_late_seconds{service=deal}":                  "1/0.5",
		"timers_failures_total{service=deal}":                "1",
		"forwarder_events_total{process=deal}":               "5",
		"forwarder_dead_letters_total{process=deal}":         "2",
		"forwarder_failures_total{process=deal}":             "1",
		"gateway_attempts_total{result=failed,service=till}": "1",
		"gateway_attempts_total{result=done,service=till}":   "1",
		"gateway_attempt_seconds{service=till}":              "2/2",
	})
}
