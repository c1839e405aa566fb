package pgstore

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/orderlane/orderlane/pkg/projection"
)

// read passes rows to scan and closes them.
func read(op string, rows pgx.Rows, scan func(projection.Row) error) error {
	defer rows.Close()
	var r row
	for rows.Next() {
		if scan == nil {
			continue
		}
		if r.fields == nil {
			r.fields = rows.FieldDescriptions()
		}
		r.values = rows.RawValues()
		if err := scan(&r); err != nil {
			return err
		}
		if r.err != nil {
			return wrap(op, r.err)
		}
	}
	return wrap(op, rows.Err())
}

// row reads the wire form of a row's columns, without the detour of scanning into pointers.
type row struct {
	fields []pgconn.FieldDescription
	values [][]byte
	err    error
}

// binary returns the value of a column that is of one of the types; ok is false for null
// and for another type, which is an error.
func (r *row) binary(i int, format int16, oids ...uint32) (value []byte, ok bool) {
	if r.values[i] == nil {
		return nil, false
	}
	f := &r.fields[i]
	for _, oid := range oids {
		if f.DataTypeOID == oid && f.Format == format {
			return r.values[i], true
		}
	}
	if r.err == nil {
		r.err = fmt.Errorf("column %s has type %d, format %d; %v was asked for", f.Name, f.DataTypeOID, f.Format, oids)
	}
	return nil, false
}

func (r *row) Text(i int) string {
	v, _ := r.binary(i, pgtype.TextFormatCode, pgtype.TextOID, pgtype.VarcharOID, pgtype.JSONOID)
	return string(v)
}

func (r *row) Int(i int) int64 {
	v, ok := r.binary(i, pgtype.BinaryFormatCode, pgtype.Int8OID, pgtype.Int4OID, pgtype.Int2OID)
	if !ok {
		return 0
	}
	switch len(v) {
	case 8:
		return int64(binary.BigEndian.Uint64(v))
	case 4:
		return int64(int32(binary.BigEndian.Uint32(v)))
	default:
		return int64(int16(binary.BigEndian.Uint16(v)))
	}
}

func (r *row) Bool(i int) bool {
	v, ok := r.binary(i, pgtype.BinaryFormatCode, pgtype.BoolOID)
	return ok && v[0] != 0
}

func (r *row) Float(i int) float64 {
	v, ok := r.binary(i, pgtype.BinaryFormatCode, pgtype.Float8OID)
	if !ok {
		return 0
	}
	return math.Float64frombits(binary.BigEndian.Uint64(v))
}

func (r *row) Bytes(i int) []byte {
	v, ok := r.binary(i, pgtype.BinaryFormatCode, pgtype.ByteaOID)
	if !ok {
		return nil
	}
	return append([]byte{}, v...)
}

func (r *row) Null(i int) bool { return r.values[i] == nil }
