package live

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/kafka/memkafka"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

const (
	own   = "own.v1"   // records of a key are in one partition
	other = "other.v1" // they are anywhere
)

// memory is a Source whose consumers are driven by hand.
type memory struct{ *memkafka.Broker }

func (memory) Consume(ctx context.Context, _ []string, _ kafka.BatchHandler) error {
	<-ctx.Done()
	return nil
}

func newBroker() *memkafka.Broker {
	return memkafka.New(func() time.Time { return noon },
		kafka.TopicSpec{Name: own, Partitions: 3}, kafka.TopicSpec{Name: other, Partitions: 2})
}

// decode reads values such as "a 17": event 17, of key a. A key in capitals is restricted, "reset" takes
// back what was before, and "noise" is nothing.
func decode(r *kafka.Record) (Event, bool) {
	key, n, _ := strings.Cut(string(r.Value), " ")
	switch key {
	case "noise":
		return Event{}, false
	case "reset":
		return Event{TakenBack: true, Time: r.Time}, true
	}
	return Event{Name: "n", Key: strings.ToLower(key), Data: []byte(n), Time: r.Time, Restricted: key != strings.ToLower(key)}, true
}

// scopeOf is the stream of a key; "" is that of everything.
func scopeOf(key string) Scope {
	s := Scope{Key: key, Restricted: key == ""}
	if key != "" {
		s.Records = map[string]string{own: key}
	}
	return s
}

// instance is a hub that is driven by hand.
type instance struct {
	hub      *Hub
	broker   *memkafka.Broker
	consumer *memkafka.Consumer
}

func newInstance(t rapid.TB, b *memkafka.Broker, o Options) *instance {
	o.Topics, o.Source, o.Decode = []string{own, other}, memory{b}, decode
	i := &instance{hub: New(o), broker: b}
	i.start(t)
	return i
}

// start follows the topics anew, as after a time in which nobody has listened.
func (i *instance) start(t rapid.TB) {
	i.hub.tail = newTail(i.hub)
	i.consumer = i.broker.Consumer(i.hub.tail)
	i.assign(t)
}

func (i *instance) assign(t rapid.TB) {
	if err := i.consumer.Assign(context.Background(), i.broker.Partitions(own, other)...); err != nil {
		t.Fatal(err)
	}
}

// reassign is what happens to a consumer that has lost its broker for a while.
func (i *instance) reassign(t rapid.TB) {
	i.consumer.Revoke()
	i.assign(t)
}

// deliver has the instance read up to limit records of one partition; -1: all of all.
func (i *instance) deliver(t rapid.TB, limit int) {
	for {
		n, err := i.consumer.StepAny(limit)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 || limit >= 0 {
			return
		}
	}
}

// frame is one event as a client reads it.
type frame struct{ id, event, data string }

// frames reads whole events as SSE clients do, and drops what is not complete.
func frames(stream string) (all []frame) {
	for {
		block, rest, ok := strings.Cut(stream, "\n\n")
		if !ok {
			return all
		}
		stream = rest
		var f frame
		for line := range strings.SplitSeq(block, "\n") {
			name, value, _ := strings.Cut(line, ": ")
			switch name {
			case "id":
				f.id = value
			case "event":
				f.event = value
			case "data":
				f.data = value
			}
		}
		if f.id != "" || f.event != "" {
			all = append(all, f)
		}
	}
}

// world is two instances on one broker, and clients that move between them.
type world struct {
	t         rapid.TB
	broker    *memkafka.Broker
	instances []*instance
	clients   []*client
	published int
	place     map[int]kafka.Record // where event n is
	log       map[kafka.Partition][]kafka.Record
}

// client follows one key, or everything, and notes for each partition what it knows.
type client struct {
	*world
	key    string
	stream *Stream
	id     string
	knows  map[kafka.Partition]int64 // all before it
	resets int
}

func (w *world) publish(topic, what string) {
	w.published++
	r := kafka.Record{
		Topic: topic, Partition: kafka.AnyPartition, Key: []byte(strings.ToLower(what)), Value: fmt.Appendf(nil, "%s %d", what, w.published),
		Time: noon.Add(time.Duration(w.published) * time.Millisecond),
	}
	if topic == other {
		r.Partition = int32(w.published % 2)
	}
	if err := w.broker.Producer().Publish(context.Background(), []kafka.Record{r}); err != nil {
		w.t.Fatal(err)
	}
	for _, p := range w.broker.Partitions(topic) {
		recs := w.broker.Records(p, 0, -1)
		if len(recs) > 0 && strings.HasSuffix(string(recs[len(recs)-1].Value), " "+strconv.Itoa(w.published)) {
			w.place[w.published] = recs[len(recs)-1]
			w.log[p] = append(w.log[p], recs[len(recs)-1])
		}
	}
}

// ends is where a view stands that has seen everything.
func (w *world) ends() map[kafka.Partition]int64 {
	ends := make(map[kafka.Partition]int64)
	for _, p := range w.broker.Partitions(own, other) {
		held, err := w.broker.Offsets(context.Background(), p.Topic)
		if err != nil {
			w.t.Fatal(err)
		}
		ends[p] = held[p.ID].Last
	}
	return ends
}

// connect opens the client's stream, from where it was if it was there before.
func (c *client) connect(i *instance) {
	if c.stream != nil {
		c.stream.Close()
		c.stream = nil
	}
	ctx := context.Background()
	if c.id != "" {
		s, err := i.hub.Resume(ctx, scopeOf(c.key), c.id)
		if err == nil {
			c.stream = s
			return
		}
		if !errors.Is(err, ErrTooOld) && !errors.Is(err, ErrTakenBack) {
			c.t.Fatalf("client of %q comes back: %v", c.key, err)
		}
		c.resets++
	}
	at := c.ends()
	s, err := i.hub.From(ctx, scopeOf(c.key), at)
	if err != nil {
		c.t.Fatalf("client of %q comes: %v", c.key, err)
	}
	c.stream, c.knows = s, at
	c.read(func(send func([]byte) error) error { return s.begin(&Event{Name: "ready", Data: []byte("{}")}, send) }, -1)
}

// read takes in what is sent, up to limit bytes; then the connection is lost.
func (c *client) read(from func(send func([]byte) error) error, limit int) {
	var got []byte
	lost := false
	err := from(func(b []byte) error {
		if limit >= 0 && len(got)+len(b) > limit {
			b, lost = b[:limit-len(got)], true
		}
		got = append(got, b...)
		if lost {
			return errors.New("connection lost")
		}
		return nil
	})
	for _, f := range frames(string(got)) {
		c.take(f)
	}
	if err != nil {
		c.stream.Close()
		c.stream = nil
	}
}

func (c *client) step(limit int) {
	if c.stream != nil {
		c.read(func(send func([]byte) error) error {
			_, err := c.stream.step(context.Background(), send)
			return err
		}, limit)
	}
}

func (c *client) beat() {
	if c.stream != nil {
		c.read(c.stream.beat, -1)
	}
}

// take checks one event: it is the next that belongs to the client in its partition.
func (c *client) take(f frame) {
	c.id = f.id
	switch f.event {
	case "", "ready":
	default:
		n, err := strconv.Atoi(f.data)
		if err != nil {
			c.t.Fatal(err)
		}
		r := c.place[n]
		p := kafka.Partition{Topic: r.Topic, ID: r.Partition}
		if r.Offset < c.knows[p] {
			c.t.Fatalf("client of %q is told again of %s at %s/%d/%d", c.key, r.Value, p.Topic, p.ID, r.Offset)
		}
		c.missedNone(p, r.Offset)
		c.knows[p] = r.Offset + 1
	}
}

// missedNone fails if there are events of the client before an offset that it does not know.
func (c *client) missedNone(p kafka.Partition, before int64) {
	for _, r := range c.log[p][c.knows[p]:before] {
		if e, ok := decode(&r); ok && !e.TakenBack && (c.key == "" || c.key == e.Key && !e.Restricted) {
			c.t.Fatalf("client of %q was not told of %s at %s/%d/%d", c.key, r.Value, p.Topic, p.ID, r.Offset)
		}
	}
}

// TestAClientThatComesBackAnywhereMissesNothing takes random histories of publishing, of instances
// that fall behind each other, stop listening and start again, and of clients who lose their connection
// in the middle of an event and come back at either instance.
func TestAClientThatComesBackAnywhereMissesNothing(t *testing.T) {
	var resumed, reset int
	for range 10 { // a thousand histories in all
		rapid.Check(t, func(t *rapid.T) { clientsComeBack(t, &resumed, &reset) })
	}
	if resumed == 0 || reset == 0 {
		t.Errorf("%d clients came back, %d had to read anew: the histories are too tame", resumed, reset)
	}
}

func clientsComeBack(t *rapid.T, resumed, reset *int) {
	w := &world{t: t, broker: newBroker(), place: make(map[int]kafka.Record), log: make(map[kafka.Partition][]kafka.Record)}
	o := Options{Ring: 5 * rapid.SampledFrom([]int{1, 2, 6}).Draw(t, "ring"), Buffer: 1 << 20, MaxReplay: rapid.Int64Range(1, 40).Draw(t, "replay")}
	w.instances = []*instance{newInstance(t, w.broker, o), newInstance(t, w.broker, o)}
	for _, key := range []string{"a", "b", ""} {
		w.clients = append(w.clients, &client{world: w, key: key})
	}
	anInstance := func(t *rapid.T) *instance { return rapid.SampledFrom(w.instances).Draw(t, "instance") }
	aClient := func(t *rapid.T) *client { return rapid.SampledFrom(w.clients).Draw(t, "client") }
	t.Repeat(map[string]func(*rapid.T){
		"publish": func(t *rapid.T) {
			topic := rapid.SampledFrom([]string{own, other}).Draw(t, "topic")
			for range rapid.IntRange(1, 6).Draw(t, "events") {
				w.publish(topic, rapid.SampledFrom([]string{"a", "a", "a", "b", "b", "c", "A", "noise", "reset"}).Draw(t, "key"))
			}
		},
		"deliver": func(t *rapid.T) { anInstance(t).deliver(t, rapid.IntRange(1, 4).Draw(t, "records")) },
		"connect": func(t *rapid.T) {
			c := aClient(t)
			if c.id != "" {
				*resumed++
			}
			c.connect(anInstance(t))
		},
		"read":      func(t *rapid.T) { aClient(t).step(-1) },
		"read some": func(t *rapid.T) { aClient(t).step(rapid.IntRange(0, 300).Draw(t, "bytes")) },
		"beat":      func(t *rapid.T) { aClient(t).beat() },
		"trim": func(t *rapid.T) {
			p := rapid.SampledFrom(w.broker.Partitions(own, other)).Draw(t, "partition")
			if n := len(w.log[p]); n > 0 {
				if err := w.broker.DeleteRecords(context.Background(), p, rapid.Int64Range(0, int64(n)).Draw(t, "before")); err != nil {
					t.Fatal(err)
				}
			}
			for _, i := range w.instances { // a consumer whose place is gone begins anew
				i.reassign(t)
			}
		},
		"assign anew": func(t *rapid.T) { anInstance(t).reassign(t) },
		"nobody listens": func(t *rapid.T) {
			i := anInstance(t)
			if i.hub.tail.streams() == 0 {
				i.consumer.Revoke()
				i.start(t)
			}
		},
	})
	for _, i := range w.instances {
		i.deliver(t, -1)
	}
	for _, c := range w.clients {
		for c.step(-1); c.stream == nil; c.step(-1) { // and again, where something was taken back
			c.connect(w.instances[0])
		}
		c.beat()
		for i, part := range c.stream.parts {
			c.missedNone(c.stream.tail.parts[part], c.stream.at[i])
			if end := w.ends()[c.stream.tail.parts[part]]; c.stream.at[i] != end {
				t.Fatalf("client of %q stands at %d of %d", c.key, c.stream.at[i], end)
			}
		}
		*reset += c.resets
		c.stream.Close()
	}
}
