package notifications

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/go-json-experiment/json"

	api "github.com/orderlane/orderlane/api/notifications"
	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/api/payments"
	"github.com/orderlane/orderlane/api/shipping"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/daemon"
	"github.com/orderlane/orderlane/pkg/httpapi"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/service"
)

// running is the service in a process of its own, with the embedded broker.
type running struct {
	t        *testing.T
	platform *service.Platform
	api      *httpapi.API
	stop     func()
}

func start(t *testing.T, dir string, change func(*daemon.Settings)) *running {
	t.Helper()
	s := &daemon.Settings{
		Data: dir, Listen: "127.0.0.1:0", DrainDeadline: 10 * time.Second, OutcomeRetention: 24 * time.Hour,
		Kafka:    daemon.KafkaSettings{Partitions: 2, Replication: 1, Window: 64, SessionTimeout: 6 * time.Second, Heartbeat: 500 * time.Millisecond},
		Embedded: daemon.EmbeddedSettings{Listen: "127.0.0.1:0"},
		HTTP:     daemon.HTTPSettings{BodyLimit: 1 << 18},
		Mail:     daemon.MailSettings{Port: 587, TLS: "starttls", Connections: 8, Timeout: 10 * time.Second, OutboxFiles: 100},
	}
	if change != nil {
		change(s)
	}
	env := daemon.NewEnv(s, slog.New(slog.DiscardHandler))
	sup := daemon.NewSupervisor(env.Log, env.Health, s.DrainDeadline)
	a, err := service.NewAPI(env, "test", "1", "")
	if err != nil {
		t.Fatal(err)
	}
	topics := []kafka.TopicSpec{bus.Outcomes(2, 1), bus.Tasks(api.Service, 2, 1)}
	for _, name := range []string{ordering.Service, shipping.Service, payments.Service, api.Service} {
		topics = append(topics, bus.ServiceTopics(name, name == ordering.Service, 2, 1)...)
	}
	r := &running{t: t, platform: service.New(env, sup, a, topics), api: a}
	Add(r.platform)
	ready := make(chan struct{})
	sup.Add(daemon.StageReady, daemon.Component{Name: "test", Start: func(context.Context) error { close(ready); return nil }})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- sup.Run(ctx) }()
	stopped := false
	r.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(r.stop)
	select {
	case <-ready:
	case err := <-ended:
		t.Fatalf("it did not start: %v", err)
	}
	return r
}

func (r *running) publish(records ...kafka.Record) {
	r.t.Helper()
	if err := r.platform.Producer.Publish(r.t.Context(), records); err != nil {
		r.t.Fatal(err)
	}
}

// resend is the command that commandapi sends.
func (r *running) resend(mail int) {
	r.t.Helper()
	data, err := bus.Encode(api.ResendMail{OrderID: orderID, Mail: mail})
	if err != nil {
		r.t.Fatal(err)
	}
	e := bus.Envelope{
		ID: r.platform.NewID().String(), Type: api.TypeResendMail, Subject: "mail-" + orderID, Time: r.platform.Clock(),
		Caller: bus.Caller{ID: "s-1", Role: bus.RoleStaff},
	}
	r.publish(e.Record(bus.CommandsTopic(api.Service), []byte(e.Subject), data))
}

// mails waits until staff sees the mails so: their kinds, statuses and numbers of sendings.
func (r *running) mails(want string) {
	r.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		w := httptest.NewRecorder()
		r.api.ServeHTTP(w, httptest.NewRequestWithContext(r.t.Context(), http.MethodGet, "http://localhost/v1/orders/"+orderID+"/mails", nil))
		var shown []string
		if w.Code == http.StatusOK {
			var m Mails
			if err := json.Unmarshal(w.Body.Bytes(), &m); err != nil {
				r.t.Fatal(err)
			}
			for _, e := range m.Items {
				shown = append(shown, strings.TrimSpace(fmt.Sprintf("%s %s x%d %s", e.Kind, e.Status, len(e.Sends), e.Reason)))
			}
		}
		if got := strings.Join(shown, ", "); got == want {
			return
		} else if time.Now().After(deadline) {
			r.t.Fatalf("staff sees %q (%s), want %q", got, w.Body, want)
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-r.t.Context().Done():
			return
		}
	}
}

func (r *running) outbox() []string {
	r.t.Helper()
	return strings.Fields(files(r.t, filepath.Join(r.platform.Settings.Data, "outbox")))
}

// TestTheMailsOfAnOrderGoOutOnceEach runs the service as it runs for a newcomer: everything in one
// process, and mails in the outbox.
func TestTheMailsOfAnOrderGoOutOnceEach(t *testing.T) {
	dir := t.TempDir()
	maker := &world{t: t} // of records
	placed, personal, confirmed, dispatched := maker.placed(), maker.personal(1, "ada@example.com", "Ada Lovelace"), maker.confirmed(2), maker.dispatched()
	r := start(t, dir, nil)
	r.publish(placed, personal, confirmed)
	r.mails("order_confirmed sent x1")
	r.publish(dispatched...)
	r.mails("order_confirmed sent x1, shipment_dispatched sent x1")
	r.publish(confirmed, dispatched[1]) // as a relay does that was killed
	r.publish(maker.refunded()...)
	r.mails("order_confirmed sent x1, shipment_dispatched sent x1, payment_refunded sent x1, payment_refunded sent x1")
	r.resend(1)
	r.mails("order_confirmed sent x2, shipment_dispatched sent x1, payment_refunded sent x1, payment_refunded sent x1")
	if got := r.outbox(); len(got) != 5 {
		t.Errorf("the outbox holds %v", got)
	}
	content, err := os.ReadFile(filepath.Join(dir, "outbox", r.outbox()[0]))
	if err != nil || !strings.Contains(string(content), `To: "Ada Lovelace" <ada@example.com>`) {
		t.Errorf("%v, the first mail is %s", err, content)
	}
	r.stop()

	r = start(t, dir, nil)
	r.publish(maker.ordering(3, ordering.TypeOrderCancelled, ordering.OrderCancelled{Change: ordering.Change{OrderID: orderID}, Lines: []int{2}, Partial: true}))
	r.mails("order_confirmed sent x2, shipment_dispatched sent x1, payment_refunded sent x1, payment_refunded sent x1, order_cancelled sent x1")
	if got := r.outbox(); len(got) != 6 {
		t.Errorf("after a restart the outbox holds %v", got)
	}
	r.nothingPersonal("ada@example.com", "Lovelace", "James")
}

// nothingPersonal looks through all that the service has published.
func (r *running) nothingPersonal(words ...string) {
	r.t.Helper()
	for _, topic := range []string{bus.CommandsTopic(api.Service), bus.EventsTopic(api.Service), bus.TasksTopic(api.Service), bus.DeadLettersTopic(api.Service), bus.OutcomesTopic} {
		held, err := r.platform.Admin.Offsets(r.t.Context(), topic)
		if err != nil {
			r.t.Fatal(err)
		}
		for id, at := range held {
			err := r.platform.Admin.ReadRange(r.t.Context(), kafka.Partition{Topic: topic, ID: id}, at.First, at.Last, func(record kafka.Record) error {
				for _, word := range words {
					if strings.Contains(string(record.Value), word) {
						r.t.Errorf("%s tells %s: %s", topic, word, record.Value)
					}
				}
				return nil
			})
			if err != nil {
				r.t.Fatal(err)
			}
		}
	}
}

func TestMailsGoToTheMailServerThatTheSettingsName(t *testing.T) {
	var known atomic.Bool
	s := &smtpServer{onRcpt: func() error {
		if known.Load() {
			return nil
		}
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "ada@example.com is unknown here"}
	}}
	s.serve(t, tlsNone, "")
	r := start(t, t.TempDir(), func(settings *daemon.Settings) {
		settings.Mail.Host, settings.Mail.Port, settings.Mail.TLS, settings.Mail.From = "127.0.0.1", s.addr.Port, tlsNone, "Tea House <shop@tea.example>"
	})
	maker := &world{t: t}
	r.publish(maker.placed(), maker.personal(1, "ada@example.com", "Ada Lovelace"), maker.confirmed(2))
	r.mails("order_confirmed failed x1 smtp_550")
	known.Store(true)
	r.resend(1)
	r.mails("order_confirmed sent x2")
	if got := s.mails(); len(got) != 1 || !strings.Contains(got[0], "Tea House") {
		t.Errorf("it got %q", got)
	}
	if _, err := os.Stat(filepath.Join(r.platform.Settings.Data, "outbox")); err == nil {
		t.Error("there is an outbox too")
	}
	r.nothingPersonal("ada@example.com", "Lovelace", "James")
}
