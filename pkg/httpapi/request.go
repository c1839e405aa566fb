package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/go-chi/chi/v5"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// statusClientGone is what a request counts as whose client did not wait for the answer.
const statusClientGone = 499

// request is what the API knows of one request. It is the request's context at the same
// time: one allocation instead of a chain of context values.
type request struct {
	context.Context
	api    *API
	start  time.Time
	route  *chi.Context
	caller Caller
	span   trace.Span // nil without a tracer
	sc     trace.SpanContext
	ids    [24]byte // scratch for fresh trace and span ids
	res    response
	body   []byte // the raw body, while the handler runs
}

type requestKey struct{}

// Value answers for chi and for this package, and asks the server's context for the rest.
func (q *request) Value(key any) any {
	switch key {
	case chi.RouteCtxKey:
		return q.route
	case requestKey{}:
		return q
	}
	return q.Context.Value(key)
}

func requestOf(ctx context.Context) *request {
	q, _ := ctx.Value(requestKey{}).(*request)
	return q
}

// ServeHTTP admits a request, routes it, and accounts for it.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := &request{Context: r.Context(), api: a, start: a.opts.Clock()}
	q.res.ResponseWriter = w
	q.route = a.routes.Get().(*chi.Context)
	q.route.Reset()
	q.route.Routes = a.Router
	if r.Method == http.MethodHead {
		q.route.RouteMethod = http.MethodGet // net/http leaves the body out
	}
	a.startTrace(q, r)
	r = r.WithContext(q)
	defer a.finish(q, r)
	defer a.inFlight.Add(-1)
	if err := a.admit(q, r, a.inFlight.Add(1)); err != nil {
		a.refuse(&q.res, r, err)
		return
	}
	a.Router.ServeHTTP(&q.res, r)
}

// startTrace takes over the caller's W3C trace context, or starts a new trace, and says
// which one in the answer.
func (a *API) startTrace(q *request, r *http.Request) {
	ctx := q.Context
	if _, ok := r.Header["Traceparent"]; ok {
		ctx = propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(r.Header))
	}
	if a.opts.Tracer != nil {
		ctx, q.span = a.opts.Tracer.Start(ctx, r.Method, trace.WithSpanKind(trace.SpanKindServer))
	}
	q.sc = trace.SpanContextFromContext(ctx)
	if !q.sc.IsValid() {
		if _, err := io.ReadFull(a.opts.Random, q.ids[:]); err != nil {
			a.log.ErrorContext(ctx, "no randomness for a trace id", slog.Any("error", err))
		}
		q.sc = trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: trace.TraceID(q.ids[:16]), SpanID: trace.SpanID(q.ids[16:]), Remote: true,
		})
		ctx = trace.ContextWithSpanContext(ctx, q.sc)
	}
	q.Context = ctx
	propagation.TraceContext{}.Inject(ctx, parentCarrier(q.res.Header()))
}

// parentCarrier writes traceparent alone: tracestate is for systems further on, not for the caller.
type parentCarrier http.Header

func (c parentCarrier) Get(string) string { return "" }
func (c parentCarrier) Keys() []string    { return nil }
func (c parentCarrier) Set(key, value string) {
	if key == "traceparent" {
		c["Traceparent"] = []string{value}
	}
}

// TraceID returns the trace that a request belongs to, in hex, or "" outside a request.
func TraceID(ctx context.Context) string {
	if sc := trace.SpanContextFromContext(ctx); sc.HasTraceID() {
		return sc.TraceID().String()
	}
	return ""
}

// Traceparent returns the W3C traceparent to send with messages that a request causes, or ""
// outside a request.
func Traceparent(ctx context.Context) string {
	if q := requestOf(ctx); q != nil {
		if v := q.res.Header()["Traceparent"]; len(v) > 0 {
			return v[0]
		}
	}
	c := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, c)
	return c["traceparent"]
}

// finish answers for a panic, and tells observer, span and access log of the request.
func (a *API) finish(q *request, r *http.Request) {
	abort := a.recovered(recover(), q, r)
	status := q.res.status
	if status == 0 {
		status = http.StatusOK // a handler that wrote nothing
		if q.Err() != nil {
			status = statusClientGone
		}
	}
	route := q.route.RoutePattern()
	if route == "" {
		route = "unmatched"
	}
	took := a.opts.Clock().Sub(q.start)
	a.routes.Put(q.route)
	if a.opts.Observer != nil {
		a.opts.Observer.Observe(methodLabel(r.Method), route, status, took)
	}
	if q.span != nil {
		q.span.SetName(methodLabel(r.Method) + " " + route)
		q.span.SetAttributes(attribute.String("http.route", route), attribute.Int("http.response.status_code", status))
		if status >= http.StatusInternalServerError {
			q.span.SetStatus(codes.Error, "")
		}
		q.span.End()
	}
	if a.log.Enabled(q, slog.LevelDebug) {
		a.log.LogAttrs(q, slog.LevelDebug, "request", slog.String("method", r.Method), slog.String("path", r.URL.Path),
			slog.String("route", route), slog.Int("status", status), slog.Int64("bytes", q.res.bytes),
			slog.Duration("took", took), slog.String("caller", q.caller.ID), slog.String("trace_id", TraceID(q)))
	}
	if abort {
		panic(http.ErrAbortHandler) // the answer had begun: cut it rather than let it look whole
	}
}

// recovered turns a panic into a 500, and says whether the connection must be cut instead.
func (a *API) recovered(v any, q *request, r *http.Request) (abort bool) {
	if v == nil {
		return false
	}
	if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		return true
	}
	a.log.LogAttrs(q, slog.LevelError, "a handler panicked", slog.String("method", r.Method),
		slog.String("path", r.URL.Path), slog.String("trace_id", TraceID(q)),
		slog.String("panic", fmt.Sprint(v)), slog.String("stack", string(debug.Stack())))
	if q.res.status != 0 {
		return true
	}
	a.refuse(&q.res, r, internal(nil))
	return false
}

// methodLabel bounds what a client can make of a metric's label.
func methodLabel(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodOptions, http.MethodConnect, http.MethodTrace:
		return m
	}
	return "other"
}

// response remembers what was answered.
type response struct {
	http.ResponseWriter
	status int
	bytes  int64
}

// WriteHeader sends the status.
func (w *response) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK {
		w.status = status
		if status == http.StatusNotModified {
			w.Header().Del("Content-Type") // huma sets one for a body that is not sent
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write sends a part of the body.
func (w *response) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Flush sends what is buffered, for event streams.
func (w *response) Flush() { _ = w.FlushError() }

// FlushError is Flush for http.ResponseController.
func (w *response) FlushError() error {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}
