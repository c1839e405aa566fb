package httpapi

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strings"
	"unicode/utf8"
)

// Bounds of lists.
const (
	DefaultLimit = 50
	MaxLimit     = 200

	maxCursor     = 1024 // characters
	cursorVersion = 1
	cursorSum     = 12 // bytes of digest in a cursor
)

// List is the body of every answer with many resources.
type List[T any] struct {
	Items      []T    `json:"items"`
	NextCursor string `json:"next_cursor,omitempty" doc:"Send it as cursor to get what follows; not there on the last page"`
}

// PageParams are the query parameters of every list; embed them in an operation's input.
type PageParams struct {
	Limit  int    `query:"limit" default:"50" minimum:"1" maximum:"200" doc:"At most so many items"`
	Cursor string `query:"cursor" doc:"next_cursor of the page before, with the same filter"`
}

// After returns the position that the cursor stands for: nil without one, else n values. It
// refuses, with 400 bad_cursor, what EncodeCursor did not make for the same filter.
func (p *PageParams) After(filter string, n int) ([]string, error) {
	if p.Cursor == "" {
		return nil, nil
	}
	return DecodeCursor(filter, p.Cursor, n)
}

// EncodeCursor makes the opaque cursor of a position in a list: the sort keys of the last
// item shown, which are texts that a database takes. The filter is everything else that the list depends on, as
// one string. A cursor is checked but not signed: it says where to go on, and gives access to nothing.
func EncodeCursor(filter string, position ...string) string {
	b := make([]byte, 1+cursorSum, 128)
	b[0] = cursorVersion
	for _, s := range position {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	sum := cursorDigest(filter, b[1+cursorSum:])
	copy(b[1:], sum[:cursorSum])
	return base64.RawURLEncoding.EncodeToString(b)
}

// DecodeCursor returns the n values of a cursor, or a 400 bad_cursor.
func DecodeCursor(filter, cursor string, n int) ([]string, error) {
	if len(cursor) > maxCursor {
		return nil, badCursor()
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(b) < 1+cursorSum || b[0] != cursorVersion {
		return nil, badCursor()
	}
	rest := b[1+cursorSum:]
	if sum := cursorDigest(filter, rest); string(sum[:cursorSum]) != string(b[1:1+cursorSum]) {
		return nil, badCursor()
	}
	position := make([]string, 0, n)
	for len(rest) > 0 {
		size, used := binary.Uvarint(rest)
		if used <= 0 || size > uint64(len(rest)-used) {
			return nil, badCursor()
		}
		end := used + int(size)
		value := string(rest[used:end])
		if !utf8.ValidString(value) || strings.Contains(value, "\x00") {
			return nil, badCursor()
		}
		position, rest = append(position, value), rest[end:]
	}
	if len(position) != n {
		return nil, badCursor()
	}
	return position, nil
}

func cursorDigest(filter string, position []byte) [sha256.Size]byte {
	b := make([]byte, 0, 64+len(filter)+len(position))
	b = append(b, "orderlane cursor\x00"...)
	b = binary.AppendUvarint(b, uint64(len(filter)))
	b = append(b, filter...)
	return sha256.Sum256(append(b, position...))
}

func badCursor() *Problem {
	const detail = "the cursor is not one of this list with this filter; begin again without it"
	p := badRequest("bad_cursor", detail)
	p.add("query.cursor", detail)
	return p
}
