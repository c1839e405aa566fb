package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/orderlane/orderlane/pkg/fault"
)

// Bounds of what a problem repeats of the input.
const (
	maxProblemFields = 32
	maxFieldText     = 256 // bytes of one location or message
	defaultRetry     = time.Second
)

// Problem is an error as clients see it: RFC 9457 problem details with our code and trace id.
// As an error of a handler it is sent as it is; it is for statuses that package fault has no
// kind for. Trace id and title are filled in when it is sent.
type Problem struct {
	Title   string         `json:"title" doc:"The status in words"`
	Status  int            `json:"status" doc:"The HTTP status"`
	Code    string         `json:"code" doc:"Stable name of what is wrong, for programs" example:"validation_failed"`
	Detail  string         `json:"detail,omitempty" doc:"What is wrong and what to do, for people"`
	TraceID string         `json:"trace_id,omitempty" doc:"Names the request in logs and traces"`
	Errors  []ProblemField `json:"errors,omitempty" doc:"Which parts of the input were refused"`

	retryAfter time.Duration
	challenge  string // WWW-Authenticate
}

// ProblemField is one part of the input that was refused.
type ProblemField struct {
	Location string `json:"location" doc:"Where, such as body.lines[0].quantity, query.limit or header.Prefer"`
	Message  string `json:"message"`
}

// Error returns code and detail.
func (p *Problem) Error() string { return p.Code + ": " + p.Detail }

// GetStatus is the HTTP status, for huma.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType is that of problem details, for huma.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// fromStatus is a problem with the usual code of its status.
func fromStatus(status int, format string, args ...any) *Problem {
	return &Problem{Status: status, Code: usualCodes[status], Detail: fmt.Sprintf(format, args...)}
}

func badRequest(code, detail string) *Problem {
	return &Problem{Status: http.StatusBadRequest, Code: code, Detail: detail}
}

// internal hides what happened: it is in the log, under the trace id.
func internal(*fault.Fault) *Problem {
	return &Problem{
		Status: http.StatusInternalServerError, Code: "internal",
		Detail: "something went wrong on our side; the trace id finds it in our logs",
	}
}

// fromFault maps a fault by the table of package fault.
func fromFault(f *fault.Fault) *Problem {
	if f.Kind == fault.KindInternal {
		return internal(f)
	}
	p := &Problem{Status: f.Kind.HTTPStatus(), Code: f.Code, Detail: f.Detail}
	for _, e := range f.Fields {
		p.add(e.Location, e.Message)
	}
	if f.Kind == fault.KindUnauthenticated {
		p.challenge = "Bearer"
	}
	return p
}

// add names a refused part of the input, within bounds.
func (p *Problem) add(location, message string) {
	if len(p.Errors) < maxProblemFields {
		p.Errors = append(p.Errors, ProblemField{shorten(location), shorten(message)})
	}
}

func shorten(s string) string {
	if len(s) > maxFieldText {
		s = s[:maxFieldText] + "..."
	}
	return strings.ToValidUTF8(s, "\ufffd")
}

// problemOf finds what an error says to a client: nil if it is nobody's refusal.
func problemOf(err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	if f, ok := fault.Of(err); ok {
		return fromFault(f)
	}
	return nil
}

// newProblem is what huma makes its errors with, and those of handlers that are no StatusError.
func newProblem(ctx huma.Context, status int, msg string, errs []error) *Problem {
	for _, err := range errs {
		if p := problemOf(err); p != nil {
			return p
		}
	}
	if status >= http.StatusInternalServerError && status != http.StatusServiceUnavailable {
		return unexpected(ctx, msg, errs)
	}
	p := &Problem{Status: status, Code: usualCodes[status], Detail: msg}
	if p.Code == "" {
		p.Code = "http_" + strconv.Itoa(status)
	}
	for _, err := range errs {
		var d *huma.ErrorDetail
		if !errors.As(err, &d) {
			continue
		}
		location, message := d.Location, d.Message
		if rest, ok := strings.CutPrefix(message, malformed); ok {
			return badRequest("malformed_body", rest)
		}
		if at, what, ok := strings.Cut(message, ": "); ok && location == "body" && strings.HasPrefix(at, "body") {
			location, message = at, what
		}
		p.add(location, message)
	}
	return p
}

// unexpected logs an error that is no refusal, and hides it; a client that has gone is no error.
func unexpected(ctx huma.Context, msg string, errs []error) *Problem {
	if ctx == nil {
		return internal(nil)
	}
	err := errors.Join(errs...)
	if errors.Is(err, context.Canceled) && ctx.Context().Err() != nil {
		return &Problem{Status: statusClientGone, Code: "client_gone", Detail: "the client did not wait for the answer"}
	}
	if q := requestOf(ctx.Context()); q != nil {
		q.api.log.LogAttrs(ctx.Context(), slog.LevelError, "a request failed", slog.String("operation", ctx.Operation().OperationID),
			slog.String("what", msg), slog.Any("error", err), slog.String("trace_id", TraceID(ctx.Context())))
	}
	return internal(nil)
}

// usualCodes are those of errors that huma makes, or handlers through huma's helpers.
var usualCodes = map[int]string{
	http.StatusBadRequest:            "bad_request",
	http.StatusUnauthorized:          "authentication_required",
	http.StatusForbidden:             "forbidden",
	http.StatusNotFound:              "not_found",
	http.StatusMethodNotAllowed:      "method_not_allowed",
	http.StatusNotAcceptable:         "not_acceptable",
	http.StatusRequestTimeout:        "request_timeout",
	http.StatusConflict:              "conflict",
	http.StatusPreconditionFailed:    "precondition_failed",
	http.StatusRequestEntityTooLarge: "body_too_large",
	http.StatusUnsupportedMediaType:  "unsupported_media_type",
	http.StatusUnprocessableEntity:   "validation_failed",
	http.StatusTooManyRequests:       "rate_limited",
	http.StatusServiceUnavailable:    "unavailable",
	http.StatusNotModified:           "not_modified",
}

// completeProblem is the transformer through which every problem of an operation goes.
func completeProblem(ctx huma.Context, _ string, v any) (any, error) {
	p, ok := v.(*Problem)
	if !ok {
		return v, nil
	}
	return p.complete(ctx.Context(), ctx.SetHeader), nil
}

// complete returns a copy for one request, and sets the headers that belong to it.
func (p *Problem) complete(ctx context.Context, set func(name, value string)) *Problem {
	c := *p
	c.TraceID = TraceID(ctx)
	c.Title = http.StatusText(c.Status)
	if c.Status == statusClientGone {
		c.Title = "Client Closed Request"
	}
	switch c.Status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		set("Retry-After", retrySeconds(max(c.retryAfter, defaultRetry)))
	case http.StatusUnauthorized:
		if c.challenge == "" {
			c.challenge = "Bearer"
		}
		set("WWW-Authenticate", c.challenge)
	}
	return &c
}

// refuse answers with the problem of err, where no operation does it.
func (a *API) refuse(w http.ResponseWriter, r *http.Request, err error) {
	p := problemOf(err)
	if p == nil {
		a.log.ErrorContext(r.Context(), "a request failed", slog.Any("error", err), slog.String("trace_id", TraceID(r.Context())))
		p = internal(nil)
	}
	p = p.complete(r.Context(), w.Header().Set)
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	if err := marshal(w, p); err != nil {
		a.log.DebugContext(r.Context(), "the client did not take the answer", slog.Any("error", err))
	}
}

// WriteProblem answers with the problem of err, for handlers on API.Router that are no
// operations. An error that is no fault and no *Problem becomes a 500 and is logged.
func (a *API) WriteProblem(w http.ResponseWriter, r *http.Request, err error) { a.refuse(w, r, err) }

// RetryAfter returns the fault as an error whose answer asks the client to come back after d,
// instead of after a second.
func RetryAfter(f *fault.Fault, d time.Duration) error {
	p := fromFault(f)
	p.retryAfter = d
	return p
}
