package check

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// httpRoute is what is read of an HTTPRoute.
type httpRoute struct {
	APIVersion string         `json:"apiVersion"`
	Kind       string         `json:"kind"`
	Metadata   map[string]any `json:"metadata"`
	Spec       struct {
		Hostnames  []string         `json:"hostnames"`
		ParentRefs []map[string]any `json:"parentRefs"`
		Rules      []struct {
			Name        string            `json:"name"`
			Timeouts    map[string]string `json:"timeouts"`
			Matches     []routeMatch      `json:"matches"`
			BackendRefs []struct {
				Name string `json:"name"`
				Port int    `json:"port"`
			} `json:"backendRefs"`
		} `json:"rules"`
	} `json:"spec"`
}

type routeMatch struct {
	Method string `json:"method"`
	Path   struct{ Type, Value string }

	backend string
}

// rank is how far a match goes before others, as the Gateway API orders them: exact paths, then
// longer prefixes, then matches with a method. Where an expression stands is left to the
// gateway; here it is expected before prefixes, as Envoy Gateway and Istio have it.
func (m routeMatch) rank() int {
	kind := map[string]int{"Exact": 2, "RegularExpression": 1}[m.Path.Type]
	rank := kind<<20 + len(m.Path.Value)<<1
	if m.Method != "" {
		rank++
	}
	return rank
}

func (m routeMatch) takes(method, path string) bool {
	if m.Method != "" && m.Method != method {
		return false
	}
	switch m.Path.Type {
	case "Exact":
		return path == m.Path.Value
	case "RegularExpression":
		return regexp.MustCompile("^(?:" + m.Path.Value + ")$").MatchString(path)
	default:
		prefix := strings.TrimSuffix(m.Path.Value, "/")
		return path == prefix || strings.HasPrefix(path, prefix+"/")
	}
}

func TestTheRouteSendsEveryRequestToTheServiceThatServesIt(t *testing.T) {
	found := find[httpRoute](t, kustomize(t, "base"), "HTTPRoute")
	if found["orderlane"] == nil {
		t.Fatal("there is no HTTPRoute")
	}
	var all []routeMatch
	for _, rule := range found["orderlane"].Spec.Rules {
		for _, m := range rule.Matches {
			m.backend = rule.BackendRefs[0].Name
			all = append(all, m)
		}
	}
	slices.SortStableFunc(all, func(a, b routeMatch) int { return cmp.Compare(b.rank(), a.rank()) })
	_, routes := fleet(t)
	for _, r := range routes {
		i := slices.IndexFunc(all, func(m routeMatch) bool { return m.takes(r.method, r.example()) })
		if i < 0 || all[i].backend != r.service {
			t.Errorf("%s %s does not get to %s: %+v", r.method, r.path, r.service, all[max(i, 0)])
		}
	}
}

// TestTheEdgeSendsEveryRequestToTheServiceThatServesIt runs Caddy with its configuration, in
// front of servers that say who they are and what token they were shown.
func TestTheEdgeSendsEveryRequestToTheServiceThatServesIt(t *testing.T) {
	if _, err := exec.LookPath("caddy"); err != nil {
		t.Skip("NOT TESTED: the configuration of the edge: caddy is not installed")
	}
	services, routes := fleet(t)
	public := startEdge(t, services)
	for _, r := range routes {
		if got := ask(t, r.method, public+r.example(), nil); got != r.service+" Bearer developer" {
			t.Errorf("%s %s gets to %q, not %s", r.method, r.path, got, r.service)
		}
	}
	own := http.Header{"Authorization": {"Bearer mine"}}
	if got := ask(t, "GET", public+"/v1/orders", own); got != "orderview Bearer mine" {
		t.Errorf("a request with a token arrives as %q", got)
	}
	for what, header := range map[string]http.Header{
		"another site's page":  {"Sec-Fetch-Site": {"cross-site"}},
		"a name of a stranger": {"Host": {"stranger.example"}},
	} {
		if got := ask(t, "GET", public+"/v1/orders", header); got != "orderview " {
			t.Errorf("a request of %s arrives as %q", what, got)
		}
	}
}

// startEdge starts Caddy on a free port, with a stand-in for each service.
func startEdge(t *testing.T, services []string) (public string) {
	t.Helper()
	file, err := os.ReadFile("../dev/Caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	text := string(file)
	for _, name := range services {
		stand := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "%s %s", name, r.Header.Get("Authorization"))
		}))
		t.Cleanup(stand.Close)
		text = strings.ReplaceAll(text, " "+name+":8080", " "+stand.Listener.Addr().String())
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	_, port, _ := net.SplitHostPort(address)
	dir := t.TempDir()
	path := filepath.Join(dir, "Caddyfile")
	if err := os.WriteFile(path, []byte(strings.Replace(text, "\n:8080 {", "\n:"+port+" {\n\tbind 127.0.0.1", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "caddy", "run", "--config", path, "--adapter", "caddyfile")
	cmd.Env = []string{"DEVELOPER_TOKEN=developer", "HOME=" + dir}
	var log strings.Builder
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(); _ = cmd.Wait() })
	deadline, tick := time.After(20*time.Second), time.NewTicker(20*time.Millisecond)
	defer tick.Stop()
	for {
		c, err := net.Dial("tcp", address)
		if err == nil {
			_ = c.Close()
			return "http://" + address
		}
		select {
		case <-tick.C:
		case <-deadline:
			stop()
			_ = cmd.Wait()
			t.Fatalf("caddy does not listen: %v\n%s", err, log.String())
		}
	}
}

func ask(t *testing.T, method, url string, header http.Header) string {
	t.Helper()
	r, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		r.Header[k] = v
	}
	r.Host = header.Get("Host")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
