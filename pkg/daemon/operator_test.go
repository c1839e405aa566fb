package daemon

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func operatorFor(remote bool) http.Handler {
	admin := newAdmin()
	handler := operatorHandler(NewHealth(slog.New(slog.DiscardHandler), time.Now), NewMetrics().Registry, admin, remote)
	// Parts add their routes while the listener is up already.
	admin.HandleFunc("GET /admin/deadletters", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "none") })
	return handler
}

func ask(h http.Handler, method, path, peer string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://127.0.0.1:8081"+path, nil)
	r.RemoteAddr = peer
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

const (
	here      = "127.0.0.1:50000"
	elsewhere = "10.1.2.3:50000"
)

func TestProbesAndMetricsAreForEverybodyAndAdminForThisMachine(t *testing.T) {
	for _, tc := range []struct {
		path   string
		remote bool
		peer   string
		header []string
		want   int
	}{
		{path: "/livez", peer: elsewhere, want: 200},
		{path: "/readyz", peer: elsewhere, want: 503},
		{path: "/metrics", peer: elsewhere, want: 200},
		{path: "/admin/deadletters", peer: here, want: 200},
		{path: "/admin/deadletters", peer: "[::1]:50000", want: 200},
		{path: "/admin/deadletters", peer: here, header: []string{"Host", "localhost"}, want: 200},
		{path: "/debug/pprof/cmdline", peer: here, want: 200},
		{path: "/admin/deadletters", peer: elsewhere, want: 403},
		{path: "/debug/pprof/heap", peer: elsewhere, want: 403},
		{path: "/admin/deadletters", peer: elsewhere, remote: true, want: 200},
		{path: "/admin/deadletters", peer: here, header: []string{"Host", "evil.example"}, want: 403},
		{path: "/admin/deadletters", peer: here, header: []string{"Origin", "https://evil.example"}, want: 403},
		{path: "/admin/nothing", peer: here, want: 404},
		{path: "/", peer: here, want: 404},
	} {
		if got := ask(operatorFor(tc.remote), http.MethodGet, tc.path, tc.peer, tc.header...).Code; got != tc.want {
			t.Errorf("%s from %s %v, remote %v: %d, want %d", tc.path, tc.peer, tc.header, tc.remote, got, tc.want)
		}
	}
}

func TestReadyzIsJSONThatNoProxyKeeps(t *testing.T) {
	w := ask(operatorFor(false), http.MethodGet, "/readyz", here)
	if w.Header().Get("Content-Type") != "application/json" || w.Header().Get("Cache-Control") != "no-store" || !strings.HasPrefix(w.Body.String(), `{"status":"starting"`) {
		t.Errorf("%v %s", w.Header(), w.Body)
	}
}
