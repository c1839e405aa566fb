package httpapi

import (
	"context"
	"math"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-chi/chi/v5"

	"github.com/orderlane/orderlane/pkg/fault"
)

// admit decides whether a request may go on to its route, and who is calling.
func (a *API) admit(q *request, r *http.Request, inFlight int64) error {
	if !cleanText(r.URL.Path) {
		return badRequest("malformed_path", "the path has control characters or is not UTF-8")
	}
	if a.opts.Verifier == nil {
		if err := a.admitLocal(r); err != nil {
			return err
		}
		q.caller = localStaff
	}
	if inFlight > int64(a.opts.MaxInFlight) {
		return rateLimited(time.Second, "too many requests are under way")
	}
	var authErr error
	if a.opts.Verifier != nil {
		q.caller, authErr = a.opts.Verifier.fromHeader(r)
	}
	// A refused token counts too, by address: guessing has a price.
	if a.rate != nil && a.rate.OnLimit(&q.res, r, rateKey(q.caller, r)) {
		return rateLimited(a.opts.RateLimit.Window, "more than %d requests in %s", a.opts.RateLimit.Requests, a.opts.RateLimit.Window)
	}
	return authErr
}

func rateKey(c Caller, r *http.Request) string {
	if c.known() && c != localStaff {
		return "caller " + c.ID
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	return "address " + host
}

func rateLimited(after time.Duration, format string, args ...any) *Problem {
	p := fromFault(fault.TooMany("rate_limited", format, args...))
	p.retryAfter = after
	return p
}

// admitLocal is for authentication switched off, where whoever reaches the port is staff. A
// web page that someone has open reaches it too, from their browser: by sending across
// origins, or by a name that it points at 127.0.0.1.
func (a *API) admitLocal(r *http.Request) error {
	if !isLoopback(r.Host) {
		return fromFault(fault.Forbidden("foreign_host",
			"authentication is off, so only requests to localhost are answered; this one is for another host"))
	}
	if err := a.cross.Check(r); err != nil {
		return fromFault(fault.Forbidden("cross_origin",
			"authentication is off, so requests that a web page sends across origins are refused"))
	}
	return nil
}

// isLoopback reports whether an address, with or without a port, names this machine alone.
func isLoopback(addr string) bool {
	host := addr
	if i := strings.LastIndexByte(addr, ':'); i >= 0 && (addr[0] == '[' && addr[i-1] == ']' || strings.IndexByte(addr, ':') == i) {
		host = addr[:i]
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// cleanText reports whether s is UTF-8 without control characters: databases refuse NUL, and
// nothing of ours is named with the others.
func cleanText(s string) bool {
	ascii := true
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c == 0x7f {
			return false
		} else if c >= utf8.RuneSelf {
			ascii = false
		}
	}
	return ascii || utf8.ValidString(s)
}

func (a *API) notFound(w http.ResponseWriter, r *http.Request) {
	a.refuse(w, r, fromFault(&fault.Fault{Kind: fault.KindNotFound, Code: "route_not_found", Detail: "there is nothing at this path"}))
}

func (a *API) methodNotAllowed(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	if r.URL.RawPath != "" {
		path = r.URL.RawPath
	}
	for _, m := range [...]string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		if a.Router.Match(chi.NewRouteContext(), m, path) {
			w.Header().Add("Allow", m)
		}
	}
	a.refuse(w, r, &Problem{
		Status: http.StatusMethodNotAllowed, Code: "method_not_allowed",
		Detail: "this path does not take this method; the Allow header says which it takes",
	})
}

// WaitContext returns a context that ends after d, with the request, or when the API drains:
// waiting for an outcome or for freshness must not hold up the end of the process.
func WaitContext(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, d)
	q := requestOf(ctx)
	if q == nil {
		return ctx, cancel
	}
	stop := context.AfterFunc(q.api.draining, cancel)
	return ctx, func() { stop(); cancel() }
}

// retrySeconds is d for a Retry-After header: whole seconds, at least one.
func retrySeconds(d time.Duration) string {
	return strconv.Itoa(max(1, int(math.Ceil(d.Seconds()))))
}
