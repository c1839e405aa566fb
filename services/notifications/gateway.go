package notifications

import (
	"context"
	netmail "net/mail"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	api "github.com/orderlane/orderlane/api/notifications"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/fault"
)

// How often, and after which pauses, a mail is tried before it is given up: some 25 minutes, for
// a mail server that is started anew or lets strangers wait (greylisting). Only the order's own
// later mails wait meanwhile. What comes of longer outages staff sends again.
const (
	attempts = 12
	retryMin = 2 * time.Second
	retryMax = 5 * time.Minute
)

// viewWait is how long an attempt waits for the view, within its time.
const viewWait = 5 * time.Second

// gateway does the tasks: it writes mails and hands them to the transport. It is safe for
// concurrent use.
type gateway struct {
	*queries
	writer    *writer
	from      *netmail.Address
	transport transport
	viewWait  time.Duration
	mails     *prometheus.CounterVec // by kind and result
}

func newMailMetrics(registry prometheus.Registerer) *prometheus.CounterVec {
	return promauto.With(registry).NewCounterVec(prometheus.CounterOpts{
		Name: "orderlane_notifications_mails_total",
		Help: "Mails by their kind and what became of them: sent, failed (given up), skipped (nobody to send to). After a crash, some again.",
	}, []string{"kind", "result"})
}

func (g *gateway) handler() bus.TaskHandler { return bus.HandleTask(g.do, g.giveUp) }

// do makes one attempt at a mail. A task that comes again after its mail went out, which is so
// after a crash, sends nothing as soon as the view knows of it.
func (g *gateway) do(ctx context.Context, t *api.SendMail) (bus.Typed, error) {
	wait, cancel := context.WithTimeout(ctx, g.viewWait)
	defer cancel()
	f, err := g.facts(ctx, wait, t)
	switch {
	case err != nil:
		return nil, err
	case f.settled:
		return nil, nil
	case f.personal == nil:
		return g.report(t, api.StatusSkipped, api.ReasonErased), nil
	case f.personal.Email == "":
		return g.report(t, api.StatusSkipped, api.ReasonNoAddress), nil
	}
	w, err := g.writer.write(t.Kind, f)
	if err != nil {
		return nil, err
	}
	at := bus.EnvelopeFrom(ctx).Time
	m, err := message(g.from, t, at, f, w)
	if err != nil {
		return nil, err
	}
	if err := g.transport.send(ctx, fileName(t, at, f.order.Number), m); err != nil {
		return nil, err
	}
	return g.report(t, api.StatusSent, ""), nil
}

// giveUp reports a mail that was refused, or failed too often.
func (g *gateway) giveUp(_ context.Context, t *api.SendMail, err error) bus.Typed {
	reason := api.ReasonInternal
	if f, ok := fault.Of(err); ok {
		reason = f.Code
	}
	return g.report(t, api.StatusFailed, reason)
}

func (g *gateway) report(t *api.SendMail, status api.Status, reason string) *api.ReportMail {
	g.mails.WithLabelValues(string(t.Kind), string(status)).Inc()
	return &api.ReportMail{OrderID: t.OrderID, Mail: t.Mail, Send: t.Send, Status: status, Reason: reason}
}
