package commandapi

import (
	"context"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/orderlane/orderlane/api/notifications"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/httpapi"
)

// MailNumber is the path parameter of one of an order's mails.
type MailNumber struct {
	Mail int `path:"mail" minimum:"1" maximum:"200" doc:"Among the order's mails, from 1"`
}

// registerMails registers what staff does with mails to customers.
func (c *Commands) registerMails(api huma.API) {
	huma.Register(api, operation(http.MethodPost, "/v1/orders/{id}/mails/{mail}/resend", "resend-mail", "Send a mail to the customer again", "mails"),
		func(ctx context.Context, in *struct {
			OrderID
			MailNumber
			httpapi.CommandParams
			Body struct{}
		},
		) (*output, error) {
			id := httpapi.CanonicalID(in.ID)
			return c.byStaff(ctx, http.MethodPost, in.CommandParams, "/v1/orders/"+id+"/mails", "/"+strconv.Itoa(in.Mail)+"/resend",
				bus.Resource{Type: notifications.Category, ID: id}, notifications.ResendMail{OrderID: id, Mail: in.Mail})
		})
}
