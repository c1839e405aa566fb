package bus

import (
	"slices"
	"strings"

	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/kafka"
)

// Resend is the message that sends a parked command through its topic again, as it came
// and with the same id. It stays parked until it has an outcome.
func Resend(p es.Parked) kafka.Record {
	r := kafka.Record{
		Topic: p.Topic, Partition: kafka.AnyPartition, Key: []byte(p.Key), Value: p.Payload,
	}
	for name, value := range p.Headers {
		if name != HeaderReplyTo { // nobody waits any more
			r.Headers = append(r.Headers, kafka.Header{Key: name, Value: []byte(value)})
		}
	}
	slices.SortFunc(r.Headers, func(a, b kafka.Header) int { return strings.Compare(a.Key, b.Key) })
	return r
}
