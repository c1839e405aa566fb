//go:build unix

package server

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"syscall"
)

const (
	kafkaVersion = "4.1.1"
	log4jVersion = "2.24.3"
	// kitRevision goes up when the content of the kit changes with the same Kafka.
	kitRevision = "1"
	kafkaReady  = "Kafka Server started"
	oldestJava  = 17 // the broker of Kafka 4 needs it
)

const kafkaPOM = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>orderlane</groupId>
  <artifactId>kafka-for-tests</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>` + kafkaVersion + `</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId>
      <artifactId>log4j-slf4j-impl</artifactId>
      <version>` + log4jVersion + `</version>
    </dependency>
  </dependencies>
</project>
`

// The ready line is an INFO of KafkaRaftServer; of the rest, warnings will do.
const kafkaLogging = `status=error
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=[%d] %p %m (%c)%n
rootLogger.level=warn
rootLogger.appenderRef.console.ref=console
logger.raft.name=kafka.server.KafkaRaftServer
logger.raft.level=info
`

// kafkaKit is what brokers are made of, prepared once per user and version: the
// jars, a formatted data directory to copy, and an archive of loaded classes
// that halves the time to start.
type kafkaKit struct {
	dir    string
	binary string // java
}

func (k *kafkaKit) lib() string      { return filepath.Join(k.dir, "lib") }
func (k *kafkaKit) template() string { return filepath.Join(k.dir, "template") }
func (k *kafkaKit) archive() string  { return filepath.Join(k.dir, "kafka.jsa") }
func (k *kafkaKit) logging() string  { return filepath.Join(k.dir, "log4j2.properties") }

// openKafkaKit returns the kit, and prepares it when there is none yet: about
// 20 s, most of it download.
func openKafkaKit() (*kafkaKit, error) {
	java, err := findJava()
	if err != nil {
		return nil, err
	}
	dir, err := cacheDir("kafka-" + kafkaVersion + "-" + kitRevision)
	if err != nil {
		return nil, fmt.Errorf("open the cache of Kafka's jars: %w", err)
	}
	kit := &kafkaKit{dir: dir, binary: java}
	err = locked(filepath.Join(dir, "lock"), kit.prepare)
	return kit, err
}

// prepare makes what is not there yet. Each part appears by a rename, so that a
// preparation that was cut off leaves nothing half done.
func (k *kafkaKit) prepare() error {
	if !exists(k.lib()) {
		if err := k.download(); err != nil {
			return err
		}
	}
	if !exists(k.template()) {
		if err := k.format(); err != nil {
			return fmt.Errorf("format a data directory for Kafka: %w", err)
		}
	}
	if !exists(k.archive()) {
		// Only slower without it: a JVM that has no class data sharing is no reason to fail.
		if err := k.dumpArchive(); err != nil {
			fmt.Fprintf(os.Stderr, "realparts: Kafka will start slowly: %v\n", err)
		}
	}
	return nil
}

func (k *kafkaKit) download() error {
	mvn, err := exec.LookPath("mvn")
	if err != nil {
		return &MissingError{
			What: "Apache Maven, which downloads Kafka's jars (mvn is not in PATH)",
			Get:  "apt-get install maven (Debian), brew install maven (macOS)",
		}
	}
	work, err := os.MkdirTemp(k.dir, "download-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := os.WriteFile(filepath.Join(work, "pom.xml"), []byte(kafkaPOM), 0o644); err != nil {
		return err
	}
	cmd := exec.Command(mvn, "-B", "-q", "-Dstyle.color=never", "dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory=lib")
	cmd.Dir = work
	if out, err := cmd.CombinedOutput(); err != nil {
		return &MissingError{
			What: fmt.Sprintf("the jars of Kafka %s (mvn: %v: %s)", kafkaVersion, err, firstLine(out)),
			Get:  "a way to a Maven repository, once; they are kept in " + k.dir,
		}
	}
	if err := os.WriteFile(k.logging(), []byte(kafkaLogging), 0o644); err != nil {
		return err
	}
	return os.Rename(filepath.Join(work, "lib"), k.lib())
}

// format makes a data directory that has never been started. Copies of it share
// a cluster id, which does no harm to brokers that never meet.
func (k *kafkaKit) format() error {
	work, err := os.MkdirTemp(k.dir, "format-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := os.MkdirAll(filepath.Join(work, "data"), 0o755); err != nil {
		return err
	}
	settings := filepath.Join(work, "server.properties")
	lines := strings.NewReplacer("{port}", "9092", "{controller}", "9093", "{dir}", work).Replace(kafkaSettings)
	if err := os.WriteFile(settings, []byte(lines), 0o644); err != nil {
		return err
	}
	argv := k.java(nil, "kafka.tools.StorageTool", "format", "-t", "b3JkZXJsYW5lLXRlc3RzMA", "-c", settings)
	if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return os.Rename(filepath.Join(work, "data"), k.template())
}

// dumpArchive runs a broker once and has the JVM write down, as it ends, which
// classes it loaded.
func (k *kafkaKit) dumpArchive() error {
	run, err := newRunDir("kafka")
	if err != nil {
		return err
	}
	broker := &Kafka{run: run}
	broker.process = process{name: "kafka", dir: run.path, ready: kafkaReady, term: syscall.SIGTERM}
	if err := copyTree(k.template(), filepath.Join(run.path, "data"), nil); err != nil {
		return errors.Join(err, run.remove())
	}
	controller, err := freePort()
	if err != nil {
		return errors.Join(err, run.remove())
	}
	if broker.port, err = freePort(); err != nil {
		return errors.Join(err, run.remove())
	}
	temporary := filepath.Join(run.path, "kafka.jsa")
	err = broker.writeSettings(k, []string{"-XX:ArchiveClassesAtExit=" + temporary}, controller, nil)
	if err == nil {
		err = broker.Start()
	}
	if err == nil {
		err = broker.Stop()
	}
	if err == nil {
		err = moveFile(temporary, k.archive())
	}
	return errors.Join(err, broker.Close())
}

// moveFile is a rename that also works between file systems.
func moveFile(from, to string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.WriteFile(to+".part", content, 0o644); err != nil {
		return err
	}
	return os.Rename(to+".part", to)
}

func (k *kafkaKit) archiveOptions() []string {
	if !exists(k.archive()) {
		return nil
	}
	return []string{"-XX:SharedArchiveFile=" + k.archive(), "-Xshare:auto", "-Xlog:cds=off", "-Xlog:cds+dynamic=off"}
}

// java is a command line that runs one of Kafka's main classes: a JVM that
// starts fast rather than one that gets fast late. The class path is spelt out
// in order, since the class archive is only valid for the same one.
func (k *kafkaKit) java(options []string, class string, args ...string) []string {
	jars, _ := filepath.Glob(filepath.Join(k.lib(), "*.jar"))
	sort.Strings(jars)
	argv := []string{
		k.binary, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true",
		"-Dlog4j2.configurationFile=" + k.logging(),
	}
	argv = append(argv, options...)
	argv = append(argv, "-cp", strings.Join(jars, ":"), class)
	return append(argv, args...)
}

var javaVersion = regexp.MustCompile(`version "(\d+)`)

// findJava looks in JAVA_HOME, then in PATH, and asks it for its version: an
// old one, or the stand-in that macOS has, would fail in unclear ways later.
func findJava() (string, error) {
	missing := &MissingError{
		What: fmt.Sprintf("Java %d or later, which runs Apache Kafka", oldestJava),
		Get:  "apt-get install openjdk-17-jre-headless maven (Debian), brew install openjdk maven (macOS)",
	}
	java := filepath.Join(os.Getenv("JAVA_HOME"), "bin", "java")
	if os.Getenv("JAVA_HOME") == "" || !exists(java) {
		var err error
		if java, err = exec.LookPath("java"); err != nil {
			missing.What += " (java is not in PATH)"
			return "", missing
		}
	}
	out, err := exec.Command(java, "-version").CombinedOutput()
	if err != nil {
		missing.What += fmt.Sprintf(" (%s -version: %v)", java, err)
		return "", missing
	}
	if m := javaVersion.FindSubmatch(out); m != nil {
		if major, _ := strconv.Atoi(string(m[1])); major < oldestJava {
			missing.What += " (" + firstLine(out) + " is too old)"
			return "", missing
		}
	}
	return java, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
