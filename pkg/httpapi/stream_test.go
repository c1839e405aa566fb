package httpapi

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/golang-jwt/jwt/v5"

	"github.com/orderlane/orderlane/pkg/fault"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// streaming is an API with one stream, which a test feeds, on a real server.
type streaming struct {
	*API
	t      *testing.T
	server *httptest.Server
	events chan string
	ended  chan error // what each stream's send failed with, or nil
	refuse error
	panics bool
}

func newStreaming(t *testing.T, options func(*Options), server ...func(*http.Server)) *streaming {
	t.Helper()
	s := &streaming{API: newTestAPI(t, options), t: t, events: make(chan string), ended: make(chan error, 100)}
	op := huma.Operation{OperationID: "follow", Method: "GET", Path: "/follow"}
	DescribeEvents(s.API, &op, "Events", []EventType{{Name: "news", Doc: "Something new", Data: reflect.TypeFor[struct{ Text string }]()}})
	huma.Register(s.API, op, func(ctx context.Context, _ *struct{}) (*huma.StreamResponse, error) {
		return Events(ctx, func() (StreamFunc, error) {
			if s.panics {
				panic("a fault of ours")
			}
			if s.refuse != nil {
				return nil, s.refuse
			}
			return s.run, nil
		})
	})
	s.server = httptest.NewUnstartedServer(s.API)
	for _, change := range server {
		change(s.server.Config)
	}
	s.server.Start()
	t.Cleanup(s.server.Close)
	t.Cleanup(s.server.Client().CloseIdleConnections)
	return s
}

func (s *streaming) run(ctx context.Context, send func([]byte) error) (err error) {
	defer func() { s.ended <- err }()
	if err := send([]byte(": begun\n\n")); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-s.events:
			if err := send([]byte(e)); err != nil {
				return err
			}
		}
	}
}

// answered is an answer, which may go on.
type answered struct {
	status int
	header http.Header
	body   *bufio.Reader
	leave  func() error // ends the connection
}

// open opens a stream and reads its first line.
func (s *streaming) open(header ...string) answered {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.server.URL+"/follow", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := s.server.Client().Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = resp.Body.Close() })
	a := answered{resp.StatusCode, resp.Header, bufio.NewReader(resp.Body), resp.Body.Close}
	if a.status == http.StatusOK {
		s.reads(a.body, ": begun\n")
	}
	return a
}

// sends has one of the streams send something.
func (s *streaming) sends(event string) {
	s.t.Helper()
	select {
	case s.events <- event:
	case <-time.After(patience):
		s.t.Fatal("no stream sends anything")
	}
}

// reads fails unless the next line that is not empty is this one; "" is the end.
func (s *streaming) reads(body *bufio.Reader, want string) {
	s.t.Helper()
	for {
		line, err := body.ReadString('\n')
		if line == "\n" {
			continue
		}
		if line != want || err != nil && !errors.Is(err, io.EOF) {
			s.t.Fatalf("read %q (%v), not %q", line, err, want)
		}
		return
	}
}

// over waits until a stream has ended, and returns why.
func (s *streaming) over() error {
	s.t.Helper()
	select {
	case err := <-s.ended:
		return err
	case <-time.After(patience):
		s.t.Fatal("the stream goes on")
		return nil
	}
}

func TestAStreamIsSentAtOnceAndHeldByNobodyOnTheWay(t *testing.T) {
	s := newStreaming(t, asUsual)
	a := s.open()
	for name, want := range map[string]string{
		"Content-Type": "text/event-stream", "Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no", "Content-Length": "",
	} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s is %q", name, got)
		}
	}
	s.sends("data: 1\n\n")
	s.reads(a.body, "data: 1\n")
	s.sends("data: 2\n\n")
	s.reads(a.body, "data: 2\n")
	_ = a.leave()
	if err := s.over(); err != nil {
		t.Error(err)
	}
}

func TestTheServersReadTimeoutDoesNotCutAStream(t *testing.T) {
	s := newStreaming(t, asUsual, func(h *http.Server) { h.ReadTimeout, h.ReadHeaderTimeout = 50*time.Millisecond, patience })
	body := s.open().body
	select {
	case err := <-s.ended:
		t.Fatal("it was cut: ", err)
	case <-time.After(200 * time.Millisecond):
	}
	s.sends("data: still here\n\n")
	s.reads(body, "data: still here\n")
}

func TestStreamsEndWhenTheProcessDrains(t *testing.T) {
	s := newStreaming(t, asUsual)
	body := s.open().body
	s.Drain()
	s.reads(body, "")
	if err := s.over(); err != nil {
		t.Error(err)
	}
	s.reads(s.open().body, "") // one that comes too late is told so by its end
}

func TestAStreamEndsWithItsToken(t *testing.T) {
	s := newStreaming(t, func(o *Options) {
		o.Clock, o.Verifier = atNoon, newVerifier(t, AuthConfig{HS256Secret: testSecret}, atNoon)
	})
	token := func(ends time.Duration) string {
		return "Bearer " + sign(t, jwt.SigningMethodHS256, []byte(testSecret), claims(func(m jwt.MapClaims) { m["exp"] = noon.Add(ends).Unix() }), "")
	}
	lasting := s.open("Authorization", token(time.Hour)).body
	ending := s.open("Authorization", token(-clockSkew+time.Second)).body
	s.reads(ending, "")
	if err := s.over(); err != nil {
		t.Error(err)
	}
	s.sends("data: 1\n\n")
	s.reads(lasting, "data: 1\n")
	if a := s.open(); a.status != http.StatusUnauthorized {
		t.Error("without a token: ", a.status)
	}
}

func TestStreamsAreBoundedInAllAndForEachCaller(t *testing.T) {
	s := newStreaming(t, func(o *Options) {
		o.Clock, o.Verifier = atNoon, newVerifier(t, AuthConfig{HS256Secret: testSecret}, atNoon)
		o.MaxStreams, o.MaxStreamsPerCaller, o.MaxInFlight = 5, 2, 1
	})
	as := func(sub, role string) answered {
		return s.open("Authorization", "Bearer "+sign(t, jwt.SigningMethodHS256, []byte(testSecret),
			claims(func(m jwt.MapClaims) { m["sub"], m["role"] = sub, role }), ""))
	}
	refused := func(a answered, status int) {
		t.Helper()
		said, _ := a.body.ReadString(0)
		if a.status != status || a.header.Get("Retry-After") != "5" || !strings.Contains(said, "too_many_streams") {
			t.Errorf("%d, Retry-After %q: %s", a.status, a.header.Get("Retry-After"), said)
		}
	}
	first := as("ada", "customer")
	as("ada", "customer")
	refused(as("ada", "customer"), http.StatusTooManyRequests)
	for range 3 { // a service speaks for many
		if a := as("web", "service"); a.status != http.StatusOK {
			t.Fatal(a.status)
		}
	}
	refused(as("bob", "customer"), http.StatusServiceUnavailable)

	_ = first.leave()
	if err := s.over(); err != nil {
		t.Error(err)
	}
	s.refuse = fault.NotFound("thing", "1")
	for range 10 { // whoever is refused takes no place
		var a answered
		eventually(t, "a place is free", func() bool {
			a = as("bob", "customer") // 429: the one that has just ended is for a moment a request under way again
			return a.status != http.StatusServiceUnavailable && a.status != http.StatusTooManyRequests
		})
		if a.status != http.StatusNotFound {
			t.Fatal(a.status)
		}
	}
}

func TestAFaultOfOursTakesNoPlace(t *testing.T) {
	s := newStreaming(t, func(o *Options) { o.MaxStreams = 1 })
	s.panics = true
	for range 2 {
		if a := s.open(); a.status != http.StatusInternalServerError {
			t.Fatal(a.status)
		}
	}
	s.panics = false
	if a := s.open(); a.status != http.StatusOK {
		t.Error(a.status)
	}
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("waited in vain: ", what)
		}
	}
}

func TestAClientThatTakesNothingInIsCutOffAndOthersGoOn(t *testing.T) {
	s := newStreaming(t, func(o *Options) { o.StreamWrite = time.Second })
	s.open() // it reads nothing any more
	large := "data: " + strings.Repeat("x", 1<<20) + "\n\n"
	for sent := false; !sent; {
		select {
		case s.events <- large:
		case err := <-s.ended:
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal(err)
			}
			sent = true
		case <-time.After(patience):
			t.Fatal("it takes in everything")
		}
	}
	body := s.open().body
	s.sends("data: 1\n\n")
	s.reads(body, "data: 1\n")
}

func TestAskingForTheHeadOfAStreamDoesNotFollowIt(t *testing.T) {
	s := newStreaming(t, asUsual)
	resp, err := s.server.Client().Head(s.server.URL + "/follow")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Error(resp.StatusCode, resp.Header)
	}
	if err := s.over(); err != nil {
		t.Error(err)
	}
}

func TestTheOpenAPIDocumentSaysWhatEventsThereAre(t *testing.T) {
	s := newStreaming(t, asUsual)
	content := s.OpenAPI().Paths["/follow"].Get.Responses["200"].Content
	form := content["text/event-stream"].Schema.Items.OneOf[0]
	if len(content) != 1 || form.Title != "news" || form.Properties["data"] == nil {
		t.Errorf("%+v", content)
	}
}

func asUsual(*Options) {}
