package live

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/kafka/memkafka"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

func TestEventIDsStayReadableFromReleaseToRelease(t *testing.T) {
	at := position{0, 1, 300, 1 << 40}
	const id = "AQAAAAcAAawCgICAgIAg"
	if got := string(appendID(nil, 7, at)); got != id {
		t.Errorf("the id is %s", got)
	}
	got, err := parseID(id, 7, 4)
	if err != nil || !slices.Equal(got, at) {
		t.Errorf("%v %v", got, err)
	}
}

func TestEveryPlaceHasAnIDAndEveryOtherTextIsRefused(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := position(rapid.SliceOfN(rapid.Int64Min(0), 1, 40).Draw(t, "offsets"))
		mark := rapid.Uint32().Draw(t, "mark")
		id := string(appendID(nil, mark, at))
		if got, err := parseID(id, mark, len(at)); err != nil || !slices.Equal(got, at) {
			t.Fatalf("%v %v", got, err)
		}
		text := rapid.String().Draw(t, "text")
		if got, err := parseID(text, mark, 3); err == nil {
			t.Fatalf("%q is taken for %v", text, got)
		}
	})
}

func TestWhatIsNoEventIDIsRefused(t *testing.T) {
	good := string(appendID(nil, 7, position{1, 2, 3}))
	for name, c := range map[string]struct {
		id   string
		want error
	}{
		"nothing":              {"", ErrMalformedID},
		"no base 64":           {"a b", ErrMalformedID},
		"standard base 64":     {good[:4] + "+/" + good[6:], ErrMalformedID},
		"cut off":              {good[:len(good)-2], ErrMalformedID},
		"too long":             {strings.Repeat("A", maxID+1), ErrMalformedID},
		"another version":      {"Ag" + good[2:], ErrMalformedID},
		"of another stream":    {string(appendID(nil, 8, position{1, 2, 3})), ErrForeignID},
		"more partitions":      {string(appendID(nil, 7, position{1, 2, 3, 4})), ErrMalformedID},
		"fewer partitions":     {string(appendID(nil, 7, position{1, 2})), ErrMalformedID},
		"an offset below zero": {string(appendID(nil, 7, position{1, 2, -3})), ErrMalformedID},
	} {
		if _, err := parseID(c.id, 7, 3); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// serving is a hub that runs on a broker in memory, whose consumers read what is published at once.
type serving struct {
	*Hub
	t         *testing.T
	broker    *memkafka.Broker
	published chan struct{}
	mu        sync.Mutex
	following int // consumers at present
	followed  int // consumers so far
	denied    error
}

func serve(t *testing.T, o Options) *serving {
	s := &serving{t: t, broker: newBroker(), published: make(chan struct{}, 1)}
	o.Topics, o.Source, o.Decode, o.Metrics = []string{own, other}, s, decode, NewMetrics(nil)
	s.Hub = New(o)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *serving) Offsets(ctx context.Context, topic string) (map[int32]kafka.Range, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.denied != nil {
		return nil, s.denied
	}
	return s.broker.Offsets(ctx, topic)
}

func (s *serving) ReadRange(ctx context.Context, p kafka.Partition, from, to int64, fn func(kafka.Record) error) error {
	return s.broker.ReadRange(ctx, p, from, to, fn)
}

// Consume delivers what is published.
func (s *serving) Consume(ctx context.Context, topics []string, h kafka.BatchHandler) error {
	s.count(1)
	defer s.count(-1)
	c := s.broker.Consumer(h)
	for c.Assign(ctx, s.broker.Partitions(topics...)...) != nil {
		select {
		case <-ctx.Done():
			return nil
		case <-s.published:
		}
	}
	defer c.Revoke()
	return c.Follow(ctx, s.published)
}

func (s *serving) count(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.following += n
	s.followed = max(s.followed, s.followed+n)
}

func (s *serving) publish(values ...string) {
	s.t.Helper()
	for _, v := range values {
		key, _, _ := strings.Cut(v, " ")
		r := kafka.Record{Topic: own, Partition: kafka.AnyPartition, Key: []byte(strings.ToLower(key)), Value: []byte(v), Time: noon}
		if err := s.broker.Producer().Publish(s.t.Context(), []kafka.Record{r}); err != nil {
			s.t.Fatal(err)
		}
	}
	select {
	case s.published <- struct{}{}:
	default:
	}
}

// listener is a client of a running stream.
type listener struct {
	t     *testing.T
	mu    sync.Mutex
	got   string
	block chan struct{} // it takes nothing in until this is closed; nil: it does
	end   func() error
}

func (s *serving) listen(scope Scope, block chan struct{}) *listener {
	s.t.Helper()
	stream, err := s.From(s.t.Context(), scope, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.follows(stream, block)
}

func (s *serving) follows(stream *Stream, block chan struct{}) *listener {
	l := &listener{t: s.t, block: block}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- stream.Run(ctx, nil, l.take) }()
	l.end = sync.OnceValue(func() error { stop(); return <-ended })
	s.t.Cleanup(func() { _ = l.end() })
	return l
}

func (l *listener) take(b []byte) error {
	if l.block != nil {
		<-l.block
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.got += string(b)
	return nil
}

func (l *listener) received() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.got
}

// told is what the listener was told, in order.
func (l *listener) told() string {
	var all []string
	for _, f := range frames(l.received()) {
		if f.data != "" {
			all = append(all, f.data)
		}
	}
	return strings.Join(all, " ")
}

// valueOf is what a counter or a gauge stands at.
func valueOf(t *testing.T, m prometheus.Metric) float64 {
	t.Helper()
	var read dto.Metric
	if err := m.Write(&read); err != nil {
		t.Fatal(err)
	}
	return read.GetCounter().GetValue() + read.GetGauge().GetValue()
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("waited in vain: ", what)
		}
	}
}

func TestAStreamTellsItsOwnEventsAndOneOfEverythingTellsAll(t *testing.T) {
	s := serve(t, Options{})
	a, all := s.listen(scopeOf("a"), nil), s.listen(scopeOf(""), nil)
	s.publish("a 1", "b 2", "A 3", "noise 4", "a 5")
	eventually(t, "the client of a is told", func() bool { return a.told() == "1 5" })
	eventually(t, "the client of everything is told", func() bool {
		told := strings.Fields(all.told()) // in any order between partitions
		slices.Sort(told)
		return slices.Equal(told, []string{"1", "2", "3", "5"})
	})
}

func TestAClientThatDoesNotKeepUpIsCutOffAndOthersGoOn(t *testing.T) {
	s := serve(t, Options{Buffer: 10})
	block := make(chan struct{})
	slow, quick := s.listen(scopeOf("a"), block), s.listen(scopeOf("a"), nil)
	want := ""
	for i := range 100 {
		s.publish(fmt.Sprintf("a %d", i))
		want = strings.TrimSpace(fmt.Sprint(want, " ", i))
		eventually(t, "the quick client is told", func() bool { return quick.told() == want })
	}
	s.mu.Lock()
	if n := s.following; n != 1 {
		t.Errorf("%d consumers", n)
	}
	s.mu.Unlock()
	close(block)
	if err := slow.end(); !errors.Is(err, ErrSlow) {
		t.Errorf("the slow client's stream ends with %v", err)
	}
	if err := quick.end(); err != nil {
		t.Error(err)
	}
	if n := valueOf(t, s.o.Metrics.cut); n != 1 {
		t.Errorf("%v streams were cut off", n)
	}
	if n := valueOf(t, s.o.Metrics.streams); n != 0 {
		t.Errorf("%v streams are open", n)
	}
}

func TestTopicsAreFollowedOnlyWhileSomebodyListens(t *testing.T) {
	synctest.Test(t, topicsAreFollowedOnlyWhileSomebodyListens)
}

func topicsAreFollowedOnlyWhileSomebodyListens(t *testing.T) {
	s := serve(t, Options{Idle: time.Second})
	consumers := func(now, ever int) func() bool {
		return func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.following == now && s.followed == ever
		}
	}
	if !consumers(0, 0)() {
		t.Error("the topics are followed for nobody")
	}
	for n := 1; n <= 3; n++ {
		l := s.listen(scopeOf("a"), nil)
		s.publish(fmt.Sprint("a ", n))
		eventually(t, "the event is told", func() bool { return strings.HasSuffix(l.told(), fmt.Sprint(n)) })
		if !consumers(1, n)() {
			t.Error("not followed once")
		}
		if err := l.end(); err != nil {
			t.Error(err)
		}
		eventually(t, "the topics are left alone", consumers(0, n))
		s.Hub.mu.Lock()
		if s.tail != nil {
			t.Error("events are kept for nobody")
		}
		s.Hub.mu.Unlock()
	}
}

func TestASilentStreamSaysThatItLivesAndHowFarItHasCome(t *testing.T) {
	s := serve(t, Options{Heartbeat: 2 * time.Millisecond})
	l := s.listen(scopeOf("a"), nil)
	eventually(t, "a comment comes", func() bool { return strings.Contains(l.received(), "\n:\n\n") })
	s.publish("noise 1", "noise 2", "a 3")
	eventually(t, "it is told", func() bool { return l.told() == "3" })
	before := l.received()
	s.publish("A 4", "A 5") // not for this client
	eventually(t, "an id without event comes", func() bool {
		fs := frames(l.received()[len(before):])
		return len(fs) > 0 && fs[0].id != "" && fs[0].data == ""
	})
	fs := frames(l.received())
	again, err := s.Resume(t.Context(), scopeOf("a"), fs[len(fs)-1].id)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if len(again.backlog) != 0 {
		t.Errorf("%d events are told again", len(again.backlog))
	}
}

func TestAPlaceThatTheTopicDoesNotReachIsOfAnotherTopic(t *testing.T) {
	s := serve(t, Options{})
	s.publish("a 1")
	l := s.listen(scopeOf("a"), nil)
	eventually(t, "it is told", func() bool { return l.told() == "1" })
	fs := frames(l.received())
	at, err := s.From(t.Context(), scopeOf("a"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer at.Close()
	place, err := parseID(fs[len(fs)-1].id, at.mark, len(at.parts))
	if err != nil {
		t.Fatal(err)
	}
	place[len(place)-1]++
	ahead, err := s.Resume(t.Context(), scopeOf("a"), string(appendID(nil, at.mark, place)))
	if !errors.Is(err, ErrTooOld) {
		t.Errorf("%v %v", ahead, err)
	}
	if n := valueOf(t, s.o.Metrics.resets); n != 1 {
		t.Errorf("%v resets", n)
	}
}

func TestAStreamWaitsForTheTopicsNoLongerThanItsClient(t *testing.T) {
	s := serve(t, Options{})
	s.denied = errors.New("the broker is away")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := s.From(ctx, scopeOf("a"), nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	s.o.Standing = time.Millisecond
	if _, err := s.From(t.Context(), scopeOf("a"), nil); !errors.Is(err, ErrNotStanding) {
		t.Error(err)
	}
	s.o.Standing = time.Hour // whoever comes now does not wait at all
	if _, err := s.From(t.Context(), scopeOf("a"), nil); !errors.Is(err, ErrNotStanding) {
		t.Error(err)
	}
	s.mu.Lock()
	s.denied = nil
	s.mu.Unlock()
	s.publish("a 1")
	eventually(t, "the topics are followed", func() bool {
		again, err := s.From(t.Context(), scopeOf("a"), nil)
		if err == nil {
			again.Close()
		}
		return err == nil
	})
	l := s.listen(scopeOf("a"), nil)
	eventually(t, "it is told", func() bool { return l.told() == "1" })
}
