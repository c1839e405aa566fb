package child

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// ticksPerSecond is the unit of CPU times in /proc, the same on every Linux that Go runs on.
const ticksPerSecond = 100

// CPU is the time that the process has spent on all cores until now, in user and system
// mode. It is read from /proc, and an error elsewhere than on Linux.
func (p *Process) CPU() (time.Duration, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID()))
	if err != nil {
		return 0, fmt.Errorf("CPU time of %s: %w", p.Name, err)
	}
	// The second field is the name in brackets, which may hold anything.
	_, rest, _ := strings.Cut(string(data), ") ")
	fields := strings.Fields(rest)
	const user, system = 14 - 3, 15 - 3 // counted from the third field on
	if len(fields) <= system {
		return 0, fmt.Errorf("CPU time of %s: %q is no stat of a process", p.Name, data)
	}
	u, err := strconv.ParseInt(fields[user], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("CPU time of %s: %w", p.Name, err)
	}
	s, err := strconv.ParseInt(fields[system], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("CPU time of %s: %w", p.Name, err)
	}
	return time.Duration(u+s) * time.Second / ticksPerSecond, nil
}

// Memory is the resident memory of the process in bytes, now and at its highest. It is read
// from /proc, and an error elsewhere than on Linux.
func (p *Process) Memory() (now, peak int64, err error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		return 0, 0, fmt.Errorf("memory of %s: %w", p.Name, err)
	}
	for line := range strings.Lines(string(data)) {
		name, value, _ := strings.Cut(line, ":")
		to := map[string]*int64{"VmRSS": &now, "VmHWM": &peak}[name]
		if to == nil {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		if err != nil {
			return 0, 0, fmt.Errorf("memory of %s: %w", p.Name, err)
		}
		*to = kib << 10
	}
	if now == 0 {
		return 0, 0, fmt.Errorf("memory of %s: the process has ended", p.Name)
	}
	return now, peak, nil
}
