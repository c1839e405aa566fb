// Package child runs the processes that the benchmarks measure: it starts them, waits until
// they serve, reads what they cost, and stops them.
package child

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// stopWithin is how long a process may take to stop before it is killed.
const stopWithin = 20 * time.Second

// Process is a process under measurement. Its methods are for one goroutine.
type Process struct {
	Name string
	cmd  *exec.Cmd
	log  string
	done chan struct{} // closed when the process has ended, with err set
	err  error
}

// Start starts a process whose output goes to <name>.log in dir. It is killed when ctx ends.
func Start(ctx context.Context, dir, name, binary string, args ...string) (*Process, error) {
	path := filepath.Join(dir, name+".log")
	out, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close() // the process has its own
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = out, out, dir
	// The settings of the shell that runs the benchmarks must not become those of what they measure.
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "ORDERLANE_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p := &Process{Name: name, cmd: cmd, log: path, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// Until calls ready every few milliseconds until it returns nil. It gives up when the process
// ends, ctx ends, or the time is up, and then says what the process logged last.
func (p *Process) Until(ctx context.Context, within, every time.Duration, ready func() error) error {
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		err := ready()
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s has ended (%w): %s", p.Name, errors.Join(p.err, err), p.LogTail())
		case <-ctx.Done():
			return ctx.Err()
		case <-deadline.C:
			return fmt.Errorf("%s is not ready after %v (%w): %s", p.Name, within, err, p.LogTail())
		case <-tick.C:
		}
	}
}

// Alive returns an error if the process has ended.
func (p *Process) Alive() error {
	select {
	case <-p.done:
		return fmt.Errorf("%s has ended (%w): %s", p.Name, p.err, p.LogTail())
	default:
		return nil
	}
}

// Stop asks the process to stop and waits for it; it kills one that does not.
func (p *Process) Stop() error {
	if p == nil {
		return nil
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	timer := time.NewTimer(stopWithin)
	defer timer.Stop()
	select {
	case <-p.done:
		if p.err != nil {
			return fmt.Errorf("stop %s: %w: %s", p.Name, p.err, p.LogTail())
		}
		return nil
	case <-timer.C:
		_ = p.cmd.Process.Kill()
		<-p.done
		return fmt.Errorf("%s did not stop within %v: %s", p.Name, stopWithin, p.LogTail())
	}
}

// PID is the id of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// LogTail is the end of what the process has logged.
func (p *Process) LogTail() string {
	const most = 2000
	data, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(data[max(0, len(data)-most):]))
}

// FreeAddr returns an address of this machine that nothing listens on at the moment.
func FreeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
