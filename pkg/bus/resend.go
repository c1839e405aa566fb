package bus

import (
	"fmt"
	"maps"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/kafka"
)

// Resend sends a parked command through its topic again, as it came and with the same id.
// It stays parked until it has an outcome.
func Resend(publisher message.Publisher, p es.Parked) error {
	m := message.NewMessage(p.Command.String(), p.Payload)
	maps.Copy(m.Metadata, p.Headers)
	delete(m.Metadata, HeaderID)
	delete(m.Metadata, HeaderReplyTo) // nobody waits any more
	m.Metadata[kafka.MetadataKey] = p.Key
	if err := publisher.Publish(p.Topic, m); err != nil {
		return fmt.Errorf("bus: send the parked command %s again: %w", p.Command, err)
	}
	return nil
}
