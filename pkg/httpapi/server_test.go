package httpapi

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

func listen(t testing.TB, h http.Handler, onShutdown func()) *Server {
	t.Helper()
	s, err := Listen(t.Context(), ServerOptions{Addr: "127.0.0.1:0", Handler: h, OnShutdown: onShutdown})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// running serves until the test ends.
func running(t testing.TB, s *Server) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, 5*time.Second) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		http.DefaultClient.CloseIdleConnections()
	})
}

func TestAPortInUseIsOneClearLine(t *testing.T) {
	s := listen(t, nil, nil)
	defer func() { _ = s.Shutdown(t.Context()) }()
	_, err := Listen(t.Context(), ServerOptions{Addr: s.Addr()})
	if want := "cannot listen on " + s.Addr() + ": another process has this address"; err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
		t.Error(err)
	}
	for _, addr := range []string{"127.0.0.1:99999", "nonsense", "192.0.2.1:80"} {
		if _, err := Listen(t.Context(), ServerOptions{Addr: addr}); err == nil || !strings.HasPrefix(err.Error(), "cannot listen on "+addr+": ") {
			t.Error(err)
		}
	}
}

func TestAShutdownWaitsForRequestsUnderWayAndFreesTheAddress(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	s := listen(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-leave
		_, _ = io.WriteString(w, "done")
	}), nil)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, time.Minute) }()
	body := make(chan string, 1)
	go func() {
		r, err := http.Get("http://" + s.Addr())
		if err != nil {
			body <- err.Error()
			return
		}
		defer r.Body.Close()
		b, _ := io.ReadAll(r.Body)
		body <- string(b)
	}()
	<-entered
	stop()
	eventually(t, func() bool { // it takes no more
		c, err := net.Dial("tcp", s.Addr())
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	select {
	case err := <-ended:
		t.Fatal("ended with a request under way: ", err)
	default:
	}
	close(leave)
	if got := <-body; got != "done" {
		t.Error(got)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	again, err := Listen(t.Context(), ServerOptions{Addr: s.Addr()})
	if err != nil {
		t.Fatal(err)
	}
	_ = again.Shutdown(t.Context())
	http.DefaultClient.CloseIdleConnections()
}

func eventually(t testing.TB, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatal("it did not come to pass")
		}
	}
}

func TestAShutdownCutsWhatDoesNotEndInTimeAndSaysSo(t *testing.T) {
	entered, left := make(chan struct{}), make(chan struct{})
	s := listen(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
		close(left)
	}), nil)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, time.Millisecond) }()
	failed := make(chan error, 1)
	go func() {
		_, err := http.Get("http://" + s.Addr())
		failed <- err
	}()
	<-entered
	stop()
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "cut off") {
		t.Error(err)
	}
	if err := <-failed; err == nil {
		t.Error("answered")
	}
	<-left
}

func TestDrainingEndsWaitsSoThatTheyAnswer(t *testing.T) {
	a := newTestAPI(t)
	entered := make(chan struct{})
	huma.Register(a, huma.Operation{OperationID: "wait", Method: "GET", Path: "/wait"}, func(ctx context.Context, _ *struct{}) (*struct{ Body string }, error) {
		wait, cancel := WaitContext(ctx, time.Hour)
		defer cancel()
		close(entered)
		<-wait.Done()
		return &struct{ Body string }{fmt.Sprint("request alive: ", ctx.Err() == nil)}, nil
	})
	s := listen(t, a, a.Drain)
	ctx, stop := context.WithCancel(t.Context())
	ended, body := make(chan error, 1), make(chan string, 1)
	go func() { ended <- s.Run(ctx, time.Minute) }()
	go func() {
		r, err := http.Get("http://" + s.Addr() + "/wait")
		if err != nil {
			body <- err.Error()
			return
		}
		defer r.Body.Close()
		b, _ := io.ReadAll(r.Body)
		body <- string(b)
	}()
	<-entered
	stop()
	if got := <-body; got != `"request alive: true"` {
		t.Error(got)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestAWaitEndsByItselfAndWithItsRequest(t *testing.T) {
	ctx, cancel := WaitContext(t.Context(), 0)
	defer cancel()
	<-ctx.Done()
	parent, stop := context.WithCancel(t.Context())
	ctx, cancel2 := WaitContext(parent, time.Hour)
	defer cancel2()
	stop()
	<-ctx.Done()
}

// A read deadline that is set after the body was read ends the context of a handler that
// outlives it, as huma's would: callers who wait 30 s would be cut off after 5.
func TestAHandlerMayWaitLongerThanTheReadDeadline(t *testing.T) {
	a := newTestAPI(t)
	const deadline = 50 * time.Millisecond
	long := func(ctx context.Context) (*struct{}, error) {
		timer := time.NewTimer(5 * deadline)
		defer timer.Stop()
		select {
		case <-ctx.Done():
			return nil, &Problem{Status: http.StatusTeapot, Code: "cut_off"}
		case <-timer.C:
			return nil, nil
		}
	}
	huma.Register(a, huma.Operation{OperationID: "get", Method: "GET", Path: "/wait"}, func(ctx context.Context, _ *struct{}) (*struct{}, error) { return long(ctx) })
	huma.Register(a, huma.Operation{OperationID: "post", Method: "POST", Path: "/wait", BodyReadTimeout: deadline},
		func(ctx context.Context, _ *struct{ Body struct{} }) (*struct{}, error) { return long(ctx) })
	s := listen(t, a, nil)
	s.http.ReadTimeout = deadline
	running(t, s)
	for _, method := range []string{"GET", "POST"} {
		var body io.Reader
		if method == "POST" {
			body = strings.NewReader("{}")
		}
		r, _ := http.NewRequestWithContext(t.Context(), method, "http://"+s.Addr()+"/wait", body)
		r.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusNoContent {
			t.Errorf("%s: %d", method, res.StatusCode)
		}
	}
}

// raw sends bytes on a connection of its own and returns the status line of the answer.
func raw(t testing.TB, s *Server, text string, closeWrite bool) string {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	if closeWrite {
		_ = c.(*net.TCPConn).CloseWrite()
	}
	line, _ := bufio.NewReader(c).ReadString('\n')
	return strings.TrimSpace(line)
}

func TestBodiesThatDoNotArriveAreTheClientsFault(t *testing.T) {
	a := newTestAPI(t)
	withOrders(a)
	s := listen(t, a, nil)
	s.http.ReadTimeout = 100 * time.Millisecond
	running(t, s)
	const head = "POST /v1/orders HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
	for text, want := range map[string]string{
		head + "Content-Length: 100\r\n\r\n{":                                                 "HTTP/1.1 400 Bad Request",
		head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}":                                   "HTTP/1.1 400 Bad Request",
		head + "Transfer-Encoding: chunked\r\n\r\n5\r\n{}":                                    "HTTP/1.1 400 Bad Request",
		head + "Content-Length: 999999999999\r\n\r\n{}":                                       "HTTP/1.1 413 Request Entity Too Large",
		head + "Content-Length: -1\r\n\r\n{}":                                                 "HTTP/1.1 400 Bad Request",
		head + "Expect: 100-continue\r\nContent-Length: 999999\r\n\r\n":                       "HTTP/1.1 413 Request Entity Too Large",
		"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("x", 40<<10) + "\r\n\r\n": "HTTP/1.1 431 Request Header Fields Too Large",
	} {
		if got := raw(t, s, text, true); got != want {
			t.Errorf("%.120q: %s", text, got)
		}
	}
	if got := raw(t, s, head+"Content-Length: 100\r\n\r\n{", false); got != "HTTP/1.1 408 Request Timeout" {
		t.Error(got)
	}
}

func TestAStreamCanBeFlushedThroughTheAPI(t *testing.T) {
	a := newTestAPI(t)
	next := make(chan struct{})
	a.Router.Get("/stream", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "one\n")
		w.(http.Flusher).Flush()
		<-next
		_, _ = io.WriteString(w, "two\n")
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
	})
	s := listen(t, a, nil)
	running(t, s)
	r, err := http.Get("http://" + s.Addr() + "/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	lines := bufio.NewReader(r.Body)
	if l, err := lines.ReadString('\n'); l != "one\n" {
		t.Fatal(l, err)
	}
	close(next)
	if l, err := lines.ReadString('\n'); l != "two\n" {
		t.Fatal(l, err)
	}
}
