package mix

import (
	"encoding/hex"
	"strconv"
	"time"

	"github.com/orderlane/orderlane/pkg/kafka"
)

// message is a message of a life, with gaps where every order has something of its own.
type message struct {
	topic   string
	service int  // whose counter of positions it takes one from
	same    bool // it has the position of the message before it
	stock   int  // the product whose stream it is of, by its place in the life; -1: of none
	key     text
	value   text
	none    bool // it is a tombstone
	headers []header
	at      time.Time
	step    int
}

type header struct {
	key   string
	value text
}

// text is what a message says, cut up at its gaps.
type text struct {
	gaps  []gap
	rest  string
	fixed []byte // all of it, if there are no gaps
}

// gap is a place in a text that every order fills itself.
type gap struct {
	before string
	kind   gapKind
	n      int // which id, which product, which step's time
	at     time.Time
}

type gapKind byte

const (
	gapID gapKind = iota
	gapTime
	gapCustomer
	gapSKU
	gapNumber
	gapPosition
	gapVersion
)

// told is an order as it fills the gaps.
type filling struct {
	life     *life
	order    Order
	ids      [][16]byte
	skus     []string
	moved    []time.Duration // each step, from when it happened in the life: whole seconds
	position int64
	version  int64 // of a product's stock
}

// record makes the message.
func (f *filling) record(m *message) kafka.Record {
	r := kafka.Record{
		Topic: m.topic, Partition: kafka.AnyPartition, Time: m.at.Add(f.moved[m.step]),
		Headers: make([]kafka.Header, len(m.headers)),
	}
	buf := make([]byte, 0, 2048)
	fill := func(t *text) []byte {
		if t.fixed != nil {
			return t.fixed
		}
		from := len(buf)
		buf = f.append(buf, t)
		return buf[from:len(buf):len(buf)]
	}
	r.Key = fill(&m.key)
	if !m.none {
		r.Value = fill(&m.value)
	}
	for i := range m.headers {
		r.Headers[i] = kafka.Header{Key: m.headers[i].key, Value: fill(&m.headers[i].value)}
	}
	return r
}

func (f *filling) append(b []byte, t *text) []byte {
	for i := range t.gaps {
		g := &t.gaps[i]
		b = append(b, g.before...)
		switch g.kind {
		case gapID:
			b = appendUUID(b, f.ids[g.n])
		case gapTime:
			b = g.at.Add(f.moved[g.n]).AppendFormat(b, time.RFC3339Nano)
		case gapCustomer:
			b = append(b, f.order.CustomerID...)
		case gapSKU:
			b = append(b, f.skus[g.n]...)
		case gapNumber:
			b = append(b, f.order.Number...)
		case gapPosition:
			b = strconv.AppendInt(b, f.position, 10)
		case gapVersion:
			b = strconv.AppendInt(b, f.version, 10)
		}
	}
	return append(b, t.rest...)
}

func appendUUID(b []byte, id [16]byte) []byte {
	for i, part := range [...][2]int{{0, 4}, {4, 6}, {6, 8}, {8, 10}, {10, 16}} {
		if i > 0 {
			b = append(b, '-')
		}
		b = hex.AppendEncode(b, id[part[0]:part[1]])
	}
	return b
}
