package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/orderlane/orderlane/e2e/realparts"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/daemon"
	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/es/memlog"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/kafka/memkafka"
	"github.com/orderlane/orderlane/pkg/projection"
	"github.com/orderlane/orderlane/pkg/projection/sqlitestore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(realparts.Wrap(m)) }

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func clock() time.Time { return noon }

// world is a process with the logs of two services and a view, all in memory but the view.
type world struct {
	*operator
	t      *testing.T
	broker *memkafka.Broker
	admin  *http.ServeMux
}

var commandsTopics = kafka.TopicSpec{Name: "a.commands.v1", Partitions: 1}

func newWorld(t *testing.T) *world {
	w := &world{t: t, admin: http.NewServeMux()}
	w.broker = memkafka.New(clock, commandsTopics, kafka.TopicSpec{Name: "b.commands.v1", Partitions: 1}, bus.Outcomes(1, 1), kafka.TopicSpec{Name: "things", Partitions: 1})
	w.operator = newOperator(&Platform{
		Env:      &daemon.Env{Admin: w.admin, Clock: clock, Log: slog.New(slog.DiscardHandler)},
		Producer: w.broker.Producer(),
	})
	return w
}

// addService adds a service with parked commands, and an engine that runs until the test ends.
func (w *world) addService(name string, parked ...es.Parked) es.Log {
	w.t.Helper()
	log := memlog.New(memlog.Options{Clock: clock})
	if _, err := log.Append(w.t.Context(), es.Batch{Parked: parked}); err != nil {
		w.t.Fatal(err)
	}
	engine := es.NewEngine(es.Options{Log: log, Clock: clock, Publish: bus.PublishAnswers(w.broker.Producer(), name)})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- engine.Run(ctx, time.Second) }()
	w.t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			w.t.Error(err)
		}
	})
	w.addLog(name, parkedLog{log: log, engine: engine})
	return log
}

func parked(service string, n int) es.Parked {
	return es.Parked{
		Command: commandID(n), Type: "orderlane." + service + ".do.v1", Topic: service + ".commands.v1", Key: fmt.Sprint("thing-", n),
		Reason: "panic: oh\nat line 7", Headers: map[string]string{bus.HeaderID: commandID(n).String(), bus.HeaderReplyTo: "0"},
		Payload: []byte(`{"name":"Ada"}`), Time: noon.Add(time.Duration(n) * time.Second),
	}
}

func commandID(n int) uuid.UUID { return uuid.UUID{6: 0x70, 8: 0x80, 15: byte(n)} }

// ask asks an operator route and decodes what it answers.
func (w *world) ask(method, path string, into any) int {
	w.t.Helper()
	rec := httptest.NewRecorder()
	w.admin.ServeHTTP(rec, httptest.NewRequestWithContext(w.t.Context(), method, path, nil))
	if err := json.Unmarshal(rec.Body.Bytes(), into); err != nil {
		w.t.Fatalf("%s %s: %d %s: %v", method, path, rec.Code, rec.Body, err)
	}
	return rec.Code
}

func (w *world) wantCode(method, path string, status int, code string) {
	w.t.Helper()
	var f struct {
		Code string `json:"code"`
	}
	if got := w.ask(method, path, &f); got != status || f.Code != code {
		w.t.Errorf("%s %s: %d %s, want %d %s", method, path, got, f.Code, status, code)
	}
}

func TestParkedCommandsAreListedByServiceWithoutWhatTheyCarry(t *testing.T) {
	w := newWorld(t)
	w.addService("b", parked("b", 3))
	w.addService("a", parked("a", 1), parked("a", 2))
	for path, want := range map[string]string{
		"/admin/deadletters":                     "[a thing-1 a thing-2 b thing-3]",
		"/admin/deadletters?service=b":           "[b thing-3]",
		"/admin/deadletters?service=c":           "[]",
		"/admin/deadletters?limit=1":             "[a thing-1]",
		"/admin/deadletters?limit=2":             "[a thing-1 a thing-2]",
		"/admin/deadletters?limit=1&service=b":   "[b thing-3]",
		"/admin/deadletters?limit=1000&service=": "[a thing-1 a thing-2 b thing-3]",
	} {
		var list []ParkedCommand
		status := w.ask("GET", path, &list)
		var got []string
		for _, c := range list {
			got = append(got, c.Service+" "+c.Key)
			if c.Payload != "" || c.Headers != nil || c.Attempts != 1 {
				t.Errorf("%s: %+v", path, c)
			}
		}
		if fmt.Sprint(got) != want || status != 200 {
			t.Errorf("%s: %d %v, want %s", path, status, got, want)
		}
	}
	for _, limit := range []string{"0", "1001", "-1", "x"} {
		w.wantCode("GET", "/admin/deadletters?limit="+limit, 422, "bad_limit")
	}
}

func TestAParkedCommandIsShownWithWhatItCarries(t *testing.T) {
	w := newWorld(t)
	large := parked("a", 2)
	large.Payload = []byte(strings.Repeat("x", payloadText+1))
	w.addService("a", parked("a", 1), large)
	w.addService("b")
	var c ParkedCommand
	if status := w.ask("GET", "/admin/deadletters/"+commandID(1).String(), &c); status != 200 || c.Payload != `{"name":"Ada"}` ||
		c.Headers[bus.HeaderID] != c.ID || c.Reason != "panic: oh\nat line 7" || c.Service != "a" {
		t.Errorf("%d %+v", status, c)
	}
	if w.ask("GET", "/admin/deadletters/"+commandID(2).String(), &c); len(c.Payload) != payloadText {
		t.Errorf("%d bytes are shown", len(c.Payload))
	}
	for _, do := range []string{"GET ", "POST /retry", "POST /discard"} {
		method, action, _ := strings.Cut(do, " ")
		w.wantCode(method, "/admin/deadletters/"+commandID(9).String()+action, 404, "parked_command_not_found")
		w.wantCode(method, "/admin/deadletters/nine"+action, 422, "bad_command_id")
	}
}

func (w *world) onTopic(topic string) []kafka.Record {
	return w.broker.Records(kafka.Partition{Topic: topic}, 0, -1)
}

func TestARetryGoesThroughTheCommandsTopicAndLeavesItParked(t *testing.T) {
	w := newWorld(t)
	log := w.addService("a", parked("a", 1))
	var c ParkedCommand
	if status := w.ask("POST", "/admin/deadletters/"+commandID(1).String()+"/retry", &c); status != 200 || c.Key != "thing-1" {
		t.Errorf("%d %+v", status, c)
	}
	sent := w.onTopic("a.commands.v1")
	if len(sent) != 1 || string(sent[0].Value) != `{"name":"Ada"}` || sent[0].Header(bus.HeaderReplyTo) != "" || sent[0].Header(bus.HeaderDiscard) != "" {
		t.Errorf("sent is %+v", sent)
	}
	if _, ok, err := log.ParkedCommand(t.Context(), commandID(1)); !ok || err != nil {
		t.Errorf("it is not parked any more, %v", err)
	}
	w.broker.FailNext(errors.New("away"), 0)
	w.wantCode("POST", "/admin/deadletters/"+commandID(1).String()+"/retry", 500, "internal")
}

func TestADiscardGivesTheCommandItsFinalOutcomeAndLastsInTheTopic(t *testing.T) {
	w := newWorld(t)
	log := w.addService("a", parked("a", 1), parked("a", 2))
	path := "/admin/deadletters/" + commandID(1).String() + "/discard"
	w.broker.FailNext(errors.New("away"), 0)
	w.wantCode("POST", path, 500, "internal")
	if _, ok, err := log.ParkedCommand(t.Context(), commandID(1)); !ok || err != nil {
		t.Errorf("it was not promised, and is not parked any more, %v", err)
	}
	var c ParkedCommand
	if status := w.ask("POST", path, &c); status != 200 || c.Key != "thing-1" {
		t.Errorf("%d %+v", status, c)
	}
	if sent := w.onTopic("a.commands.v1"); len(sent) != 1 || sent[0].Header(bus.HeaderDiscard) != "panic: oh" || strings.Contains(string(sent[0].Value), "Ada") {
		t.Errorf("sent is %+v", sent)
	}
	told := w.onTopic(bus.OutcomesTopic)
	if len(told) != 1 || told[0].Header(bus.HeaderStatus) != "failed" || string(told[0].Key) != commandID(1).String() || strings.Contains(string(told[0].Value), "line 7") {
		t.Errorf("told is %+v", told)
	}
	var list []ParkedCommand
	if w.ask("GET", "/admin/deadletters", &list); len(list) != 1 || list[0].Key != "thing-2" {
		t.Errorf("parked are %+v", list)
	}
}

func TestAWakeIsNotDiscarded(t *testing.T) {
	w := newWorld(t)
	wake := parked("a", 1)
	wake.Type = "orderlane.a.wake.v1"
	w.addService("a", wake)
	path := "/admin/deadletters/" + commandID(1).String()
	w.wantCode("POST", path+"/discard", 409, "wake_not_discarded")
	var c ParkedCommand
	if status := w.ask("POST", path+"/retry", &c); status != 200 {
		t.Errorf("it can't be retried: %d", status)
	}
	if sent := w.onTopic("a.commands.v1"); len(sent) != 1 || sent[0].Header(bus.HeaderDiscard) != "" {
		t.Errorf("sent is %+v", sent)
	}
}

// thing is a view that can't fold a text, until it is healed.
type thing struct {
	projection.Parts
	rows   *projection.Rows
	healed *atomic.Bool
}

func newThing() *thing { return newThingOf(new(atomic.Bool)) }

func (v *thing) Twin() projection.View { return newThingOf(v.healed) }

func newThingOf(healed *atomic.Bool) *thing {
	v := &thing{healed: healed, rows: projection.NewRows(projection.Table{Name: "things_v1", Key: []string{"id"}, Columns: []projection.Column{{Name: "id"}, {Name: "value"}}})}
	v.Parts = projection.Parts{v.rows}
	return v
}

func (*thing) Name() string                 { return "things" }
func (*thing) Version() int                 { return 1 }
func (*thing) Sources() []projection.Source { return []projection.Source{{Topic: "things"}} }
func (*thing) Schema(projection.Dialect) []string {
	return []string{"CREATE TABLE things_v1 (id TEXT PRIMARY KEY, value TEXT)"}
}

func (v *thing) Fold(r *projection.Record) error {
	if string(r.Value) == "bad" && !v.healed.Load() {
		return errors.New("can't read that")
	}
	v.rows.Upsert(r.Key, string(r.Value))
	return nil
}

func (v *thing) Forget(ctx context.Context, tx projection.Tx, _, key string) error {
	_, err := tx.Exec(ctx, "DELETE FROM things_v1 WHERE id = $1", key)
	return err
}

func (*thing) StreamVersion(context.Context, projection.Queryer, string) (int64, bool, error) {
	return 0, false, nil
}

// deliver hands the records of things to a build until ctx ends.
func (w *world) deliver(ctx context.Context, build *projection.Projection) error {
	consumer := w.broker.Consumer(build)
	if err := consumer.Assign(ctx, w.broker.Partitions("things")...); err != nil {
		return err
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if _, err := consumer.StepAny(-1); err != nil && ctx.Err() == nil {
				return err
			}
		}
	}
}

// within waits for a condition with a deadline.
func within(t *testing.T, what string, condition func() bool) {
	t.Helper()
	tick, deadline := time.NewTicker(time.Millisecond), time.NewTimer(30*time.Second)
	defer tick.Stop()
	defer deadline.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("did not happen: %s", what)
		}
	}
}

func TestBrokenKeysAreReportedAndRepaired(t *testing.T) {
	w := newWorld(t)
	store, err := sqlitestore.Open(filepath.Join(t.TempDir(), "view.db"), sqlitestore.Options{Readers: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	view := newThing()
	builds, err := projection.OpenBuilds(t.Context(), projection.BuildsOptions{
		Options: projection.Options{Store: store, Clock: clock, Replay: w.broker.ReadRange},
		View:    view, Offsets: w.broker.Offsets,
		Scratch: func(context.Context, bool) (projection.Store, error) { return sqlitestore.OpenScratch("") },
		Consume: func(ctx context.Context, _ string, _ []string, build *projection.Projection) error {
			return w.deliver(ctx, build)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- builds.Run(ctx) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	w.addProjection("things", builds)
	var records []kafka.Record
	for _, r := range [][2]string{{"a", "1"}, {"b", "bad"}, {"b", "2"}, {"c", "3"}} {
		records = append(records, kafka.Record{Topic: "things", Key: []byte(r[0]), Value: []byte(r[1])})
	}
	if err := w.broker.Producer().Publish(t.Context(), records); err != nil {
		t.Fatal(err)
	}
	within(t, "the key breaks", func() bool {
		broken, err := builds.AllBroken(t.Context(), 1, "", 10)
		return err == nil && len(broken) == 1
	})
	var reports []ViewReport
	if status := w.ask("GET", "/admin/projections", &reports); status != 200 || len(reports) != 1 || len(reports[0].Broken) != 1 ||
		reports[0].Broken[0] != (BrokenKey{View: "things", Build: 1, Key: "b", Topic: "things", Offset: 1, Reason: "can't read that", Time: noon}) {
		t.Errorf("%d %+v", status, reports)
	}
	w.wantCode("POST", "/admin/projections/repair/b", 500, "internal") // what broke it is still there
	w.wantCode("POST", "/admin/projections/repair/b?view=other", 404, "key_not_here")
	view.healed.Store(true)
	var done Repaired
	if status := w.ask("POST", "/admin/projections/repair/b", &done); status != 200 || fmt.Sprint(done) != "{b [things]}" {
		t.Errorf("%d %+v", status, done)
	}
	if w.ask("GET", "/admin/projections", &reports); len(reports[0].Broken) != 0 {
		t.Errorf("still broken: %+v", reports[0].Broken)
	}

	var build Build
	if status := w.ask("POST", "/admin/projections/rebuild/things", &build); status != 200 || build.Build != 2 || build.State != "building" {
		t.Errorf("%d %+v", status, build)
	}
	w.wantCode("POST", "/admin/projections/rebuild/things", 409, "already_building")
	w.wantCode("POST", "/admin/projections/rebuild/others", 404, "view_not_found")
	within(t, "the new build is active", func() bool {
		reports = nil
		w.ask("GET", "/admin/projections", &reports)
		return len(reports[0].Builds) == 2 && reports[0].Builds[0].State == "previous" && reports[0].Builds[1].State == "active"
	})
	w.wantCode("POST", "/admin/projections/cancel/things", 409, "nothing_to_cancel")
	w.wantCode("POST", "/admin/projections/drop/things/1", 409, "version_in_use")
	w.wantCode("POST", "/admin/projections/drop/things/x", 422, "bad_version")
	w.wantCode("POST", "/admin/projections/verify/things?sample=2", 422, "bad_sample")
	var v Verification
	if status := w.ask("POST", "/admin/projections/verify/things?all=true", &v); status != 200 || v.Number != 1 || !v.All {
		t.Errorf("%d %+v", status, v)
	}
	within(t, "it is verified", func() bool {
		v = Verification{}
		w.ask("GET", "/admin/projections/verify/things", &v)
		return !v.Running
	})
	if v.Error != "" || v.Count != 0 || v.Build != 2 {
		t.Errorf("%+v", v)
	}
}
