package payments

import (
	"context"
	"fmt"
	"time"

	api "github.com/orderlane/orderlane/api/payments"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/kafka"
)

// gateway asks providers for what payments need.
type gateway struct {
	providers providers
	timeout   time.Duration // of one question to a provider
}

// Attempts and pauses of the gateway. It does not try for long: the payment's own deadline asks again
// later, and a key that waits holds up nobody else.
const (
	gatewayAttempts = 4
	gatewayRetryMin = 250 * time.Millisecond
	gatewayRetryMax = 5 * time.Second
)

// patience is how long one attempt may take: a question, and another one about the first.
func (g *gateway) patience() time.Duration { return 2*g.timeout + time.Second }

func (g *gateway) handler() bus.TaskHandler { return bus.HandleTask(g.do, g.giveUp) }

// do asks the provider. Where it is not known whether an operation was done, since nobody
// answered, the provider is asked what became of it first, and for it again, with the same key,
// only if it does not know.
func (g *gateway) do(ctx context.Context, task *api.CallProvider) (bus.Typed, error) {
	p := g.providers[task.Provider]
	if p == nil {
		return nil, fmt.Errorf("payments: there is no provider %q here", task.Provider)
	}
	d, _ := kafka.DeliveryFrom(ctx)
	if task.Attempt > 1 || d.Attempt > 1 {
		if a, found, err := g.find(ctx, p, task); err != nil || found {
			return reported(task, a), err
		}
	}
	limited, cancel := context.WithTimeout(ctx, g.timeout)
	defer cancel()
	a, err := p.Do(limited, task)
	if err == nil {
		return reported(task, a), nil
	}
	if a, found, lost := g.find(ctx, p, task); lost == nil && found {
		return reported(task, a), nil
	}
	return nil, fmt.Errorf("payments: %s %s: %w", task.Operation, task.Key, err)
}

func (g *gateway) find(ctx context.Context, p Provider, task *api.CallProvider) (Answer, bool, error) {
	limited, cancel := context.WithTimeout(ctx, g.timeout)
	defer cancel()
	a, found, err := p.Find(limited, task)
	if err != nil {
		err = fmt.Errorf("payments: ask what became of %s %s: %w", task.Operation, task.Key, err)
	}
	return a, found, err
}

// giveUp reports that it is not known what became of the operation.
func (g *gateway) giveUp(_ context.Context, task *api.CallProvider, _ error) bus.Typed {
	return reported(task, Answer{Result: api.ResultUnknown})
}

func reported(task *api.CallProvider, a Answer) bus.Typed {
	return report(task.OrderID, task.Key, task.Provider, task.Operation, &a)
}
