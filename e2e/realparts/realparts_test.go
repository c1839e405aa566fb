//go:build unix

package realparts_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/segmentio/kafka-go"
	"go.uber.org/goleak"

	"github.com/orderlane/orderlane/e2e/realparts"
)

const within = 30 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(realparts.Wrap(m)) }

func TestASharedKafkaServesTopicsWithNamesOfTheirOwn(t *testing.T) {
	brokers := realparts.Kafka(t)
	topic := realparts.Unique(t, "orders")
	createTopic(t, brokers, topic)
	if got := produced(t, brokers, topic); got != 0 {
		t.Errorf("a new topic starts at offset 0, not %d", got)
	}
	if again := realparts.Kafka(t); again[0] != brokers[0] {
		t.Errorf("a second call gives the same broker: %v, not %v", again, brokers)
	}
}

func TestEachCallGivesAnEmptyDatabaseOfItsOwn(t *testing.T) {
	first, second := realparts.Postgres(t), realparts.Postgres(t)
	exec(t, first, "CREATE TABLE orders (id int)")
	exec(t, second, "CREATE TABLE orders (id int)")
}

func TestABrokerThatWasStoppedOrKilledComesBackWithItsData(t *testing.T) {
	broker := realparts.StartKafka(t)
	topic := realparts.Unique(t, "orders")
	createTopic(t, broker.Brokers(), topic)
	for offset, down := range []func(){broker.Stop, broker.Kill} {
		if got := produced(t, broker.Brokers(), topic); got != int64(offset) {
			t.Errorf("produced at offset %d, not %d", got, offset)
		}
		down()
		if broker.Running() {
			t.Error("it still runs")
		}
		broker.Start()
	}
	if got := produced(t, broker.Brokers(), topic); got != 2 {
		t.Errorf("after a stop and a kill, produced at offset %d, not 2", got)
	}
}

func TestAFrozenBrokerAnswersOnceItGoesOn(t *testing.T) {
	broker := realparts.StartKafka(t)
	client := &kafka.Client{Addr: kafka.TCP(broker.Brokers()...), Transport: transport(t)}
	broker.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := client.Metadata(ctx, &kafka.MetadataRequest{}); err == nil {
		t.Error("a frozen broker answered")
	}
	broker.Resume()
	createTopic(t, broker.Brokers(), realparts.Unique(t, "orders"))
}

func TestABrokerTakesSettingsOfATest(t *testing.T) {
	broker := realparts.StartKafka(t, "message.max.bytes=2000")
	topic := realparts.Unique(t, "orders")
	createTopic(t, broker.Brokers(), topic)
	if err := produce(t, broker.Brokers(), topic, make([]byte, 3000)); err == nil {
		t.Error("the broker took a message above its message.max.bytes")
	}
}

func TestADatabaseServerThatWasStoppedOrKilledComesBackWithItsData(t *testing.T) {
	server := realparts.StartPostgres(t)
	url := server.Database()
	exec(t, url, "CREATE TABLE orders (id int)")
	for _, down := range []func(){server.Stop, server.Kill} {
		open := connect(t, url) // a stop does not wait for clients to leave
		exec(t, url, "INSERT INTO orders VALUES (1)")
		down()
		if err := open.Ping(t.Context()); err == nil {
			t.Error("a connection outlived its server")
		}
		server.Start()
	}
	var rows int
	if err := connect(t, url).QueryRow(t.Context(), "SELECT count(*) FROM orders").Scan(&rows); err != nil || rows != 2 {
		t.Errorf("found %d rows (%v), not 2", rows, err)
	}
}

func TestAFrozenDatabaseServerFreezesItsOpenConnections(t *testing.T) {
	server := realparts.StartPostgres(t)
	conn := connect(t, server.URL())
	server.Pause()
	done := make(chan error, 1)
	go func() { done <- conn.Ping(context.Background()) }()
	select {
	case err := <-done:
		t.Errorf("a frozen backend answered: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	server.Resume()
	if err := <-done; err != nil {
		t.Errorf("the connection did not survive the freeze: %v", err)
	}
}

func transport(t *testing.T) *kafka.Transport {
	transport := &kafka.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

func createTopic(t *testing.T, brokers []string, topic string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	client := &kafka.Client{Addr: kafka.TCP(brokers...), Transport: transport(t)}
	answer, err := client.CreateTopics(ctx, &kafka.CreateTopicsRequest{
		Topics: []kafka.TopicConfig{{Topic: topic, NumPartitions: 1, ReplicationFactor: 1}},
	})
	if err == nil {
		err = answer.Errors[topic]
	}
	if err != nil {
		t.Fatal(err)
	}
}

func produce(t *testing.T, brokers []string, topic string, value []byte) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	w := &kafka.Writer{
		Addr: kafka.TCP(brokers...), Topic: topic, Transport: transport(t),
		RequiredAcks: kafka.RequireAll, BatchTimeout: time.Millisecond,
	}
	defer w.Close()
	return w.WriteMessages(ctx, kafka.Message{Value: value})
}

// produced produces one message and returns its offset.
func produced(t *testing.T, brokers []string, topic string) int64 {
	t.Helper()
	if err := produce(t, brokers, topic, []byte("x")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	conn, err := kafka.DialLeader(ctx, "tcp", brokers[0], topic, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	last, err := conn.ReadLastOffset()
	if err != nil {
		t.Fatal(err)
	}
	return last - 1
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func exec(t *testing.T, url, sql string) {
	t.Helper()
	if _, err := connect(t, url).Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}
