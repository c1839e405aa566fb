package notifications

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	api "github.com/orderlane/orderlane/api/notifications"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/fault"
	"github.com/orderlane/orderlane/pkg/httpapi"
	"github.com/orderlane/orderlane/pkg/service"
)

// Mails are the mails about an order as staff sees them. They say nothing personal.
type Mails struct {
	OrderID string         `json:"order_id"`
	Version int64          `json:"version" doc:"0 while the order has no mails"`
	Items   []Entry        `json:"items" doc:"At most 200"`
	Stale   *service.Stale `json:"stale,omitempty" doc:"There if the view could not take up an event of these mails"`
}

// Entry is one mail, with how it stands after its last sending.
type Entry struct {
	Mail   int        `json:"mail" doc:"Among the order's mails, from 1"`
	Kind   api.Kind   `json:"kind" example:"order_confirmed"`
	About  string     `json:"about" doc:"The event that the mail is about"`
	Status api.Status `json:"status" enum:"requested,sent,failed,skipped"`
	Reason string     `json:"reason,omitempty" doc:"Why it was skipped or has failed"`
	Sends  []Sending  `json:"sends"`
}

// Sending is one sending of a mail; there is more than one when staff asked for it again.
type Sending struct {
	Send        int        `json:"send"`
	Status      api.Status `json:"status" enum:"requested,sent,failed,skipped"`
	Reason      string     `json:"reason,omitempty"`
	RequestedAt time.Time  `json:"requested_at"`
	EndedAt     *time.Time `json:"ended_at,omitempty"`
}

// queries answer the service's reads.
type queries struct {
	*service.Reader
	view *view // for what its tables are
}

// tagged is a single resource with its ETag.
type tagged struct {
	ETag string `header:"ETag"`
	Body *Mails
}

func (q *queries) register(a huma.API) {
	huma.Register(a, huma.Operation{
		OperationID: "get-order-mails", Method: http.MethodGet, Path: "/v1/orders/{id}/mails",
		Summary: "The mails about an order, and what became of them", Tags: []string{"mails"},
		Errors: []int{400, 401, 403, 404, 422, 429, 503},
	}, func(ctx context.Context, in *struct {
		ID          string `path:"id" format:"uuid"`
		IfNoneMatch string `header:"If-None-Match"`
		httpapi.ReadParams
	},
	) (*tagged, error) {
		m, err := q.mails(ctx, in.ID, &in.ReadParams)
		if err != nil {
			return nil, err
		}
		etag := httpapi.ETag(httpapi.Tokens{{Stream: Mailboxes.Stream(m.OrderID), Version: m.Version}})
		if m.Stale == nil && httpapi.NoneMatch(in.IfNoneMatch, etag) {
			return nil, httpapi.NotModified(etag)
		}
		return &tagged{ETag: etag, Body: m}, nil
	})
}

// mails returns the mails about an order, for staff.
func (q *queries) mails(ctx context.Context, id string, p *httpapi.ReadParams) (*Mails, error) {
	if _, err := httpapi.RequireCaller(ctx, httpapi.RoleStaff, httpapi.RoleService); err != nil {
		return nil, err
	}
	id = httpapi.CanonicalID(id)
	if err := q.Fresh(ctx, p); err != nil {
		return nil, err
	}
	found := &Mails{OrderID: id, Items: []Entry{}}
	doc, version, err := q.view.mails.Get(ctx, q.Store, Mailboxes.Stream(id))
	if err == nil && version > 0 {
		var m mails
		if err = bus.Decode([]byte(doc), &m); err != nil {
			return nil, fmt.Errorf("notifications: read the mails about order %s: %w", id, err)
		}
		found.Version, found.Items = version, m.Mails
	}
	known := version
	if err == nil && version == 0 { // there may be an order without mails
		known, err = q.view.orders.Version(ctx, q.Store, orderCategory+"-"+id)
	}
	if err == nil {
		found.Stale, err = q.Stale(ctx, Mailboxes.Stream(id))
	}
	switch {
	case err != nil:
		return nil, err
	case known == 0 && found.Stale != nil:
		return nil, fault.Unavailable("view_broken", "the mails can't be shown: %s; operators repair it", found.Stale.Reason)
	case known == 0:
		return nil, fault.NotFound("order", id)
	}
	return found, nil
}
