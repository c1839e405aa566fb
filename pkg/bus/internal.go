package bus

import "github.com/orderlane/orderlane/pkg/es"

// NoReply as the partition to reply to (ce_replyto) makes a command internal: services ask it of
// each other, and no caller follows it. Its outcome is kept in the log as any other's, but is
// published only when it did not succeed; so an order's life does not double the traffic of the
// outcomes topic. Views of commands leave out messages that carry it.
const NoReply int32 = -1

func noReply() *int32 {
	partition := NoReply
	return &partition
}

// Internal reports whether a message is an internal command, or the outcome of one.
func (e *Envelope) Internal() bool { return e.ReplyTo != nil && *e.ReplyTo == NoReply }

// internal reports whether an answer is to an internal command.
func internal(a *es.Answer) bool {
	partition, ok := a.Command.Reply.(*int32)
	return ok && partition != nil && *partition == NoReply
}
