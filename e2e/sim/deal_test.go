package sim

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/service"
)

// The smallest services that use everything a process is made of: a shop whose sales are placed
// and closed, and a process manager that has each sale charged by a bank, leaves the customer some
// time, and then has it closed.
type (
	fact  struct{ Do string } // event and command of both: what happened is what was asked
	facts struct {
		Done  []string
		Until time.Time
	}

	placeSale struct{}
	saleFact  struct {
		Sale string `json:"sale"`
	}
	closeSale struct{}
	charge    struct {
		Sale string `json:"sale"`
	}
	charged  struct{}
	declined struct{}
)

func (placeSale) MessageType() string { return "orderlane.shop.place.v1" }
func (saleFact) MessageType() string  { return "orderlane.shop.placed.v1" }
func (closeSale) MessageType() string { return "orderlane.shop.close.v1" }
func (charge) MessageType() string    { return "orderlane.deal.charge.v1" }
func (charged) MessageType() string   { return "orderlane.deal.charged.v1" }
func (declined) MessageType() string  { return "orderlane.deal.declined.v1" }

// secondThoughts is what a customer has to think a sale over.
const secondThoughts = 20 * time.Second

func factsOf(category string) *es.Aggregate[facts, fact, fact] {
	return &es.Aggregate[facts, fact, fact]{
		Decider: es.Decider[facts, fact, fact]{
			Category: category,
			Initial:  func() facts { return facts{} },
			Decide:   func(c fact, _ facts) ([]fact, error) { return []fact{c}, nil }, // repeats show
			Evolve: func(e fact, f facts) facts {
				f.Done, f.Until = append(f.Done, e.Do), time.Time{}
				if until, ok := strings.CutPrefix(e.Do, "charged "); ok {
					f.Until, _ = time.Parse(time.RFC3339Nano, until)
				}
				return f
			},
			Deadline: func(f facts) time.Time { return f.Until },
		},
		Codec: es.NewCodec[fact](es.Stored[fact, fact]("fact")),
	}
}

var sales, deals = factsOf("sale"), factsOf("deal")

// notes is a handler that notes a fact in the stream that the message is for.
func notes[C any](engine *es.Engine, of *es.Aggregate[facts, fact, fact], what string) bus.Handler {
	return bus.Handle(func(ctx context.Context, _ *C) error {
		e := bus.EnvelopeFrom(ctx)
		do := what
		if what == "charged" {
			do += " " + e.Time.Add(secondThoughts).Format(time.RFC3339Nano)
		}
		return bus.Submit(ctx, engine, of, bus.ResourceOf(e.Subject).ID, fact{do}, false)
	})
}

func whatOf(r *es.Record) (string, error) {
	e, err := sales.Codec.Decode(r)
	what, _, _ := strings.Cut(e.Do, " ")
	return what, err
}

func public(r *es.Record) (string, any, error) {
	what, err := whatOf(r)
	return what, saleFact{bus.ResourceOf(r.Stream).ID}, err
}

func shopWrite() service.Write {
	return service.Write{Name: "shop", Public: public, Handlers: func(e *es.Engine) []bus.Handler {
		return []bus.Handler{notes[placeSale](e, sales, "placed"), notes[closeSale](e, sales, "closed")}
	}}
}

func dealWrite() service.Write {
	return service.Write{
		Name: "deal", Public: public,
		Handlers: func(e *es.Engine) []bus.Handler {
			return []bus.Handler{
				notes[saleFact](e, deals, "begun"), notes[charged](e, deals, "charged"), notes[declined](e, deals, "declined"),
				bus.HandleWakes("deal", bus.Waker(e, deals, func(string, time.Time) fact { return fact{"due"} })),
			}
		},
		Asks: func(r *es.Record) ([]bus.Ask, error) {
			id := bus.ResourceOf(r.Stream).ID
			switch what, err := whatOf(r); what {
			case "begun":
				return []bus.Ask{{Service: "deal", Task: true, Stream: r.Stream, Body: charge{id}}}, nil
			case "due", "declined":
				return []bus.Ask{{Service: "shop", Stream: sales.Stream(id), Body: closeSale{}}}, nil
			default:
				return nil, err
			}
		},
	}
}

// history is what a stream has noted, in order.
func (s *serviceWorld) history(w *world, stream string) []string {
	records, err := s.log.ReadStream(w.ctx, stream, 0, es.MaxRead)
	w.must(err)
	done := make([]string, len(records))
	for i := range records {
		done[i], err = whatOf(&records[i])
		w.must(err)
	}
	return done
}

// ended reports whether a deal and its sale have come to their end, each step once.
func ended(deal, sale []string) bool {
	return slices.Equal(sale, []string{"placed", "closed"}) &&
		(slices.Equal(deal, []string{"begun", "charged", "due"}) || slices.Equal(deal, []string{"begun", "declined"}))
}
