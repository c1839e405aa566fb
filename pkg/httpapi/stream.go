package httpapi

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/golang-jwt/jwt/v5"

	"github.com/orderlane/orderlane/pkg/fault"
)

// Defaults and bounds of event streams.
const (
	// DefaultMaxStreams is how many streams are open at once. One costs some 40 KB, nearly all of it
	// the server's for a connection.
	DefaultMaxStreams = 8000
	// DefaultMaxStreamsPerCaller is how many of them one customer, or one of the staff, has: some
	// browsers with some tabs.
	DefaultMaxStreamsPerCaller = 32

	// DefaultStreamWrite is how long a client may take to take in what is sent at once. The kernel
	// holds some more, so a client that is slow only for a moment does not come near it.
	DefaultStreamWrite = 10 * time.Second

	// streamRetry is when to ask again for a stream that there is no room for.
	streamRetry = 5 * time.Second
)

// streams counts those that are open.
type streams struct {
	mu     sync.Mutex
	open   int
	caller map[Caller]int
}

// acquire takes a place for a stream, or refuses.
func (a *API) acquire(c Caller) error {
	s := &a.streams
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open >= a.opts.MaxStreams {
		return RetryAfter(fault.Unavailable("too_many_streams", "this instance has no room for another stream; try again"), streamRetry)
	}
	if c.bounded() && s.caller[c] >= a.opts.MaxStreamsPerCaller {
		return RetryAfter(fault.TooMany("too_many_streams", "you have %d streams open; end one of them", s.caller[c]), streamRetry)
	}
	s.open++
	if s.caller == nil {
		s.caller = make(map[Caller]int)
	}
	s.caller[c]++
	return nil
}

// bounded reports whether the caller speaks for one person. Services open streams for many, and so
// does everyone where authentication is off.
func (c Caller) bounded() bool { return c.Role != RoleService && !c.Anyone() }

func (a *API) releaseStream(c Caller) {
	s := &a.streams
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open--
	if s.caller[c]--; s.caller[c] == 0 {
		delete(s.caller, c)
	}
}

// StreamFunc sends events until ctx ends: the client has gone, its token has expired, or the process
// is about to stop. send passes bytes on at once, and fails with an error that is
// os.ErrDeadlineExceeded if the client does not take them in in time.
type StreamFunc func(ctx context.Context, send func([]byte) error) error

// Events is the answer of an operation that sends Server-Sent Events. It refuses if too many streams
// are open, in all or for the caller; then open is asked for the events, and may refuse as any operation.
// What it returns is called once. A stream is no request in flight, and is bounded by nothing but
// what StreamFunc says.
func Events(ctx context.Context, open func() (StreamFunc, error)) (*huma.StreamResponse, error) {
	q := requestOf(ctx)
	if q == nil {
		return nil, errors.New("httpapi: events are for requests")
	}
	if err := q.api.acquire(q.caller); err != nil {
		return nil, err
	}
	handedOver := false
	defer func() { // after a panic too
		if !handedOver {
			q.api.releaseStream(q.caller)
		}
	}()
	run, err := open()
	if err != nil {
		return nil, err
	}
	handedOver = true
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		defer q.api.releaseStream(q.caller)
		q.api.inFlight.Add(-1)
		defer q.api.inFlight.Add(1)
		r, w := humachi.Unwrap(hc)
		q.stream(r, w, run)
	}}, nil
}

// stream answers with events.
func (q *request) stream(r *http.Request, w http.ResponseWriter, run StreamFunc) {
	header := w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store, no-transform") // no compression on the way either: it would hold events back
	header.Set("X-Accel-Buffering", "no")                 // nginx, and others that took it over
	w.WriteHeader(http.StatusOK)

	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(q.api.draining, cancel)()
	if end, ok := q.tokenEnd(r); ok {
		defer time.AfterFunc(end.Sub(q.api.opts.Clock()), cancel).Stop()
	}
	if r.Method == http.MethodHead {
		cancel()
		_ = run(ctx, func([]byte) error { return nil }) // it ends at once
		return
	}
	control := http.NewResponseController(w)
	// The server's deadline for reading a request would end this one. It is there for bodies, and there is none.
	_ = control.SetReadDeadline(time.Time{}) // unsupported by recorders in tests
	patience := q.api.opts.StreamWrite
	late := time.AfterFunc(patience, func() { _ = control.SetWriteDeadline(past) })
	late.Stop()
	err := run(ctx, func(events []byte) error {
		late.Reset(patience)
		defer late.Stop()
		if _, err := w.Write(events); err != nil {
			return err
		}
		return control.Flush()
	})
	if err != nil {
		q.api.log.DebugContext(ctx, "a stream ended", "error", err, "trace_id", TraceID(ctx))
	}
}

// past is a deadline that has passed. It is set when a timer says so, which asks for no clock.
var past = time.Unix(1, 0)

// tokenEnd is when the caller's token is not taken any more. It has been verified.
func (q *request) tokenEnd(r *http.Request) (time.Time, bool) {
	if q.api.opts.Verifier == nil {
		return time.Time{}, false
	}
	_, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	var claims jwt.RegisteredClaims
	if _, _, err := jwt.NewParser().ParseUnverified(strings.TrimSpace(token), &claims); err != nil || claims.ExpiresAt == nil {
		return time.Time{}, false
	}
	return claims.ExpiresAt.Add(clockSkew), true
}

// EventType is a kind of events of an operation.
type EventType struct {
	Name string
	Doc  string
	Data reflect.Type // of the JSON
}

// DescribeEvents says in the OpenAPI document what the events of an operation are: their names, and
// the type of the data of each.
func DescribeEvents(api huma.API, op *huma.Operation, description string, events []EventType) {
	forms := make([]*huma.Schema, len(events))
	for i, e := range events {
		data := api.OpenAPI().Components.Schemas.Schema(e.Data, true, e.Name)
		forms[i] = &huma.Schema{
			Type: huma.TypeObject, Title: e.Name, Description: e.Doc, Required: []string{"id", "event", "data"},
			Properties: map[string]*huma.Schema{
				"id":    {Type: huma.TypeString, Description: "Opaque; Last-Event-ID resumes behind it"},
				"event": {Type: huma.TypeString, Enum: []any{e.Name}},
				"data":  data,
			},
		}
	}
	op.Responses = map[string]*huma.Response{"200": {
		Description: description,
		Content:     map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeArray, Items: &huma.Schema{OneOf: forms}}}},
	}}
}
