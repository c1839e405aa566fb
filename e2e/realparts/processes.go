//go:build unix

package realparts

import (
	"testing"

	"github.com/orderlane/orderlane/e2e/realparts/server"
)

// failureLogLines is how much of a server's log is shown when its test fails.
const failureLogLines = 25

// controlled is what KafkaProcess and PostgresProcess have in common.
type controlled interface {
	Start() error
	Stop() error
	Kill() error
	Pause() error
	Resume() error
	Running() bool
	LogTail(lines int) string
	Close() error
}

// process is a server that belongs to one test. Each method ends the test when
// the server does not do as told, and is therefore to be called from the test's
// own goroutine.
type process struct {
	t      testing.TB
	server controlled
}

// Start starts the server again, on the same address and data, after Stop or
// Kill, and waits until it serves. It does nothing to one that runs.
func (p *process) Start() { p.t.Helper(); p.check(p.server.Start()) }

// Stop ends the server in its orderly way and waits until it is gone.
func (p *process) Stop() { p.t.Helper(); p.check(p.server.Stop()) }

// Kill ends the server with SIGKILL and waits until it is gone.
func (p *process) Kill() { p.t.Helper(); p.check(p.server.Kill()) }

// Pause freezes the server with SIGSTOP: connections stay, nothing answers.
func (p *process) Pause() { p.t.Helper(); p.check(p.server.Pause()) }

// Resume lets a frozen server go on.
func (p *process) Resume() { p.t.Helper(); p.check(p.server.Resume()) }

// Running tells whether the server's process exists; a frozen one does.
func (p *process) Running() bool { return p.server.Running() }

func (p *process) check(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *process) close() {
	if p.t.Failed() {
		p.t.Logf("the end of the server's log:\n%s", p.server.LogTail(failureLogLines))
	}
	if err := p.server.Close(); err != nil {
		p.t.Error(err)
	}
}

// KafkaProcess is a broker that belongs to one test and can be stopped, killed,
// frozen and started again.
type KafkaProcess struct {
	process
	kafka *server.Kafka
}

// StartKafka starts a broker for this test alone; it is gone at its end. Each
// setting is a line of server.properties that overrides the harness's own;
// {port}, {controller} and {dir} stand for this broker's. The test is skipped,
// or fails, as with Kafka.
func StartKafka(t testing.TB, settings ...string) *KafkaProcess {
	t.Helper()
	skipIfMissing(t, "Apache Kafka", EnvKafka)
	kafka, err := server.StartKafka(settings...)
	must(t, "Apache Kafka", err)
	k := &KafkaProcess{process: process{t: t, server: kafka}, kafka: kafka}
	t.Cleanup(k.close)
	return k
}

// Brokers is the broker's address, the same after each start.
func (k *KafkaProcess) Brokers() []string { return k.kafka.Brokers() }

// PostgresProcess is a database server that belongs to one test and can be
// stopped, killed, frozen and started again.
type PostgresProcess struct {
	process
	postgres *server.Postgres
}

// StartPostgres starts a database server for this test alone; it is gone at its
// end. Each setting ("name=value") overrides the harness's own. The test is
// skipped, or fails, as with Postgres.
func StartPostgres(t testing.TB, settings ...string) *PostgresProcess {
	t.Helper()
	skipIfMissing(t, "PostgreSQL", EnvPostgres)
	postgres, err := server.StartPostgres(settings...)
	return postgresProcess(t, postgres, err)
}

func postgresProcess(t testing.TB, postgres *server.Postgres, err error) *PostgresProcess {
	t.Helper()
	must(t, "PostgreSQL", err)
	p := &PostgresProcess{process: process{t: t, server: postgres}, postgres: postgres}
	t.Cleanup(p.close)
	return p
}

// StartStandby starts a read-only replica of the server for the same test alone. It has all of the server's
// databases, by the same names.
func (p *PostgresProcess) StartStandby() *PostgresProcess {
	p.t.Helper()
	standby, err := server.StartStandby(p.postgres)
	return postgresProcess(p.t, standby, err)
}

// URL is the address of the server's own database, the same after each start.
func (p *PostgresProcess) URL() string { return p.postgres.URL() }

// Database makes a new, empty database on this server and returns its address.
func (p *PostgresProcess) Database() string {
	p.t.Helper()
	return newDatabase(p.t, p.postgres.URL())
}
