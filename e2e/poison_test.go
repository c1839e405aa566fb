//go:build unix

package e2e

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	api "github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/e2e/fleet"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/kafka"
)

// poison is a message that no handler can take.
type poison struct {
	name   string
	spoil  func(*kafka.Record)
	lostID bool // its id is none that a client could ask for
}

func setHeader(r *kafka.Record, name, value string) {
	for i := range r.Headers {
		if r.Headers[i].Key == name {
			r.Headers[i].Value = []byte(value)
		}
	}
}

var poisons = []poison{
	{"no JSON", func(r *kafka.Record) { r.Value = []byte(`{"order_id": `) }, false},
	{"no value", func(r *kafka.Record) { r.Value = nil }, false},
	{"another shape", func(r *kafka.Record) { r.Value = []byte(`{"lines": "two of those"}`) }, false},
	{"no UTF-8, and a NUL", func(r *kafka.Record) { r.Value = []byte("\xff\x00\xfe") }, false},
	{"much of nothing", func(r *kafka.Record) { r.Value = []byte(strings.Repeat("no", 350_000)) }, false},
	{"an unknown type", func(r *kafka.Record) { setHeader(r, bus.HeaderType, "orderlane.ordering.eat_order.v1") }, false},
	{"a NUL in its type", func(r *kafka.Record) { setHeader(r, bus.HeaderType, "order\x00lane") }, false},
	{"no UTF-8 in its subject", func(r *kafka.Record) {
		setHeader(r, bus.HeaderSubject, "order-\xff\x00")
		r.Value = []byte("no JSON")
	}, false},
	{"a subject without end", func(r *kafka.Record) {
		setHeader(r, bus.HeaderSubject, "order-"+strings.Repeat("1", 20_000))
		r.Value = []byte("no JSON")
	}, false},
	{"a NUL in its order's id", func(r *kafka.Record) {
		r.Value = []byte(strings.Replace(string(r.Value), `"order_id":"`, `"order_id":"\u0000`, 1))
	}, false},
	{"an order's id without end", func(r *kafka.Record) {
		r.Value = []byte(strings.Replace(string(r.Value), `"order_id":"`, `"order_id":"`+strings.Repeat("1", 20_000), 1))
	}, false},
	{"a time that is none", func(r *kafka.Record) { setHeader(r, bus.HeaderTime, "yesterday") }, false},
	{"a NUL in a header", func(r *kafka.Record) {
		r.Headers = append(r.Headers, kafka.Header{Key: "x-\x00", Value: []byte("\x00\xff")})
		r.Value = []byte("no JSON")
	}, false},
	{"a key that is no text", func(r *kafka.Record) { r.Key, r.Value = []byte("\xff\x00"), []byte("no JSON") }, false},
	{"an id that is none", func(r *kafka.Record) { setHeader(r, bus.HeaderID, "42"); r.Value = []byte("no JSON") }, true},
	{"no headers and no key", func(r *kafka.Record) { r.Headers, r.Key, r.Value = nil, nil, []byte("hello?") }, true},
}

func TestAPoisonMessageInTheMiddleOfAPartitionIsParkedAndTheRestGoesOn(t *testing.T) {
	onBoth(t, fleet.Options{}, func(t *testing.T, f *fleet.Fleet) {
		c := f.Client("")
		token := c.Define(t, "TEA-001", 1299)
		const partition = 3
		var records []kafka.Record
		var sent []fleet.Sent
		ids := make(map[string]string) // of poison
		good := func() {
			s := fleet.Sent{Command: uuid.NewString(), Order: uuid.NewString(), Status: "succeeded", Version: 1, Street: "1 First Street"}
			sent = append(sent, s)
			records = append(records, commandRecord(t, s.Command, s.Order, token, placeCommand(s.Order, "TEA-001")))
		}
		for _, p := range poisons {
			good()
			id, order := uuid.NewString(), uuid.NewString()
			r := commandRecord(t, id, order, token, placeCommand(order, "TEA-001"))
			p.spoil(&r)
			records = append(records, r)
			if !p.lostID {
				ids[p.name] = id
			}
		}
		good()
		for i := range records {
			records[i].Partition = partition
		}
		f.Publish(t, records...)
		c.Check(t, sent) // those after the last poison too
		for name, id := range ids {
			t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
				if s := c.AwaitStatus(t, id, "parked"); s.Problem == nil || s.Problem.Status != http.StatusInternalServerError {
					t.Errorf("the command's problem is %+v", s.Problem)
				}
			})
		}
		list := f.Operate("deadletters", "list")
		if got := strings.Count(list, "\n") - 1; got != len(poisons) {
			t.Errorf("%d commands are listed, not %d:\n%s", got, len(poisons), list)
		}
		letters := make(map[string]bool)
		for _, r := range f.Records(t, bus.DeadLettersTopic(api.Service)) {
			letters[r.Header(bus.HeaderID)] = true
		}
		if len(letters) != len(poisons) {
			t.Errorf("the dead-letter topic tells of %d messages, not of %d", len(letters), len(poisons))
		}
		discardAll(t, f, c, ids)
		c.Accept(t, http.StatusOK, http.MethodPost, orders, fleet.Order("c-1", "TEA-001", 1), "Prefer", wait)
	})
}

// discardAll looks at each parked command, tries it again in vain, and gives it up.
func discardAll(t *testing.T, f *fleet.Fleet, c *fleet.Client, ids map[string]string) {
	t.Helper()
	id := ids["no JSON"]
	if shown := f.Operate("deadletters", "show", id); !strings.Contains(shown, id) || !strings.Contains(shown, `{\"order_id\": `) {
		t.Errorf("the parked command is shown as %s", shown)
	}
	f.Operate("deadletters", "retry", id)
	fleet.Wait(t, "the command is parked again", func() string {
		if shown := f.Operate("deadletters", "show", id); !strings.Contains(shown, `"attempts": 2`) {
			return shown
		}
		return ""
	})
	for line := range strings.Lines(f.Operate("deadletters", "list")) {
		if fields := strings.Fields(line); uuid.Validate(fields[0]) == nil {
			f.Operate("deadletters", "discard", fields[0])
		}
	}
	for _, id := range ids {
		c.AwaitStatus(t, id, "failed")
	}
	if list := f.Operate("deadletters", "list"); !strings.Contains(list, "no command is parked") {
		t.Errorf("still listed are\n%s", list)
	}
	code, _, errs := fleet.Run(t, []string{"ORDERLANE_ADMIN=" + f.Admins()}, "deadletters", "show", id)
	if code != 1 || strings.Count(strings.TrimSpace(errs), "\n") != 0 {
		t.Errorf("a command that is not parked any more is shown with exit code %d: %s", code, errs)
	}
}

func TestACommandWhoseHandlerPanicsIsParkedAndSucceedsWhenItIsTriedAgain(t *testing.T) {
	faults := filepath.Join(t.TempDir(), "panics")
	onBoth(t, fleet.Options{Env: []string{"ORDERLANE_PANIC_FILE=" + faults}}, func(t *testing.T, f *fleet.Fleet) {
		c := f.Client("")
		token := c.Define(t, "TEA-001", 1299)
		placed := c.Accept(t, http.StatusOK, http.MethodPost, orders, fleet.Order("c-1", "TEA-001", 1), "Prefer", wait, "Consistency-Token", token)
		id := placed.Resource.ID
		change := map[string]any{"ship_to": fleet.Address("2 Second Street")}
		for i, place := range []string{"engine.decide order-" + id, "bus.handle"} {
			key := uuid.NewString()
			command := bus.DeriveID("command", "local", "POST "+orders+"/"+id+"/address", key).String()
			if place == "bus.handle" {
				place += " " + command
			}
			breakAt(t, faults, place)
			a := c.Accept(t, http.StatusAccepted, http.MethodPost, orders+"/"+id+"/address", change, "Prefer", wait, "Idempotency-Key", key)
			if a.Status != "parked" || a.CommandID != command {
				t.Fatalf("a command whose handler panics is %s, with the id %s", a.Status, a.CommandID)
			}
			c.AwaitStatus(t, command, "parked")
			if shown := f.Operate("deadletters", "show", command); !strings.Contains(shown, "panic: failpoint") {
				t.Errorf("it is shown as %s", shown)
			}
			other := c.Accept(t, http.StatusOK, http.MethodPost, orders, fleet.Order("c-1", "TEA-001", 1), "Prefer", wait)
			if other.Status != "succeeded" {
				t.Errorf("another command is %s", other.Status)
			}
			breakAt(t, faults, "")
			f.Operate("deadletters", "retry", command)
			if s := c.AwaitStatus(t, command, "succeeded"); s.Version != int64(i)+2 {
				t.Errorf("the order is at version %d", s.Version)
			}
			if list := f.Operate("deadletters", "list"); !strings.Contains(list, "no command is parked") {
				t.Errorf("still listed is\n%s", list)
			}
			change["ship_to"] = fleet.Address("3 Third Street")
		}
		c.Check(t, nil)
	})
}

// breakAt makes what is named panic from now on.
func breakAt(t *testing.T, file, place string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(place+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestTheEmbeddedBrokerSurvivesWhatIsNoKafka(t *testing.T) {
	slow(t)
	f := fleet.Start(t, fleet.Embedded, fleet.Options{})
	c := f.Client("")
	load := c.StartLoad(t, 2)
	for name, frame := range map[string]string{
		"14 bytes":          "\x00\x00\x00\x0a\x7f\xff\x00\x00\x00\x00\x00\x01\xff\xff",
		"a request of HTTP": "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"a huge frame":      "\x7f\xff\xff\xff\x00\x00",
		"a negative frame":  "\xff\xff\xff\xff\x00\x00",
		"nothing":           "",
		"random letters":    strings.Repeat("\xde\xad\xbe\xef", 5000),
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			for range 20 {
				conn, err := net.DialTimeout("tcp", f.Brokers()[0], 10*time.Second)
				if err != nil {
					t.Fatal(err)
				}
				_, _ = conn.Write([]byte(frame)) // it may hang up before all is sent
				_ = conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
				_, _ = conn.Read(make([]byte, 16))
				if err := conn.Close(); err != nil {
					t.Error(err)
				}
			}
			load.Await(t, 20)
		})
	}
	c.Check(t, load.Stop(t))
	if mib := f.Process(fleet.All).Memory(t) >> 20; mib > 500 {
		t.Errorf("the process has %d MiB of memory", mib)
	}
}

func TestAKeyThatAViewCannotFoldIsVisibleAndRepaired(t *testing.T) {
	faults := filepath.Join(t.TempDir(), "panics")
	onBoth(t, fleet.Options{Env: []string{"ORDERLANE_PANIC_FILE=" + faults}}, func(t *testing.T, f *fleet.Fleet) {
		c := f.Client("")
		token := c.Define(t, "TEA-001", 1299)
		load := c.StartLoad(t, 1)
		placed := c.Accept(t, http.StatusOK, http.MethodPost, orders, fleet.Order("c-1", "TEA-001", 1), "Prefer", wait, "Consistency-Token", token)
		id := placed.Resource.ID
		getOrder(t, c, id, placed.ConsistencyToken)
		breakAt(t, faults, "projection.fold order-"+id)
		var last *fleet.Accepted
		for i := range 3 {
			last = c.Accept(t, http.StatusOK, http.MethodPost, orders+"/"+id+"/address",
				map[string]any{"ship_to": fleet.Address(fmt.Sprint(i, " Broken Street"))}, "Prefer", wait)
		}
		fleet.Wait(t, "the key is broken", func() string {
			a := c.Get(t, orders+"/"+id)
			var o fleet.OrderShown
			a.Decode(t, &o)
			if o.Stale == nil || !strings.Contains(o.Stale.Reason, "could not be applied") || o.Version != 1 {
				return a.String()
			}
			return ""
		})
		if list := f.Operate("projections", "list"); !strings.Contains(list, "order-"+id) || !strings.Contains(list, "panic: failpoint") {
			t.Errorf("the views are listed as\n%s", list)
		}
		// The address came on the topics of commands, of events, and of what is personal.
		fleet.Wait(t, "the metrics tell of the broken key", func() string {
			const broken = `orderlane_projection_broken_keys{view="orderview"} `
			_, count, _ := strings.Cut(f.Process(fleet.OrderView).Metrics(t), broken)
			if !strings.HasPrefix(count, "3\n") {
				return broken + count[:min(len(count), 3)]
			}
			return ""
		})
		load.Await(t, 30) // other keys go on
		code, _, errs := fleet.Run(t, []string{"ORDERLANE_ADMIN=" + f.Admins()}, "projections", "repair", "order-"+id)
		if code != 1 || !strings.Contains(errs, "panic: failpoint") {
			t.Errorf("a repair while the fault lasts exits with %d: %s", code, errs)
		}
		breakAt(t, faults, "")
		f.Operate("projections", "repair", "order-"+id)
		if o := getOrder(t, c, id, last.ConsistencyToken); o.Version != 4 || o.Stale != nil || o.ShipTo.Street != "2 Broken Street" {
			t.Errorf("after the repair the order is shown as %+v", o)
		}
		if list := f.Operate("projections", "list"); strings.Contains(list, "order-"+id) {
			t.Errorf("after the repair the views are listed as\n%s", list)
		}
		c.Check(t, load.Stop(t))
	})
}

// TestAnEventThatNobodyCanReadStopsNoTopic puts one on each event topic, as another producer's
// mistake would.
func TestAnEventThatNobodyCanReadStopsNoTopic(t *testing.T) {
	onBoth(t, fleet.Options{}, func(t *testing.T, f *fleet.Fleet) {
		c := f.Client("")
		c.Define(t, "TEA-001", 1299)
		event := func(service, name, stream, data string, partition int32) kafka.Record {
			e := bus.Envelope{
				ID: stream + "/1", Type: bus.TypeName(service, name), Source: "/elsewhere", Subject: stream, Time: time.Now(), StreamVersion: 1,
			}
			r := e.Record(bus.EventsTopic(service), []byte(stream), []byte(data))
			r.Partition = partition
			return r
		}
		var records []kafka.Record
		for partition := range int32(fleet.Partitions) {
			order, sku := uuid.NewString(), fmt.Sprintf("BAD-%d", partition)
			records = append(records,
				event("ordering", "order_placed", "order-"+order, "no JSON", partition),
				event("catalog", "product_defined", "product-"+sku, "no JSON", partition),
				kafka.Record{Topic: bus.EventsTopic("ordering"), Partition: partition, Value: []byte("\x00\xff")},
				kafka.Record{Topic: bus.EventsTopic("catalog"), Partition: partition, Key: []byte("\x00\xff")},
				kafka.Record{
					Topic: bus.OutcomesTopic, Partition: partition, Key: []byte("\x00\xff"), Value: []byte("\x00\xff"),
					Headers: []kafka.Header{{Key: bus.HeaderType, Value: []byte(bus.TypeOutcome)}, {Key: bus.HeaderStatus, Value: []byte("\x00\xff")}},
				},
			)
		}
		f.Publish(t, records...)
		for i := range 2 * fleet.Partitions { // some of them on each partition
			sku := fmt.Sprintf("GOOD-%d", i)
			token := c.Define(t, sku, 100)
			a := c.Accept(t, http.StatusOK, http.MethodPost, orders, fleet.Order("c-1", sku, 1), "Prefer", wait, "Consistency-Token", token)
			if o := getOrder(t, c, a.Resource.ID, a.ConsistencyToken); o.Totals.Lines != 100 {
				t.Errorf("the order is shown as %+v", o)
			}
			c.AwaitStatus(t, a.CommandID, "succeeded")
		}
		if list := f.Operate("projections", "list"); !strings.Contains(list, "product-BAD-0") {
			t.Errorf("the views are listed as\n%s", list)
		}
		for _, name := range []string{fleet.OrderingA, fleet.OrderView} { // they are there after a restart, too
			p := f.Process(name)
			p.Stop()
			p.Start()
		}
		token := c.Define(t, "GOOD-LAST", 100)
		c.Accept(t, http.StatusOK, http.MethodPost, orders, fleet.Order("c-1", "GOOD-LAST", 1), "Prefer", wait, "Consistency-Token", token)
	})
}
