package projection

import (
	"context"
	"strings"
	"time"

	"github.com/orderlane/orderlane/pkg/kafka"
)

const (
	// maxReason bounds the text that says why a key is broken.
	maxReason = 500
	// maxListed bounds the broken keys that are read at once.
	maxListed = 100_000
)

// brokenID is a key within a topic: topics feed rows of their own, so a key that is broken in
// one topic goes on in the others.
type brokenID struct{ topic, key string }

var brokenTable = Table{
	Name: "projection_broken",
	Columns: []Column{
		{"projection", Text},
		{"version", Int},
		{"topic", Text},
		{"key", Text},
		{"part", Int},
		{"record_offset", Int},
		{"type", Text},
		{"reason", Text},
		{"broken_at", Int},
	},
	Key: []string{"projection", "version", "key", "topic"},
}

const selectBroken = `SELECT topic, key, part, record_offset, type, reason, broken_at FROM projection_broken `

func scanBroken(r Row) BrokenKey {
	return BrokenKey{
		Topic: r.Text(0), Key: r.Text(1), Partition: int32(r.Int(2)), Offset: r.Int(3),
		Type: r.Text(4), Reason: r.Text(5), Time: time.UnixMicro(r.Int(6)).UTC(),
	}
}

// reason is what an error says, as a bounded text that every database takes.
func reason(err error) string {
	s := text([]byte(err.Error()))
	if len(s) > maxReason {
		s = strings.ToValidUTF8(s[:maxReason], "")
	}
	if s == "" {
		s = "an error without words"
	}
	return s
}

// isBroken says that a key is broken, or breaks in this batch.
func (p *Projection) isBroken(b *batch, id brokenID) bool {
	if len(p.broken) == 0 && len(b.ids) == 0 {
		return false
	}
	if b.ids[id] {
		return true
	}
	_, ok := p.broken[id]
	return ok
}

// breakKey notes that a record breaks its key.
func (p *Projection) breakKey(b *batch, id brokenID, r *Record, why string) {
	if b.ids == nil {
		b.ids = make(map[brokenID]bool)
	}
	b.ids[id] = true
	k := BrokenKey{Topic: r.Topic, Key: r.Key, Partition: r.Partition, Offset: r.Offset, Type: r.Type, Reason: why, Time: p.o.Clock().UTC()}
	b.marks = append(b.marks, k)
	b.letters = append(b.letters, DeadLetter{View: p.name, ID: text([]byte(r.Header(headerID))), BrokenKey: k})
}

// writeBroken writes the marks of a batch.
func (p *Projection) writeBroken(ctx context.Context, tx Tx, marks []BrokenKey) error {
	if len(marks) == 0 {
		return nil
	}
	rows := make([][]any, len(marks))
	for i, m := range marks {
		rows[i] = []any{p.id, p.version, m.Topic, m.Key, int64(m.Partition), m.Offset, m.Type, m.Reason, m.Time.UnixMicro()}
	}
	return tx.Upsert(ctx, brokenTable, rows)
}

// loadBroken reads which keys of the claims' partitions are broken.
func (p *Projection) loadBroken(ctx context.Context, claims []*claim) error {
	parts := make(map[kafka.Partition]bool, len(claims))
	for _, c := range claims {
		parts[c.Partition] = true
	}
	broken := make(map[brokenID]int32)
	err := p.o.Store.Query(ctx, `SELECT topic, part, key FROM projection_broken WHERE projection = $1 AND version = $2`,
		[]any{p.id, p.version}, func(r Row) error {
			part := kafka.Partition{Topic: r.Text(0), ID: int32(r.Int(1))}
			if parts[part] {
				broken[brokenID{part.Topic, r.Text(2)}] = part.ID
			}
			return nil
		})
	if err != nil {
		return err
	}
	p.broken = broken
	p.breaks++
	p.Answers.broken.forget()
	p.o.Watch.BrokenKeys(len(broken))
	return nil
}

// allBroken lists the broken keys of a build by key and topic: up to limit after the key given, and
// then what else there is of the last key.
func allBroken(ctx context.Context, q Queryer, id string, version int64, after string, limit int) ([]BrokenKey, error) {
	limit = min(max(limit, 1), maxListed)
	list, err := listBroken(ctx, q, `WHERE projection = $1 AND version = $2 AND key > $3 ORDER BY key, topic LIMIT $4`,
		id, version, after, limit)
	if err != nil || len(list) < limit {
		return list, err
	}
	last := list[len(list)-1]
	rest, err := listBroken(ctx, q, `WHERE projection = $1 AND version = $2 AND key = $3 AND topic > $4 ORDER BY topic`,
		id, version, last.Key, last.Topic)
	return append(list, rest...), err
}

func listBroken(ctx context.Context, q Queryer, where string, args ...any) ([]BrokenKey, error) {
	var list []BrokenKey
	err := q.Query(ctx, selectBroken+where, args, func(r Row) error {
		list = append(list, scanBroken(r))
		return nil
	})
	return list, err
}
