package daemon_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/orderlane/orderlane/pkg/daemon"
)

func TestARequestThatDoesNotEndIsCutOffByTheDeadlineAndStopsNothingElse(t *testing.T) {
	var lines bytes.Buffer
	log := slog.New(slog.NewTextHandler(&lines, nil))
	arrived, cut, told := make(chan struct{}), make(chan struct{}), make(chan struct{})
	over := make(chan struct{}) // until then the request holds its connection, which could else be gone when the deadline is looked at
	defer close(over)
	server := daemon.NewServer("http", "127.0.0.1:0", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
		close(cut)
		<-over
	}), log)
	server.OnStop(func() { close(told) })
	started := make(chan struct{})
	sup := daemon.NewSupervisor(slog.New(slog.DiscardHandler), daemon.NewHealth(log, time.Now), 50*time.Millisecond)
	sup.Add(daemon.StageHTTP, server.Component())
	sup.Add(daemon.StageReady, daemon.Component{Start: func(context.Context) error { close(started); return nil }})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- sup.Run(ctx) }()
	<-started

	answered := make(chan error, 1)
	go func() {
		_, _, err := get("http://" + server.Addr())
		answered <- err
	}()
	<-arrived
	cancel()
	for name, c := range map[string]<-chan struct{}{"handlers are told of the stop": told, "the request's context ends": cut} {
		select {
		case <-c:
		case <-time.After(20 * time.Second):
			t.Fatalf("not so: %s", name)
		}
	}
	if err := <-ended; err != nil {
		t.Errorf("the process fails over one client: %v", err)
	}
	<-answered //nolint:errcheck // with an answer or a cut connection, whichever came first
	if !strings.Contains(lines.String(), "cut off") {
		t.Errorf("nobody is told:\n%s", &lines)
	}
}
