package httpapi

import (
	"bytes"
	"math/bits"
	"strconv"
	"unicode/utf8"
)

// maxShapeDepth is how deep the quick check follows nested values.
const maxShapeDepth = 64

// accepts reports whether data is surely valid; see shape.
func (s *shape) accepts(data []byte) bool {
	c := cursor{data: data}
	return s.value(&c, 0) && c.peek() == 0 && c.at >= len(data)
}

// cursor is a place in a JSON text.
type cursor struct {
	data []byte
	at   int
}

// peek skips white space and returns the next byte, 0 at the end.
func (c *cursor) peek() byte {
	for ; c.at < len(c.data); c.at++ {
		switch b := c.data[c.at]; b {
		case ' ', '\n', '\t', '\r':
		default:
			return b
		}
	}
	return 0
}

// take steps over b if it is next.
func (c *cursor) take(b byte) bool {
	if c.peek() != b {
		return false
	}
	c.at++
	return true
}

func (c *cursor) word(w string) bool {
	if len(c.data)-c.at < len(w) || string(c.data[c.at:c.at+len(w)]) != w {
		return false
	}
	c.at += len(w)
	return true
}

// text returns what is between the quotes as it is written, and whether it has escapes.
func (c *cursor) text() (raw []byte, escaped, ok bool) {
	if !c.take('"') {
		return nil, false, false
	}
	rest := c.data[c.at:]
	for from := 0; ; {
		end := bytes.IndexByte(rest[from:], '"')
		if end < 0 {
			return nil, false, false
		}
		end += from
		slashes := 0
		for end-slashes > 0 && rest[end-1-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			c.at += end + 1
			raw = rest[:end]
			return raw, bytes.IndexByte(raw, '\\') >= 0, true
		}
		from = end + 1
	}
}

func (s *shape) value(c *cursor, depth int) bool {
	if depth > maxShapeDepth {
		return false
	}
	next := c.peek()
	if next == 'n' {
		return (s.nullable || s.kind == "") && c.word("null")
	}
	switch s.kind {
	case "object":
		return next == '{' && s.object(c, depth)
	case "array":
		return next == '[' && s.array(c, depth)
	case "string":
		return next == '"' && s.text(c)
	case "integer", "number":
		return s.number(c)
	case "boolean":
		return c.word("true") || c.word("false")
	case "":
		return skip(c, depth)
	}
	return false
}

func (s *shape) object(c *cursor, depth int) bool {
	c.take('{')
	var seen uint64
	for first := true; !c.take('}'); first = false {
		if !first && !c.take(',') {
			return false
		}
		name, escaped, ok := c.text()
		if !ok || escaped || !c.take(':') {
			return false
		}
		i := s.index(name)
		if i < 0 {
			if s.extra == nil || !s.extra.value(c, depth+1) {
				return false
			}
			continue
		}
		seen |= 1 << i
		if c.peek() == 'n' && s.required&(1<<i) == 0 {
			if !c.word("null") { // null is as good as left out
				return false
			}
			continue
		}
		if !s.fields[i].shape.value(c, depth+1) {
			return false
		}
	}
	return bits.OnesCount64(s.required&^seen) == 0
}

// index finds a field; objects have a handful, so looking at each beats hashing the name.
func (s *shape) index(name []byte) int {
	for i := range s.fields {
		if string(name) == s.fields[i].name {
			return i
		}
	}
	return -1
}

func (s *shape) array(c *cursor, depth int) bool {
	c.take('[')
	n := 0
	for ; !c.take(']'); n++ {
		if n > 0 && !c.take(',') || n >= s.maxItems || !s.items.value(c, depth+1) {
			return false
		}
	}
	return n >= s.minItems
}

func (s *shape) text(c *cursor) bool {
	raw, escaped, ok := c.text()
	if !ok {
		return false
	}
	if !escaped {
		return s.fits(raw)
	}
	n := length(raw)
	return s.class == nil && s.pattern == nil && s.format == "" && s.enum == nil && n <= s.maxLength && n >= s.minLength
}

// length counts the characters of a string with escapes; a surrogate pair is one.
func length(raw []byte) (n int) {
	for ; len(raw) > 0; n++ {
		size := 1
		switch {
		case raw[0] >= utf8.RuneSelf:
			_, size = utf8.DecodeRune(raw)
		case raw[0] != '\\':
		case len(raw) >= 6 && raw[1] == 'u':
			size = 6
			if high := raw[3] | 0x20; raw[2]|0x20 == 'd' && (raw[3] == '8' || raw[3] == '9' || high == 'a' || high == 'b') {
				size = 12
			}
		default:
			size = 2
		}
		raw = raw[min(size, len(raw)):]
	}
	return n
}

// number accepts integers of up to 15 digits, which a float64 holds exactly.
func (s *shape) number(c *cursor) bool {
	start := c.at
	if c.at < len(c.data) && c.data[c.at] == '-' {
		c.at++
	}
	digits := c.at
	for c.at < len(c.data) && '0' <= c.data[c.at] && c.data[c.at] <= '9' {
		c.at++
	}
	if n := c.at - digits; n == 0 || n > 15 {
		return false
	}
	if c.at < len(c.data) {
		switch c.data[c.at] {
		case '.', 'e', 'E':
			return false
		}
	}
	v, err := strconv.ParseInt(string(c.data[start:c.at]), 10, 64)
	return err == nil && float64(v) >= s.min && float64(v) <= s.max
}

// skip steps over any value.
func skip(c *cursor, depth int) bool {
	if depth > maxShapeDepth {
		return false
	}
	switch c.peek() {
	case '{':
		return anyObject.object(c, depth)
	case '[':
		return anyArray.array(c, depth)
	case '"':
		_, _, ok := c.text()
		return ok
	case 't':
		return c.word("true")
	case 'f':
		return c.word("false")
	case 'n':
		return c.word("null")
	}
	start := c.at
	for c.at < len(c.data) && bytes.IndexByte([]byte("+-.0123456789eE"), c.data[c.at]) >= 0 {
		c.at++
	}
	return c.at > start
}

var (
	anyObject = &shape{kind: "object", extra: anything}
	anyArray  = &shape{kind: "array", items: anything, maxItems: int(^uint(0) >> 1)}
)
