package payments

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	api "github.com/orderlane/orderlane/api/payments"
	"github.com/orderlane/orderlane/pkg/kafka"
)

// scripted is a provider that notes what it is asked and answers what it is told to.
type scripted struct {
	sandbox
	asked []string
	do    func(context.Context) (Answer, error)
	find  func() (Answer, bool, error)
}

func (s *scripted) Do(ctx context.Context, task *api.CallProvider) (Answer, error) {
	s.asked = append(s.asked, "do "+task.Key)
	return s.do(ctx)
}

func (s *scripted) Find(_ context.Context, task *api.CallProvider) (Answer, bool, error) {
	s.asked = append(s.asked, "find "+task.Key)
	return s.find()
}

func (s *scripted) gateway() *gateway {
	return &gateway{providers: providers{"p": s}, timeout: time.Second}
}

var (
	yes     = Answer{Result: api.ResultDone, Ref: "pi"}
	silence = func(ctx context.Context) (Answer, error) { <-ctx.Done(); return Answer{}, context.Cause(ctx) }
	agreed  = func(context.Context) (Answer, error) { return yes, nil }
	known   = func() (Answer, bool, error) { return yes, true, nil }
	unknown = func() (Answer, bool, error) { return Answer{}, false, nil }
	mute    = func() (Answer, bool, error) { return Answer{}, false, ErrSilent }
)

func attemptAt(t *testing.T, n int) context.Context {
	return kafka.NewDeliveryContext(t.Context(), kafka.Delivery{Attempt: n})
}

func TestASilentProviderIsAskedWhatBecameOfThePayment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		started := time.Now()
		p := &scripted{do: silence, find: known}
		r, err := p.gateway().do(attemptAt(t, 1), &api.CallProvider{OrderID: "o", Provider: "p", Operation: api.OperationCapture, Key: "k", Attempt: 1})
		if err != nil || r.(*api.ReportPayment).Result != api.ResultDone || r.(*api.ReportPayment).ProviderRef != "pi" || r.(*api.ReportPayment).Key != "k" {
			t.Errorf("%+v, %v", r, err)
		}
		if took := time.Since(started); took != time.Second {
			t.Errorf("it was waited for %s", took)
		}
		if want := []string{"do k", "find k"}; !slices.Equal(p.asked, want) {
			t.Errorf("it was asked %v, want %v", p.asked, want)
		}
	})
}

func TestAnOperationIsAskedForAgainOnlyWhenTheProviderDoesNotKnowIt(t *testing.T) {
	for name, tc := range map[string]struct {
		attempt, delivery int
		find              func() (Answer, bool, error)
		want              []string
		fails             bool
	}{
		"the first time":           {1, 1, unknown, []string{"do k"}, false},
		"delivered again, known":   {1, 2, known, []string{"find k"}, false},
		"delivered again, unknown": {1, 2, unknown, []string{"find k", "do k"}, false},
		"delivered again, mute":    {1, 2, mute, []string{"find k"}, true},
		"asked again, known":       {2, 1, known, []string{"find k"}, false},
		"asked again, unknown":     {2, 1, unknown, []string{"find k", "do k"}, false},
	} {
		p := &scripted{do: agreed, find: tc.find}
		r, err := p.gateway().do(attemptAt(t, tc.delivery), &api.CallProvider{Provider: "p", Key: "k", Attempt: tc.attempt})
		if (err != nil) != tc.fails || !tc.fails && r == nil || !slices.Equal(p.asked, tc.want) {
			t.Errorf("%s: asked %v, got %v, %v", name, p.asked, r, err)
		}
	}
}

func TestAFailureSaysNothingOfWhatBecameOfThePayment(t *testing.T) {
	broken := errors.New("connection reset")
	p := &scripted{do: func(context.Context) (Answer, error) { return Answer{}, broken }, find: unknown}
	g, task := p.gateway(), &api.CallProvider{OrderID: "o", Provider: "p", Operation: api.OperationRefund, Key: "k", Attempt: 1}
	if _, err := g.do(attemptAt(t, 1), task); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if r := g.giveUp(t.Context(), task, broken).(*api.ReportPayment); r.Result != api.ResultUnknown || r.Key != "k" || r.OrderID != "o" {
		t.Errorf("given up, it reports %+v", r)
	}
	if _, err := g.do(attemptAt(t, 1), &api.CallProvider{Provider: "paypal"}); err == nil {
		t.Error("a provider that is not there has answered")
	}
}
