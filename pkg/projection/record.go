package projection

import (
	"strings"
	"unicode/utf8"

	"github.com/orderlane/orderlane/pkg/kafka"
)

// Headers of a message that a projection reads.
const (
	headerID       = "ce_id"
	headerType     = "ce_type"
	headerVersion  = "ce_streamversion"
	headerPosition = "ce_position"
	headerEpoch    = "ce_epoch"
)

// parse reads the headers that every view needs, in one pass.
func parse(rec *kafka.Record, c *claim) Record {
	r := Record{Record: rec, Key: text(rec.Key), claim: c}
	for i := range rec.Headers {
		h := &rec.Headers[i]
		switch h.Key {
		case headerType:
			r.Type = c.intern(h.Value)
			r.begins = r.Type == typeEpochBegan
		case headerEpoch:
			r.Epoch = c.intern(h.Value)
		case headerVersion:
			r.Version = number(h.Value)
		case headerPosition:
			r.Position = number(h.Value)
		}
	}
	return r
}

// text is b as a string that every database takes. Keys are such strings; one that is not
// must not stop the partition.
func text(b []byte) string {
	s := string(b)
	if !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
	}
	return s
}

// number reads a positive decimal, or 0.
func number(b []byte) int64 {
	if len(b) == 0 || len(b) > 18 {
		return 0
	}
	n := int64(0)
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0
		}
		n = n*10 + int64(c-'0')
	}
	return n
}

// maxInterned bounds the strings that a claim keeps: types and epochs are few.
const maxInterned = 256

// intern is the string of b, which is kept so that it is made once.
func (c *claim) intern(b []byte) string {
	if s, ok := c.strings[string(b)]; ok {
		return s
	}
	s := text(b)
	if len(c.strings) < maxInterned && s == string(b) {
		c.strings[s] = s
	}
	return s
}
