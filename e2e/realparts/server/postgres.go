//go:build unix

package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	postgresStart = 60 * time.Second
	postgresStop  = 30 * time.Second
)

// postgresSettings hold for every instance. fsync stays on: what is measured on
// these servers should hold for real ones.
var postgresSettings = []string{
	"listen_addresses=127.0.0.1",
	"max_connections=400", // several test binaries, each with its pools
	"fsync=on",
	"shared_buffers=512MB", // of a small server in use; taken as it is needed
	"timezone=UTC",
	"dynamic_shared_memory_type=mmap", // in the data directory: nothing stays in /dev/shm after a kill
}

// Postgres is a database server of its own, in a process that can be stopped,
// killed, frozen and started again with its port and data. Its methods are safe
// for concurrent use, one after the other.
type Postgres struct {
	process
	run  *runDir
	port int
}

// StartPostgres starts a server and waits until it serves. Each setting
// ("name=value") overrides ours. A MissingError says that PostgreSQL is not
// installed, or that we are root and there is no other user to run it as.
func StartPostgres(settings ...string) (*Postgres, error) {
	return startPostgres("database system is ready to accept connections", settings, (*Postgres).prepare)
}

// StartStandby starts a hot standby of a server that runs, and waits until it
// serves: it begins with a copy and follows by streaming, asynchronously.
func StartStandby(primary *Postgres, settings ...string) (*Postgres, error) {
	return startPostgres("database system is ready to accept read-only connections", settings, func(p *Postgres, bin string) error {
		return p.tool(filepath.Join(bin, "pg_basebackup"), "-h", "127.0.0.1", "-p", strconv.Itoa(primary.port), "-U", "postgres",
			"-D", filepath.Join(p.dir, "data"), "-R", "-X", "stream", "-c", "fast", "--no-sync")
	})
}

// startPostgres starts a server whose data directory fill has filled, which tells in its log when it is ready.
func startPostgres(ready string, settings []string, fill func(p *Postgres, bin string) error) (*Postgres, error) {
	bin, err := findPostgres()
	if err != nil {
		return nil, err
	}
	owner, err := postgresUser()
	if err != nil {
		return nil, err
	}
	run, err := newRunDir("postgres")
	if err != nil {
		return nil, fmt.Errorf("start postgres: %w", err)
	}
	p := &Postgres{run: run}
	p.process = process{name: "postgres", dir: run.path, cred: owner, term: syscall.SIGINT, ready: ready}
	if owner != nil {
		err = os.Chown(p.dir, int(owner.Uid), int(owner.Gid))
	}
	if err == nil {
		err = fill(p, bin)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start postgres: %w", err), run.remove())
	}
	for attempt := 1; ; attempt++ {
		if p.port, err = freePort(); err == nil {
			p.argv = postgresCommand(bin, run.path, p.port, settings)
			err = p.Start()
		}
		if err == nil {
			return p, nil
		}
		if attempt == portAttempts || !strings.Contains(p.currentLog(), "Address already in use") {
			return nil, errors.Join(err, p.Close())
		}
	}
}

func postgresCommand(bin, dir string, port int, settings []string) []string {
	argv := []string{
		filepath.Join(bin, "postgres"), "-D", filepath.Join(dir, "data"),
		"-p", strconv.Itoa(port), "-c", "unix_socket_directories=" + dir,
	}
	for _, setting := range append(postgresSettings[:len(postgresSettings):len(postgresSettings)], settings...) {
		argv = append(argv, "-c", setting)
	}
	return argv
}

// prepare fills the data directory: a copy of one that initdb made once per user
// and version, since initdb takes more than a second.
func (p *Postgres) prepare(bin string) error {
	version, err := exec.Command(filepath.Join(bin, "postgres"), "--version").Output()
	if err != nil {
		return err
	}
	cache, err := cacheDir("postgres")
	if err != nil {
		return err
	}
	template := filepath.Join(cache, strings.NewReplacer(" ", "-", "/", "-", "(", "", ")", "").Replace(firstLine(version)))
	data := filepath.Join(p.dir, "data")
	return locked(filepath.Join(cache, "lock"), func() error {
		if !exists(template) {
			if err := p.initdb(bin, data); err != nil {
				return err
			}
			part := template + ".part" // a copy that was cut off leaves one behind
			if err := os.RemoveAll(part); err != nil {
				return err
			}
			if err := copyTree(data, part, nil); err != nil {
				return err
			}
			return os.Rename(part, template)
		}
		return copyTree(template, data, p.cred)
	})
}

func (p *Postgres) initdb(bin, data string) error {
	return p.tool(filepath.Join(bin, "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
}

// tool runs a program of PostgreSQL's as the server's user.
func (p *Postgres) tool(path string, args ...string) error {
	cmd := exec.Command(path, args...)
	cmd.Dir = p.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.cred}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(path), err, out)
	}
	return nil
}

// URL is the address of the server's own database, as its superuser.
func (p *Postgres) URL() string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", p.port)
}

// Start starts a stopped or killed server again, on the same port and data. It
// does nothing to one that runs.
func (p *Postgres) Start() error { return p.start(postgresStart) }

// Stop asks the server to stop and waits until it has. The signal is SIGINT,
// PostgreSQL's "fast" stop, which ends open connections; SIGTERM would wait for
// every client to leave by itself.
func (p *Postgres) Stop() error { return p.stop(p.term, postgresStop) }

// Kill ends the server and its backends with SIGKILL and waits until they are gone.
func (p *Postgres) Kill() error { return p.stop(syscall.SIGKILL, postgresStop) }

// Pause freezes the server and its backends with SIGSTOP.
func (p *Postgres) Pause() error { return p.freeze(syscall.SIGSTOP) }

// Resume lets a frozen server go on.
func (p *Postgres) Resume() error { return p.freeze(syscall.SIGCONT) }

// Running tells whether the server's process exists; a frozen one does.
func (p *Postgres) Running() bool { return p.running() }

// LogTail is the last lines of the server's log.
func (p *Postgres) LogTail(lines int) string { return p.logTail(lines) }

// Close ends the server and deletes its data. The server can't be used again.
// The signal is SIGQUIT, PostgreSQL's "immediate" stop: as fast as a kill, but
// it gives its System V shared memory back, of which a machine has few.
func (p *Postgres) Close() error {
	if p.Running() {
		_ = p.Resume() // a frozen one would not hear
	}
	return errors.Join(p.stop(syscall.SIGQUIT, postgresStop), p.run.remove())
}

// CreateDatabase makes a database on the server at url, whose user must be
// allowed to, and returns its address. The name is to be unused and plain.
func CreateDatabase(ctx context.Context, url, name string) (string, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return "", fmt.Errorf("read the address of PostgreSQL: %w", err)
	}
	// template0: nobody can be connected to it, which would refuse the copy.
	err = execute(ctx, url, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()+" TEMPLATE template0")
	if err != nil {
		return "", fmt.Errorf("create database %s on %s: %w", name, config.Host, err)
	}
	return withDatabase(url, name)
}

// DropDatabase removes a database, and the connections that are still open to it.
func DropDatabase(ctx context.Context, url, name string) error {
	return execute(ctx, url, "DROP DATABASE IF EXISTS "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)")
}

func execute(ctx context.Context, url, sql string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, sql)
	return err
}

// findPostgres is the directory of the server's programs: from
// ORDERLANE_TEST_POSTGRES_BIN, from PATH, or where packages put them, the
// newest first. Debian keeps them out of PATH.
func findPostgres() (string, error) {
	if bin := os.Getenv("ORDERLANE_TEST_POSTGRES_BIN"); bin != "" {
		return bin, nil
	}
	var candidates []string
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			candidates = append(candidates, filepath.Dir(path))
		}
	}
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin",
		"/opt/homebrew/opt/postgresql*/bin", "/usr/local/opt/postgresql*/bin",
	} {
		found, _ := filepath.Glob(pattern)
		sort.Sort(sort.Reverse(sort.StringSlice(found)))
		candidates = append(candidates, found...)
	}
	for _, bin := range candidates {
		if exists(filepath.Join(bin, "initdb")) && exists(filepath.Join(bin, "postgres")) {
			return bin, nil
		}
	}
	return "", &MissingError{
		What: "a PostgreSQL server (initdb and postgres are not installed)",
		Get:  "apt-get install postgresql (Debian), brew install postgresql (macOS)",
	}
}

// postgresUser is whom to run the server as: us, but PostgreSQL refuses root.
func postgresUser() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 == nil && err2 == nil {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
		}
	}
	return nil, &MissingError{
		What: "a user other than root to run PostgreSQL as (neither postgres nor nobody exists)",
		Get:  "useradd --system postgres",
	}
}
