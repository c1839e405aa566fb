package httpapi

import (
	"strconv"
	"strings"

	"github.com/orderlane/orderlane/pkg/fault"
)

// Bounds of consistency tokens.
const (
	MaxTokens      = 16
	maxStreamName  = 200 // bytes
	maxTokensBytes = MaxTokens * (maxStreamName + 24)
)

// Token says "as of this version of this stream"; it is written <stream>@<version>.
type Token struct {
	Stream  string
	Version int64 // from 1
}

// String is the token as clients send it back.
func (t Token) String() string { return t.Stream + "@" + strconv.FormatInt(t.Version, 10) }

// Tokens are what a client has seen, each stream once.
type Tokens []Token

// String is the value of a Consistency-Token header.
func (ts Tokens) String() string {
	if len(ts) == 1 {
		return ts[0].String()
	}
	var b []byte
	for i, t := range ts {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, t.Stream...)
		b = append(b, '@')
		b = strconv.AppendInt(b, t.Version, 10)
	}
	return string(b)
}

// Version returns the version of a stream, 0 if it is not among the tokens.
func (ts Tokens) Version(stream string) int64 {
	for _, t := range ts {
		if t.Stream == stream {
			return t.Version
		}
	}
	return 0
}

// ParseTokens reads a Consistency-Token header: a list of at most 16 tokens, where the
// highest version of a stream counts. An empty one is no tokens; anything else that is not
// understood is a 400 malformed_consistency_token.
func ParseTokens(header string) (Tokens, error) {
	if header == "" {
		return nil, nil
	}
	if len(header) > maxTokensBytes {
		return nil, malformedToken("it is too long")
	}
	ts := make(Tokens, 0, strings.Count(header, ",")+1)
	for part := range strings.SplitSeq(header, ",") {
		t, ok := parseToken(strings.Trim(part, " \t"))
		if !ok {
			return nil, malformedToken("send it back as it was received: <stream>@<version>, several with commas")
		}
		if i := ts.index(t.Stream); i >= 0 {
			ts[i].Version = max(ts[i].Version, t.Version)
			continue
		}
		if len(ts) == MaxTokens {
			return nil, malformedToken("it names more than 16 streams")
		}
		ts = append(ts, t)
	}
	return ts, nil
}

func (ts Tokens) index(stream string) int {
	for i := range ts {
		if ts[i].Stream == stream {
			return i
		}
	}
	return -1
}

// parseToken reads one token: a stream <category>-<id> and a version without leading zeros.
func parseToken(s string) (Token, bool) {
	at := strings.LastIndexByte(s, '@')
	if at < 0 || at > maxStreamName {
		return Token{}, false
	}
	stream, digits := s[:at], s[at+1:]
	dash := strings.IndexByte(stream, '-')
	if dash < 1 || dash == len(stream)-1 {
		return Token{}, false
	}
	for i := range len(stream) {
		if c := stream[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '@' || c == '\\' {
			return Token{}, false
		}
	}
	if digits == "" || digits[0] < '1' || digits[0] > '9' {
		return Token{}, false
	}
	v, err := strconv.ParseInt(digits, 10, 64)
	return Token{stream, v}, err == nil
}

func malformedToken(detail string) *Problem {
	p := badRequest("malformed_consistency_token", "the Consistency-Token header cannot be read: "+detail)
	p.add("header.Consistency-Token", detail)
	return p
}

// NotYetConsistent is the refusal of a read that has waited for tokens in vain.
func NotYetConsistent(ts Tokens) error {
	return fault.Unavailable("not_yet_consistent", "this view has not come as far as %s yet; try again", ts)
}
