//go:build unix

package server

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// poll is how often a state of a child process is looked at. There is no
// goroutine behind a running server, so that goleak in the tests that use one
// has nothing to complain of.
const poll = 10 * time.Millisecond

// errExited says that a server ended before it was ready.
var errExited = errors.New("it ended before it was ready")

// process is one server process that can be started, stopped, killed, frozen
// and started again with the same command line. Safe for concurrent use.
type process struct {
	name  string              // for messages: "kafka", "postgres"
	argv  []string            // command line
	dir   string              // working directory; the log file lies in it
	ready string              // the line in its log that says that it serves
	cred  *syscall.Credential // user to run as; nil: as we are
	term  syscall.Signal      // what asks it to stop in an orderly way

	mu     sync.Mutex
	pid    int   // 0 when it does not run
	offset int64 // of the log file, where the current run begins
}

func (p *process) logPath() string { return filepath.Join(p.dir, p.name+".log") }

// start runs the command and waits until its log says that it is ready.
// errExited is in the chain when the process ended by itself.
func (p *process) start(within time.Duration) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.alive() {
		return nil
	}
	log, err := os.OpenFile(p.logPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	defer log.Close()
	if info, err := log.Stat(); err == nil {
		p.offset = info.Size()
	}
	cmd := exec.Command(p.argv[0], p.argv[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.dir, log, log
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC")
	cmd.SysProcAttr = childAttributes()
	cmd.SysProcAttr.Credential = p.cred
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	p.pid = cmd.Process.Pid
	if err := cmd.Process.Release(); err != nil { // we reap it ourselves, in alive
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	return p.awaitReady(within)
}

func (p *process) awaitReady(within time.Duration) error {
	for deadline := time.Now().Add(within); ; time.Sleep(poll) {
		if strings.Contains(p.currentLog(), p.ready) {
			return nil
		}
		if !p.alive() {
			return fmt.Errorf("start %s: %w; the end of its log:\n%s", p.name, errExited, p.logTail(30))
		}
		if time.Now().After(deadline) {
			_ = p.signalAndWait(syscall.SIGKILL, within)
			return fmt.Errorf("start %s: not ready within %s; the end of its log:\n%s", p.name, within, p.logTail(30))
		}
	}
}

// stop ends the process with a signal and waits until it is gone. One that is
// not gone in time is killed, and that is an error.
func (p *process) stop(sig syscall.Signal, within time.Duration) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	err := p.signalAndWait(sig, within)
	if err != nil && sig != syscall.SIGKILL {
		return errors.Join(err, p.signalAndWait(syscall.SIGKILL, within))
	}
	return err
}

func (p *process) signalAndWait(sig syscall.Signal, within time.Duration) error {
	if !p.alive() {
		return nil
	}
	var orphans []int
	if sig == syscall.SIGKILL {
		// Children that outlive a killed parent would hold its port or its data.
		orphans = childrenOf(p.pid)
	}
	if err := syscall.Kill(p.pid, sig); err != nil {
		return fmt.Errorf("send %s to %s: %w", sig, p.name, err)
	}
	for _, child := range orphans {
		_ = syscall.Kill(child, syscall.SIGKILL)
	}
	deadline := time.Now().Add(within)
	for ; p.alive() || anyAlive(orphans); time.Sleep(poll) {
		if time.Now().After(deadline) {
			return fmt.Errorf("stop %s: it still runs %s after %s; the end of its log:\n%s", p.name, within, sig, p.logTail(30))
		}
	}
	return nil
}

// freeze sends SIGSTOP or SIGCONT to the process and its children: a database
// whose backends go on answering is not frozen.
func (p *process) freeze(sig syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.alive() {
		return fmt.Errorf("send %s to %s: it does not run", sig, p.name)
	}
	if err := syscall.Kill(p.pid, sig); err != nil {
		return fmt.Errorf("send %s to %s: %w", sig, p.name, err)
	}
	for _, child := range childrenOf(p.pid) {
		_ = syscall.Kill(child, sig)
	}
	return nil
}

// running tells whether the process runs (frozen counts).
func (p *process) running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.alive()
}

// alive looks, and reaps a process that has ended.
func (p *process) alive() bool {
	if p.pid == 0 {
		return false
	}
	var status syscall.WaitStatus
	pid, err := syscall.Wait4(p.pid, &status, syscall.WNOHANG, nil)
	if pid == p.pid || (err != nil && !errors.Is(err, syscall.EINTR)) {
		p.pid = 0
	}
	return p.pid != 0
}

// currentLog is what the process has written since its last start.
func (p *process) currentLog() string {
	log, err := os.ReadFile(p.logPath())
	if err != nil || int64(len(log)) < p.offset {
		return ""
	}
	return string(log[p.offset:])
}

// logTail is the last lines of the log, for error messages.
func (p *process) logTail(lines int) string {
	log, err := os.ReadFile(p.logPath())
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(log), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// childrenOf lists the direct children of a process, from /proc or else ps.
func childrenOf(parent int) []int {
	var children []int
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended since
		}
		// "pid (name) state ppid ...", where the name may hold anything.
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(fields) > 1 && fields[0] != "Z" && fields[1] == strconv.Itoa(parent) {
			if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
				children = append(children, pid)
			}
		}
	}
	if len(stats) > 0 {
		return children
	}
	out, _ := exec.Command("ps", "-A", "-o", "pid=,ppid=").Output()
	for line := range strings.Lines(string(out)) {
		var pid, ppid int
		if n, _ := fmt.Sscan(line, &pid, &ppid); n == 2 && ppid == parent {
			children = append(children, pid)
		}
	}
	return children
}

func anyAlive(pids []int) bool {
	for _, pid := range pids {
		if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil {
			if !bytes.Contains(stat, []byte(") Z ")) {
				return true
			}
		} else if !errors.Is(err, os.ErrNotExist) || syscall.Kill(pid, 0) == nil {
			return true
		}
	}
	return false
}
