package daemon_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/orderlane/orderlane/pkg/daemon"
)

func TestAReportSaysOfEveryPartWhatItMissesAndSinceWhen(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	health := daemon.NewHealth(slog.New(slog.DiscardHandler), func() time.Time { return now })
	store := health.Watch("ordering store")
	broker := health.Require("broker")
	status := func() string { r := health.Report(); return r.Status }

	if status() != "starting" {
		t.Errorf("before the start it is %s", status())
	}
	health.Started()
	if status() != "not_ready" {
		t.Errorf("without its broker it is %s", status())
	}
	broker.Ready()
	if r := health.Report(); r.Status != "degraded" || !r.Ready() {
		t.Errorf("without a part that it can do without it is %s", r.Status)
	}
	store.Ready()
	if status() != "ready" {
		t.Errorf("with everything it is %s", status())
	}
	now = now.Add(time.Minute)
	gone := now
	broker.Missing("connection refused")
	now = now.Add(time.Minute)
	broker.Missing("connection timed out")
	r := health.Report()
	want := daemon.PartReport{Name: "broker", Required: true, Missing: "connection timed out", Since: gone}
	if r.Parts[0] != want || r.Parts[1].Name != "ordering store" {
		t.Errorf("parts are %+v", r.Parts)
	}
	broker.Ready()
	health.Stopping()
	health.Started()
	if status() != "stopping" {
		t.Errorf("a stopping process with all its parts is %s", status())
	}
}

func TestOnlyChangesOfAPartAreLogged(t *testing.T) {
	var lines bytes.Buffer
	part := daemon.NewHealth(slog.New(slog.NewTextHandler(&lines, nil)), time.Now).Require("broker")
	for range 3 {
		part.Missing("dial tcp 127.0.0.1:4711: connection refused")
		part.Missing("dial tcp 127.0.0.1:4712: connection refused")
	}
	part.Missing("authentication failed")
	for range 3 {
		part.Ready()
	}
	if got := strings.Count(lines.String(), "\n"); got != 3 {
		t.Errorf("%d lines for three changes:\n%s", got, &lines)
	}
}

func TestReadyCostsNextToNothingWhenItIsARepeat(t *testing.T) {
	part := daemon.NewHealth(slog.New(slog.DiscardHandler), time.Now).Require("engine")
	part.Ready()
	if n := testing.AllocsPerRun(100, part.Ready); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestLogsAreJSONAwayFromATerminalAndNameTheService(t *testing.T) {
	var out bytes.Buffer
	env := &daemon.Env{Log: daemon.NewLogger(&out, daemon.LogSettings{Level: "warn", Format: "auto"})}
	log := env.Logger("ordering")
	log.Info("too low")
	log.Warn("told")
	if got := out.String(); !strings.HasPrefix(got, "{") || !strings.Contains(got, `"service":"ordering"`) || strings.Contains(got, "too low") {
		t.Errorf("logged %s", got)
	}
	out.Reset()
	daemon.NewLogger(&out, daemon.LogSettings{Format: "text"}).Info("told")
	if got := out.String(); !strings.Contains(got, "level=INFO msg=told") {
		t.Errorf("logged %s", got)
	}
}
