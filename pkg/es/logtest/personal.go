package logtest

import (
	"testing"

	"github.com/google/uuid"

	"github.com/orderlane/orderlane/pkg/es"
)

var personal = map[string]func(*testing.T, *fixture){
	"personal payloads are read by stream, up to a version": func(_ *testing.T, f *fixture) {
		b := join(f.order(0, "order-1", 0, 3), f.order(0, "order-2", 0, 1))
		b.Events[0].Personal, b.Events[2].Personal, b.Events[3].Personal = []byte(`{"a":1}`), []byte(`{"a":3}`), []byte(`{"b":1}`)
		f.append(b)
		f.personal("order-1", 9, `{"a":1}`, `{"a":3}`)
		f.personal("order-1", 2, `{"a":1}`)
		f.personal("order-1", 0)
		f.personal("order-2", 1, `{"b":1}`)
		f.personal("order-3", 1)
	},
	"an erasing event deletes what is personal before it, in the same append": func(_ *testing.T, f *fixture) {
		b := f.order(0, "order-1", 0, 2)
		b.Events[0].Personal, b.Events[1].Personal = []byte(`{"a":1}`), []byte(`{"a":2}`)
		other := f.order(0, "order-2", 0, 1)
		other.Events[0].Personal = []byte(`{"b":1}`)
		f.append(join(b, other))

		erase := f.order(3, "order-1", 2, 3)
		erase.Events[0].Personal = []byte(`{"a":3}`) // written and erased in one batch
		erase.Events[1].Erases, erase.Events[1].Personal = true, []byte(`{"a":4}`)
		erase.Events[2].Personal = []byte(`{"a":5}`)
		f.append(erase)
		f.personal("order-1", 9, `{"a":4}`, `{"a":5}`)
		f.personal("order-2", 9, `{"b":1}`)

		records, err := f.log.Read(f.ctx, 0, 10)
		f.must(err)
		f.equal("the events stay", len(records), 6)
		f.equal("and say that there was something", []bool{records[0].HasPersonal, records[4].HasPersonal, records[4].Erases}, []bool{true, true, true})
	},
	"an erasure that conflicts erases nothing": func(_ *testing.T, f *fixture) {
		b := f.order(0, "order-1", 0, 2)
		b.Events[0].Personal = []byte(`{"a":1}`)
		f.append(b)
		erase := f.order(0, "order-1", 1, 1)
		erase.Events[0].Erases = true
		_ = f.conflict(erase)
		f.personal("order-1", 9, `{"a":1}`)
	},
}

// personal compares what is personal of a stream.
func (f *fixture) personal(stream string, upTo int64, want ...string) {
	f.Helper()
	got, err := f.log.Personal(f.ctx, stream, upTo)
	f.must(err)
	texts := make([]string, len(got))
	for i := range got {
		texts[i] = string(got[i])
	}
	f.equal("what is personal of "+stream, texts, want)
}

func parkedCommand(id uuid.UUID) es.Parked {
	return es.Parked{
		Command: id, Type: "place", Topic: "ordering.commands.v1", Key: "order-1", Reason: "panic: boom",
		Headers: map[string]string{"ce_type": "orderlane.ordering.place_order.v1", "ce_role": ""},
		Payload: []byte(`{"lines":[]}`), Digest: "digest-1", Time: noon,
	}
}

var parking = map[string]func(*testing.T, *fixture){
	"a parked command is kept whole, and counts its attempts": func(_ *testing.T, f *fixture) {
		p := parkedCommand(f.id())
		f.append(es.Batch{Parked: []es.Parked{p}})
		p.Attempts = 1
		f.parked(p)
		p.Reason, p.Payload, p.Time = "panic: again", []byte("not json \x00\xff"), noon.AddDate(0, 0, 1)
		p.Attempts = 77 // the log counts
		f.append(es.Batch{Parked: []es.Parked{p}})
		p.Attempts = 2
		f.parked(p)
	},
	"a parked message may hold any bytes": func(_ *testing.T, f *fixture) {
		p := parkedCommand(f.id())
		p.Key, p.Payload = "\x00\xff", []byte{0, 0xff}
		p.Headers = map[string]string{"\xff": "\x00", "": "\xfe"}
		p.Type, p.Reason, p.Topic, p.Digest = "\x00", "\xff broke", "", "\x00"
		f.append(es.Batch{Parked: []es.Parked{p}})
		p.Type, p.Reason, p.Digest, p.Attempts = "\uFFFD", "\uFFFD broke", "\uFFFD", 1
		f.parked(p)
	},
	"a parked command without headers and payload is kept": func(_ *testing.T, f *fixture) {
		p := es.Parked{Command: f.id(), Time: noon}
		f.append(es.Batch{Parked: []es.Parked{p}})
		got, ok, err := f.log.ParkedCommand(f.ctx, p.Command)
		f.must(err)
		f.equal("parked", []any{ok, len(got.Headers), len(got.Payload), got.Attempts}, []any{true, 0, 0, 1})
	},
	"a final outcome deletes the parked command": func(_ *testing.T, f *fixture) {
		p, stays := parkedCommand(f.id()), parkedCommand(f.id())
		f.append(es.Batch{Parked: []es.Parked{p, stays}})
		f.append(commandOn(p.Command, 0, "order-1", 0, 1))
		_, ok, err := f.log.ParkedCommand(f.ctx, p.Command)
		f.must(err)
		f.equal("still parked", ok, false)
		stays.Attempts = 1
		f.parked(stays)
	},
	"parked commands have no final outcome": func(_ *testing.T, f *fixture) {
		p := parkedCommand(f.id())
		f.append(es.Batch{Parked: []es.Parked{p}})
		_, ok := f.outcome(p.Command)
		f.equal("found", ok, false)
	},
	"parked commands are listed in order of first parking, page by page": func(_ *testing.T, f *fixture) {
		var ids []uuid.UUID
		for range 5 {
			p := parkedCommand(f.id())
			f.append(es.Batch{Parked: []es.Parked{p}})
			ids = append(ids, p.Command)
		}
		again := parkedCommand(ids[1])
		again.Time = noon.AddDate(0, 1, 0)
		f.append(es.Batch{Parked: []es.Parked{again}})
		f.listed(uuid.Nil, 2, ids[:2])
		f.listed(ids[1], 2, ids[2:4])
		f.listed(ids[3], 10, ids[4:])
		f.listed(ids[4], 10, nil)
		f.listed(uuid.Nil, 0, nil)
		f.append(commandOn(ids[1], 0, "order-1", 0, 1))
		f.listed(ids[1], 10, []uuid.UUID{ids[0], ids[2], ids[3], ids[4]}) // no longer there: from the start
	},
}

func (f *fixture) parked(want es.Parked) {
	f.Helper()
	got, ok, err := f.log.ParkedCommand(f.ctx, want.Command)
	f.must(err)
	f.equal("found", ok, true)
	f.equal("parked command", got, want)
}

func (f *fixture) listed(after uuid.UUID, limit int, want []uuid.UUID) {
	f.Helper()
	got, err := f.log.ParkedCommands(f.ctx, after, limit)
	f.must(err)
	var ids []uuid.UUID
	for _, p := range got {
		ids = append(ids, p.Command)
	}
	f.equal("parked commands", ids, want)
}
