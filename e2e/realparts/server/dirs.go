//go:build unix

package server

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"syscall"
)

// cacheDir is where downloads and prepared data directories are kept between
// runs: <user cache dir>/orderlane/realparts/<name>.
func cacheDir(name string) (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		base = os.TempDir() // no HOME, as in some CI systems
	}
	dir := filepath.Join(base, "orderlane", "realparts", name)
	return dir, os.MkdirAll(dir, 0o755)
}

// locked runs fn while holding a lock file, across processes: test binaries run
// side by side and must not prepare the same thing twice.
func locked(path string, fn func() error) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := flock(f, syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", path, err)
	}
	return fn()
}

func flock(f *os.File, how int) error {
	for {
		if err := syscall.Flock(int(f.Fd()), how); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// runDir is the directory of one running server. Its lock is held as long as
// its owner lives, so that a later run can tell what was left behind.
type runDir struct {
	path string
	lock *os.File
}

// newRunDir makes one, and first removes those whose owners are gone. It lies
// below /tmp and is open to all to walk through, since a server may run as
// another user than we do.
func newRunDir(name string) (*runDir, error) {
	base := filepath.Join("/tmp", fmt.Sprintf("orderlane-realparts-%d", os.Getuid()))
	if err := os.MkdirAll(base, 0o755); err != nil {
		return nil, err
	}
	sweep(base)
	lock, err := os.CreateTemp(base, name+"-*.lock")
	if err != nil {
		return nil, err
	}
	if err := flock(lock, syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	d := &runDir{path: lock.Name()[:len(lock.Name())-len(".lock")], lock: lock}
	return d, os.MkdirAll(d.path, 0o755)
}

// remove deletes the directory and gives up its lock.
func (d *runDir) remove() error {
	return errors.Join(os.RemoveAll(d.path), os.Remove(d.lock.Name()), d.lock.Close())
}

func sweep(base string) {
	locks, _ := filepath.Glob(filepath.Join(base, "*.lock"))
	for _, path := range locks {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			continue
		}
		// A lock file that was just made and not locked yet has no directory:
		// leave it, its owner is about to lock it.
		dir := path[:len(path)-len(".lock")]
		if _, err := os.Stat(dir); err == nil && flock(f, syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			_ = os.RemoveAll(dir)
			_ = os.Remove(path)
		}
		_ = f.Close()
	}
}

// copyTree copies a prepared data directory, and gives the copy to a user.
func copyTree(from, to string, owner *syscall.Credential) error {
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		return fmt.Errorf("copy %s: %w", from, err)
	}
	return filepath.WalkDir(to, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		mode := fs.FileMode(0o600)
		if entry.IsDir() {
			mode = 0o700
		}
		if err := os.Chmod(path, mode); err != nil {
			return err
		}
		if owner == nil {
			return nil
		}
		return os.Chown(path, int(owner.Uid), int(owner.Gid))
	})
}

// freePort finds a port of 127.0.0.1 that nothing listens on, below the range
// that outgoing connections get theirs from. Otherwise a client that redials a
// stopped server could be given the server's own port, connect to itself, and
// keep the server from starting again.
func freePort() (int, error) {
	const lowest, highest, attempts = 20000, 32000, 200
	for range attempts {
		port := lowest + rand.IntN(highest-lowest)
		l, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		return port, l.Close()
	}
	return 0, fmt.Errorf("no free port between %d and %d", lowest, highest)
}
