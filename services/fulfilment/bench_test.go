package fulfilment

import (
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/orderlane/orderlane/pkg/es"
)

// BenchmarkACompleteOrder decides, stores, publishes and asks for an order of two lines, from
// placed to delivered, without what is around it: the share of the process itself.
func BenchmarkACompleteOrder(b *testing.B) {
	commands := append(prepared(), dispatched(main1, everything...), SettleCapture{Shipment: main1}, delivered(main1, everything...))
	for i := range commands {
		commands[i] = at(commands[i], noon)
	}
	b.ReportAllocs()
	for range b.N {
		p := Processes.Initial()
		for _, c := range commands {
			events, err := Processes.Decide(c, p)
			if err != nil || len(events) != 1 {
				b.Fatalf("%T: %v, %v", c, events, err)
			}
			r, err := Processes.Codec.Encode(events[0])
			if err != nil {
				b.Fatal(err)
			}
			r.Stream = "fulfilment-o-1"
			p = Processes.Evolve(events[0], p)
			use(b, &r, &p)
		}
	}
}

func use(b *testing.B, r *es.Record, p *Process) {
	if _, err := json.Marshal(p); err != nil {
		b.Fatal(err)
	}
	if _, _, err := public(r); err != nil {
		b.Fatal(err)
	}
	if _, err := asks(r); err != nil {
		b.Fatal(err)
	}
}
