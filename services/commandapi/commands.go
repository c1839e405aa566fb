// Package commandapi takes commands over HTTP: it checks their shape and their caller, gives
// each an id, and publishes it to the command topic of its service. It needs Kafka and
// nothing else, so orders are accepted while every database is down.
package commandapi

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/failpoint"
	"github.com/orderlane/orderlane/pkg/fault"
	"github.com/orderlane/orderlane/pkg/httpapi"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/service"
)

// retryAfter is when a client that was told to try again should.
const retryAfter = 2 * time.Second

// Commands accepts commands. It is safe for concurrent use.
type Commands struct {
	platform *service.Platform
	sender   *bus.Sender // there when the broker is
	replies  *replies
	outlet   *outlet
}

// Accepted is the answer to a command.
type Accepted struct {
	CommandID        string       `json:"command_id"`
	Status           string       `json:"status" enum:"accepted,succeeded,parked"`
	Resource         bus.Resource `json:"resource"`
	Version          int64        `json:"version,omitzero" required:"false" doc:"Of the resource, when the command has succeeded"`
	ConsistencyToken string       `json:"consistency_token,omitempty" doc:"Send it with a query that must see the effect"`
	Links            Links        `json:"links"`
}

// Links say where to look next.
type Links struct {
	Command  string `json:"command" doc:"The command's status"`
	Resource string `json:"resource"`
}

// output is an Accepted with its status and headers.
type output struct {
	Status            int
	Location          string `header:"Location"`
	ConsistencyToken  string `header:"Consistency-Token"`
	PreferenceApplied string `header:"Preference-Applied"`
	Body              Accepted
}

// request is one command as a client sent it.
type request struct {
	httpapi.CommandParams
	operation string // method and path, with what it names
	resource  bus.Resource
	stream    string // that the command is for, where it is not the resource's
	path      string // where the resource can be read
	command   bus.Typed
}

// accept publishes a command, and waits for its outcome if the client prefers that.
func (c *Commands) accept(ctx context.Context, id uuid.UUID, r *request) (*output, error) {
	e, err := c.envelope(ctx, id.String(), r)
	if err != nil {
		return nil, err
	}
	answer := r.output(e.ID)
	if r.Wait.For <= 0 {
		return answer, c.publish(ctx, r.command, e)
	}
	partition := c.replies.partition
	e.ReplyTo = &partition
	outcome, forget := c.replies.expect(e.ID, e.Digest)
	defer forget()
	if err := c.publish(ctx, r.command, e); err != nil {
		return nil, err
	}
	wait, cancel := httpapi.WaitContext(ctx, r.Wait.For)
	defer cancel()
	select {
	case o := <-outcome:
		return answer.with(o)
	case <-wait.Done():
		return answer, nil
	}
}

// commandID is the same for the same caller, operation and idempotency key.
func (c *Commands) commandID(ctx context.Context, r *httpapi.CommandParams, operation string) uuid.UUID {
	if r.IdempotencyKey == "" {
		return c.platform.NewID()
	}
	return bus.DeriveID("command", httpapi.CallerOf(ctx).ID, operation, r.IdempotencyKey)
}

func (c *Commands) envelope(ctx context.Context, id string, r *request) (*bus.Envelope, error) {
	caller := httpapi.CallerOf(ctx)
	stream := r.stream
	if stream == "" {
		stream = r.resource.Type + "-" + r.resource.ID
	}
	e := &bus.Envelope{
		ID: id, Type: r.command.MessageType(), Source: bus.Source("commandapi"), Subject: stream,
		Time: c.platform.Clock(), Traceparent: httpapi.Traceparent(ctx), Correlation: id,
		Caller: bus.Caller{ID: caller.ID, Role: string(caller.Role)}, After: r.Tokens.String(),
	}
	version, err := r.IfMatch.For(stream)
	if err != nil {
		return nil, err
	}
	switch version {
	case 0:
	case httpapi.AnyVersion:
		exists := es.AnyVersion
		e.IfVersion = &exists
	default:
		e.IfVersion = &version
	}
	if r.IdempotencyKey != "" {
		data, err := bus.Encode(r.command)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(data)
		e.Digest = hex.EncodeToString(sum[:16])
	}
	return e, nil
}

// publish hands the command to Kafka. The client is not kept longer than publishWait, and
// hardly at all while the broker is known to be away: then it is unknown whether the command
// was accepted, and the same key tells.
func (c *Commands) publish(ctx context.Context, command bus.Typed, e *bus.Envelope) error {
	p, ok := c.outlet.enter(ctx)
	if !ok {
		return unavailable()
	}
	done := make(chan error, 1)
	go func() {
		err := c.sender.Send(context.WithoutCancel(ctx), command, e)
		p.leave(err)
		failpoint.Hit("commandapi.after_publish")
		done <- err
	}()
	timer := time.NewTimer(p.wait)
	defer timer.Stop()
	select {
	case err := <-done:
		switch {
		case kafka.IsTooLarge(err):
			return &httpapi.Problem{
				Status: http.StatusRequestEntityTooLarge, Code: "message_too_large",
				Detail: "the command is larger than a message may be; send less at once",
			}
		case ofCommand(err):
			return err
		case err != nil:
			c.platform.Logger("commandapi").Warn("a command was not published", "command", e.ID, "error", err)
			return unavailable()
		}
		return nil
	case <-timer.C:
		return unavailable()
	case <-ctx.Done():
		return unavailable()
	}
}

func unavailable() error {
	return httpapi.RetryAfter(fault.Unavailable("broker_unavailable",
		"the broker does not answer; try again with the same Idempotency-Key: the command may have been accepted"), retryAfter)
}

func (r *request) output(id string) *output {
	return &output{
		Status: http.StatusAccepted, Location: "/v1/commands/" + id, PreferenceApplied: r.Wait.Applied(),
		Body: Accepted{
			CommandID: id, Status: "accepted", Resource: r.resource,
			Links: Links{Command: "/v1/commands/" + id, Resource: r.path},
		},
	}
}

// with completes the answer by the command's outcome. A refusal is the answer's error.
func (a *output) with(o *bus.Outcome) (*output, error) {
	switch o.Status {
	case es.StatusSucceeded:
		a.Status = http.StatusOK
		a.Body.Version, a.Body.ConsistencyToken, a.ConsistencyToken = o.Version, o.ConsistencyToken, o.ConsistencyToken
	case es.StatusParked:
	case es.StatusRefused:
		return nil, huma.ErrorWithHeaders(o.Problem, http.Header{"Preference-Applied": {a.PreferenceApplied}})
	default:
		return nil, &httpapi.Problem{
			Status: http.StatusInternalServerError, Code: "command_failed",
			Detail: "the command was given up for a fault of ours; send it again with a new key",
		}
	}
	a.Body.Status = string(o.Status)
	return a, nil
}
