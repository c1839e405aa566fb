package bus

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/kafka"
)

// charge is a task.
type charge struct {
	Cents int `json:"cents"`
}

func (charge) MessageType() string { return "orderlane.test.charge.v1" }

// asking is a publication whose events ask for a command and a task.
func asking() *Publication {
	p := publication(stored{})
	p.Asks = func(r *es.Record) ([]Ask, error) {
		return []Ask{
			{Service: "other", Stream: "counter-" + ResourceOf(r.Stream).ID, Body: add{N: 2}},
			{Service: "test", Task: true, Stream: r.Stream, Body: &charge{Cents: 5}},
		}, nil
	}
	return p
}

func TestWhatAnEventAsksForOnTheWire(t *testing.T) {
	p := asking()
	p.Clock = func() time.Time { return noon.Add(time.Hour) }
	got := translate(t, p, someEvent())
	golden(t, "asks", got...)
}

func TestWhatIsAskedHasTheSameIDWheneverItIsAsked(t *testing.T) {
	ids := map[string]int{}
	for range 2 {
		for _, version := range []int64{3, 4} {
			r := someEvent()
			r.Version = version
			for _, asked := range translate(t, asking(), r)[1:] {
				ids[asked.Header(HeaderID)]++
			}
		}
	}
	if len(ids) != 4 {
		t.Errorf("four asks, each published twice, have the ids %v", ids)
	}
}

func TestAnEventThatAsksForNothingIsPublishedAlone(t *testing.T) {
	p := asking()
	p.Asks = func(*es.Record) ([]Ask, error) { return nil, nil }
	if got := translate(t, p, someEvent()); len(got) != 1 {
		t.Errorf("%d messages", len(got))
	}
}

func TestAnAskThatNobodyCouldTakeIsAnErrorSoThatNothingIsLost(t *testing.T) {
	for what, asks := range map[string]func(*es.Record) ([]Ask, error){
		"no service": func(*es.Record) ([]Ask, error) { return []Ask{{Stream: "a-1", Body: add{}}}, nil },
		"no stream":  func(*es.Record) ([]Ask, error) { return []Ask{{Service: "other", Body: add{}}}, nil },
		"an error":   func(*es.Record) ([]Ask, error) { return nil, errors.New("unknown event") },
	} {
		p := asking()
		p.Asks = asks
		r := someEvent()
		if got, err := p.Translate(t.Context(), "e", &r); err == nil {
			t.Errorf("%s: %+v", what, got)
		}
	}
}

func TestOfInternalCommandsOnlyThoseThatDidNotSucceedAreToldOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		inside := func(r kafka.Record) kafka.Record { return with(r, HeaderReplyTo, "-1") }
		refused := inside(addRecord("counter-1", 2))
		refused.Value = []byte(`{"n":-1}`)
		w.publish(
			inside(addRecord("counter-1", 1)), inside(addRecord("counter-1", 1)), // a repeat
			refused, inside(with(addRecord("counter-1", 3), HeaderType, "orderlane.test.dance.v1")), addRecord("counter-1", 4))
		w.all()
		for n, want := range map[int]es.Status{1: "", 2: es.StatusRefused, 3: es.StatusParked, 4: es.StatusSucceeded} {
			w.wantOutcome(id(n), want)
		}
		for _, r := range w.answers.records {
			e, err := EnvelopeOf(&r)
			if err != nil {
				t.Fatal(err)
			}
			of4 := strings.HasSuffix(e.ID, id(4).String())
			if r.Topic == OutcomesTopic && (e.Internal() == of4 || r.Partition != kafka.AnyPartition) {
				t.Errorf("the outcome of %s goes to partition %d, internal: %v", e.ID, r.Partition, e.Internal())
			}
		}
		again := Resend(w.parked()[0])
		if e, err := EnvelopeOf(&again); err != nil || !e.Internal() {
			t.Errorf("sent again, it is not internal any more: %+v, %v", e, err)
		}
	})
}
