//go:build unix

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"gopkg.in/yaml.v3"

	"github.com/orderlane/orderlane/e2e/fleet"
	"github.com/orderlane/orderlane/e2e/realparts"
)

// composed is what a service of docker-compose.yml runs, and with which settings.
type composed struct {
	Command     []string          `yaml:"command"`
	Environment map[string]string `yaml:"environment"`
}

// TestTheFleetOfDockerComposeTakesTheFirstOrder runs every service of docker-compose.yml as a process
// with just the settings that it has there, on a real Kafka and PostgreSQL, behind the
// edge that it has there, and does what the README says. Only addresses differ.
func TestTheFleetOfDockerComposeTakesTheFirstOrder(t *testing.T) {
	slow(t)
	caddy, err := exec.LookPath("caddy")
	if err != nil {
		t.Skip("NOT TESTED: docker-compose.yml in processes: caddy is not installed")
	}
	services := readCompose(t)
	brokers, database := strings.Join(realparts.StartKafka(t).Brokers(), ","), realparts.Postgres(t)
	env := func(name string) (list []string) {
		for k, v := range services[name].Environment {
			switch k {
			case "ORDERLANE_KAFKA_BROKERS":
				v = strings.ReplaceAll(v, "kafka:9092", brokers)
			case "ORDERLANE_POSTGRES":
				v = regexp.MustCompile(`^postgres://orderlane:development@postgres:5432/orderlane\?sslmode=disable$`).ReplaceAllLiteralString(v, database)
			}
			list = append(list, k+"="+v)
		}
		return append(list, "ORDERLANE_DATA="+filepath.Join(t.TempDir(), name))
	}

	if code, _, errs := fleet.Run(t, nil, "migrate"); code != 2 || !strings.Contains(errs, "--kafka-brokers") {
		t.Errorf("migrate without a fleet exits with %d: %s", code, errs)
	}
	migrateTwice(t, env("migrate"), services["migrate"].Command)
	processes := map[string]*fleet.Process{}
	for name, s := range services {
		if len(s.Command) > 0 && s.Command[0] == "serve" {
			processes[name] = fleet.NewProcess(t, name, env(name), s.Command...)
			processes[name].Launch()
		}
	}
	for name, p := range processes {
		p.WaitReady()
		if code, _, errs := fleet.Run(t, nil, "health", "--admin", "http://"+p.Operator); code != 0 {
			t.Errorf("%s is ready, and its health check says %d: %s", name, code, errs)
		}
	}
	edge := startEdge(t, caddy, services["edge"].Environment["DEVELOPER_TOKEN"], processes)
	if code, _, errs := fleet.Run(t, []string{"ORDERLANE_API=" + edge}, services["sample"].Command...); code != 0 {
		t.Fatalf("sample exits with %d: %s", code, errs)
	}
	if status, _ := send(t, http.MethodGet, "http://"+processes["orderview"].Public+"/v1/orders", "", nil); status != http.StatusUnauthorized {
		t.Errorf("past the edge, and without a token, orders are shown with status %d", status)
	}
	followReadme(t, edge)
	for _, p := range processes {
		p.Stop()
	}
	if code, _, _ := fleet.Run(t, nil, "health", "--admin", "http://"+processes["ordering"].Operator); code == 0 {
		t.Error("a process that is gone is healthy")
	}
}

func readCompose(t *testing.T) map[string]composed {
	t.Helper()
	data, err := os.ReadFile("../docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Services map[string]composed `yaml:"services"`
	}
	if err := yaml.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	return file.Services
}

// migrateTwice migrates from several processes at once, and once more.
func migrateTwice(t *testing.T, env, args []string) {
	t.Helper()
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if code, _, errs := fleet.Run(t, env, args...); code != 0 {
				t.Errorf("migrate, of several at once, exits with %d: %s", code, errs)
			}
		})
	}
	wg.Wait()
	code, out, errs := fleet.Run(t, env, args...)
	if code != 0 || !strings.Contains(out, "topics: all ") || !strings.Contains(out, "ordering log: up to date") ||
		!strings.Contains(out, "orderview store: up to date") || strings.Contains(out, "migrated") || strings.Contains(out, "ran ") {
		t.Errorf("migrating again exits with %d and says: %s%s", code, out, errs)
	}
}

// startEdge starts Caddy with its configuration in front of the processes.
func startEdge(t *testing.T, caddy, token string, processes map[string]*fleet.Process) string {
	t.Helper()
	config, err := os.ReadFile("../k8s/dev/Caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	text, address := string(config), fleet.FreeAddress(t)
	for name, p := range processes {
		text = strings.ReplaceAll(text, " "+name+":8080", " "+p.Public)
	}
	_, port, _ := strings.Cut(address, ":")
	dir := t.TempDir()
	path := filepath.Join(dir, "Caddyfile")
	if err := os.WriteFile(path, []byte(strings.Replace(text, "\n:8080 {", "\n:"+port+" {\n\tbind 127.0.0.1", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(caddy, "run", "--config", path, "--adapter", "caddyfile")
	cmd.Env = []string{"HOME=" + dir, "DEVELOPER_TOKEN=" + token}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // says that it was killed
	})
	fleet.Wait(t, "the edge listens", func() string {
		resp, err := http.Get("http://" + address + "/openapi.json")
		if err != nil {
			return err.Error()
		}
		_ = resp.Body.Close()
		return ""
	})
	return "http://" + address
}

// followReadme places the README's first order, reads it, sends it on its way, and is refused
// another one.
func followReadme(t *testing.T, edge string) {
	t.Helper()
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	bodies := regexp.MustCompile(`(?s)curl \S+ 127\.0\.0\.1:8080/v1/orders .*?-d '(\{.*?\})'\n`).FindAllStringSubmatch(string(readme), -1)
	if len(bodies) != 2 {
		t.Fatalf("the README places %d orders", len(bodies))
	}
	var placed struct {
		Resource struct{ ID string }
		Token    string `json:"consistency_token"`
	}
	var status int
	var answer string
	fleet.Wait(t, "ordering, too, knows the product by now", func() string {
		if status, answer = send(t, http.MethodPost, edge+"/v1/orders", bodies[0][1], &placed, "Prefer", wait); strings.Contains(answer, "unknown_product") {
			return answer
		}
		return ""
	})
	if status != http.StatusOK {
		t.Fatalf("the first order is answered with %d: %s", status, answer)
	}
	path := edge + "/v1/orders/" + placed.Resource.ID
	var order struct {
		Status    string
		Shipments []struct{ ID string }
	}
	if status, answer = send(t, http.MethodGet, path, "", &order, "Consistency-Token", placed.Token, "Prefer", wait); status != http.StatusOK {
		t.Fatalf("the order is shown with %d: %s", status, answer)
	}
	await := func(want string) {
		t.Helper()
		fleet.Wait(t, "the order is "+want, func() string {
			if _, answer := send(t, http.MethodGet, path, "", &order); order.Status != want || len(order.Shipments) == 0 {
				return answer
			}
			return ""
		})
	}
	await("confirmed")
	shipment := edge + "/v1/shipments/" + order.Shipments[0].ID
	if status, answer = send(t, http.MethodPost, shipment+"/dispatch", `{"carrier": "DHL"}`, nil, "Prefer", wait); status != http.StatusOK {
		t.Fatalf("dispatching is answered with %d: %s", status, answer)
	}
	if status, answer = send(t, http.MethodPost, shipment+"/deliver", "", nil, "Prefer", wait); status != http.StatusOK {
		t.Fatalf("delivering is answered with %d: %s", status, answer)
	}
	await("delivered")
	if status, answer = send(t, http.MethodPost, edge+"/v1/orders", bodies[1][1], nil, "Prefer", wait); status != http.StatusUnprocessableEntity || !strings.Contains(answer, "unknown_product") {
		t.Errorf("the order of no product is answered with %d: %s", status, answer)
	}
	if _, answer = send(t, http.MethodGet, edge+"/openapi.json", "", nil); !strings.Contains(answer, `"/v1/orders"`) || !strings.Contains(answer, `"/v1/insights/sales"`) {
		t.Errorf("the documentation leaves out what other services serve: %.200s", answer)
	}
	for _, query := range []string{"/v1/orders/" + placed.Resource.ID + "/mails", "/v1/stock/TEA-001", "/v1/payments/" + placed.Resource.ID, "/v1/insights/overview"} {
		fleet.Wait(t, "there is "+query, func() string {
			if status, answer = send(t, http.MethodGet, edge+query, "", nil); status != http.StatusOK {
				return fmt.Sprint(status, " ", answer)
			}
			return ""
		})
	}
}

// send makes a request, and reads the answer into v if that is not nil.
func send(t *testing.T, method, url, body string, v any, header ...string) (status int, answer string) {
	t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := (&http.Client{Timeout: time.Minute}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if v != nil && resp.StatusCode < 300 {
		if err := json.Unmarshal(data, v, json.MatchCaseInsensitiveNames(true)); err != nil {
			t.Fatalf("%s: %v", data, err)
		}
	}
	return resp.StatusCode, string(data)
}
