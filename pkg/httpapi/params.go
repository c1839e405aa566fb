package httpapi

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
)

// Bounds of request headers.
const (
	MaxWait           = 30 * time.Second // that a caller may ask for with Prefer: wait
	maxIdempotencyKey = 255              // characters
	maxPrefer         = 1024             // bytes that are looked at
)

// Wait is what Prefer: wait=N asks for.
type Wait struct {
	For    time.Duration // 0 to MaxWait
	Stated bool          // false: the caller did not say
}

// Or is the time to wait: the caller's, or d if they did not say.
func (w Wait) Or(d time.Duration) time.Duration {
	if w.Stated {
		return w.For
	}
	return d
}

// Applied is the value of the Preference-Applied header, "" if there was no preference.
func (w Wait) Applied() string {
	if !w.Stated {
		return ""
	}
	return "wait=" + strconv.Itoa(int(w.For/time.Second))
}

// ParseWait reads the wait of a Prefer header. By RFC 7240 what is not understood is ignored,
// the first of several counts, and a server may do less than asked: a longer wait is MaxWait.
func ParseWait(prefer string) Wait {
	prefer = prefer[:min(len(prefer), maxPrefer)]
	for prefer != "" {
		var item string
		item, prefer = cutUnquoted(prefer, ',')
		item, _ = cutUnquoted(item, ';') // parameters of wait mean nothing
		name, value, ok := strings.Cut(item, "=")
		if !strings.EqualFold(strings.TrimSpace(name), "wait") {
			continue
		}
		value = strings.TrimSpace(value)
		if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
			value = value[1 : len(value)-1]
		}
		if !ok || value == "" || strings.Trim(value, "0123456789") != "" {
			return Wait{}
		}
		seconds, err := strconv.Atoi(value)
		if err != nil || seconds > int(MaxWait/time.Second) {
			return Wait{MaxWait, true}
		}
		return Wait{time.Duration(seconds) * time.Second, true}
	}
	return Wait{}
}

// cutUnquoted is strings.Cut at the first sep that is not in a quoted string.
func cutUnquoted(s string, sep byte) (before, after string) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case c == sep && !quoted:
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

// ReadParams are the headers that every query takes; embed them in an operation's input. What
// they say is ready in the fields without a header tag when the handler runs.
type ReadParams struct {
	PreferHeader      string `header:"Prefer" doc:"wait=SECONDS: wait so long, at most 30, for what Consistency-Token asks" example:"wait=5"`
	ConsistencyHeader string `header:"Consistency-Token" doc:"Answer with a view that knows at least this much: tokens of earlier answers, with commas"`

	Wait   Wait   `json:"-"`
	Tokens Tokens `json:"-"`
}

// Resolve reads the headers, for huma.
func (p *ReadParams) Resolve(ctx huma.Context) []error {
	r, _ := humachi.Unwrap(ctx)
	p.Wait = ParseWait(allOf(r, "Prefer"))
	var err error
	if p.Tokens, err = ParseTokens(allOf(r, "Consistency-Token")); err != nil {
		return []error{err}
	}
	return nil
}

// CommandParams are the headers that every command takes; embed them in an operation's input.
// What they say is ready in the fields without a header tag when the handler runs.
type CommandParams struct {
	IdempotencyKey    string `header:"Idempotency-Key" doc:"1 to 255 visible characters: the same key, caller and operation have one effect, however often they are sent"`
	PreferHeader      string `header:"Prefer" doc:"wait=SECONDS: wait so long, at most 30, for the outcome" example:"wait=5"`
	IfMatchHeader     string `header:"If-Match" doc:"Refuse with 412 if the resource has changed since it had this ETag"`
	ConsistencyHeader string `header:"Consistency-Token" doc:"Decide once the service knows at least this much: tokens of earlier answers, with commas"`

	Wait    Wait      `json:"-"`
	IfMatch Condition `json:"-"`
	Tokens  Tokens    `json:"-"`
}

// Resolve reads the headers, for huma.
func (p *CommandParams) Resolve(ctx huma.Context) []error {
	r, _ := humachi.Unwrap(ctx)
	if err := checkIdempotencyKey(r.Header["Idempotency-Key"]); err != nil {
		return []error{err}
	}
	p.Wait = ParseWait(allOf(r, "Prefer"))
	var err error
	if p.Tokens, err = ParseTokens(allOf(r, "Consistency-Token")); err != nil {
		return []error{err}
	}
	if p.IfMatch, err = parseIfMatch(allOf(r, "If-Match")); err != nil {
		return []error{err}
	}
	return nil
}

// checkIdempotencyKey refuses what is no key, an empty one included: a client that believes
// itself safe must hear that it is not.
func checkIdempotencyKey(values []string) error {
	if len(values) == 0 {
		return nil
	}
	key := values[0]
	ok := len(values) == 1 && len(key) >= 1 && len(key) <= maxIdempotencyKey
	for i := 0; ok && i < len(key); i++ {
		ok = key[i] > ' ' && key[i] < 0x7f
	}
	if ok {
		return nil
	}
	const detail = "an Idempotency-Key is 1 to 255 visible ASCII characters, once"
	p := badRequest("malformed_idempotency_key", detail)
	p.add("header.Idempotency-Key", detail)
	return p
}

// allOf is a list header that may come in several lines. The name is in canonical form.
func allOf(r *http.Request, name string) string {
	switch v := r.Header[name]; len(v) {
	case 0:
		return ""
	case 1:
		return v[0]
	default:
		return strings.Join(v, ",")
	}
}
