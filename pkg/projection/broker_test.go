package projection_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"github.com/orderlane/orderlane/e2e/realparts"
	"github.com/orderlane/orderlane/pkg/embedded"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/projection"
	"github.com/orderlane/orderlane/pkg/projection/pgstore"
	"github.com/orderlane/orderlane/pkg/projection/sqlitestore"
)

const brokerParts = 4

// quick has short sessions, so that rebalances are short.
func quick(brokers ...string) kafka.Config {
	return kafka.Config{Brokers: brokers, SessionTimeout: 3 * time.Second, HeartbeatInterval: 100 * time.Millisecond, RebalanceTimeout: 5 * time.Second}
}

// eventRecords are n events of 40 orders with their values 1.
func eventRecords(topic string, from, n int) []kafka.Record {
	recs := make([]kafka.Record, n)
	for i := range recs {
		position, id := from+i+1, (from+i)%40
		key := fmt.Sprint("order-", id)
		recs[i] = kafka.Record{Topic: topic, Partition: int32(id % brokerParts), Key: []byte(key), Value: []byte("1")}
		for k, v := range map[string]string{
			"ce_id": fmt.Sprint(key, "/", (from+i)/40+1), "ce_type": "changed", "ce_epoch": "e1",
			"ce_position": strconv.Itoa(position), "ce_streamversion": strconv.Itoa((from+i)/40 + 1),
		} {
			recs[i].Headers = append(recs[i].Headers, kafka.Header{Key: k, Value: []byte(v)})
		}
	}
	return recs
}

// topicView is the test view on topics with names of their own.
type topicView struct {
	*ordersView
	topic string
}

func (v topicView) Sources() []projection.Source {
	return []projection.Source{{Topic: v.topic, Log: true}}
}

// member runs a projection in a consumer group until the test ends or stop is called.
type member struct {
	*projection.Projection
	view  *ordersView
	store projection.Store
	stop  func()
}

func join(t *testing.T, cfg kafka.Config, topic string, store projection.Store, admin *kafka.Admin) *member {
	view := newOrdersViewOf(1, topic)
	p, err := projection.New(t.Context(), projection.Options{
		View: topicView{view, topic}, Store: store, Clock: time.Now, Replay: admin.ReadRange, Step: 50, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	must(t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 2)
	go func() { done <- p.Run(ctx) }()
	go func() {
		done <- kafka.ConsumeGroup(ctx, kafka.GroupConfig{Config: cfg, Group: topic, Topics: p.Topics(), MaxBatch: 100, Log: slog.New(slog.DiscardHandler)}, p)
	}()
	stopped := false
	m := &member{Projection: p, view: view, store: store, stop: func() {
		if !stopped {
			stopped = true
			cancel()
			must(t, <-done)
			must(t, <-done)
		}
	}}
	t.Cleanup(m.stop)
	return m
}

// sums reads how many orders there are, and the sums of their values and versions.
func sums(t *testing.T, m *member) (s string) {
	must(t, m.store.Query(t.Context(), `SELECT count(*), CAST(sum(sum) AS BIGINT), CAST(sum(version) AS BIGINT) FROM `+m.view.ordersT, nil, func(r projection.Row) error {
		s = fmt.Sprint(r.Int(0), r.Int(1), r.Int(2))
		return nil
	}))
	return s
}

// total is the sum of all values, while the database may be away.
func total(t *testing.T, m *member) (n int) {
	err := m.store.Query(t.Context(), `SELECT CAST(sum(sum) AS BIGINT) FROM `+m.view.ordersT, nil, func(r projection.Row) error {
		n = int(r.Int(0))
		return nil
	})
	var e *projection.StoreError
	if err != nil && !errors.As(err, &e) {
		t.Fatal(err)
	}
	return n
}

func overABroker(t *testing.T, cfg kafka.Config, open func() projection.Store) {
	topic := realparts.Unique(t, "projected")
	admin, err := kafka.NewAdmin(cfg)
	must(t, err)
	defer func() { must(t, admin.Close()) }()
	must(t, admin.EnsureTopics(t.Context(), []kafka.TopicSpec{{Name: topic, Partitions: brokerParts}}))
	producer, err := kafka.NewTransactionalProducer(cfg, topic)
	must(t, err)
	defer func() { must(t, producer.Close()) }()

	first := join(t, cfg, topic, open(), admin)
	must(t, producer.Publish(t.Context(), eventRecords(topic, 0, 800)))
	within(t, "the first instance folds", func() bool { return sums(t, first) == "40 800 800" })

	second := join(t, cfg, topic, open(), admin)
	must(t, producer.Publish(t.Context(), eventRecords(topic, 800, 800)))
	must(t, producer.Publish(t.Context(), eventRecords(topic, 1000, 600))) // a relay that repeats
	within(t, "both fold on", func() bool { return sums(t, second) == "40 1600 1600" })

	first.stop()
	must(t, producer.Publish(t.Context(), eventRecords(topic, 1600, 800)))
	within(t, "the second takes over", func() bool { return sums(t, second) == "40 2400 2400" })

	within(t, "a key is repaired by its owner", func() bool { return second.Repair(t.Context(), "order-7") == nil })
	want(t, "view", sums(t, second), "40 2400 2400")
	broken, err := second.AllBroken(t.Context(), "", 10)
	must(t, err)
	want(t, "broken keys", len(broken), 0)
}

func TestInstancesOfAGroupShareAViewInProcess(t *testing.T) {
	broker, err := embedded.Start(t.Context(), embedded.Options{Dir: t.TempDir(), Addr: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler)})
	must(t, err)
	defer func() { must(t, broker.Close()) }()
	path := t.TempDir() + "/view.db"
	t.Run("group", func(t *testing.T) {
		overABroker(t, quick(broker.Addr()), func() projection.Store {
			s, err := sqlitestore.Open(path, sqlitestore.Options{})
			must(t, err)
			t.Cleanup(func() { must(t, s.Close()) })
			return s
		})
	})
}

func TestInstancesOfAGroupShareAViewOnRealParts(t *testing.T) {
	url := realparts.Postgres(t)
	overABroker(t, quick(realparts.Kafka(t)...), func() projection.Store {
		s, err := pgstore.Open(t.Context(), url, "views", pgstore.Options{})
		must(t, err)
		t.Cleanup(func() { must(t, s.Close()) })
		return s
	})
}

func TestADatabaseThatIsKilledUnderLoadLosesAndDoublesNothing(t *testing.T) {
	server := realparts.StartPostgres(t)
	broker, err := embedded.Start(t.Context(), embedded.Options{Dir: t.TempDir(), Addr: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler)})
	must(t, err)
	defer func() { must(t, broker.Close()) }()
	t.Run("killed", func(t *testing.T) {
		cfg, topic := quick(broker.Addr()), realparts.Unique(t, "killed")
		admin, err := kafka.NewAdmin(cfg)
		must(t, err)
		defer func() { must(t, admin.Close()) }()
		must(t, admin.EnsureTopics(t.Context(), []kafka.TopicSpec{{Name: topic, Partitions: brokerParts}}))
		producer, err := kafka.NewOrderedProducer(cfg)
		must(t, err)
		defer func() { must(t, producer.Close()) }()
		store, err := pgstore.Open(t.Context(), server.Database(), "views", pgstore.Options{})
		must(t, err)
		t.Cleanup(func() { must(t, store.Close()) })
		m := join(t, cfg, topic, store, admin)
		const round = 4000
		for i := range 3 {
			must(t, producer.Publish(t.Context(), eventRecords(topic, i*round, round)))
			within(t, "some of it is folded", func() bool { return total(t, m) > i*round+round/10 })
			server.Kill()
			server.Start()
		}
		within(t, "all is folded", func() bool { return total(t, m) == 3*round })
		want(t, "view", sums(t, m), fmt.Sprint(40, 3*round, 3*round))
		all, err := m.AllBroken(t.Context(), "", 10)
		must(t, err)
		want(t, "broken keys", len(all), 0)
	})
}
