//go:build unix

package server

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// kafkaStart is long: after kill -9 a broker waits for its old registration
	// to expire, on a machine that may be busy with several test binaries.
	kafkaStart = 90 * time.Second
	kafkaStop  = 60 * time.Second
	// portAttempts bounds how often a first start moves to other ports, when
	// something else took them between our look and the server's.
	portAttempts = 5
)

// kafkaSettings are for a single node that serves tests: quick to start, few
// partitions for its own topics, nothing that waits for members to gather.
const kafkaSettings = `process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={dir}/data
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
group.coordinator.append.linger.ms=0
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
log.cleaner.dedupe.buffer.size=16777216
log.index.size.max.bytes=1048576
`

// Kafka is a broker of its own: one node, in a process that can be stopped,
// killed, frozen and started again with its port and data. Its methods are safe
// for concurrent use, one after the other.
type Kafka struct {
	process
	run  *runDir
	port int
}

// StartKafka starts a broker and waits until it serves. Each setting is a line
// of server.properties that overrides ours; {port}, {controller} and {dir} in it
// stand for the broker's port, the controller's, and the directory of this
// instance. A MissingError says that there is no Java, or no way to the jars.
func StartKafka(settings ...string) (*Kafka, error) {
	kit, err := openKafkaKit()
	if err != nil {
		return nil, err
	}
	run, err := newRunDir("kafka")
	if err != nil {
		return nil, fmt.Errorf("start kafka: %w", err)
	}
	k := &Kafka{run: run}
	k.process = process{name: "kafka", dir: run.path, ready: kafkaReady, term: syscall.SIGTERM}
	if err := copyTree(kit.template(), filepath.Join(run.path, "data"), nil); err != nil {
		return nil, errors.Join(fmt.Errorf("start kafka: %w", err), run.remove())
	}
	for attempt := 1; ; attempt++ {
		if err = k.configure(kit, settings); err == nil {
			err = k.Start()
		}
		if err == nil {
			return k, nil
		}
		if attempt == portAttempts || !strings.Contains(k.currentLog(), "java.net.BindException") {
			return nil, errors.Join(err, k.Close())
		}
	}
}

func (k *Kafka) configure(kit *kafkaKit, settings []string) error {
	controller, err := freePort()
	if err != nil {
		return err
	}
	if k.port, err = freePort(); err != nil {
		return err
	}
	return k.writeSettings(kit, kit.archiveOptions(), controller, settings)
}

func (k *Kafka) writeSettings(kit *kafkaKit, jvm []string, controller int, settings []string) error {
	// Of a key that is set twice, Java keeps the last.
	lines := kafkaSettings + strings.Join(settings, "\n") + "\n"
	lines = strings.NewReplacer("{port}", strconv.Itoa(k.port),
		"{controller}", strconv.Itoa(controller), "{dir}", k.dir).Replace(lines)
	path := filepath.Join(k.dir, "server.properties")
	k.argv = kit.java(append(jvm, "-Xms128m", "-Xmx512m"), "kafka.Kafka", path)
	return os.WriteFile(path, []byte(lines), 0o644)
}

// Brokers is the address to give to clients.
func (k *Kafka) Brokers() []string { return []string{fmt.Sprintf("127.0.0.1:%d", k.port)} }

// Start starts a stopped or killed broker again, on the same port and data. It
// does nothing to one that runs. After a kill it takes some 5 to 10 s.
func (k *Kafka) Start() error { return k.start(kafkaStart) }

// Stop asks the broker to stop (SIGTERM) and waits until it has.
func (k *Kafka) Stop() error { return k.stop(k.term, kafkaStop) }

// Kill ends the broker with SIGKILL and waits until it is gone.
func (k *Kafka) Kill() error { return k.stop(syscall.SIGKILL, kafkaStop) }

// Pause freezes the broker with SIGSTOP: its port accepts, nothing answers.
func (k *Kafka) Pause() error { return k.freeze(syscall.SIGSTOP) }

// Resume lets a frozen broker go on.
func (k *Kafka) Resume() error { return k.freeze(syscall.SIGCONT) }

// Running tells whether the broker's process exists; a frozen one does.
func (k *Kafka) Running() bool { return k.running() }

// LogTail is the last lines of the broker's log.
func (k *Kafka) LogTail(lines int) string { return k.logTail(lines) }

// Close kills the broker and deletes its data. The broker can't be used again.
func (k *Kafka) Close() error { return errors.Join(k.Kill(), k.run.remove()) }

// firstLine is the first line of a program's output, for messages.
func firstLine(out []byte) string {
	line, _, _ := bytes.Cut(bytes.TrimSpace(out), []byte("\n"))
	return string(line)
}
