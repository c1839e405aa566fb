package httpapi

import (
	"net/http"
	"slices"
	"strings"

	"github.com/orderlane/orderlane/pkg/fault"
)

// AnyVersion is the version of If-Match: *, which any existing stream has.
const AnyVersion int64 = -1

// ETag returns the entity tag of a resource that shows these streams: all their versions, in
// the order of their names, so that a command's If-Match can be compared with the stream it
// goes to.
func ETag(shown Tokens) string {
	sorted := shown
	if len(shown) > 1 {
		sorted = slices.Clone(shown)
		slices.SortFunc(sorted, func(a, b Token) int { return strings.Compare(a.Stream, b.Stream) })
	}
	return `"` + sorted.String() + `"`
}

// Condition is what an If-Match header asks of the resource.
type Condition struct {
	set, any bool
	seen     Tokens // nil if the tag is none of ours
}

// parseIfMatch reads an If-Match header with * or one entity tag. A tag that we did not make,
// or a weak one, is well-formed and never matches (RFC 9110, 13.1.1).
func parseIfMatch(header string) (Condition, error) {
	header = strings.Trim(header, " \t")
	switch {
	case header == "":
		return Condition{}, nil
	case header == "*":
		return Condition{set: true, any: true}, nil
	}
	tag, strong := header, true
	if rest, weak := strings.CutPrefix(header, "W/"); weak {
		tag, strong = rest, false
	}
	if len(tag) < 2 || tag[0] != '"' || tag[len(tag)-1] != '"' || strings.ContainsAny(tag[1:len(tag)-1], "\"") {
		const detail = `send * or one entity tag, quotes included, as it came in the ETag header`
		p := badRequest("malformed_if_match", "the If-Match header cannot be read: "+detail)
		p.add("header.If-Match", detail)
		return Condition{}, p
	}
	c := Condition{set: true}
	if strong {
		c.seen = parseTag(tag[1 : len(tag)-1])
	}
	return c, nil
}

func parseTag(s string) Tokens {
	var ts Tokens
	for part := range strings.SplitSeq(s, ",") {
		t, ok := parseToken(part)
		if !ok {
			return nil
		}
		ts = append(ts, t)
	}
	return ts
}

// For returns the version that a command may be decided on: 0 if the caller states none,
// AnyVersion for *. It refuses, with 412 precondition_failed, a tag that does not say
// anything of the stream.
func (c Condition) For(stream string) (int64, error) {
	switch {
	case !c.set:
		return 0, nil
	case c.any:
		return AnyVersion, nil
	}
	if v := c.seen.Version(stream); v > 0 {
		return v, nil
	}
	return 0, fault.Precondition("precondition_failed", "the entity tag in If-Match is none of this resource's")
}

// NoneMatch reports whether the client has what etag names, by its If-None-Match header: then
// the answer is NotModified(etag).
func NoneMatch(header, etag string) bool {
	if header == "" || etag == "" {
		return false
	}
	if strings.Trim(header, " \t") == "*" {
		return true
	}
	for header != "" {
		start := strings.IndexByte(header, '"')
		if start < 0 {
			return false
		}
		end := strings.IndexByte(header[start+1:], '"')
		if end < 0 {
			return false
		}
		end += start + 2
		if header[start:end] == etag {
			return true
		}
		header = header[end:]
	}
	return false
}

// notModified is a 304 with the entity tag, as an error of a handler.
type notModified struct{ etag string }

// NotModified is what a handler returns instead of a body that the client has already.
func NotModified(etag string) error { return notModified{etag} }

func (n notModified) Error() string           { return "not modified" }
func (n notModified) GetStatus() int          { return http.StatusNotModified }
func (n notModified) GetHeaders() http.Header { return http.Header{"Etag": {n.etag}} }
