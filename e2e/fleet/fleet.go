//go:build unix

package fleet

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/orderlane/orderlane/e2e/realparts"
	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/es/pglog"
	"github.com/orderlane/orderlane/pkg/es/sqlitelog"
	"github.com/orderlane/orderlane/pkg/kafka"
)

// Kind is what a fleet runs on.
type Kind string

// The kinds.
const (
	Embedded Kind = "embedded" // one process, with its own broker and SQLite files
	Real     Kind = "real"     // a process per service, on Apache Kafka and PostgreSQL
)

// The names of processes: All is the one of an embedded fleet, the others those of a real one.
const (
	All        = "all"
	Catalog    = "catalog"
	OrderingA  = "ordering-a"
	OrderingB  = "ordering-b"
	CommandAPI = "commandapi"
	OrderView  = "orderview"
	Storefront = "storefront"

	Inventory     = "inventory"
	Payments      = "payments"
	Shipping      = "shipping"
	Fulfilment    = "fulfilment"
	Notifications = "notifications"
	Insights      = "insights"
)

// spine are the processes of a real fleet that take orders and show them, and what they run.
var spine = map[string]string{
	Catalog: "catalog", OrderingA: "ordering", OrderingB: "ordering",
	CommandAPI: "commandapi", OrderView: "orderview", Storefront: "storefront",
}

// whole are the processes beside the spine that see to orders, and that add up what they come to.
var whole = map[string]string{
	Inventory: "inventory", Payments: "payments", Shipping: "shipping", Fulfilment: "fulfilment", Notifications: "notifications",
	Insights: "insights",
}

// Partitions is how many partitions the topics of a fleet have.
const Partitions = 8

// Options say how a fleet differs from the usual one.
type Options struct {
	Env         []string // KEY=VALUE for every process
	Static      bool     // processes rejoin their groups by name: no rebalance when one comes back soon
	OwnDatabase bool     // a PostgreSQL server of its own, that can be stopped
	Without     []string // processes of a real fleet that are made, but not started
	Whole       bool     // orders are seen to until they are delivered, and added up; else they stay as they were placed
}

// Fleet is the platform as one test runs it.
type Fleet struct {
	Kind     Kind
	Kafka    *realparts.KafkaProcess    // nil if embedded
	Postgres *realparts.PostgresProcess // nil unless Options.OwnDatabase
	Database string                     // URL; "" if embedded
	Data     string                     // directory of an embedded fleet

	t         testing.TB
	broker    string // host:port
	processes map[string]*Process
	defined   sync.Map // consistency token of each product that was defined, by SKU
}

// Start starts a fleet and waits until it is ready. The test is skipped, or fails, when the
// real parts are missing (see realparts).
func Start(t testing.TB, kind Kind, o Options) *Fleet {
	t.Helper()
	f := New(t, kind, o)
	for _, name := range f.Names() {
		if !slices.Contains(o.Without, name) {
			f.processes[name].Launch()
		}
	}
	for _, name := range f.Names() {
		if !slices.Contains(o.Without, name) {
			f.processes[name].WaitReady()
		}
	}
	return f
}

// New makes a fleet whose processes are not started yet.
func New(t testing.TB, kind Kind, o Options) *Fleet {
	t.Helper()
	f := &Fleet{Kind: kind, t: t, processes: make(map[string]*Process)}
	// A dead consumer's partitions move after seconds, not after those that suit production.
	env := append([]string{"ORDERLANE_KAFKA_SESSION_TIMEOUT=4s", fmt.Sprintf("ORDERLANE_KAFKA_PARTITIONS=%d", Partitions)}, o.Env...)
	if kind == Embedded {
		f.broker, f.Data = FreeAddress(t), filepath.Join(t.TempDir(), "data")
		env = append(env, "ORDERLANE_DATA="+f.Data, "ORDERLANE_EMBEDDED_LISTEN="+f.broker)
		args := []string{"serve"}
		if !o.Whole {
			args = append(args, slices.Compact(slices.Sorted(maps.Values(spine)))...)
		}
		f.processes[All] = NewProcess(t, All, env, args...)
		return f
	}
	f.Kafka = realparts.StartKafka(t)
	f.broker = strings.Join(f.Kafka.Brokers(), ",")
	if o.OwnDatabase {
		f.Postgres = realparts.StartPostgres(t)
		f.Database = f.Postgres.Database()
	} else {
		f.Database = realparts.Postgres(t)
	}
	env = append(env, "ORDERLANE_KAFKA_BROKERS="+f.broker, "ORDERLANE_POSTGRES="+f.Database)
	services := maps.Clone(spine)
	if o.Whole {
		maps.Copy(services, whole)
	}
	for name, service := range services {
		own := append(slices.Clone(env), "ORDERLANE_DATA="+filepath.Join(t.TempDir(), name))
		if o.Static {
			own = append(own, "ORDERLANE_INSTANCE="+name)
		}
		f.processes[name] = NewProcess(t, name, own, "serve", service)
	}
	return f
}

// Names are the names of the fleet's processes.
func (f *Fleet) Names() []string { return slices.Sorted(maps.Keys(f.processes)) }

// Process returns a process by its name; of an embedded fleet, the one there is.
func (f *Fleet) Process(name string) *Process {
	if f.Kind == Embedded {
		return f.processes[All]
	}
	return f.processes[name]
}

// Stop ends all processes with SIGTERM and fails the test unless each exits with 0.
func (f *Fleet) Stop() {
	f.t.Helper()
	for _, name := range f.Names() {
		if p := f.processes[name]; p.Running() {
			p.Stop()
		}
	}
}

// Admins are the operator addresses of all processes, as the operator commands take them.
func (f *Fleet) Admins() string {
	var all []string
	for _, name := range f.Names() {
		all = append(all, "http://"+f.processes[name].Operator)
	}
	return strings.Join(all, ",")
}

// Operate runs an operator command of the binary against all processes, fails the test unless
// it exits with 0, and returns what it prints.
func (f *Fleet) Operate(args ...string) string {
	f.t.Helper()
	code, out, errs := Run(f.t, []string{"ORDERLANE_ADMIN=" + f.Admins()}, args...)
	if code != 0 {
		f.t.Fatalf("orderlane %s exits with %d: %s%s", strings.Join(args, " "), code, out, errs)
	}
	return out
}

// Brokers are the addresses of the fleet's broker.
func (f *Fleet) Brokers() []string { return strings.Split(f.broker, ",") }

// kafkaConfig reaches the fleet's broker.
func (f *Fleet) kafkaConfig() kafka.Config { return kafka.Config{Brokers: f.Brokers()} }

// OpenLog opens the event log of a service, beside the process that writes it.
func (f *Fleet) OpenLog(ctx context.Context, service string) (es.Log, error) {
	if f.Kind == Embedded {
		return sqlitelog.Open(ctx, f.LogFile(service), sqlitelog.Options{})
	}
	return pglog.Open(ctx, f.Database, service, pglog.Options{})
}

// LogFile is the SQLite file of a service's log in an embedded fleet.
func (f *Fleet) LogFile(service string) string { return filepath.Join(f.Data, service+".log.db") }
