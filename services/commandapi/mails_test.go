package commandapi

import (
	"strings"
	"testing"

	"github.com/orderlane/orderlane/api/notifications"
	"github.com/orderlane/orderlane/pkg/bus"
)

func TestStaffSendsAMailAgain(t *testing.T) {
	w := newWorld(t)
	a := w.api.Do(staff, "POST", "/v1/orders/"+strings.ToUpper(anID)+"/mails/3/resend", `{}`)
	sent := w.sent()
	if a.Status != 202 || len(sent) != 1 || sent[0].Type != notifications.TypeResendMail || sent[0].Subject != "mail-"+anID {
		t.Fatalf("%d %s, sent %+v", a.Status, a.Body, sent)
	}
	var accepted Accepted
	a.Into(&accepted)
	if accepted.Links.Resource != "/v1/orders/"+anID+"/mails" || accepted.Resource != (bus.Resource{Type: "mail", ID: anID}) {
		t.Errorf("got %+v", accepted)
	}
	for _, number := range []string{"0", "201", "x"} {
		if a := w.api.Do(staff, "POST", "/v1/orders/"+anID+"/mails/"+number+"/resend", `{}`); a.Status != 422 || len(w.sent()) != 0 {
			t.Errorf("mail %s: %d %s", number, a.Status, a.Body)
		}
	}
	if a := w.api.Do(ada, "POST", "/v1/orders/"+anID+"/mails/1/resend", `{}`); a.Status != 403 || len(w.sent()) != 0 {
		t.Errorf("a customer: %d %s", a.Status, a.Body)
	}
}
