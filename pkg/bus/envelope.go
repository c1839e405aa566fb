// Package bus is the language of Orderlane's topics: CloudEvents in Kafka's binary mode,
// topic names, and Watermill's CQRS component on top of them.
//
// In the flow it stands twice: commandapi sends commands with a Sender, and a service's
// CommandGroup hands them to the engine, whose answers and events go out as messages that
// are made here.
package bus

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"github.com/orderlane/orderlane/pkg/kafka"
)

// The header names of CloudEvents 1.0 in Kafka's binary content mode, and of Orderlane's
// extension attributes. They are public: other teams read them.
const (
	HeaderSpecVersion   = "ce_specversion"
	HeaderID            = "ce_id"
	HeaderType          = "ce_type"
	HeaderSource        = "ce_source"
	HeaderTime          = "ce_time"
	HeaderSubject       = "ce_subject"
	HeaderContentType   = "content-type"
	HeaderTraceparent   = "traceparent"
	HeaderCorrelation   = "ce_correlationid"
	HeaderCausation     = "ce_causationid"
	HeaderTrigger       = "ce_triggerid" // of an event: the message that its command came of
	HeaderCaller        = "ce_caller"
	HeaderRole          = "ce_role"
	HeaderStreamVersion = "ce_streamversion" // of an event in its stream
	HeaderPosition      = "ce_position"      // of an event in its service's log
	HeaderEpoch         = "ce_epoch"         // of that log
	HeaderDigest        = "ce_digest"        // of a request's body
	HeaderIfVersion     = "ce_ifversion"     // refuse the command at another stream version
	HeaderAfter         = "ce_after"         // consistency tokens to know before deciding
	HeaderReplyTo       = "ce_replyto"       // partition of the outcomes topic where a caller waits
	HeaderStatus        = "ce_status"        // of a command, as an outcome tells it
	HeaderDiscard       = "ce_discard"       // on a command: give it up, for this reason
)

const (
	maxHeaders     = 16  // that a message has as a rule
	commandHeaders = 14  // that a command has as a rule; a map of more takes twice the room
	headerRoom     = 512 // bytes of their values, as a rule
	specVersion    = "1.0"
	contentType    = "application/json"
)

// Caller is who asks. Role is customer, staff or service.
type Caller struct {
	ID   string
	Role string
}

// Envelope is what a message says about itself, beside its data.
type Envelope struct {
	ID          string
	Type        string
	Source      string // /orderlane/<service>
	Subject     string // the stream
	Time        time.Time
	Traceparent string
	Correlation string
	Causation   string
	Caller      Caller

	// Of commands:
	Digest    string
	IfVersion *int64
	After     string // consistency tokens, comma-separated
	ReplyTo   *int32

	// Of events:
	StreamVersion int64
	Position      int64
	Epoch         string
	Trigger       string // what the command came of: an event's id, or a task's; "" for a caller's own
}

// each calls set for every attribute that the envelope has.
func (e *Envelope) each(set func(name, value string)) {
	text := func(name, value string) {
		if value != "" {
			set(name, value)
		}
	}
	set(HeaderSpecVersion, specVersion)
	set(HeaderID, e.ID)
	set(HeaderType, e.Type)
	set(HeaderSource, e.Source)
	set(HeaderTime, e.Time.UTC().Format(time.RFC3339Nano))
	text(HeaderSubject, e.Subject)
	set(HeaderContentType, contentType)
	text(HeaderTraceparent, e.Traceparent)
	text(HeaderCorrelation, e.Correlation)
	text(HeaderCausation, e.Causation)
	text(HeaderCaller, e.Caller.ID)
	text(HeaderRole, e.Caller.Role)
	text(HeaderDigest, e.Digest)
	text(HeaderAfter, e.After)
	text(HeaderEpoch, e.Epoch)
	text(HeaderTrigger, e.Trigger)
	if e.IfVersion != nil {
		set(HeaderIfVersion, strconv.FormatInt(*e.IfVersion, 10))
	}
	if e.ReplyTo != nil {
		set(HeaderReplyTo, strconv.FormatInt(int64(*e.ReplyTo), 10))
	}
	if e.StreamVersion > 0 {
		set(HeaderStreamVersion, strconv.FormatInt(e.StreamVersion, 10))
	}
	if e.Position > 0 {
		set(HeaderPosition, strconv.FormatInt(e.Position, 10))
	}
}

// parse reads the attributes that get knows. Times and numbers that can't be read are
// errors: whoever wrote them did not write an Orderlane message.
func parse(get func(name string) string) (Envelope, error) {
	e := Envelope{
		ID: get(HeaderID), Type: get(HeaderType), Source: get(HeaderSource), Subject: get(HeaderSubject),
		Traceparent: get(HeaderTraceparent), Correlation: get(HeaderCorrelation), Causation: get(HeaderCausation),
		Caller: Caller{ID: get(HeaderCaller), Role: get(HeaderRole)},
		Digest: get(HeaderDigest), After: get(HeaderAfter), Epoch: get(HeaderEpoch), Trigger: get(HeaderTrigger),
	}
	var err error
	number := func(name string, bits int) (n int64, ok bool) {
		s := get(name)
		if s == "" || err != nil {
			return 0, false
		}
		if n, err = strconv.ParseInt(s, 10, bits); err != nil {
			err = fmt.Errorf("bus: header %s of message %q: %w", name, e.ID, err)
			return 0, false
		}
		return n, true
	}
	if s := get(HeaderTime); s != "" {
		if e.Time, err = time.Parse(time.RFC3339Nano, s); err != nil {
			err = fmt.Errorf("bus: header %s of message %q: %w", HeaderTime, e.ID, err)
		}
	}
	if n, ok := number(HeaderIfVersion, 64); ok {
		e.IfVersion = &n
	}
	if n, ok := number(HeaderReplyTo, 32); ok {
		partition := int32(n)
		e.ReplyTo = &partition
	}
	e.StreamVersion, _ = number(HeaderStreamVersion, 64)
	e.Position, _ = number(HeaderPosition, 64)
	return e, err
}

// EnvelopeOf reads the envelope of a Kafka record.
func EnvelopeOf(r *kafka.Record) (Envelope, error) { return parse(r.Header) }

// envelopeOfMessage reads the envelope of a Watermill message.
func envelopeOfMessage(m *message.Message) (Envelope, error) {
	return parse(func(name string) string {
		if name == HeaderID {
			return m.UUID
		}
		return clip(clean(m.Metadata[name]))
	})
}

// maxAttribute bounds the attributes of a command, in bytes: its outcome repeats them, and must
// fit into a message whatever the command said.
const maxAttribute = 4096

// clip is s, cut off where it is longer than an attribute may be.
func clip(s string) string {
	if len(s) <= maxAttribute {
		return s
	}
	return strings.ToValidUTF8(s[:maxAttribute], "")
}

// clean is s as every store and every JSON takes it. Headers hold any bytes, and those of a
// message that can't be handled are still to be told of.
func clean(s string) string {
	if utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 {
		return s
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// Record returns the Kafka record of a message with this envelope.
func (e *Envelope) Record(topic string, key, data []byte) kafka.Record {
	r := kafka.Record{Topic: topic, Partition: kafka.AnyPartition, Key: key, Value: data, Time: e.Time}
	r.Headers = make([]kafka.Header, 0, maxHeaders)
	values := make([]byte, 0, headerRoom) // one allocation for all of them, as a rule
	e.each(func(name, value string) {
		from := len(values)
		values = append(values, value...)
		r.Headers = append(r.Headers, kafka.Header{Key: name, Value: values[from:len(values):len(values)]})
	})
	return r
}

// Source is the ce_source of a service's messages.
func Source(service string) string { return "/orderlane/" + service }

// TypeName is the ce_type of a service's message: orderlane.<service>.<name>.v1.
func TypeName(service, name string) string { return "orderlane." + service + "." + name + ".v1" }

// ServiceOf returns the service of a ce_type, or "" if it is none of ours.
func ServiceOf(typeName string) string {
	parts := strings.Split(typeName, ".")
	if len(parts) != 4 || parts[0] != "orderlane" {
		return ""
	}
	return parts[1]
}

// Encode returns the JSON of a message's data, the same for the same value. Text that is no
// UTF-8, as a reason may quote it, is mended.
func Encode(v any) ([]byte, error) {
	return json.Marshal(v, json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
}

// Decode reads a message's data. Members it does not know are ignored, so that older
// consumers read newer messages.
func Decode(data []byte, v any) error { return json.Unmarshal(data, v) }

// namespace is the root of all ids that are derived from others.
var namespace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://orderlane.dev/ids"))

// DeriveID returns the UUID (version 5) that the parts always lead to. The parts are
// length-prefixed, so that different parts never run together to the same id.
func DeriveID(parts ...string) uuid.UUID {
	b := make([]byte, 0, 128)
	for _, p := range parts {
		b = append(strconv.AppendInt(b, int64(len(p)), 10), ':')
		b = append(b, p...)
	}
	return uuid.NewSHA1(namespace, b)
}

// DeriveFrom returns the UUID of something that a command makes: the same for the same
// command. Where the command's id is ordered by time (version 7) the new one is too, with the
// same time, since databases write ordered keys for much less; else it is a version 5.
func DeriveFrom(command uuid.UUID, what string) uuid.UUID {
	id := DeriveID(what, command.String())
	if command.Version() == 7 {
		copy(id[:6], command[:6])
		id[6] = id[6]&0x0f | 0x70
	}
	return id
}

// The roles of callers.
const (
	RoleCustomer = "customer"
	RoleStaff    = "staff"
	RoleService  = "service"
)
