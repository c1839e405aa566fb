package projection

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"
)

// Collection describes a table of documents: one JSON document per stream, the fold of the
// stream's events, with columns beside it to search and sort by.
type Collection[T any] struct {
	Table string // its name, see TableName
	Topic string // the one topic whose records fold into it

	// Columns are the columns beside the document, and Values their values for one
	// document, appended to row. Both may be nil.
	Columns []Column
	Values  func(row []any, key string, doc *T) []any

	// Marshal and Unmarshal replace JSON by reflection, which makes the same text of a document each time, where that
	// costs too much, or is not all.
	Marshal   func(doc *T) ([]byte, error)
	Unmarshal func(data []byte, doc *T) error
}

// Documents folds the events of streams into documents: a Part that reads the documents of
// a whole batch in one query (those that begin in the batch not at all), folds in memory,
// and writes them in one statement.
//
// It holds versions to be 1..n for each stream: an event that the document has is skipped,
// and one that leaves a gap is an error that breaks the key, since events have been lost.
// Therefore every event of a stream must be passed to Change, also those that change nothing.
//
// A document is read, changed and written, so only one instance may do that at a time: the
// owner of the partition. That is why a collection is fed by one topic.
type Documents[T any] struct {
	def     Collection[T]
	table   Table
	lookup  Lookup
	changes []change[T]
	entries []entry[T]
	index   map[string]int // key to entry
	keys    []string       // of documents to be read
	rows    [][]any
	errs    []error
	ready   bool // prepare was called
}

// change is one record's, linked to the next of the same document.
type change[T any] struct {
	rec  *Record
	fold func(doc *T) error
	next int // index of the next change, or -1
}

// entry is one document of a batch.
type entry[T any] struct {
	key         string
	first, last int // changes
	version     int64
	doc         *T
}

// The columns that each collection has.
const (
	ColumnKey      = "key"
	ColumnVersion  = "version"
	ColumnDocument = "doc"
)

// NewDocuments returns the part for a collection.
func NewDocuments[T any](def Collection[T]) *Documents[T] {
	if def.Marshal == nil {
		def.Marshal = func(doc *T) ([]byte, error) { return json.Marshal(doc, json.Deterministic(true)) }
	}
	if def.Unmarshal == nil {
		def.Unmarshal = func(data []byte, doc *T) error { return json.Unmarshal(data, doc) }
	}
	columns := append([]Column{{ColumnKey, Text}, {ColumnVersion, Int}, {ColumnDocument, Text}}, def.Columns...)
	return &Documents[T]{
		def:    def,
		table:  Table{Name: def.Table, Columns: columns, Key: []string{ColumnKey}, Rank: ColumnVersion},
		lookup: Lookup{Table: def.Table, Columns: []string{ColumnKey, ColumnVersion, ColumnDocument}, Key: ColumnKey},
		index:  make(map[string]int),
	}
}

// Schema returns the statement that makes the table, without indexes on its own columns.
func (d *Documents[T]) Schema() string {
	types := map[Kind]string{Text: "TEXT", Int: "BIGINT", Bool: "BOOLEAN", Float: "DOUBLE PRECISION", Bytes: "BYTEA"}
	var s strings.Builder
	fmt.Fprintf(&s, "CREATE TABLE %s (key TEXT PRIMARY KEY, version BIGINT NOT NULL, doc TEXT NOT NULL", d.def.Table)
	for _, c := range d.def.Columns {
		fmt.Fprintf(&s, ", %s %s", c.Name, types[c.Kind])
	}
	s.WriteString(")")
	return s.String()
}

// Change collects what an event changes in the document of its stream. fold gets the
// document after all earlier events (the zero T before the first) and changes it; it must
// depend on nothing else, since it may run again. A nil fold only moves the version.
func (d *Documents[T]) Change(rec *Record, fold func(doc *T) error) {
	d.add(rec, rec.Key, fold)
}

func (d *Documents[T]) add(rec *Record, key string, fold func(doc *T) error) {
	n := len(d.changes)
	d.changes = append(d.changes, change[T]{rec, fold, -1})
	if i, ok := d.index[key]; ok {
		e := &d.entries[i]
		d.changes[e.last].next, e.last = n, n
		return
	}
	d.index[key] = len(d.entries)
	d.entries = append(d.entries, entry[T]{key: key, first: n, last: n})
}

// Reset drops what was collected.
func (d *Documents[T]) Reset() {
	clear(d.changes)
	clear(d.entries)
	clear(d.index)
	clear(d.keys)
	clear(d.rows)
	clear(d.errs)
	d.changes, d.entries, d.keys, d.rows, d.errs = d.changes[:0], d.entries[:0], d.keys[:0], d.rows[:0], d.errs[:0]
	d.ready = false
}

// prepare folds the documents that begin in the batch: for them nothing is read.
func (d *Documents[T]) prepare() {
	for i := range d.entries {
		e := &d.entries[i]
		if !d.begins(e) {
			d.keys = append(d.keys, e.key)
			continue
		}
		e.doc = new(T)
		if err := d.fold(e); err != nil {
			d.errs = append(d.errs, err)
		}
	}
	d.ready = true
}

// Flush reads, folds and writes the documents that were changed. Changes that fail are all
// named by the error, as *RecordError.
func (d *Documents[T]) Flush(ctx context.Context, tx Tx) error {
	if len(d.entries) == 0 {
		return nil
	}
	if !d.ready {
		d.prepare()
	}
	if err := d.load(ctx, tx); err != nil {
		return err
	}
	for _, key := range d.keys {
		if err := d.fold(&d.entries[d.index[key]]); err != nil {
			d.errs = append(d.errs, err)
		}
	}
	if len(d.errs) > 0 {
		return errors.Join(d.errs...)
	}
	for rest := d.rows; len(rest) > 0; {
		n := min(len(rest), MaxUpsertRows)
		if err := tx.Upsert(ctx, d.table, rest[:n:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}

// load reads the documents that the batch goes on from.
func (d *Documents[T]) load(ctx context.Context, tx Tx) error {
	q := d.lookup
	for keys := d.keys; len(keys) > 0; {
		n := min(len(keys), MaxLoadKeys)
		q.Values, keys = keys[:n], keys[n:]
		err := tx.Load(ctx, q, func(row Row) error {
			e := &d.entries[d.index[row.Text(0)]]
			e.version, e.doc = row.Int(1), new(T)
			if err := d.def.Unmarshal([]byte(row.Text(2)), e.doc); err != nil {
				d.errs = append(d.errs, &RecordError{d.changes[e.first].rec, fmt.Errorf("stored document of %s: %w", e.key, err)})
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// begins says whether the batch holds the document's events from the first one on without
// a gap, so that it need not be read. If the store has it already (a repeat), the rank
// keeps the stored one or replaces it with a longer fold.
func (d *Documents[T]) begins(e *entry[T]) bool {
	want := int64(1)
	for i := e.first; i >= 0; i = d.changes[i].next {
		if d.changes[i].rec.Version != want {
			return false
		}
		want++
	}
	return true
}

// fold folds the changes of one document and makes its row.
func (d *Documents[T]) fold(e *entry[T]) error {
	if e.doc == nil {
		e.doc = new(T)
	}
	before := e.version
	for i := e.first; i >= 0; i = d.changes[i].next {
		c := &d.changes[i]
		if c.rec.Topic != d.def.Topic {
			return &RecordError{c.rec, fmt.Errorf("%s is folded from %s only", d.def.Table, d.def.Topic)}
		}
		version := c.rec.Version
		if version <= e.version {
			continue // the document has it
		}
		if version > e.version+1 {
			return &RecordError{c.rec, fmt.Errorf("version %d of %s follows version %d: events are missing", version, e.key, e.version)}
		}
		if err := protect(c.fold, e.doc); err != nil {
			return &RecordError{c.rec, err}
		}
		e.version = version
	}
	if e.version == before {
		return nil
	}
	data, err := d.def.Marshal(e.doc)
	if err != nil {
		return &RecordError{d.changes[e.last].rec, fmt.Errorf("encode document: %w", err)}
	}
	row := make([]any, 3, len(d.table.Columns))
	row[0], row[1], row[2] = e.key, e.version, string(data)
	if d.def.Values != nil {
		row = d.def.Values(row, e.key, e.doc)
	}
	d.rows = append(d.rows, row)
	return nil
}

// protect runs fold and turns its panic into an error: a bug that one record meets must
// break that record's key only.
func protect[T any](fold func(*T) error, doc *T) (err error) {
	if fold == nil {
		return nil
	}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return fold(doc)
}

// Forget deletes the document of a key, for View.Forget.
func (d *Documents[T]) Forget(ctx context.Context, tx Tx, key string) error {
	_, err := tx.Exec(ctx, "DELETE FROM "+d.def.Table+" WHERE key = $1", key)
	return err
}

// Get returns the document of a key as the JSON that is stored, and its version. Version 0
// says that there is none.
func (d *Documents[T]) Get(ctx context.Context, q Queryer, key string) (doc string, version int64, err error) {
	err = q.Query(ctx, "SELECT version, doc FROM "+d.def.Table+" WHERE key = $1", []any{key}, func(row Row) error {
		version, doc = row.Int(0), row.Text(1)
		return nil
	})
	return doc, version, err
}

// Version returns the version of a stream's document, 0 if there is none: what
// View.StreamVersion answers.
func (d *Documents[T]) Version(ctx context.Context, q Queryer, stream string) (version int64, err error) {
	err = q.Query(ctx, "SELECT version FROM "+d.def.Table+" WHERE key = $1", []any{stream}, func(row Row) error {
		version = row.Int(0)
		return nil
	})
	return version, err
}
