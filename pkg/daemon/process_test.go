package daemon_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/go-json-experiment/json"
	"go.uber.org/goleak"

	"github.com/orderlane/orderlane/pkg/daemon"
)

// childMode, in the environment, makes the test binary a process of the fleet: signals and
// exit codes are only real in a process of one's own.
const childMode = "DAEMON_TEST_CHILD"

func TestMain(m *testing.M) {
	if mode := os.Getenv(childMode); mode != "" {
		var cli struct {
			Serve childCommand `cmd:"" default:"withargs"`
		}
		cli.Serve.mode = mode
		os.Exit(daemon.Execute(kong.Must(&cli, kong.Name("orderlane")), os.Args[1:]))
	}
	goleak.VerifyTestMain(m)
}

type childCommand struct {
	daemon.Settings `embed:""`
	mode            string
}

func (c *childCommand) Run() error {
	return daemon.Serve(context.Background(), &c.Settings, os.Stderr, func(env *daemon.Env, sup *daemon.Supervisor) error {
		mux := http.NewServeMux()
		mux.HandleFunc("GET /wait", func(w http.ResponseWriter, _ *http.Request) {
			env.Log.Info("waiting")
			<-env.Stopping
			_, _ = io.WriteString(w, "finished")
		})
		sup.Add(daemon.StageHTTP, daemon.NewServer("http", c.Listen, mux, env.Log).Component())
		sup.Add(daemon.StageConsumers, daemon.Component{Name: "orders", Run: func(ctx context.Context) error {
			if c.mode == "fails" {
				return errors.New("the log is damaged\nat position 7")
			}
			<-ctx.Done()
			if c.mode == "stuck" {
				env.Log.Info("stuck")
				<-daemon.Grace(ctx).Done()
				<-make(chan struct{})
			}
			return nil
		}})
		if c.mode == "away" {
			sup.Add(daemon.StageResources, daemon.Component{Name: "database", Start: func(ctx context.Context) error {
				return daemon.Retry(ctx, env.Health.Require("database"), daemon.DefaultBackoff, func(context.Context) error {
					return errors.New("connection refused")
				})
			}})
		}
		return nil
	})
}

// child is a running process.
type child struct {
	t      *testing.T
	cmd    *exec.Cmd
	logs   chan map[string]any
	mu     sync.Mutex
	stderr bytes.Buffer
	exit   chan int
}

func start(t *testing.T, mode string, args ...string) *child {
	t.Helper()
	c := &child{t: t, cmd: exec.Command(os.Args[0], args...), logs: make(chan map[string]any, 100), exit: make(chan int, 1)}
	c.cmd.Env = append(os.Environ(), childMode+"="+mode, "ORDERLANE_LISTEN=127.0.0.1:0", "ORDERLANE_OPERATOR_LISTEN=127.0.0.1:0")
	pipe, err := c.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(c.logs)
		for lines := bufio.NewScanner(pipe); lines.Scan(); {
			c.mu.Lock()
			c.stderr.Write(append(lines.Bytes(), '\n'))
			c.mu.Unlock()
			var line map[string]any
			if json.Unmarshal(lines.Bytes(), &line) == nil {
				c.logs <- line
			}
		}
	}()
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill()
		<-done
	})
	go func() {
		<-done
		_ = c.cmd.Wait()
		c.exit <- c.cmd.ProcessState.ExitCode()
	}()
	return c
}

// until waits for a log line and returns its attribute.
func (c *child) until(msg, key, value, attr string) string {
	c.t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		select {
		case line, ok := <-c.logs:
			if !ok {
				c.t.Fatalf("the process ended without %q:\n%s", msg, c.output())
			}
			if line["msg"] == msg && (key == "" || line[key] == value) {
				s, _ := line[attr].(string)
				return s
			}
		case <-deadline:
			c.t.Fatalf("the process does not say %q:\n%s", msg, c.output())
		}
	}
}

func (c *child) output() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stderr.String()
}

func (c *child) signal(sig os.Signal) {
	c.t.Helper()
	if err := c.cmd.Process.Signal(sig); err != nil {
		c.t.Fatal(err)
	}
}

func (c *child) exits(want int) {
	c.t.Helper()
	select {
	case got := <-c.exit:
		if got != want {
			c.t.Errorf("exit code %d, want %d:\n%s", got, want, c.output())
		}
	case <-time.After(20 * time.Second):
		c.t.Fatalf("the process does not exit:\n%s", c.output())
	}
}

// lastLine is what a person sees at the end; it is no log line.
func (c *child) lastLine() string {
	lines := strings.Split(strings.TrimSpace(c.output()), "\n")
	return lines[len(lines)-1]
}

var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}

func get(url string) (int, string, error) {
	resp, err := client.Get(url)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

func TestSIGTERMFinishesRequestsInFlightAndExitsWithZero(t *testing.T) {
	c := start(t, "serves")
	operator := c.until("listening", "listener", "operator", "address")
	public := c.until("listening", "listener", "http", "address")
	c.until("started", "", "", "")
	if code, body, err := get("http://" + operator + "/readyz"); code != http.StatusOK || err != nil {
		t.Errorf("/readyz of a process that serves: %d %s %v", code, body, err)
	}
	type answer struct {
		body string
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		_, body, err := get("http://" + public + "/wait")
		answers <- answer{body, err}
	}()
	c.until("waiting", "", "", "")
	c.signal(syscall.SIGTERM)
	if a := <-answers; a.err != nil || a.body != "finished" {
		t.Errorf("a request in flight got %+v", a)
	}
	c.exits(daemon.ExitOK)
	if strings.Contains(c.output(), `"ERROR"`) || strings.Contains(c.output(), `"WARN"`) {
		t.Errorf("a clean stop complains:\n%s", c.output())
	}
}

func TestAProcessThatDrainsIsAliveButNotReadyAndASecondSignalEndsItAtOnce(t *testing.T) {
	for sig, code := range map[syscall.Signal]int{syscall.SIGTERM: 143, syscall.SIGINT: 130} {
		c := start(t, "stuck", "--drain-deadline", "5m")
		operator := c.until("listening", "listener", "operator", "address")
		public := c.until("listening", "listener", "http", "address")
		c.until("started", "", "", "")
		c.signal(syscall.SIGTERM)
		c.until("stuck", "", "", "")
		if code, body, err := get("http://" + operator + "/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, `"stopping"`) {
			t.Errorf("/readyz of a process that stops: %d %s %v", code, body, err)
		}
		if code, _, err := get("http://" + operator + "/livez"); code != http.StatusOK {
			t.Errorf("/livez of a process that stops: %d %v", code, err)
		}
		if _, _, err := get("http://" + public + "/wait"); err == nil {
			t.Error("a process that stops takes requests")
		}
		c.signal(sig)
		c.exits(code)
	}
}

func TestAStopThatTakesTooLongIsOneLineAndExitCodeOne(t *testing.T) {
	c := start(t, "stuck", "--drain-deadline", "50ms")
	c.until("started", "", "", "")
	c.signal(syscall.SIGTERM)
	c.exits(daemon.ExitFailed)
	if want := "orderlane: did not finish within the drain deadline of 50ms: orders"; c.lastLine() != want {
		t.Errorf("it says %q", c.lastLine())
	}
}

func TestAComponentThatFailsIsOneLineAndExitCodeOne(t *testing.T) {
	c := start(t, "fails")
	c.exits(daemon.ExitFailed)
	if want := "orderlane: orders: the log is damaged; at position 7"; c.lastLine() != want {
		t.Errorf("it says %q", c.lastLine())
	}
}

func TestAPortInUseIsOneLineAndExitCodeOne(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	addr := l.Addr().String()
	for setting, part := range map[string]string{"--listen": "http", "--operator-listen": "operator"} {
		c := start(t, "serves", setting, addr)
		c.exits(daemon.ExitFailed)
		if want := "orderlane: " + part + ": cannot listen on " + addr + ": bind: address already in use"; c.lastLine() != want {
			t.Errorf("it says %q, want %q", c.lastLine(), want)
		}
	}
}

func TestABadSettingIsTheOnlyLineAndExitCodeTwo(t *testing.T) {
	c := start(t, "serves", "--kafka-partitions", "0")
	c.exits(daemon.ExitUsage)
	if want := "orderlane: kafka-partitions 0 is below 1\n"; c.output() != want {
		t.Errorf("it says %q", c.output())
	}
}

func TestWhatIsAwayAtStartIsWaitedForAndNamedByReadyz(t *testing.T) {
	c := start(t, "away")
	operator := c.until("listening", "listener", "operator", "address")
	c.until("not ready", "part", "database", "missing")
	code, body, err := get("http://" + operator + "/readyz")
	if err != nil || code != http.StatusServiceUnavailable {
		t.Errorf("/readyz: %d %v", code, err)
	}
	var report daemon.Report
	if err := json.Unmarshal([]byte(body), &report); err != nil {
		t.Fatal(err)
	}
	if report.Status != "starting" || len(report.Parts) != 1 || report.Parts[0].Missing != "connection refused" || report.Parts[0].Since.IsZero() {
		t.Errorf("/readyz says %s", body)
	}
	c.signal(syscall.SIGINT)
	c.exits(daemon.ExitOK)
}
