package servicetest

import (
	"context"
	"testing"
	"time"

	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/es/memlog"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/kafka/memkafka"
	"github.com/orderlane/orderlane/pkg/service"
)

// Writer is a service that decides commands, driven command by command: what a test sends goes
// over a broker in memory to the service's handlers, its engine and a log in memory.
type Writer struct {
	// Now is what the clock says; a test sets it between two calls.
	Now time.Time

	t      testing.TB
	write  service.Write
	log    es.Log
	broker *memkafka.Broker
	sub    *memkafka.Subscriber
	group  *bus.CommandGroup
}

// NewWriter returns the service with an empty log, at Noon. The service is made for the
// writer's clock.
func NewWriter(t testing.TB, of func(clock func() time.Time) service.Write) *Writer {
	t.Helper()
	w := &Writer{Now: Noon, t: t}
	clock := func() time.Time { return w.Now }
	w.write = of(clock)
	w.log = memlog.New(memlog.Options{Clock: clock})
	w.broker = memkafka.New(clock, kafka.TopicSpec{Name: bus.CommandsTopic(w.write.Name), Partitions: 1}, bus.Outcomes(1, 1))
	w.sub = w.broker.Subscriber(0)
	engine := es.NewEngine(es.Options{Log: w.log, Clock: clock, Publish: bus.PublishAnswers(w.broker.Producer(), w.write.Name)})
	w.group = bus.NewCommandGroup(w.write.Name, engine, w.write.Handlers(engine)...)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- engine.Run(ctx, time.Second) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := w.log.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// Send sends a command for a stream, waits until it is handled, and returns its outcome.
func (w *Writer) Send(stream string, command bus.Typed) bus.Outcome {
	w.t.Helper()
	topic := bus.CommandsTopic(w.write.Name)
	data, err := bus.Encode(command)
	if err != nil {
		w.t.Fatal(err)
	}
	sent := len(w.broker.Records(kafka.Partition{Topic: topic}, 0, 1<<30))
	e := bus.Envelope{
		ID: bus.DeriveID("test", topic, time.Duration(sent).String()).String(), Type: command.MessageType(), Subject: stream, Time: w.Now,
	}
	return w.handle(e.Record(topic, []byte(stream), data))
}

func (w *Writer) handle(r kafka.Record) bus.Outcome {
	w.t.Helper()
	if err := w.broker.Producer().Publish(w.t.Context(), []kafka.Record{r}); err != nil {
		w.t.Fatal(err)
	}
	m, ok := w.sub.Next(kafka.Partition{Topic: r.Topic})
	if !ok {
		w.t.Fatal("the command did not arrive")
	}
	if err := w.group.Handle(m); err != nil {
		w.t.Fatal(err)
	}
	m.Ack()
	w.sub.Settle()
	outcomes := w.broker.Records(kafka.Partition{Topic: bus.OutcomesTopic}, 0, 1<<30)
	if len(outcomes) == 0 {
		return bus.Outcome{} // that of an internal command that succeeded
	}
	var o bus.Outcome
	if err := bus.Decode(outcomes[len(outcomes)-1].Value, &o); err != nil {
		w.t.Fatal(err)
	}
	return o
}

// Wake sends the wakes of all timers that are due, once, and returns how many were.
func (w *Writer) Wake() int {
	w.t.Helper()
	due, err := w.log.DueTimers(w.t.Context(), w.Now, time.Second, es.MaxBatchCommands)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, timer := range due {
		r, err := bus.WakeRecord(w.write.Name, timer, w.Now)
		if err != nil {
			w.t.Fatal(err)
		}
		w.handle(r)
	}
	return len(due)
}

// Published are the public events of all that the log holds, as "<name> <JSON>".
func (w *Writer) Published() []string {
	w.t.Helper()
	records, err := w.log.Read(w.t.Context(), 0, es.MaxRead)
	if err != nil {
		w.t.Fatal(err)
	}
	published := make([]string, len(records))
	for i := range records {
		name, body, err := w.write.Public(&records[i])
		if err != nil {
			w.t.Fatal(err)
		}
		data, err := bus.Encode(body)
		if err != nil {
			w.t.Fatal(err)
		}
		published[i] = name + " " + string(data)
	}
	return published
}

// Asked is what all events that the log holds ask of services and of the gateway.
func (w *Writer) Asked() []bus.Ask {
	w.t.Helper()
	records, err := w.log.Read(w.t.Context(), 0, es.MaxRead)
	if err != nil {
		w.t.Fatal(err)
	}
	var all []bus.Ask
	for i := range records {
		asked, err := w.write.Asks(&records[i])
		if err != nil {
			w.t.Fatal(err)
		}
		all = append(all, asked...)
	}
	return all
}
