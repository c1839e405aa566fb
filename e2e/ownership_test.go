//go:build unix

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	api "github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/e2e/fleet"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/kafka"
)

// commandRecord is a command as commandapi would put it on ordering's topic.
func commandRecord(t *testing.T, id, order, after string, command bus.Typed) kafka.Record {
	t.Helper()
	data, err := bus.Encode(command)
	if err != nil {
		t.Fatal(err)
	}
	stream := "order-" + order
	e := bus.Envelope{
		ID: id, Type: command.MessageType(), Source: bus.Source("commandapi"), Subject: stream, Time: time.Now(),
		Correlation: id, Caller: bus.Caller{ID: "local", Role: bus.RoleStaff}, After: after,
	}
	return e.Record(bus.CommandsTopic(api.Service), []byte(stream), data)
}

func placeCommand(order, sku string) api.PlaceOrder {
	return api.PlaceOrder{
		OrderID: order, CustomerID: "c-1", Currency: "EUR", Lines: []api.Wanted{{SKU: sku, Quantity: 1}},
		ShipTo: fleet.Address("1 First Street"), Payment: api.Payment{Method: "sandbox_approve"},
	}
}

// repeats is how often a command is delivered.
const repeats = 10

// spread puts copies of a record on partitions one after the other, so that every instance of
// a service gets some.
func spread(r kafka.Record) []kafka.Record {
	copies := make([]kafka.Record, repeats)
	for i := range copies {
		copies[i] = r
		copies[i].Partition = int32(i % fleet.Partitions)
	}
	return copies
}

// TestACommandDeliveredTenTimesHasOneEffectAndOneOutcome delivers it on its own partition, and
// on all partitions, so that two instances get it at once.
func TestACommandDeliveredTenTimesHasOneEffectAndOneOutcome(t *testing.T) {
	onBoth(t, fleet.Options{}, func(t *testing.T, f *fleet.Fleet) {
		c := f.Client("")
		token := c.Define(t, "TEA-001", 1299)
		var sent []fleet.Sent
		var records, changes []kafka.Record
		add := func(to *[]kafka.Record, all bool, s fleet.Sent, command bus.Typed) {
			s.Command = uuid.NewString()
			r := commandRecord(t, s.Command, s.Order, token, command)
			sent = append(sent, s)
			if all {
				*to = append(*to, spread(r)...)
				return
			}
			for range repeats {
				*to = append(*to, r)
			}
		}
		for i := range 20 {
			order := uuid.NewString()
			add(&records, i%2 == 1, fleet.Sent{Order: order, Status: "succeeded", Version: 1, Street: "1 First Street"}, placeCommand(order, "TEA-001"))
			add(&changes, i%2 == 1, fleet.Sent{Order: order, Status: "succeeded", Version: 2, Street: "2 Second Street"},
				api.ChangeAddress{OrderID: order, ShipTo: fleet.Address("2 Second Street")})
			refused := uuid.NewString()
			add(&records, i%2 == 1, fleet.Sent{Order: refused, Status: "refused"}, placeCommand(refused, "NO-SUCH"))
		}
		f.Publish(t, records...)
		for _, s := range sent {
			if s.Version == 1 {
				c.AwaitStatus(t, s.Command, s.Status)
			}
		}
		f.Publish(t, changes...)
		c.Check(t, sent)
		answers := make(map[string]int)
		fleet.Wait(t, "each delivery is answered", func() string {
			clear(answers)
			for _, r := range f.Records(t, bus.OutcomesTopic) {
				answers[string(r.Key)]++
			}
			for _, s := range sent {
				if answers[s.Command] < repeats {
					return fmt.Sprintf("%d answers to %s", answers[s.Command], s.Command)
				}
			}
			return ""
		})
		c.Check(t, sent)
	})
}

// thief is a member of a group that takes partitions, reads their messages, and does nothing
// with them, as a process that dies before it has done anything.
type thief struct{ has chan struct{} }

func (thief) Assigned(context.Context, kafka.Generation, []kafka.Partition) (map[kafka.Partition]int64, error) {
	return nil, nil
}

func (s thief) Deliver(context.Context, []kafka.Record) error {
	select {
	case s.has <- struct{}{}:
	default:
	}
	return nil
}

func (thief) Revoked([]kafka.Partition) {}

func TestMessagesDeliveredAgainAfterARebalanceChangeNothing(t *testing.T) {
	onBoth(t, fleet.Options{}, func(t *testing.T, f *fleet.Fleet) {
		c := f.Client("")
		load := c.StartLoad(t, 2)
		for range 3 {
			load.Await(t, 30)
			s := thief{has: make(chan struct{}, 1)}
			ctx, cancel := context.WithCancel(t.Context())
			left := make(chan error, 1)
			go func() {
				left <- kafka.ConsumeGroup(ctx, kafka.GroupConfig{
					Config: kafka.Config{Brokers: f.Brokers()}, Group: api.Service, Topics: []string{bus.CommandsTopic(api.Service)},
				}, s)
			}()
			select {
			case <-s.has:
			case <-time.After(fleet.Patience):
				t.Error("no partition was taken away")
			}
			cancel()
			if err := <-left; err != nil {
				t.Error(err)
			}
		}
		load.Await(t, 30)
		c.Check(t, load.Stop(t))
	})
}

// owns waits until the process has logged, after what was in its log before, that it was
// assigned n partitions of ordering's commands.
func owns(t *testing.T, p *fleet.Process, before string, n int) {
	t.Helper()
	all := make([]string, n)
	for i := range all {
		all[i] = "%d"
	}
	fleet.Wait(t, fmt.Sprintf("%s owns %d partitions", p.Name, n), func() string {
		last := ""
		for line := range strings.Lines(strings.TrimPrefix(p.Log(), before)) {
			if strings.Contains(line, "partitions assigned") && strings.Contains(line, bus.CommandsTopic(api.Service)) {
				last = line
			}
		}
		_, list, _ := strings.Cut(last, `"partitions":[`)
		list, _, _ = strings.Cut(list, "]")
		if owned := len(strings.FieldsFunc(list, func(r rune) bool { return r == ',' })); owned != n {
			return fmt.Sprintf("it owns %d", owned)
		}
		return ""
	})
}

func TestAStreamThatMovesToAnotherInstanceAndBackIsDecidedAsItIs(t *testing.T) {
	slow(t)
	// An embedded fleet is one process.
	f := fleet.Start(t, fleet.Real, fleet.Options{Without: []string{fleet.OrderingB}})
	a, b := f.Process(fleet.OrderingA), f.Process(fleet.OrderingB)
	c := f.Client("")
	token := c.Define(t, "TEA-001", 1299)
	place := func(n int) (ids []string) {
		for range n {
			ids = append(ids, c.Accept(t, http.StatusOK, http.MethodPost, orders, fleet.Order("c-1", "TEA-001", 1),
				"Prefer", wait, "Consistency-Token", token).Resource.ID)
		}
		return ids
	}
	change := func(order, street string, seen int) *fleet.Answer {
		return c.Do(t, http.MethodPost, orders+"/"+order+"/address", map[string]any{"ship_to": fleet.Address(street)},
			"Prefer", wait, "If-Match", fmt.Sprintf(`"order-%s@%d"`, order, seen))
	}
	owns(t, a, "", fleet.Partitions)
	byA := place(3 * fleet.Partitions)
	b.Start()
	owns(t, b, "", fleet.Partitions/2)
	for _, id := range byA { // half of them at the other instance, which has not seen them yet
		if answer := change(id, "2 Second Street", 1); answer.Status != http.StatusOK {
			t.Errorf("a change as of version 1 is answered %s", answer)
		}
	}
	byBoth := place(2 * fleet.Partitions)
	before := a.Log()
	b.Stop()
	owns(t, a, before, fleet.Partitions)
	// Half of them are in this instance's memory as they were before they moved. There the first
	// change is to be refused, and no event shows that the refusal is wrong.
	for _, id := range byA {
		if answer := change(id, "3 Third Street", 2); answer.Status != http.StatusOK {
			t.Errorf("a change as of version 2 is answered %s", answer)
		}
		if answer := change(id, "4 Fourth Street", 1); answer.Status != http.StatusPreconditionFailed {
			t.Errorf("a change as of version 1 of an order at version 3 is answered %s", answer)
		}
	}
	var again []kafka.Record
	for _, id := range byBoth { // half of them placed where this instance could not see it
		again = append(again, commandRecord(t, uuid.NewString(), id, token, placeCommand(id, "TEA-001")))
	}
	f.Publish(t, again...)
	for _, r := range again {
		id := r.Header(bus.HeaderID)
		if s := c.AwaitStatus(t, id, string(es.StatusRefused)); s.Problem == nil || s.Problem.Code != "order_exists" {
			t.Errorf("an order that is placed once more has the outcome %+v", s)
		}
	}
	c.Check(t, nil)
}

func TestAnInstanceThatWasFrozenDoesNoHarmWhenItGoesOn(t *testing.T) {
	slow(t)
	f := fleet.Start(t, fleet.Real, fleet.Options{})
	c := f.Client("")
	load := c.StartLoad(t, 2)
	for _, names := range [][2]string{{fleet.OrderingA, fleet.OrderingB}, {fleet.OrderingB, fleet.OrderingA}} {
		frozen, other := f.Process(names[0]), f.Process(names[1])
		load.Await(t, 30)
		owns(t, frozen, "", fleet.Partitions/2)
		owns(t, other, "", fleet.Partitions/2)
		before, beforeThat := other.Log(), frozen.Log()
		frozen.Signal(syscall.SIGSTOP)
		owns(t, other, before, fleet.Partitions)
		load.Await(t, 30)
		frozen.Signal(syscall.SIGCONT)
		owns(t, frozen, beforeThat, fleet.Partitions/2)
	}
	load.Await(t, 30)
	c.Check(t, load.Stop(t))
}

func TestAnInstanceThatIsKilledIsReplacedByTheOther(t *testing.T) {
	slow(t)
	f := fleet.Start(t, fleet.Real, fleet.Options{})
	c := f.Client("")
	load := c.StartLoad(t, 2)
	for _, names := range [][2]string{{fleet.OrderingA, fleet.OrderingB}, {fleet.OrderingB, fleet.OrderingA}} {
		killed, other := f.Process(names[0]), f.Process(names[1])
		owns(t, other, "", fleet.Partitions/2)
		load.Await(t, 30)
		before := other.Log()
		killed.Kill()
		owns(t, other, before, fleet.Partitions)
		load.Await(t, 30)
		killed.Start()
	}
	load.Await(t, 30)
	c.Check(t, load.Stop(t))
}
