package bus

import (
	"slices"
	"strconv"
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
		if name != HeaderReplyTo || value == strconv.Itoa(int(NoReply)) { // nobody waits any more
			r.Headers = append(r.Headers, kafka.Header{Key: name, Value: []byte(value)})
		}
	}
	slices.SortFunc(r.Headers, func(a, b kafka.Header) int { return strings.Compare(a.Key, b.Key) })
	return r
}

// firstLine is the reason without the stack behind it.
func firstLine(reason string) string {
	line, _, _ := strings.Cut(reason, "\n")
	return line
}

// Discard is the message that gives up a parked command for good. It goes through the
// command's topic too, so that its outcome is published whatever happens to the process that
// decides it.
func Discard(p es.Parked) kafka.Record {
	r := Resend(p)
	reason := firstLine(p.Reason) // without the stack
	if reason == "" {
		reason = "given up"
	}
	r.Value = []byte("{}") // nobody reads it
	r.Headers = append(r.Headers, kafka.Header{Key: HeaderDiscard, Value: []byte(reason)})
	return r
}
