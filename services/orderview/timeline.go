package orderview

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/orderlane/orderlane/pkg/fault"
	"github.com/orderlane/orderlane/pkg/httpapi"
	"github.com/orderlane/orderlane/pkg/projection"
	"github.com/orderlane/orderlane/pkg/service"
)

// Happening is an event of an order's life as clients see it.
type Happening struct {
	At      time.Time `json:"at"`
	Text    string    `json:"text" doc:"What happened, for people" example:"Payment of 25.98 EUR was authorised."`
	Type    string    `json:"type" example:"orderlane.payments.payment_authorized.v1"`
	Stream  string    `json:"stream" example:"payment-5f0c3a52-9d0e-5a11-8000-00000000000a"`
	Version int64     `json:"version" doc:"In its stream"`
	Actor   Actor     `json:"actor"`
	Cause   *Cause    `json:"cause,omitempty" doc:"Why it happened; not there if that is not to be told, or not known"`
}

// Actor is who made something happen.
type Actor struct {
	Kind string `json:"kind" enum:"customer,staff,service,provider,shop" doc:"shop: anybody but the customer, as customers see it"`
	ID   string `json:"id,omitempty" doc:"The customer's id; to staff also that of staff, services and payment providers"`
}

// Cause is what made something happen: a command that somebody sent, an event, that
// time was up, or a payment provider that called back.
type Cause struct {
	Kind string `json:"kind" enum:"command,event,deadline,callback"`
	ID   string `json:"id,omitempty" doc:"The command's; or of the event, also one that set a deadline: <stream>/<version>"`
	Type string `json:"type,omitempty" doc:"Of the event, if it is part of the order's life"`
	Link string `json:"link,omitempty" doc:"Where the command's status is"`
}

// Timeline is a page of an order's life, oldest first.
type Timeline struct {
	Items      []Happening    `json:"items"`
	NextCursor string         `json:"next_cursor,omitempty" doc:"Send it as cursor to get what follows; not there on the last page"`
	Stale      *service.Stale `json:"stale,omitempty" doc:"There if the view could not take up an event of this order"`

	shown httpapi.Tokens
}

// tokens are the versions of all that is told.
func (t *Timeline) tokens() httpapi.Tokens { return t.shown }

// timeline returns a page of an order's life, if the caller may see it.
func (q *queries) timeline(ctx context.Context, id string, page *httpapi.PageParams, p *httpapi.ReadParams) (*Timeline, error) {
	from, err := goOn(id, page)
	if err != nil {
		return nil, err
	}
	if err := q.Fresh(ctx, p); err != nil {
		return nil, err
	}
	if err := q.theirs(ctx, id); err != nil {
		return nil, err
	}
	all, err := pastOf(ctx, q.Store, id)
	if err != nil {
		return nil, err
	}
	caller := httpapi.CallerOf(ctx)
	order, err := foldPast(all, orderCategory, orderFold)
	if err != nil {
		return nil, err
	}
	placed := order[orderCategory+"-"+id]
	if placed == nil || !caller.Staff() && placed.doc.CustomerID != caller.ID {
		return nil, q.missing(ctx, id)
	}
	t := &Timeline{Items: []Happening{}, shown: shownBy(all)}
	if t.Stale, err = q.staleOf(ctx, t.shown); err != nil {
		return nil, err
	}
	teller, err := newTeller(&placed.doc, all, caller.Staff())
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(p past) bool { return !caller.Staff() && tellings[p.kind].to != everyone })
	slices.SortFunc(all, inTime)
	begin, err := from.in(all)
	if err != nil {
		return nil, err
	}
	end := min(begin+page.Limit, len(all))
	for i := begin; i < end; i++ {
		if h, ok := teller.tell(&all[i]); ok {
			t.Items = append(t.Items, h)
		}
	}
	if end < len(all) {
		t.NextCursor = (&reached{all[end-1], end}).cursor(id)
	}
	return t, nil
}

// reached is how far a timeline was read: up to an event, and so many events with it.
type reached struct {
	last past
	read int
}

// goOn is how far the pages before have come.
func goOn(id string, page *httpapi.PageParams) (r reached, err error) {
	after, err := page.After(timelineOf+id, 4)
	if err != nil || after == nil {
		return reached{}, err
	}
	micros, err1 := strconv.ParseInt(after[0], 10, 64)
	version, err2 := strconv.ParseInt(after[2], 10, 64)
	read, err3 := strconv.Atoi(after[3])
	if err1 != nil || err2 != nil || err3 != nil {
		return reached{}, fault.Invalid("bad_cursor", "the cursor does not belong to this timeline")
	}
	return reached{past{at: time.UnixMicro(micros), stream: after[1], version: version}, read}, nil
}

func (r *reached) cursor(id string) string {
	return httpapi.EncodeCursor(timelineOf+id, strconv.FormatInt(r.last.at.UnixMicro(), 10), r.last.stream,
		strconv.FormatInt(r.last.version, 10), strconv.Itoa(r.read))
}

// in is where the next page begins in the timeline as it is now. Topics are not ordered relative to each
// other: an event may have come meanwhile that belongs into a page before, and would never be told.
func (r *reached) in(all []past) (begin int, err error) {
	begin, found := slices.BinarySearchFunc(all, r.last, inTime)
	if found {
		begin++
	}
	if begin != r.read {
		const detail = "more has become known of what the pages before tell: begin again without a cursor"
		return 0, &httpapi.Problem{
			Status: 400, Code: "bad_cursor", Detail: detail, Errors: []httpapi.ProblemField{{Location: "query.cursor", Message: detail}},
		}
	}
	return begin, nil
}

// timelineOf tells the cursors of timelines from those of lists.
const timelineOf = "timeline of "

// theirs refuses a customer another's order, before its whole history is read.
func (q *queries) theirs(ctx context.Context, id string) error {
	caller := httpapi.CallerOf(ctx)
	if caller.Staff() {
		return nil
	}
	customer := ""
	err := q.Store.Query(ctx, "SELECT customer_id FROM "+ordersTable+" WHERE key = $1", []any{orderCategory + "-" + id}, func(row projection.Row) error {
		customer = row.Text(0)
		return nil
	})
	if err == nil && customer != caller.ID {
		err = q.missing(ctx, id)
	}
	return err
}

// missing is why an order can't be shown.
func (q *queries) missing(ctx context.Context, id string) error {
	stale, err := q.Stale(ctx, orderCategory+"-"+id)
	if err == nil && stale != nil && httpapi.CallerOf(ctx).Staff() {
		return fault.Unavailable("view_broken", "the order can't be shown: %s; operators repair it", stale.Reason)
	}
	return fault.NotFound("order", id)
}

// staleOf says why what is shown of streams may be out of date; nil, as a rule.
func (q *queries) staleOf(ctx context.Context, shown httpapi.Tokens) (*service.Stale, error) {
	for _, t := range shown {
		if stale, err := q.Stale(ctx, t.Stream); stale != nil || err != nil {
			return stale, err
		}
	}
	return nil, nil
}

// shownBy are the versions that a history, in the order of its streams, comes up to.
func shownBy(all []past) (shown httpapi.Tokens) {
	for i := range all {
		if i+1 == len(all) || all[i+1].stream != all[i].stream {
			shown = append(shown, httpapi.Token{Stream: all[i].stream, Version: all[i].version})
		}
	}
	return shown
}

// inTime is the order of a timeline. Events of one stream are in the order of their versions,
// since past.at never goes back in one.
func inTime(a, b past) int {
	return cmp.Or(a.at.Compare(b.at), strings.Compare(a.stream, b.stream), cmp.Compare(a.version, b.version))
}
