package projection

import (
	"context"
	"errors"
	"fmt"
)

// Sums describes a table of sums that documents contribute to, such as what was sold by day.
type Sums struct {
	Table   string   // its name, see TableName
	Key     []Column // what is added up by: of kind Text or Int
	Columns []string // the sums
}

// ColumnPartition is the last column of the key of every table of sums: partitions may be folded by
// different instances, so each has rows of its own, and whoever reads adds them up.
const ColumnPartition = "part"

// RollupOf describes a rollup.
type RollupOf[T any] struct {
	Table string // of the documents, see TableName
	Topic string // the one topic whose records fold into them
	Sums  []Sums // tables of sums, in an order that is the same in every instance

	// Contribute adds all that a document contributes to the tables of sums, and depends on
	// nothing but the document: it is called for what a document was too, to take that back. Changing it takes
	// another version of the view.
	Contribute func(t *Tally, doc *T)
}

// Rollup folds the events of streams into documents, as Documents does, and keeps tables of what all
// documents contribute, added up: a Part for reports that must not read every document. A batch
// costs one statement more for each table.
//
// What is written to a table of sums are differences, between what a document has contributed before the
// batch and after it. So a document that is forgotten takes back what it has contributed, and a repair
// or a new epoch of the log leaves the sums as exact as they were.
type Rollup[T any] struct {
	docs  *Documents[rolled[T]]
	def   RollupOf[T]
	tally *Tally
}

// rolled is a document with the partition that it contributes under.
type rolled[T any] struct {
	Part int32 `json:"part"`
	Doc  T     `json:"doc"`
}

// NewRollup returns the part for a rollup.
func NewRollup[T any](def RollupOf[T]) *Rollup[T] {
	return &Rollup[T]{
		def:   def,
		docs:  NewDocuments(Collection[rolled[T]]{Table: def.Table, Topic: def.Topic}),
		tally: newTally(def.Sums),
	}
}

// Schema returns the statements that make the tables, without further indexes. The primary key of a table of
// sums is its key in the order of its columns.
func (r *Rollup[T]) Schema() []string {
	statements := []string{r.docs.Schema()}
	for _, s := range r.def.Sums {
		columns, names := "", ""
		for _, c := range s.key() {
			kind := "BIGINT"
			if c.Kind == Text {
				kind = "TEXT"
			}
			columns += c.Name + " " + kind + " NOT NULL, "
			names += ", " + c.Name
		}
		for _, name := range s.Columns {
			columns += name + " BIGINT NOT NULL, "
		}
		statements = append(statements, fmt.Sprintf("CREATE TABLE %s (%sPRIMARY KEY (%s))", s.Table, columns, names[2:]))
	}
	return statements
}

// Change collects what an event changes in the document of its stream, as Documents.Change does.
func (r *Rollup[T]) Change(rec *Record, fold func(doc *T) error) {
	part := rec.Partition
	r.docs.Change(rec, func(d *rolled[T]) error {
		d.Part = part
		if fold == nil {
			return nil
		}
		return fold(&d.Doc)
	})
}

// Reset drops what was collected.
func (r *Rollup[T]) Reset() {
	r.docs.Reset()
	r.tally.reset()
}

// Flush reads, folds and writes the documents that were changed, and adds the differences to the sums. Changes
// that fail are all named by the error, as *RecordError.
func (r *Rollup[T]) Flush(ctx context.Context, tx Tx) error {
	d := r.docs
	if len(d.entries) == 0 {
		return nil
	}
	// All are read, also those that seem to begin here: a document that were there after all would count twice.
	for i := range d.entries {
		d.keys = append(d.keys, d.entries[i].key)
	}
	if err := d.load(ctx, tx); err != nil {
		return err
	}
	if len(d.errs) > 0 {
		return errors.Join(d.errs...)
	}
	for i := range d.entries {
		if err := r.fold(&d.entries[i]); err != nil {
			d.errs = append(d.errs, err)
		}
	}
	if len(d.errs) > 0 {
		return errors.Join(d.errs...)
	}
	if err := upsertAll(ctx, tx, d.table, d.rows); err != nil {
		return err
	}
	return r.tally.write(ctx, tx)
}

// fold folds the changes of one document, and tallies the difference that they make.
func (r *Rollup[T]) fold(e *entry[rolled[T]]) error {
	last := r.docs.changes[e.last].rec
	if e.version > 0 {
		if err := r.contribute(r.tally, -1, e.doc); err != nil {
			return &RecordError{last, err}
		}
	}
	if err := r.docs.fold(e); err != nil {
		return err
	}
	if e.version > 0 {
		if err := r.contribute(r.tally, 1, e.doc); err != nil {
			return &RecordError{last, err}
		}
	}
	return nil
}

func (r *Rollup[T]) contribute(t *Tally, sign int64, doc *rolled[T]) error {
	t.sign, t.part = sign, int64(doc.Part)
	return protect(func(doc *T) error {
		r.def.Contribute(t, doc)
		return nil
	}, &doc.Doc)
}

// Forget deletes the document of a key and takes back what it has contributed, for View.Forget.
func (r *Rollup[T]) Forget(ctx context.Context, tx Tx, key string) error {
	stored, version, err := r.docs.Get(ctx, tx, key)
	if err != nil || version == 0 {
		return err
	}
	var doc rolled[T]
	if err := r.docs.def.Unmarshal([]byte(stored), &doc); err != nil {
		return fmt.Errorf("stored document of %s: %w", key, err)
	}
	// Not the tally of the batch: what is collected is written after this.
	t := newTally(r.def.Sums)
	if err := r.contribute(t, -1, &doc); err != nil {
		return fmt.Errorf("what %s has contributed: %w", key, err)
	}
	if err := t.write(ctx, tx); err != nil {
		return err
	}
	return r.docs.Forget(ctx, tx, key)
}

// Version returns the version of a stream's document, 0 if there is none: what
// View.StreamVersion answers.
func (r *Rollup[T]) Version(ctx context.Context, q Queryer, stream string) (int64, error) {
	return r.docs.Version(ctx, q, stream)
}

// key are the columns of the table's key.
func (s *Sums) key() []Column {
	return append(s.Key[:len(s.Key):len(s.Key)], Column{ColumnPartition, Int})
}
