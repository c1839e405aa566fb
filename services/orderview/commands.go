package orderview

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/fault"
	"github.com/orderlane/orderlane/pkg/httpapi"
	"github.com/orderlane/orderlane/pkg/projection"
	"github.com/orderlane/orderlane/pkg/service"
)

// Command says how far a command has come.
type Command struct {
	CommandID        string            `json:"command_id"`
	Type             string            `json:"type,omitempty"`
	Status           string            `json:"status" enum:"accepted,succeeded,refused,parked,failed" doc:"parked: a fault of ours, it will be tried again; failed: given up"`
	Resource         bus.Resource      `json:"resource"`
	Version          int64             `json:"version,omitzero" required:"false"`
	ConsistencyToken string            `json:"consistency_token,omitempty"`
	Problem          *Problem          `json:"problem,omitempty" doc:"Why it was refused, parked or failed"`
	AcceptedAt       *time.Time        `json:"accepted_at,omitempty"`
	FinishedAt       *time.Time        `json:"finished_at,omitempty"`
	Links            map[string]string `json:"links"`
}

// Problem is why a command did not succeed.
type Problem struct {
	Status int           `json:"status"`
	Code   string        `json:"code"`
	Detail string        `json:"detail,omitempty"`
	Errors []fault.Field `json:"errors,omitempty"`
}

const statusAccepted = "accepted"

// command returns a command's status. One that is not known yet may be on its way to the
// view: it is waited for as a stale view is.
func (q *queries) command(ctx context.Context, id string, p *httpapi.ReadParams) (*Command, error) {
	wait, cancel := httpapi.WaitContext(ctx, p.Wait.Or(service.FreshnessWait))
	defer cancel()
	var found *Command
	err := q.Await(ctx, wait, id, func(ctx context.Context) (bool, error) {
		var err error
		found, err = q.lookup(ctx, id)
		return found != nil, err
	})
	switch {
	case found != nil:
		return found, nil
	case err == nil || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled):
		return nil, fault.NotFound("command", id)
	}
	return nil, err
}

// lookup returns what is known of a command now, if the caller may see it; else nil.
func (q *queries) lookup(ctx context.Context, id string) (*Command, error) {
	var c *Command
	var caller string
	err := q.Store.Query(ctx, "SELECT type, stream, caller, accepted_at, outcome, outcome_caller FROM "+commandsTable+
		" WHERE id = $1", []any{id}, func(row projection.Row) error {
		c = &Command{CommandID: id, Type: row.Text(0), Status: statusAccepted, Resource: bus.ResourceOf(row.Text(1))}
		if caller = row.Text(2); caller == "" {
			caller = row.Text(5)
		}
		if !row.Null(3) {
			at := time.UnixMicro(row.Int(3)).UTC()
			c.AcceptedAt = &at
		}
		return c.finish(row.Text(4))
	})
	if err != nil || c == nil {
		return nil, err
	}
	if who := httpapi.CallerOf(ctx); !who.Staff() && who.ID != caller {
		return nil, nil
	}
	c.Links = map[string]string{"self": "/v1/commands/" + id}
	if path, ok := resourcePaths[c.Resource.Type]; ok {
		c.Links["resource"] = path + c.Resource.ID
	}
	return c, nil
}

// resourcePaths are where resources are read, by type.
var resourcePaths = map[string]string{orderCategory: "/v1/orders/", "product": "/v1/products/"}

// finish completes a command by its outcome, if it has one.
func (c *Command) finish(outcome string) error {
	if outcome == "" {
		return nil
	}
	var o bus.Outcome
	if err := bus.Decode([]byte(outcome), &o); err != nil {
		return fmt.Errorf("orderview: read the outcome of %s: %w", c.CommandID, err)
	}
	c.Type, c.Status, c.Resource = o.CommandType, string(o.Status), o.Resource
	c.Version, c.ConsistencyToken, c.FinishedAt = o.Version, o.ConsistencyToken, &o.Time
	if f := o.Problem; f != nil {
		c.Problem = &Problem{Status: f.Kind.HTTPStatus(), Code: f.Code, Detail: f.Detail, Errors: f.Fields}
		if f.Kind == fault.KindInternal {
			c.Problem.Detail = "a fault of ours; operators look at it"
		}
	}
	return nil
}
