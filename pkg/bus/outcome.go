package bus

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/fault"
	"github.com/orderlane/orderlane/pkg/kafka"
)

// The types of messages on the outcomes topic.
const (
	TypeOutcome = "orderlane.outcome.v1"
	// TypeReply is an answer to one caller that is not the command's outcome.
	TypeReply = "orderlane.reply.v1"
	// TypeDeadLetter tells of a message that could not be handled.
	TypeDeadLetter = "orderlane.deadletter.v1"
)

// Outcome is the public form of a command's outcome.
type Outcome struct {
	CommandID        string       `json:"command_id"`
	CommandType      string       `json:"command_type"`
	Status           es.Status    `json:"status"`
	Resource         Resource     `json:"resource"`
	Version          int64        `json:"version,omitzero"`
	ConsistencyToken string       `json:"consistency_token,omitzero"`
	Problem          *fault.Fault `json:"problem,omitzero"`
	Time             time.Time    `json:"time"`
}

// Resource names a thing that commands change: a stream by its category and id.
type Resource struct {
	Type string `json:"type" example:"order"`
	ID   string `json:"id"`
}

// ResourceOf splits a stream's name.
func ResourceOf(stream string) Resource {
	category, id, _ := strings.Cut(stream, "-")
	return Resource{Type: category, ID: id}
}

// maxOutcome bounds the public form of an outcome, in bytes: a problem that repeats a large
// input is cut.
const maxOutcome = 256 << 10

// Token is the consistency token of a stream at a version.
func Token(stream string, version int64) string { return fmt.Sprintf("%s@%d", stream, version) }

// DeadLetter is what the dead-letter topic says of a message: ids only, nothing personal.
type DeadLetter struct {
	Topic       string    `json:"topic"`
	Partition   int32     `json:"partition,omitzero"`
	Offset      int64     `json:"offset,omitzero"`
	Consumer    string    `json:"consumer"` // the service or projection that gave up
	MessageID   string    `json:"message_id"`
	MessageType string    `json:"message_type"`
	Stream      string    `json:"stream"`
	Reason      string    `json:"reason"`
	Time        time.Time `json:"time"`
}

// PublishAnswers returns what an engine publishes its answers with: each outcome goes to
// the outcomes topic, to the partition where its caller waits if there is one, and each
// parked command leaves a copy in the service's dead-letter topic.
func PublishAnswers(producer kafka.Producer, service string) func(context.Context, []es.Answer) error {
	return func(ctx context.Context, answers []es.Answer) error {
		records := make([]kafka.Record, 0, len(answers))
		for i := range answers {
			a := &answers[i]
			if a.Private && !waits(a) || internal(a) && a.Outcome.Status == es.StatusSucceeded {
				continue
			}
			r, err := outcomeRecord(service, a)
			if err != nil {
				return err
			}
			records = append(records, r)
			if a.Outcome.Status == es.StatusParked {
				if r, err = parkedRecord(service, a); err != nil {
					return err
				}
				records = append(records, r)
			}
		}
		return producer.Publish(ctx, records)
	}
}

func outcomeRecord(service string, a *es.Answer) (kafka.Record, error) {
	o := &a.Outcome
	body := Outcome{
		CommandID: a.Command.Meta.Command.String(), CommandType: a.Command.Type, Status: o.Status,
		Resource: ResourceOf(o.Stream), Version: o.Version, Problem: publicFault(o.Fault), Time: o.Time,
	}
	if o.Fault != nil && o.Fault.Kind == fault.KindNotFound {
		body.Version = 0 // a version would tell that there is something after all
	}
	if body.Version > 0 && !a.Private {
		body.ConsistencyToken = Token(o.Stream, o.Version)
	}
	data, err := Encode(&body)
	if err == nil && len(data) > maxOutcome && body.Problem != nil {
		body.Problem = &fault.Fault{Kind: body.Problem.Kind, Code: clip(body.Problem.Code), Detail: clip(body.Problem.Detail)}
		data, err = Encode(&body)
	}
	if err != nil {
		return kafka.Record{}, fmt.Errorf("bus: encode the outcome of %s: %w", body.CommandID, err)
	}
	e := Envelope{
		ID: "outcome/" + body.CommandID, Type: TypeOutcome, Source: Source(service), Subject: o.Stream, Time: o.Time,
		Traceparent: a.Command.Meta.Traceparent, Correlation: a.Command.Meta.Correlation,
		Causation: body.CommandID, Caller: Caller{ID: a.Command.Meta.Caller},
		Digest: a.Command.Meta.Digest, // of the request that is answered: a reused key has several
	}
	switch { // whoever drops messages whose id they know must not miss the final outcome
	case a.Private:
		e.Type, e.ID = TypeReply, "reply/"+body.CommandID
	case o.Status == es.StatusParked:
		e.ID = "parked/" + body.CommandID
	}
	if internal(a) {
		e.ReplyTo = noReply()
	}
	r := e.Record(OutcomesTopic, []byte(body.CommandID), data)
	r.Headers = append(r.Headers, kafka.Header{Key: HeaderStatus, Value: []byte(o.Status)})
	if waits(a) {
		r.Partition = *a.Command.Reply.(*int32)
	}
	return r, nil
}

// publicFault leaves out the stack of a fault of ours: that stays with the parked command.
func publicFault(f *fault.Fault) *fault.Fault {
	if f == nil || f.Kind != fault.KindInternal {
		return f
	}
	public := *f
	public.Detail, _, _ = strings.Cut(f.Detail, "\n")
	return &public
}

// waits reports whether the caller of a command reads a partition for its answer.
func waits(a *es.Answer) bool {
	partition, ok := a.Command.Reply.(*int32)
	return ok && partition != nil && *partition != NoReply
}

func parkedRecord(service string, a *es.Answer) (kafka.Record, error) {
	c, o := a.Command, &a.Outcome
	letter := DeadLetter{
		Topic: c.Parked.Topic, Consumer: service, MessageID: c.Meta.Command.String(), MessageType: c.Type,
		Stream: c.Stream, Time: o.Time,
	}
	if f := publicFault(o.Fault); f != nil {
		letter.Reason = clip(f.Detail)
	}
	return DeadLetterRecord(service, letter)
}

// DeadLetterOf is the dead letter of a record that a consumer could not handle.
func DeadLetterOf(r *kafka.Record, consumer string, why error, at time.Time) DeadLetter {
	id := clip(clean(r.Header(HeaderID)))
	if id == "" {
		id = fmt.Sprintf("%s/%d/%d", r.Topic, r.Partition, r.Offset)
	}
	return DeadLetter{
		Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Consumer: consumer, MessageID: id,
		MessageType: clip(clean(r.Header(HeaderType))), Stream: clip(clean(string(r.Key))), Reason: clip(clean(firstLine(why.Error()))), Time: at,
	}
}

// DeadLetterRecord is the message that tells of a dead letter of a consumer of a service.
func DeadLetterRecord(service string, letter DeadLetter) (kafka.Record, error) {
	data, err := Encode(&letter)
	if err != nil {
		return kafka.Record{}, fmt.Errorf("bus: encode the dead letter of %s: %w", letter.MessageID, err)
	}
	e := Envelope{
		ID: "deadletter/" + letter.Consumer + "/" + letter.MessageID, Type: TypeDeadLetter,
		Source: Source(service), Subject: letter.Stream, Time: letter.Time,
	}
	return e.Record(DeadLettersTopic(service), []byte(letter.Stream), data), nil
}
