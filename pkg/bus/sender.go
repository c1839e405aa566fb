package bus

import (
	"context"
	"errors"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/components/cqrs"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/orderlane/orderlane/pkg/kafka"
)

// Typed is implemented by the wire types of commands: MessageType is the ce_type.
type Typed interface{ MessageType() string }

// ErrUnencodable is wrapped by the error of sending what can't be encoded: a fault of the sender's.
var ErrUnencodable = errors.New("bus: the command can't be encoded")

// marshaler is the wire format of commands for Watermill's CQRS component.
type marshaler struct{}

var _ cqrs.CommandEventMarshaler = marshaler{}

func (marshaler) Marshal(v any) (*message.Message, error) {
	data, err := Encode(v)
	if err != nil {
		return nil, fmt.Errorf("%w: %T: %w", ErrUnencodable, v, err)
	}
	return message.NewMessage("", data), nil // the envelope names it
}

func (marshaler) Unmarshal(m *message.Message, v any) error { return Decode(m.Payload, v) }

func (marshaler) Name(v any) string {
	if t, ok := v.(Typed); ok {
		return t.MessageType()
	}
	return ""
}

func (marshaler) NameFromMessage(m *message.Message) string { return m.Metadata[HeaderType] }

// Sender publishes commands to the command topics of their services, through Watermill's
// command bus. It is safe for concurrent use.
type Sender struct{ bus *cqrs.CommandBus }

// Publisher publishes messages; it is Watermill's.
type Publisher = message.Publisher

// NewSender returns a sender on a publisher.
func NewSender(publisher Publisher) (*Sender, error) {
	commands, err := cqrs.NewCommandBusWithConfig(publisher, cqrs.CommandBusConfig{
		GeneratePublishTopic: func(p cqrs.CommandBusGeneratePublishTopicParams) (string, error) {
			service := ServiceOf(p.CommandName)
			if service == "" {
				return "", fmt.Errorf("bus: %q is no type of a command", p.CommandName)
			}
			return CommandsTopic(service), nil
		},
		Marshaler: marshaler{},
	})
	if err != nil {
		return nil, fmt.Errorf("bus: make the command bus: %w", err)
	}
	return &Sender{bus: commands}, nil
}

// Send publishes a command and returns when Kafka has it for good. After an error it is
// unknown whether the command was accepted: send it again with the same id.
func (s *Sender) Send(ctx context.Context, command Typed, e *Envelope) error {
	if e.ID == "" || e.Subject == "" {
		return errors.New("bus: a command needs an id and a stream")
	}
	return s.bus.SendWithModifiedMessage(ctx, command, func(m *message.Message) error {
		m.UUID = e.ID
		m.Metadata = make(message.Metadata, commandHeaders)
		m.Metadata[kafka.MetadataKey] = e.Subject
		e.each(func(name, value string) {
			if name != HeaderID {
				m.Metadata[name] = value
			}
		})
		return nil
	})
}
