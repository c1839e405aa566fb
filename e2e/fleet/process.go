//go:build unix

package fleet

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// shownLines is how much of a process's log is shown when its test fails.
const shownLines = 40

// Process is one orderlane process, which can be started again on the same addresses after
// its end. Its methods are for the test's own goroutine, but for Public.
type Process struct {
	Name     string
	Public   string   // host:port of the API
	Operator string   // host:port of probes, metrics and admin
	Args     []string // of the binary
	Env      []string // KEY=VALUE

	t    testing.TB
	log  string // path
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
	err  error         // of its end
}

// NewProcess returns a process of the binary that is not started yet. It is killed at the
// test's end, and the end of its log is shown if the test has failed.
func NewProcess(t testing.TB, name string, env []string, args ...string) *Process {
	t.Helper()
	p := &Process{
		Name: name, Public: FreeAddress(t), Operator: FreeAddress(t), Args: args, t: t,
		log: filepath.Join(t.TempDir(), name+".log"),
	}
	p.Env = append([]string{"ORDERLANE_LISTEN=" + p.Public, "ORDERLANE_OPERATOR_LISTEN=" + p.Operator}, env...)
	t.Cleanup(func() {
		if p.Running() {
			p.end(syscall.SIGKILL)
		}
		if t.Failed() {
			t.Logf("the end of the log of %s:\n%s", name, p.LogTail(shownLines))
		}
	})
	return p
}

// Launch starts the process and does not wait until it is ready. env is for this start only.
func (p *Process) Launch(env ...string) {
	p.t.Helper()
	if p.Running() {
		p.t.Fatalf("%s runs already", p.Name)
	}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		p.t.Fatal(err)
	}
	defer log.Close()
	fmt.Fprintf(log, "--- start %v %v\n", p.Args, env)
	cmd := exec.Command(Binary(p.t), p.Args...)
	cmd.Env = slices.Concat(clean(os.Environ()), p.Env, env)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = childAttributes()
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.cmd, p.done = cmd, make(chan struct{})
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
}

// clean drops what the machine's own settings would change.
func clean(env []string) []string {
	return slices.DeleteFunc(env, func(s string) bool { return strings.HasPrefix(s, "ORDERLANE_") })
}

// Start starts the process and waits until it is ready.
func (p *Process) Start(env ...string) {
	p.t.Helper()
	p.Launch(env...)
	p.WaitReady()
}

// WaitReady waits until /readyz says that the process is ready.
func (p *Process) WaitReady() {
	p.t.Helper()
	Wait(p.t, p.Name+" is ready", func() string {
		if !p.Running() {
			p.t.Fatalf("%s ended before it was ready: exit code %d", p.Name, p.ExitCode())
		}
		status, body, err := p.Ready()
		switch {
		case err != nil:
			return err.Error()
		case status != http.StatusOK:
			return body
		}
		return ""
	})
}

// Ready asks /readyz and returns its status and body.
func (p *Process) Ready() (status int, body string, err error) {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + p.Operator + "/readyz")
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(data), err
}

// Running tells whether the process exists; a frozen one does.
func (p *Process) Running() bool {
	if p.cmd == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Signal sends a signal.
func (p *Process) Signal(sig syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Fatalf("signal %v to %s: %v", sig, p.Name, err)
	}
}

// Exited waits until the process has ended and returns its exit code; -1 if a signal ended it.
func (p *Process) Exited(within time.Duration) int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(within):
		p.t.Fatalf("%s did not end within %s", p.Name, within)
	}
	return p.ExitCode()
}

// ExitCode is that of the process that has ended.
func (p *Process) ExitCode() int { return p.cmd.ProcessState.ExitCode() }

// Stop ends the process with SIGTERM, and fails the test unless it exits with 0.
func (p *Process) Stop() {
	p.t.Helper()
	p.Signal(syscall.SIGTERM)
	if code := p.Exited(Patience); code != 0 {
		p.t.Fatalf("%s exits with %d after SIGTERM", p.Name, code)
	}
}

// Kill ends the process with SIGKILL and waits until it is gone.
func (p *Process) Kill() { p.t.Helper(); p.end(syscall.SIGKILL) }

func (p *Process) end(sig syscall.Signal) {
	p.t.Helper()
	p.Signal(sig)
	p.Exited(Patience)
}

// Log is everything that the process has logged and printed, over all its starts.
func (p *Process) Log() string {
	p.t.Helper()
	data, err := os.ReadFile(p.log)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		p.t.Fatal(err)
	}
	return string(data)
}

// LogTail is the end of the log.
func (p *Process) LogTail(lines int) string {
	all := strings.Split(strings.TrimSpace(p.Log()), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// Run runs the binary as a command to its end and returns its exit code, standard output and
// standard error.
func Run(t testing.TB, env []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.Command(Binary(t), args...)
	cmd.Env = append(clean(os.Environ()), env...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.SysProcAttr = childAttributes()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(Patience, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	err := cmd.Wait()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// Metrics is what /metrics answers.
func (p *Process) Metrics(t testing.TB) string {
	t.Helper()
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + p.Operator + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// Memory is the resident memory of the process in bytes, as its own metrics tell.
func (p *Process) Memory(t testing.TB) int64 {
	t.Helper()
	for line := range strings.Lines(p.Metrics(t)) {
		if value, ok := strings.CutPrefix(line, "process_resident_memory_bytes "); ok {
			bytes, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				t.Fatal(err)
			}
			return int64(bytes)
		}
	}
	t.Fatalf("%s does not tell its memory", p.Name)
	return 0
}
