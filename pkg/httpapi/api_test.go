package httpapi

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json"
	"go.uber.org/goleak"

	"github.com/orderlane/orderlane/pkg/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// logBuffer collects log lines of concurrent requests.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logBuffer) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func newTestAPI(t testing.TB, change ...func(*Options)) *API {
	t.Helper()
	o := Options{Title: "Test", Version: "1", Addr: "127.0.0.1:0", Clock: time.Now, Random: rand.Reader}
	for _, c := range change {
		c(&o)
	}
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// withOrders registers the order operation, which answers 202 and keeps what it was given.
func withOrders(a *API) *orderInput {
	last := &orderInput{}
	huma.Register(a, orderOperation(), func(_ context.Context, in *orderInput) (*orderOutput, error) {
		*last = *in
		return &orderOutput{Status: http.StatusAccepted, Location: "/v1/commands/x", Body: placedAnswer}, nil
	})
	return last
}

// failing registers GET /fail, which returns err.
func failing(a *API, err error) {
	huma.Register(a, huma.Operation{OperationID: "fail", Method: http.MethodGet, Path: "/fail"},
		func(context.Context, *struct{}) (*struct{}, error) { return nil, err })
}

func newRequest(method, path, body string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, "http://localhost"+path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

func send(a http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	return w
}

// wantProblem checks that an answer is problem details as promised, and returns them.
func wantProblem(t testing.TB, w *httptest.ResponseRecorder, status int, code string) Problem {
	t.Helper()
	var p Problem
	if w.Code != status || w.Header().Get("Content-Type") != "application/problem+json" {
		t.Fatalf("status %d, %s: %s", w.Code, w.Header().Get("Content-Type"), w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &p, json.RejectUnknownMembers(true)); err != nil {
		t.Fatalf("%v: %s", err, w.Body)
	}
	if p.Code != code || p.Status != status || len(p.TraceID) != 32 || p.Title != http.StatusText(status) {
		t.Fatalf("%+v, not %d %s", p, status, code)
	}
	return p
}

func TestAnOrderIsAcceptedAsItWasSent(t *testing.T) {
	a := newTestAPI(t)
	got := withOrders(a)
	w := send(a, newRequest("POST", "/v1/orders", orderBody))
	if w.Code != http.StatusAccepted || w.Header().Get("Content-Type") != "application/json" || w.Header().Get("Location") != "/v1/commands/x" {
		t.Fatalf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	if got.Body.Lines[1] != (orderLine{"CUP.white_1", 1}) || got.Body.ExpectedTotal.Amount != 2998 || got.Body.ShipTo.City != "London" {
		t.Fatalf("%+v", got.Body)
	}
}

func TestUnknownPathsAndMethodsAreProblems(t *testing.T) {
	a := newTestAPI(t)
	withOrders(a)
	wantProblem(t, send(a, newRequest("GET", "/nowhere", "")), http.StatusNotFound, "route_not_found")
	w := send(a, newRequest("DELETE", "/v1/orders", ""))
	wantProblem(t, w, http.StatusMethodNotAllowed, "method_not_allowed")
	if got := w.Header().Get("Allow"); got != "POST" {
		t.Errorf("Allow: %q", got)
	}
	wantProblem(t, send(a, newRequest("BREW", "/v1/orders", "")), http.StatusMethodNotAllowed, "method_not_allowed")
	wantProblem(t, send(a, newRequest("GET", "/v1/%00", "")), http.StatusBadRequest, "malformed_path")
	wantProblem(t, send(a, newRequest("GET", "/v1/%ff", "")), http.StatusBadRequest, "malformed_path")
}

func TestFaultsBecomeProblemsByTheirTable(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		code   string
		header string
		value  string
	}{
		{fault.Invalid("currency_unknown", "no such currency").With("body.currency", "unknown"), 422, "currency_unknown", "", ""},
		{fmt.Errorf("placing: %w", fault.Conflict("price_changed", "another price")), 409, "price_changed", "", ""},
		{fault.NotFound("order", "1"), 404, "order_not_found", "", ""},
		{fault.Precondition("precondition_failed", "moved on"), 412, "precondition_failed", "", ""},
		{fault.Forbidden("role_required", "staff only"), 403, "role_required", "", ""},
		{fault.Unauthenticated("authentication_required", "who"), 401, "authentication_required", "WWW-Authenticate", "Bearer"},
		{fault.TooMany("rate_limited", "slow"), 429, "rate_limited", "Retry-After", "1"},
		{fault.Unavailable("broker_unavailable", "later"), 503, "broker_unavailable", "Retry-After", "1"},
		{RetryAfter(fault.Unavailable("broker_unavailable", "later"), 2500*time.Millisecond), 503, "broker_unavailable", "Retry-After", "3"},
		{NotYetConsistent(Tokens{{"order-1", 3}}), 503, "not_yet_consistent", "Retry-After", "1"},
		{huma.Error404NotFound("gone"), 404, "not_found", "", ""},
		{&Problem{Status: 418, Code: "teapot"}, 418, "teapot", "", ""},
		{errors.New("pq: password is hunter2"), 500, "internal", "", ""},
		{&fault.Fault{Kind: fault.KindInternal, Code: "x", Detail: "hunter2"}, 500, "internal", "", ""},
	} {
		a := newTestAPI(t)
		failing(a, c.err)
		w := send(a, newRequest("GET", "/fail", ""))
		p := wantProblem(t, w, c.status, c.code)
		if c.header != "" && w.Header().Get(c.header) != c.value {
			t.Errorf("%s: %s is %q", c.code, c.header, w.Header().Get(c.header))
		}
		if strings.Contains(w.Body.String(), "hunter2") {
			t.Errorf("leaked: %s", w.Body)
		}
		if c.code == "currency_unknown" && (len(p.Errors) != 1 || p.Errors[0].Location != "body.currency") {
			t.Errorf("%+v", p.Errors)
		}
	}
}

func TestAnUnexpectedErrorIsLoggedUnderTheTraceID(t *testing.T) {
	var log logBuffer
	a := newTestAPI(t, func(o *Options) { o.Log = log.logger() })
	failing(a, errors.New("the disk is full"))
	p := wantProblem(t, send(a, newRequest("GET", "/fail", "")), 500, "internal")
	if s := log.String(); !strings.Contains(s, "the disk is full") || !strings.Contains(s, p.TraceID) || !strings.Contains(s, "level=ERROR") {
		t.Fatal(s)
	}
}

func TestAPanicIsAnInternalErrorWithoutItsText(t *testing.T) {
	var log logBuffer
	a := newTestAPI(t, func(o *Options) { o.Log = log.logger() })
	huma.Register(a, huma.Operation{OperationID: "panic", Method: "GET", Path: "/panic"},
		func(context.Context, *struct{}) (*struct{}, error) { panic("hunter2") })
	w := send(a, newRequest("GET", "/panic", ""))
	p := wantProblem(t, w, 500, "internal")
	if strings.Contains(w.Body.String(), "hunter2") {
		t.Error("leaked")
	}
	if s := log.String(); !strings.Contains(s, "hunter2") || !strings.Contains(s, p.TraceID) || !strings.Contains(s, "api_test.go") {
		t.Error(s)
	}
}

func TestAPanicInTheMiddleOfAnAnswerCutsTheConnection(t *testing.T) {
	a := newTestAPI(t)
	a.Router.Get("/half", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		panic("late")
	})
	defer func() {
		if err, _ := recover().(error); !errors.Is(err, http.ErrAbortHandler) {
			t.Error("not aborted")
		}
	}()
	send(a, newRequest("GET", "/half", ""))
}

func TestTheCallersTraceGoesOn(t *testing.T) {
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	a := newTestAPI(t)
	var seen, id string
	huma.Register(a, huma.Operation{OperationID: "trace", Method: "GET", Path: "/trace"}, func(ctx context.Context, _ *struct{}) (*struct{}, error) {
		ctx, cancel := WaitContext(ctx, time.Minute)
		defer cancel()
		seen, id = Traceparent(ctx), TraceID(ctx)
		return nil, nil
	})
	w := send(a, newRequest("GET", "/trace", "", "traceparent", parent))
	if seen != parent || id != parent[3:35] || w.Header().Get("Traceparent") != parent {
		t.Errorf("%q %q %q", seen, id, w.Header().Get("Traceparent"))
	}
	for _, bad := range []string{"", "nonsense", strings.ToUpper(parent), "00-" + strings.Repeat("0", 32) + "-b7ad6b7169203331-01"} {
		w = send(a, newRequest("GET", "/trace", "", "traceparent", bad))
		if len(seen) != 55 || seen == parent || len(id) != 32 || w.Header().Get("Traceparent") != seen {
			t.Errorf("after %q: %q", bad, seen)
		}
	}
}

type observed struct {
	method, route string
	status        int
	took          time.Duration
}

type observer struct{ seen []observed }

func (o *observer) Observe(method, route string, status int, took time.Duration) {
	o.seen = append(o.seen, observed{method, route, status, took})
}

func TestEveryRequestIsObservedByItsPattern(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var log logBuffer
	o := &observer{}
	a := newTestAPI(t, func(opts *Options) {
		opts.Observer, opts.Log = o, log.logger()
		opts.Clock = func() time.Time { now = now.Add(time.Millisecond); return now }
	})
	huma.Register(a, huma.Operation{OperationID: "get", Method: "GET", Path: "/v1/orders/{id}"}, func(_ context.Context, in *struct {
		ID string `path:"id"`
	},
	) (*struct{ Body string }, error) {
		return &struct{ Body string }{in.ID}, nil
	})
	send(a, newRequest("GET", "/v1/orders/17", ""))
	send(a, newRequest("HEAD", "/v1/orders/17", ""))
	send(a, newRequest("GET", "/nowhere", ""))
	send(a, newRequest("BREW", "/v1/orders/17", ""))
	want := []observed{
		{"GET", "/v1/orders/{id}", 200, time.Millisecond},
		{"HEAD", "/v1/orders/{id}", 200, time.Millisecond},
		{"GET", "unmatched", 404, time.Millisecond},
		{"other", "unmatched", 405, time.Millisecond},
	}
	if !slices.Equal(o.seen, want) {
		t.Errorf("%v", o.seen)
	}
	if s := log.String(); !strings.Contains(s, "level=DEBUG") || !strings.Contains(s, "path=/v1/orders/17") || !strings.Contains(s, "caller=local") {
		t.Error(s)
	}
}

func TestListsAndProblemsOfQueries(t *testing.T) {
	a := newTestAPI(t)
	var got PageParams
	huma.Register(a, huma.Operation{OperationID: "list", Method: "GET", Path: "/v1/orders"}, func(_ context.Context, in *struct {
		PageParams
		Status string `query:"status"`
	},
	) (*struct{ Body List[string] }, error) {
		got = in.PageParams
		_, err := in.After("status="+in.Status, 1)
		return &struct{ Body List[string] }{}, err
	})
	if w := send(a, newRequest("GET", "/v1/orders", "")); w.Body.String() != `{"items":[]}` || got.Limit != DefaultLimit {
		t.Errorf("%s %d", w.Body, got.Limit)
	}
	if w := send(a, newRequest("GET", "/v1/orders?limit=200&status=x", "")); w.Code != 200 || got.Limit != MaxLimit {
		t.Errorf("%d %d", w.Code, got.Limit)
	}
	good := EncodeCursor("status=x", "2026")
	if w := send(a, newRequest("GET", "/v1/orders?status=x&cursor="+good, "")); w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for query, want := range map[string]string{
		"limit=0": "validation_failed", "limit=201": "validation_failed", "limit=ten": "validation_failed", "limit=99999999999999999999": "validation_failed",
		"limit=1&limit=2": "validation_failed", "colour=red": "validation_failed", "status=%00": "validation_failed", "status=%ff": "validation_failed",
		"limit=%zz": "malformed_query", "a;b": "malformed_query", "cursor=x": "bad_cursor", "status=y&cursor=" + good: "bad_cursor",
	} {
		status := http.StatusUnprocessableEntity
		if want != "validation_failed" {
			status = http.StatusBadRequest
		}
		wantProblem(t, send(a, newRequest("GET", "/v1/orders?"+query, "")), status, want)
	}
}

func TestAResourceThatTheClientHasIsNotSentAgain(t *testing.T) {
	a := newTestAPI(t)
	etag := ETag(Tokens{{"order-1", 3}})
	huma.Register(a, huma.Operation{OperationID: "get", Method: "GET", Path: "/order"}, func(_ context.Context, in *struct {
		IfNoneMatch string `header:"If-None-Match"`
	}) (*struct {
		ETag string `header:"ETag"`
		Body string
	}, error,
	) {
		if NoneMatch(in.IfNoneMatch, etag) {
			return nil, NotModified(etag)
		}
		return &struct {
			ETag string `header:"ETag"`
			Body string
		}{etag, "order"}, nil
	})
	first := send(a, newRequest("GET", "/order", ""))
	w := send(a, newRequest("GET", "/order", "", "If-None-Match", first.Header().Get("ETag")))
	if first.Code != 200 || w.Code != 304 || w.Body.Len() != 0 || w.Header().Get("Content-Type") != "" || w.Header().Get("ETag") != etag {
		t.Errorf("%d %d %v %s", first.Code, w.Code, w.Header(), w.Body)
	}
}

func TestAGroupWithAPrefixIsRefusedLoudly(t *testing.T) {
	a := newTestAPI(t)
	defer func() {
		if recover() == nil {
			t.Error("registered without its guard")
		}
	}()
	huma.Register(huma.NewGroup(a, "/v1"), huma.Operation{OperationID: "x", Method: "GET", Path: "/x"},
		func(context.Context, *struct{}) (*struct{}, error) { return nil, nil })
}

func TestSchemasOfTheSameNameLiveSideBySide(t *testing.T) {
	type Problem struct {
		Other string `json:"other"`
	}
	a := newTestAPI(t)
	huma.Register(a, huma.Operation{OperationID: "x", Method: "GET", Path: "/x"},
		func(context.Context, *struct{}) (*struct{ Body Problem }, error) { return nil, nil })
	if s := a.OpenAPI().Components.Schemas.Map(); len(s) != 3 {
		t.Errorf("%v", s)
	}
}
