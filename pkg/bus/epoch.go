package bus

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/kafka"
)

// TypeEpochBegan is the ce_type of the message that begins a log's new epoch in each partition of
// its topics, after the log's database was restored to an earlier point. Its ce_epoch is the new
// epoch, and its ce_position the last position of the partition that stays: events before it
// in the partition, of earlier epochs and at higher positions, have never happened.
// It is no event: it has no stream, and its key is EpochKey.
const TypeEpochBegan = "orderlane.log.epoch_began.v1"

// EpochKey is the key of messages of TypeEpochBegan.
const EpochKey = "epoch"

// EpochBegan is the data of a message of TypeEpochBegan.
type EpochBegan struct {
	Epoch string `json:"epoch"` // that begins
	After int64  `json:"after"` // the last position of the partition that stays
}

// Bounds of the search for the last record of a partition that is in the log.
const (
	firstWindow = 64     // records that are looked at first
	maxWindow   = 16_384 // records that are held in memory
)

// Renewal returns what a new epoch of a log that ends at head has to reckon with: the epochs that
// the topics know of, and up to where all of the log is there, and stays.
func (p *Published) Renewal(ctx context.Context, head es.Head) (es.Renewal, error) {
	var r es.Renewal
	revoked := int64(math.MaxInt64)
	for _, part := range p.all() {
		e := p.ends[part]
		if e.Type != "" {
			r.Above = max(r.Above, es.Generation(e.Epoch))
		}
		kept, err := p.compare(ctx, part, e.held, head)
		if err != nil {
			return es.Renewal{}, err
		}
		r.Cursor, revoked = max(r.Cursor, kept.after), min(revoked, kept.revoked)
	}
	r.Cursor = min(r.Cursor, revoked)
	return r, nil
}

// Begin returns the records that begin the epoch of head in each partition that ends with
// another one's, or with none: nothing, as a rule, and under a log's first epoch. Before
// those of a personal topic, which is compacted, comes what is personal now of the streams whose
// lost future may have replaced it, and tombstones for streams that are lost. What a crash
// leaves of that without the beginning behind it is made again.
//
// The cursor is up to where all of the log has been published, and stays. Of a compacted partition
// it tells more than the last record there that stays: what came behind that may have been
// replaced by what is lost.
func (p *Published) Begin(ctx context.Context, head es.Head, cursor int64, at time.Time) (records []kafka.Record, err error) {
	if es.Generation(head.Epoch) == 1 {
		return nil, nil
	}
	for _, part := range p.all() {
		e := p.ends[part]
		if e.Epoch == head.Epoch {
			continue
		}
		kept, err := p.compare(ctx, part, e.held, head)
		if err != nil {
			return nil, err
		}
		if part.Topic == PersonalTopic(p.publication.Service) {
			kept.after = max(kept.after, cursor)
		} else {
			kept.lost = nil
		}
		for _, stream := range slices.Sorted(maps.Keys(kept.lost)) {
			r, err := p.personal(ctx, stream, kept.after, at)
			if err != nil {
				return nil, err
			}
			r.Partition = part.ID
			records = append(records, r)
		}
		marker, err := p.marker(part, head.Epoch, kept.after, at)
		if err != nil {
			return nil, err
		}
		records = append(records, marker)
	}
	return records, nil
}

func (p *Published) marker(part kafka.Partition, epoch string, after int64, at time.Time) (kafka.Record, error) {
	data, err := Encode(EpochBegan{Epoch: epoch, After: after})
	if err != nil {
		return kafka.Record{}, fmt.Errorf("bus: encode the beginning of epoch %s: %w", epoch, err)
	}
	e := Envelope{
		ID: fmt.Sprintf("%s/%s/%d", epoch, part.Topic, part.ID), Type: TypeEpochBegan, Source: Source(p.publication.Service),
		Time: at, Position: after, Epoch: epoch,
	}
	r := e.Record(part.Topic, []byte(EpochKey), data)
	r.Partition = part.ID
	return r, nil
}

// remainder is what a log still has of a partition.
type remainder struct {
	after   int64           // position of the last event that is in the log, and was not revoked; 0 if none is
	lost    map[string]bool // the streams of the events behind it
	revoked int64           // epochs that began behind it have revoked what was above this, also if the log has it again
}

// compare looks for the last event of a partition that is in the log, from its end on.
func (p *Published) compare(ctx context.Context, part kafka.Partition, held kafka.Range, head es.Head) (remainder, error) {
	k := remainder{lost: make(map[string]bool), revoked: math.MaxInt64}
	window := int64(firstWindow)
	for to := held.Last; to > held.First; window = min(4*window, maxWindow) {
		from := max(held.First, to-window)
		envelopes := make([]Envelope, 0, to-from)
		err := p.broker.ReadRange(ctx, part, from, to, func(r kafka.Record) error {
			e, err := EnvelopeOf(&r)
			envelopes = append(envelopes, e)
			return err
		})
		if err != nil {
			return remainder{}, fmt.Errorf("bus: look for what the log has of %s/%d: %w", part.Topic, part.ID, err)
		}
		for _, e := range slices.Backward(envelopes) {
			switch {
			case e.Type == TypeEpochBegan:
				k.revoked = min(k.revoked, e.Position)
				continue
			case e.Position < 1:
				continue // it repeats what stayed
			}
			same, err := p.inLog(ctx, &e, head)
			if err != nil {
				return remainder{}, err
			}
			if same && e.Position <= k.revoked {
				k.after = e.Position
				return k, nil
			}
			k.lost[e.Subject] = true
		}
		to = from
	}
	return k, nil
}

// personal returns the message that says what is personal of a stream as of a position. It has no
// position and no epoch itself, since it repeats what stays.
func (p *Published) personal(ctx context.Context, stream string, after int64, at time.Time) (kafka.Record, error) {
	topic, service := PersonalTopic(p.publication.Service), p.publication.Service
	var last *es.Record
	for version := int64(0); ; {
		events, err := p.publication.Log.ReadStream(ctx, stream, version, es.MaxRead)
		if err != nil {
			return kafka.Record{}, fmt.Errorf("bus: read %s: %w", stream, err)
		}
		for i := range events {
			if e := &events[i]; e.Position <= after && (e.HasPersonal || e.Erases) {
				last = e
			}
			version = events[i].Version
		}
		if len(events) < es.MaxRead {
			break
		}
	}
	if last == nil {
		e := Envelope{
			ID: stream + "/0", Type: TypeName(service, "personal"), Source: Source(service), Subject: stream, Time: at,
		}
		return e.Record(topic, []byte(stream), nil), nil
	}
	records, err := p.publication.Translate(ctx, "", last)
	if err != nil {
		return kafka.Record{}, fmt.Errorf("bus: say again what is personal of %s: %w", stream, err)
	}
	r := records[slices.IndexFunc(records, func(r kafka.Record) bool { return r.Topic == topic })]
	r.Headers = slices.DeleteFunc(r.Headers, func(h kafka.Header) bool { return h.Key == HeaderPosition })
	return r, nil
}
