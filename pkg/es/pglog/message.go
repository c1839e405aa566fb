package pglog

import (
	"encoding/binary"
	"time"
)

// Type numbers of PostgreSQL, of the elements of arrays.
const (
	typeBytea       = 17
	typeInt8        = 20
	typeInt2        = 21
	typeInt4        = 23
	typeText        = 25
	typeJSON        = 114
	typeTimestamptz = 1184
	typeUUID        = 2950
)

// epoch2000 is PostgreSQL's time zero, in microseconds since 1970.
const epoch2000 = 946_684_800_000_000

// message is a row of protocol messages in one buffer, which is used again. It writes
// parameters in binary straight from a batch's fields: an append has some ten thousand values, and
// their way through general encoders costs more than the rest of the client's work.
type message struct {
	b    []byte
	open int // where the message that is being written has its length
}

// begin starts a message of a kind.
func (m *message) begin(kind byte) {
	m.b = append(m.b, kind, 0, 0, 0, 0)
	m.open = len(m.b) - 4
}

// end fills in the message's length.
func (m *message) end() { binary.BigEndian.PutUint32(m.b[m.open:], uint32(len(m.b)-m.open)) }

func (m *message) int16(v int16) { m.b = binary.BigEndian.AppendUint16(m.b, uint16(v)) }
func (m *message) int32(v int32) { m.b = binary.BigEndian.AppendUint32(m.b, uint32(v)) }
func (m *message) name(s string) { m.b = append(append(m.b, s...), 0) }
func (m *message) execute(p string) {
	m.begin('E')
	m.name(p)
	m.int32(0) // all rows
	m.end()
}

func (m *message) sync() {
	m.begin('S')
	m.end()
}

// bind binds a prepared statement to a portal. values writes the parameters.
func (m *message) bind(portal, statement string, parameters int16, values func(m *message)) {
	m.begin('B')
	m.name(portal)
	m.name(statement)
	m.int16(1) // one format for all parameters:
	m.int16(1) // binary
	m.int16(parameters)
	if values != nil {
		values(m)
	}
	m.int16(1) // and for all results:
	m.int16(1)
	m.end()
}

// The methods below write one value: a parameter or an element of an array.

func (m *message) i64(v int64) {
	m.int32(8)
	m.b = binary.BigEndian.AppendUint64(m.b, uint64(v))
}

func (m *message) i32(v int) {
	m.int32(4)
	m.int32(int32(v))
}

func (m *message) i16(v int64) {
	m.int32(2)
	m.int16(int16(v))
}

func (m *message) text(s string) {
	m.int32(int32(len(s)))
	m.b = append(m.b, s...)
}

func (m *message) bytes(b []byte) {
	m.int32(int32(len(b)))
	m.b = append(m.b, b...)
}

func (m *message) id(id [16]byte) { m.bytes(id[:]) }

func (m *message) null() { m.int32(-1) }

func (m *message) time(t time.Time) { m.i64(t.UnixMicro() - epoch2000) }

// sized writes a value whose size is known once it is written.
func (m *message) sized(write func()) {
	at := len(m.b)
	m.int32(0)
	write()
	binary.BigEndian.PutUint32(m.b[at:], uint32(len(m.b)-at-4))
}

// array writes a parameter of n elements, each written by element, of which some may be NULL.
func (m *message) array(oid int32, n int, element func(i int)) {
	m.sized(func() {
		if n == 0 { // an empty array has no dimension
			m.int32(0)
			m.int32(0)
			m.int32(oid)
			return
		}
		m.int32(1) // dimension
		m.int32(1) // NULL may occur
		m.int32(oid)
		m.int32(int32(n))
		m.int32(1) // first index
		for i := range n {
			element(i)
		}
	})
}
