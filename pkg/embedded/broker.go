// Package embedded runs the Kafka broker of the default set-up inside the process, so that
// the same clients, topics and code paths serve a laptop with nothing installed and a
// cluster in production. It wraps kfake, which speaks the Kafka protocol and keeps its log in
// a directory, and mends what keeps kfake from being more than a test double: see guard.go
// for what its port takes, dir.go for what a crash leaves behind, policy.go for retention
// and compact.go for compaction.
//
// What was acknowledged survives kill -9. It survives a power cut only with SyncWrites.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/orderlane/orderlane/pkg/kafka"
)

// Defaults of Options.
const (
	// DefaultAddr takes any free port of this machine, for this machine only.
	DefaultAddr = "127.0.0.1:0"
	// DefaultRetainBytes bounds a partition of a topic whose retention is stated in time.
	DefaultRetainBytes = 256 << 20
	// DefaultMaintenance is how often retention is applied.
	DefaultMaintenance = time.Minute
)

// Options say how a broker starts.
type Options struct {
	Dir  string // of the broker alone; created if missing. Required
	Addr string // host:port to listen on; DefaultAddr if empty
	// Advertise is the host:port that clients are told to connect to; the address listened on
	// if empty. Needed only when Addr names all interfaces.
	Advertise string
	// Topics are created unless they exist. Retention in time becomes retention in bytes, and
	// settings that the broker has no use for are left out.
	Topics []kafka.TopicSpec
	// SyncWrites waits for the disk at every write: several times slower.
	SyncWrites bool
	// RetainBytes is the size at which a partition with a retention.ms, but without
	// retention.bytes, loses its oldest records; DefaultRetainBytes if 0.
	RetainBytes int64
	Maintenance time.Duration // DefaultMaintenance if 0
	Log         *slog.Logger  // slog.Default() if nil
}

// Broker is a running broker. Its methods are safe for concurrent use.
type Broker struct {
	cluster  *kfake.Cluster
	listener *guardedListener
	lock     *os.File
	dir      string

	stop      chan struct{} // closed to end maintenance
	done      chan struct{} // closed when maintenance has ended
	closeOnce sync.Once
	closeErr  error
}

// Start opens the directory, which it holds alone until Close, and serves it. It fails with one
// line that names the directory or the address when either is taken. ctx bounds the start, not
// the life of the broker.
func Start(ctx context.Context, o Options) (_ *Broker, err error) {
	o = o.withDefaults()
	lock, err := prepare(o.Dir)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = lock.Close()
		}
	}()
	listener, err := listen(ctx, o)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = listener.Close()
		}
	}()
	stored, err := sizeOf(o.Dir)
	if err != nil {
		return nil, err
	}
	cluster, err := kfake.NewCluster(clusterOptions(o, listener)...)
	if err != nil {
		return nil, fmt.Errorf("embedded: open broker data in %s: %w", o.Dir, err)
	}
	b := &Broker{
		cluster: cluster, listener: listener, lock: lock, dir: o.Dir,
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	hold(cluster, o.RetainBytes)
	if err := b.createTopics(ctx, o); err != nil {
		cluster.Close()
		listener.wait()
		return nil, err
	}
	cluster.ApplyRetention()
	if stored > bootGarbage {
		debug.FreeOSMemory() // kfake reads its whole log to index it; give that back
	}
	go b.maintain(o.Maintenance)
	listener.open()
	return b, nil
}

// bootGarbage is how much of a log in bytes, read at boot, is worth a forced collection of about
// 10 ms.
const bootGarbage = 32 << 20

func (o Options) withDefaults() Options {
	if o.Addr == "" {
		o.Addr = DefaultAddr
	}
	if o.RetainBytes <= 0 {
		o.RetainBytes = DefaultRetainBytes
	}
	if o.Maintenance <= 0 {
		o.Maintenance = DefaultMaintenance
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return o
}

func clusterOptions(o Options, l *guardedListener) []kfake.Opt {
	opts := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.ClusterID("orderlane-embedded"),
		kfake.DataDir(o.Dir),
		kfake.GroupMinSessionTimeout(time.Second),
		kfake.WithLogger(logger{o.Log}),
		kfake.ListenFn(func(string, string) (net.Listener, error) { return l, nil }),
		kfake.BrokerConfigs(map[string]string{
			"log.retention.ms": "-1", // see policy.go
			// kfake's own ticker compacts in a way that loses a partition to kill -9, see
			// compact.go.
			"log.cleaner.backoff.ms": never,
			// A group that nobody was in for a week keeps its offsets: laptops are shut for longer.
			"offset.retention.ms":     never,
			"log.segment.bytes":       "16777216", // a segment is the least that retention can drop
			"state.log.compact.bytes": "4194304",  // of groups.log, which is parsed at boot
		}),
	}
	if o.SyncWrites {
		opts = append(opts, kfake.SyncWrites())
	}
	return opts
}

// never is 100 years in milliseconds; kfake turns it into nanoseconds, where more would overflow.
const never = "3153600000000"

func (b *Broker) createTopics(ctx context.Context, o Options) error {
	for _, t := range o.Topics {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("embedded: create topics: %w", err)
		}
		if have := b.cluster.PartitionInfos(t.Name); have != nil {
			if len(have) != t.Partitions {
				return fmt.Errorf("embedded: topic %s in %s has %d partitions, not %d, and their number can't change",
					t.Name, b.dir, len(have), t.Partitions)
			}
			continue
		}
		err := b.cluster.CreateTopic(t.Name, int32(t.Partitions), topicConfig(t.Config, o.RetainBytes))
		if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
			return fmt.Errorf("embedded: create topic %s: %w", t.Name, err)
		}
	}
	return nil
}

// maintain applies retention from time to time: kfake's own ticker does not start on a directory
// with topics.
func (b *Broker) maintain(every time.Duration) {
	defer close(b.done)
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-b.stop:
			return
		case <-t.C:
			b.cluster.ApplyRetention()
		}
	}
}

// Addr is the host:port that clients connect to.
func (b *Broker) Addr() string { return b.listener.Addr().String() }

// Close cuts off the clients, writes what is needed for a fast start, and gives the directory
// back. Close consumers first, then producers, then the broker: a consumer whose broker is gone
// waits for it until its time is up.
func (b *Broker) Close() error {
	b.closeOnce.Do(func() {
		close(b.stop)
		<-b.done
		_ = b.listener.Close() // from here on nothing is acknowledged
		b.closeErr = b.compact()
		b.cluster.Close()
		b.listener.wait()
		if err := b.lock.Close(); err != nil {
			b.closeErr = errors.Join(b.closeErr, fmt.Errorf("embedded: unlock %s: %w", b.dir, err))
		}
	})
	return b.closeErr
}

// logger hands kfake's warnings to slog: among them are writes that failed.
type logger struct{ log *slog.Logger }

func (l logger) Logf(level kfake.LogLevel, format string, args ...any) {
	var to slog.Level
	switch level {
	case kfake.LogLevelError:
		to = slog.LevelError
	case kfake.LogLevelWarn:
		to = slog.LevelWarn
	default:
		return
	}
	l.log.Log(context.Background(), to, "embedded broker: "+fmt.Sprintf(format, args...))
}
