package live

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math"
)

// idVersion is the first byte of every event id; ids of another form have another one.
const idVersion = 1

// maxID bounds the event ids that are looked at, in bytes. Two thousand partitions fit.
const maxID = 16 << 10

// nowhere is an offset that no topic reaches: Resume refuses an id with it, with ErrTooOld.
const nowhere = math.MaxInt64

// position is where a stream stands: the offset to go on from, of each partition that it depends on.
type position []int64

// appendID appends the event id of a position: the version, the stream's mark, and the offsets, in
// base 64. It is opaque to clients.
func appendID(b []byte, mark uint32, at position) []byte {
	raw := make([]byte, 0, 128)
	raw = append(raw, idVersion)
	raw = binary.BigEndian.AppendUint32(raw, mark)
	for _, offset := range at {
		raw = binary.AppendUvarint(raw, uint64(offset))
	}
	return base64.RawURLEncoding.AppendEncode(b, raw)
}

// parseID reads the event id of a stream with that mark, which depends on n partitions.
func parseID(id string, mark uint32, n int) (position, error) {
	if len(id) > maxID {
		return nil, ErrMalformedID
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(id)
	if err != nil || len(raw) < 5 || raw[0] != idVersion {
		return nil, ErrMalformedID
	}
	if binary.BigEndian.Uint32(raw[1:]) != mark {
		return nil, ErrForeignID
	}
	raw = raw[5:]
	at := make(position, 0, n)
	for len(raw) > 0 {
		offset, size := binary.Uvarint(raw)
		if size <= 0 || offset > math.MaxInt64 || len(at) == n {
			return nil, ErrMalformedID
		}
		at, raw = append(at, int64(offset)), raw[size:]
	}
	if len(at) < n {
		return nil, ErrMalformedID
	}
	return at, nil
}

// markOf is what event ids of a scope carry, so that one of another stream, or of a platform
// whose topics have other partitions, is not taken for one of this.
func markOf(scope *Scope, layout string) uint32 {
	h := fnv.New32a()
	fmt.Fprintf(h, "%q %s", scope.Key, layout)
	return h.Sum32()
}
