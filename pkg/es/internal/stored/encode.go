package stored

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/fault"
)

// The bits of an event row's flags column.
const (
	FlagPersonal = 1 << iota // written with a personal payload
	FlagErases               // deletes the personal payloads before it
)

// Flags packs what an event row says of personal payloads.
func Flags(r *es.Record) int64 {
	var flags int64
	if len(r.Personal) > 0 {
		flags |= FlagPersonal
	}
	if r.Erases {
		flags |= FlagErases
	}
	return flags
}

// SetFlags is the reverse of Flags.
func SetFlags(r *es.Record, flags int64) {
	r.HasPersonal, r.Erases = flags&FlagPersonal != 0, flags&FlagErases != 0
}

// AppendMetadata appends the stored form of m, the JSON of its type. It is written by hand
// since every event has one and reflection costs more than the rest of the row.
func AppendMetadata(b []byte, m *es.Metadata) []byte {
	b = append(b, `{"command":"`...)
	text, _ := m.Command.MarshalText() // never fails
	b = append(b, text...)
	b = append(b, '"')
	for _, f := range [...]struct{ name, value string }{
		{`,"correlation":`, m.Correlation},
		{`,"causation":`, m.Causation},
		{`,"caller":`, m.Caller},
		{`,"traceparent":`, m.Traceparent},
		{`,"digest":`, m.Digest},
	} {
		if f.value != "" {
			b = append(b, f.name...)
			b, _ = jsontext.AppendQuote(b, Clean(f.value)) // fails on invalid UTF-8 only
		}
	}
	return append(b, '}')
}

// Metadata decodes what AppendMetadata wrote.
func Metadata(b []byte) (m es.Metadata, err error) {
	if err := json.Unmarshal(b, &m); err != nil {
		return m, fmt.Errorf("decode an event's metadata: %w", err)
	}
	return m, nil
}

// Fault encodes why a command was refused or failed; nil for none.
func Fault(f *fault.Fault) ([]byte, error) {
	if f == nil {
		return nil, nil
	}
	b, err := json.Marshal(f, jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return nil, fmt.Errorf("encode a fault: %w", err)
	}
	return b, nil
}

// DecodeFault decodes what Fault wrote.
func DecodeFault(b []byte) (*fault.Fault, error) {
	if len(b) == 0 {
		return nil, nil
	}
	f := new(fault.Fault)
	if err := json.Unmarshal(b, f); err != nil {
		return nil, fmt.Errorf("decode a fault: %w", err)
	}
	return f, nil
}

// Headers encodes the headers of a parked message: for each, in the order of the names, the
// length and bytes of name and value. Headers may hold any bytes, which JSON would not keep.
func Headers(h map[string]string) []byte {
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	b := []byte{}
	for _, name := range names {
		for _, s := range [...]string{name, h[name]} {
			b = binary.AppendUvarint(b, uint64(len(s)))
			b = append(b, s...)
		}
	}
	return b
}

// DecodeHeaders decodes what Headers wrote.
func DecodeHeaders(b []byte) (map[string]string, error) {
	h := make(map[string]string)
	for len(b) > 0 {
		var pair [2]string
		for i := range pair {
			n, size := binary.Uvarint(b)
			if size <= 0 || n > uint64(len(b)-size) {
				return nil, errors.New("decode the headers of a parked command: they are cut off")
			}
			pair[i], b = string(b[size:size+int(n)]), b[size+int(n):]
		}
		h[pair[0]] = pair[1]
	}
	return h, nil
}

// FromEvent is the outcome of a command whose own has expired, as its last event tells it.
func FromEvent(r *es.Record) es.Outcome {
	return es.Outcome{
		Command: r.Meta.Command, Stream: r.Stream, Status: es.StatusSucceeded, Version: r.Version,
		Position: r.Position, Digest: r.Meta.Digest, Time: r.Time,
	}
}
