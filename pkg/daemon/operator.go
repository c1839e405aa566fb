package daemon

import (
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"

	"github.com/go-json-experiment/json"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// operatorHandler is what the operator listener serves: probes and metrics to everybody,
// /admin and /debug/pprof to callers on this machine, or to all if remote is set, since
// neither asks who calls.
func operatorHandler(health *Health, registry *prometheus.Registry, admin http.Handler, remote bool) http.Handler {
	if !remote {
		admin = localOnly(admin)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintln(w, "alive")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { writeReport(w, health.Report()) })
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{Registry: registry}))
	mux.Handle("/admin/", admin)
	mux.Handle("/debug/pprof/", admin)
	return mux
}

// newAdmin returns the mux of what only operators may do, with Go's profiles. It is the
// standard library's, since that takes patterns while it serves: parts add theirs when they
// start, and the listener is up before them.
func newAdmin() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}

func writeReport(w http.ResponseWriter, report Report) {
	body, err := json.Marshal(report)
	if err != nil { // a Report holds strings, bools and times
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if !report.Ready() {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_, _ = w.Write(append(body, '\n'))
}

// localOnly refuses callers on other machines, and pages of other sites in a browser on
// this one: those name their own host, or come with an Origin.
func localOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if _, _, err := net.SplitHostPort(host); err != nil {
			host = net.JoinHostPort(host, "0")
		}
		if !loopback(r.RemoteAddr) || !loopback(host) || r.Header.Get("Origin") != "" {
			http.Error(w, "only callers on this machine may ask for this: see operator-remote", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}
