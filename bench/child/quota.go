package child

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// quotaPeriod is how often a quota begins anew.
const quotaPeriod = 100 * time.Millisecond

// Quota bounds the CPU time of the process to some cores. It says how: by a control group of its own, or, where it may
// make none, by one core that it has to run on. release removes what was made; call it when the process has ended.
func (p *Process) Quota(cores float64) (how string, release func() error, err error) {
	for _, of := range []func(pid int, cores float64) (string, error){quotaV1, quotaV2} {
		dir, groupErr := of(p.PID(), cores)
		if groupErr == nil {
			return fmt.Sprintf("a control group with %.1f cores", cores), func() error { return os.Remove(dir) }, nil
		}
		err = errors.Join(err, groupErr)
	}
	if out, bindErr := exec.Command("taskset", "-a", "-p", "-c", "0", strconv.Itoa(p.PID())).CombinedOutput(); bindErr != nil { //nolint:noctx // it takes a moment
		return "", nil, errors.Join(err, fmt.Errorf("taskset: %w: %s", bindErr, out))
	}
	return "one core to run on", func() error { return nil }, nil
}

// quotaV1 makes a group of the first version of control groups.
func quotaV1(pid int, cores float64) (string, error) {
	return makeGroup("/sys/fs/cgroup/cpu", "cpu", pid, func(dir string) error {
		return errors.Join(
			set(dir, "cpu.cfs_period_us", strconv.FormatInt(quotaPeriod.Microseconds(), 10)),
			set(dir, "cpu.cfs_quota_us", strconv.FormatInt(int64(cores*float64(quotaPeriod.Microseconds())), 10)),
		)
	})
}

// quotaV2 makes a group of the second version, where the one that we are in may divide CPU time.
func quotaV2(pid int, cores float64) (string, error) {
	return makeGroup("/sys/fs/cgroup", "", pid, func(dir string) error {
		return set(dir, "cpu.max", fmt.Sprintf("%d %d", int64(cores*float64(quotaPeriod.Microseconds())), quotaPeriod.Microseconds()))
	})
}

// makeGroup makes a group below ours in a hierarchy, and moves a process into it.
func makeGroup(root, controller string, pid int, limit func(dir string) error) (string, error) {
	data, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", fmt.Errorf("control group: %w", err)
	}
	ours := ""
	for line := range strings.Lines(string(data)) { // such as 4:cpu,cpuacct:/path; of the second version, 0::/path
		of := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(of) == 3 && slices.Contains(strings.Split(of[1], ","), controller) {
			ours = of[2]
		}
	}
	if ours == "" {
		return "", fmt.Errorf("there is no control group in %s", root)
	}
	parent := filepath.Join(root, ours)
	if _, err := os.Stat(parent); errors.Is(err, fs.ErrNotExist) {
		parent = root // a container sees its own group as the root
	}
	dir := filepath.Join(parent, fmt.Sprintf("orderlane-bench-%d", pid))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", fmt.Errorf("control group: %w", err)
	}
	if err := errors.Join(limit(dir), set(dir, "cgroup.procs", strconv.Itoa(pid))); err != nil {
		return "", errors.Join(err, os.Remove(dir))
	}
	return dir, nil
}

func set(dir, name, value string) error {
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("control group: %w", err)
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}
