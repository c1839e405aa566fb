package main

import (
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/invopop/jsonschema"
	"gopkg.in/yaml.v3"

	"github.com/orderlane/orderlane/api"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/daemon"
	"github.com/orderlane/orderlane/pkg/httpapi"
	"github.com/orderlane/orderlane/pkg/kafka"
)

//go:generate go run . contracts ../../api

// contractsVersion is the version of the public contracts.
const contractsVersion = "1.0.0"

type contractsCommand struct {
	Dir string `arg:"" help:"Directory to write openapi.json, asyncapi.yaml and schemas/ to."`
}

// Run writes the contracts anew from the Go types.
func (c *contractsCommand) Run() error {
	files, err := contracts()
	if err != nil {
		return err
	}
	for name, data := range files {
		path := filepath.Join(c.Dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// contracts returns the contract documents by file name.
func contracts() (map[string][]byte, error) {
	files := make(map[string][]byte)
	openapi, err := openAPI()
	if err != nil {
		return nil, err
	}
	files["openapi.json"] = openapi
	for _, m := range allMessages() {
		data, err := marshalPretty(schemaOf(m))
		if err != nil {
			return nil, fmt.Errorf("schema of %s: %w", m.Type, err)
		}
		files[schemaFile(m)] = data
	}
	topics, err := asyncAPI()
	if err != nil {
		return nil, err
	}
	files["asyncapi.yaml"], err = yaml.Marshal(topics)
	return files, err
}

func marshalPretty(v any) ([]byte, error) {
	data, err := json.Marshal(v, jsontext.Multiline(true), jsontext.WithIndent("  "), json.Deterministic(true))
	return append(data, '\n'), err
}

// openAPI is the contract of every service's operations.
func openAPI() ([]byte, error) {
	settings := &daemon.Settings{}
	settings.Kafka.Partitions = 1
	all, err := choose(nil)
	if err != nil {
		return nil, err
	}
	platform, err := describe(settings, slog.New(slog.DiscardHandler), all)
	if err != nil {
		return nil, err
	}
	data, err := platform.API.OpenAPI().MarshalJSON()
	if err != nil {
		return nil, err
	}
	value := jsontext.Value(data)
	err = value.Indent(jsontext.WithIndent("  "))
	return append(value, '\n'), err
}

// serveContracts serves the contract of the topics beside that of HTTP. Where a process runs some of
// the services only, that of HTTP is still the whole one: clients see one API, whoever serves it.
func serveContracts(a *httpapi.API, whole bool) {
	if !whole {
		a.Router.Get("/openapi.json", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/openapi+json")
			_, _ = w.Write(api.OpenAPI) // the client is gone
		})
	}
	a.Router.Get("/asyncapi.yaml", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/yaml")
		_, _ = w.Write(api.AsyncAPI) // the client is gone
	})
}

func allMessages() []api.Message {
	all := append([]api.Message{}, api.Outcomes[0])
	all = slices.Concat(all, api.DeadLetters, api.Epochs)
	for _, s := range api.Services {
		all = slices.Concat(all, s.Commands, s.Events, s.Personal, s.Tasks)
	}
	return all
}

func schemaFile(m api.Message) string { return "schemas/" + m.Type + ".json" }

func schemaOf(m api.Message) *jsonschema.Schema {
	// Consumers must bear fields that they do not know, since fields are added.
	r := jsonschema.Reflector{Anonymous: true, DoNotReference: true, AllowAdditionalProperties: true}
	s := r.Reflect(m.Body)
	s.Title, s.Description = m.Type, m.Summary
	return s
}

// channel is one topic with what is on it.
type channel struct {
	name, summary string
	messages      []api.Message
	receive       bool // others send, the service receives
}

func channels() []channel {
	all := []channel{
		{bus.OutcomesTopic, "The outcome of every command of every service. Key: the command's id.", api.Outcomes, false},
	}
	for _, s := range api.Services {
		all = append(all,
			channel{bus.CommandsTopic(s.Name), s.Summary + " What it is asked to do. Key: the stream.", s.Commands, true},
			channel{bus.EventsTopic(s.Name), s.Summary + " What has happened; kept for ever. Key: the stream, whose versions are 1..n.", slices.Concat(s.Events, api.Epochs), false},
			channel{bus.DeadLettersTopic(s.Name), "What " + s.Name + " could not handle.", api.DeadLetters, false},
		)
		if len(s.Personal) > 0 {
			all = append(all, channel{bus.PersonalTopic(s.Name), s.Summary + " What is personal of them; compacted. Key: the stream.", slices.Concat(s.Personal, api.Epochs), false})
		}
		if len(s.Tasks) > 0 {
			all = append(all, channel{bus.TasksTopic(s.Name), "What the gateway of " + s.Name + " is to do in the outside world. Key: the stream.", s.Tasks, true})
		}
	}
	for _, view := range views {
		all = append(all, channel{bus.DeadLettersTopic(view), "What " + view + " could not fold.", api.DeadLetters, false})
	}
	return all
}

type object = map[string]any

// asyncAPI describes all topics, as AsyncAPI 3.1.
func asyncAPI() (object, error) {
	chans, operations, messages, schemas := object{}, object{}, object{}, object{"headers": headersSchema()}
	for _, m := range allMessages() {
		data, err := json.Marshal(schemaOf(m))
		if err != nil {
			return nil, fmt.Errorf("schema of %s: %w", m.Type, err)
		}
		var schema object
		if err := json.Unmarshal(data, &schema); err != nil {
			return nil, fmt.Errorf("schema of %s: %w", m.Type, err)
		}
		delete(schema, "$schema") // the message says which dialect it is
		schemas[m.Type] = schema
	}
	for _, c := range channels() {
		refs, of := object{}, []any{}
		for _, m := range c.messages {
			refs[m.Type] = object{"$ref": "#/components/messages/" + m.Type}
			of = append(of, object{"$ref": "#/channels/" + c.name + "/messages/" + m.Type})
			messages[m.Type] = message(m)
		}
		chans[c.name] = object{"address": c.name, "description": c.summary, "messages": refs}
		action := "send"
		if c.receive {
			action = "receive"
		}
		operations[action+"."+c.name] = object{"action": action, "channel": object{"$ref": "#/channels/" + c.name}, "messages": of}
	}
	return object{
		"asyncapi": "3.1.0",
		"info": object{
			"title": apiTitle + " topics", "version": contractsVersion,
			"description": "CloudEvents 1.0 in Kafka's binary content mode: attributes are headers named ce_*, the value is JSON.",
		},
		"defaultContentType": "application/json",
		"channels":           chans, "operations": operations,
		"components": object{"messages": messages, "schemas": schemas},
	}, nil
}

func message(m api.Message) object {
	schema := m.Type
	if schema == bus.TypeReply {
		schema = bus.TypeOutcome
	}
	return object{
		"name": m.Type, "summary": m.Summary, "contentType": "application/json",
		"headers": object{"$ref": "#/components/schemas/headers"},
		"payload": object{"schemaFormat": "application/schema+json;version=draft-2020-12", "schema": object{"$ref": "#/components/schemas/" + schema}},
	}
}

func headersSchema() object {
	text := func(description string) object { return object{"type": "string", "description": description} }
	return object{
		"type":     "object",
		"required": []string{bus.HeaderSpecVersion, bus.HeaderID, bus.HeaderType, bus.HeaderSource, bus.HeaderTime},
		"properties": object{
			bus.HeaderSpecVersion:   object{"const": "1.0"},
			bus.HeaderID:            text("The message's id: the same whenever it is published again. Of an event <stream>/<version>."),
			bus.HeaderType:          text("orderlane.<service>.<name>.v1"),
			bus.HeaderSource:        text("/orderlane/<service>"),
			bus.HeaderTime:          text("When it happened, RFC 3339."),
			bus.HeaderSubject:       text("The stream, which is the key too."),
			bus.HeaderContentType:   text("application/json"),
			bus.HeaderTraceparent:   text("W3C trace context."),
			bus.HeaderCorrelation:   text("The command that began it all."),
			bus.HeaderCausation:     text("The message that led to this one."),
			bus.HeaderTrigger:       text("Of an event: what its command came of, the id of an event or of a task; not there if a caller sent the command."),
			bus.HeaderCaller:        text("Who asked."),
			bus.HeaderRole:          text("Of a command: customer, staff or service."),
			bus.HeaderStreamVersion: text("Of an event: its version in the stream, from 1 without gaps."),
			bus.HeaderPosition:      text("Of an event: its position in its service's log."),
			bus.HeaderEpoch:         text("Of an event: the life of that log. Another one begins when the log was restored to an earlier point, with a message of type " + bus.TypeEpochBegan + "."),
			bus.HeaderDigest:        text("Of a command, and of its answer: digest of the request's body."),
			bus.HeaderIfVersion:     text("Of a command: refuse it at another version of the stream; -1: if there is none."),
			bus.HeaderAfter:         text("Of a command: consistency tokens to know before deciding."),
			bus.HeaderReplyTo:       text("Of a command: the partition of " + bus.OutcomesTopic + " where a caller waits; -1: of a command between services, which nobody waits for, or its outcome."),
			bus.HeaderStatus:        text("Of an outcome: " + strings.Join([]string{"succeeded", "refused", "parked", "failed"}, ", ") + "."),
			bus.HeaderDiscard:       text("Of a parked command: an operator gives it up, for this reason."),
		},
	}
}

// topics are all topics of the platform: the registry that brokers are set up from.
func topics(partitions, replication int) []kafka.TopicSpec {
	all := []kafka.TopicSpec{bus.Outcomes(partitions, replication)}
	for _, s := range api.Services {
		all = append(all, bus.ServiceTopics(s.Name, len(s.Personal) > 0, partitions, replication)...)
		if len(s.Tasks) > 0 {
			all = append(all, bus.Tasks(s.Name, partitions, replication))
		}
	}
	for _, view := range views {
		all = append(all, bus.DeadLetters(view, partitions, replication))
	}
	return all
}
