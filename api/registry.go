// Package api is the registry of what Orderlane says in public: every service with its
// topics and message types. Topics are created from it, and the contracts beside it
// (openapi.json, asyncapi.yaml, schemas) are generated from it and the Go types, by
// `make generate`.
package api

import (
	_ "embed" // of the documents

	"github.com/orderlane/orderlane/pkg/bus"
)

// OpenAPI is the OpenAPI 3.1 document of the whole HTTP API, as JSON.
//
//go:embed openapi.json
var OpenAPI []byte

// AsyncAPI is the AsyncAPI 3.1 document of all topics, as YAML.
//
//go:embed asyncapi.yaml
var AsyncAPI []byte

// Message is a type of message on a topic.
type Message struct {
	Type    string // ce_type
	Body    any    // the zero value of its Go type
	Summary string
}

// Service is a service that decides commands, with all that is on its topics.
type Service struct {
	Name     string
	Summary  string
	Commands []Message
	Events   []Message
	Personal []Message // empty: it keeps nothing personal
	Tasks    []Message // of its gateway; empty: it has none
}

// Outcomes are the messages on the outcomes topic.
var Outcomes = []Message{
	{bus.TypeOutcome, bus.Outcome{}, "How a command ended."},
	{bus.TypeReply, bus.Outcome{}, "An answer to one caller that is not the command's outcome."},
}

// Epochs are messages on every topic of events and of what is personal, beside those of its service.
var Epochs = []Message{
	{bus.TypeEpochBegan, bus.EpochBegan{}, "The service's log was restored to an earlier point and runs under a new epoch (ce_epoch). " +
		"What came before in this partition, of earlier epochs and at positions above ce_position, has never happened. Key: " + bus.EpochKey + "."},
}

// DeadLetters are the messages on dead-letter topics.
var DeadLetters = []Message{
	{bus.TypeDeadLetter, bus.DeadLetter{}, "A message that a consumer could not handle: ids only."},
}
