package logtest

import (
	"fmt"
	"testing"

	"github.com/orderlane/orderlane/pkg/es"
)

var loading = map[string]func(*testing.T, *fixture){
	"a stream that does not exist has version 0": func(_ *testing.T, f *fixture) {
		f.equal("state", f.load("order-none", 1), es.StreamState{Stream: "order-none"})
	},
	"a stream with a state of its version has no tail": func(_ *testing.T, f *fixture) {
		f.append(f.order(0, "order-1", 0, 3))
		f.equal("state", f.load("order-1", 1), es.StreamState{Stream: "order-1", Version: 3, State: []byte(`{"v":3}`), StateAt: 3})
	},
	"a state behind its stream comes with the records after it": func(t *testing.T, f *fixture) {
		b := f.order(0, "order-1", 0, 3)
		b.States[0].Version, b.States[0].Data = 1, []byte(`{"v":1}`)
		f.append(b)
		st := f.load("order-1", 1)
		f.equal("state", st.State, []byte(`{"v":1}`))
		f.equal("versions", []int64{st.Version, st.StateAt, int64(len(st.Tail))}, []int64{3, 1, 2})
		records, err := f.log.ReadStream(f.ctx, "order-1", 1, 10)
		f.must(err)
		for i := range st.Tail {
			f.equal("tail", st.Tail[i], records[i])
		}
		if st.Tail[0].Version != 2 || st.Tail[1].Version != 3 {
			t.Fatalf("tail: %+v", st.Tail)
		}
	},
	"a state of another shape is ignored": func(_ *testing.T, f *fixture) {
		f.append(f.order(0, "order-1", 0, 2))
		st := f.load("order-1", 2)
		f.equal("state", []any{st.State == nil, st.StateAt, st.Version, len(st.Tail)}, []any{true, 0, 2, 2})
	},
	"a stream without a state comes whole": func(_ *testing.T, f *fixture) {
		b := f.order(0, "order-1", 0, 2)
		b.States = nil
		f.append(b)
		st := f.load("order-1", 1)
		f.equal("state", []any{st.State == nil, st.StateAt, st.Version, len(st.Tail)}, []any{true, 0, 2, 2})
	},
	"states replace older ones only": func(_ *testing.T, f *fixture) {
		f.append(f.order(0, "order-1", 0, 3))
		late := es.Batch{Seen: 3, Streams: []es.StreamVersion{{Stream: "order-1", Version: 3}}, States: []es.State{{Stream: "order-1", Version: 2, StateVersion: 1, Data: []byte("old")}}}
		f.append(late)
		f.equal("state", f.load("order-1", 1).State, []byte(`{"v":3}`))
		late.States[0].Version, late.States[0].StateVersion, late.States[0].Data = 3, 2, []byte(`{"shape":2}`)
		f.append(late)
		f.equal("state of the new shape", f.load("order-1", 2).State, []byte(`{"shape":2}`))
		f.append(f.order(3, "order-1", 3, 1))
		f.equal("state", f.load("order-1", 1).State, []byte(`{"v":4}`))
	},
	"streams load in the order asked for, also twice": func(t *testing.T, f *fixture) {
		var b es.Batch
		var ask []es.StreamQuery
		for i := range 600 {
			stream := fmt.Sprintf("order-%d", i)
			if i < 500 {
				b = join(b, f.order(0, stream, 0, 1+i%3))
				if i%5 == 0 {
					b.States = b.States[:len(b.States)-1]
				}
			}
			ask = append([]es.StreamQuery{{Stream: stream, StateVersion: 1}}, ask...)
		}
		f.append(b)
		ask = append(ask, ask[599])
		got, err := f.log.Load(f.ctx, ask)
		f.must(err)
		if len(got) != len(ask) {
			t.Fatalf("%d states, want %d", len(got), len(ask))
		}
		for i, q := range ask {
			n := 599 - i
			if i == 600 {
				n = 0
			}
			want := [...]int64{int64(1 + n%3), int64(1 + n%3), 0}
			switch {
			case n >= 500:
				want = [...]int64{0, 0, 0}
			case n%5 == 0:
				want = [...]int64{int64(1 + n%3), 0, int64(1 + n%3)}
			}
			f.equal("stream", got[i].Stream, q.Stream)
			f.equal(q.Stream, [...]int64{got[i].Version, got[i].StateAt, int64(len(got[i].Tail))}, want)
		}
	},
	"loading nothing is no error": func(_ *testing.T, f *fixture) {
		got, err := f.log.Load(f.ctx, nil)
		f.must(err)
		f.equal("states", len(got), 0)
		found, err := f.log.Outcomes(f.ctx, nil)
		f.must(err)
		f.equal("outcomes", len(found), 0)
	},
}

var reading = map[string]func(*testing.T, *fixture){
	"records are read after a position, up to a limit": func(_ *testing.T, f *fixture) {
		f.append(join(f.order(0, "order-1", 0, 3), f.order(0, "order-2", 0, 2)))
		for _, c := range []struct {
			after int64
			limit int
			want  []int64
		}{
			{0, 2, []int64{1, 2}}, {2, 100, []int64{3, 4, 5}}, {5, 10, nil}, {99, 10, nil}, {0, 0, nil}, {1, es.MaxRead * 2, []int64{2, 3, 4, 5}},
		} {
			got, err := f.log.Read(f.ctx, c.after, c.limit)
			f.must(err)
			var positions []int64
			for _, r := range got {
				positions = append(positions, r.Position)
			}
			f.equal(fmt.Sprintf("after %d up to %d", c.after, c.limit), positions, c.want)
		}
	},
	"a stream is read after a version, up to a limit": func(_ *testing.T, f *fixture) {
		f.append(join(f.order(0, "order-1", 0, 3), f.order(0, "order-2", 0, 2)))
		f.append(f.order(5, "order-1", 3, 1))
		for _, c := range []struct {
			stream string
			after  int64
			limit  int
			want   []int64
		}{
			{"order-1", 0, 10, []int64{1, 2, 3, 6}},
			{"order-1", 2, 1, []int64{3}},
			{"order-1", 9, 1, nil},
			{"order-2", 1, 10, []int64{5}},
			{"order-3", 0, 10, nil},
			{"order-1", 0, 0, nil},
		} {
			got, err := f.log.ReadStream(f.ctx, c.stream, c.after, c.limit)
			f.must(err)
			var positions []int64
			for _, r := range got {
				positions = append(positions, r.Position)
				f.equal("stream", r.Stream, c.stream)
			}
			f.equal(fmt.Sprintf("%s after %d up to %d", c.stream, c.after, c.limit), positions, c.want)
		}
	},
	"one read returns no more than the limit of all logs": func(_ *testing.T, f *fixture) {
		var head es.Head
		for head.Position <= es.MaxRead {
			b := f.order(head.Position, "order-1", head.Position, 1000)
			b.States = nil
			head = f.append(b)
		}
		got, err := f.log.Read(f.ctx, 0, es.MaxRead+1)
		f.must(err)
		f.equal("records", len(got), es.MaxRead)
		got, err = f.log.ReadStream(f.ctx, "order-1", 0, es.MaxRead+1)
		f.must(err)
		f.equal("records of the stream", len(got), es.MaxRead)
		f.equal("the tail is whole all the same", len(f.load("order-1", 1).Tail), int(head.Position))
	},
}
