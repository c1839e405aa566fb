package payments

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	api "github.com/orderlane/orderlane/api/payments"
	"github.com/orderlane/orderlane/pkg/fault"
)

// sandboxName is the provider's name, and the beginning of its methods' names.
const sandboxName = "sandbox"

// sandboxMethods are the methods of payment that the sandbox knows, and what is special about
// them. All of them approve, capture, void and refund whatever they are asked for, and answer at once,
// unless it says otherwise here.
var sandboxMethods = map[string]sandboxMethod{
	"sandbox_approve":       {},
	"sandbox_decline":       {declines: map[api.Operation]string{api.OperationAuthorize: "card_declined"}},
	"sandbox_webhook":       {later: true},                   // answers a request for money later, by webhook
	"sandbox_lost":          {lost: true},                    // does everything, and its answers are lost
	"sandbox_twice":         {twice: true},                   // answers at once, and by webhook
	"sandbox_slow":          {takes: 200 * time.Millisecond}, // takes that long to answer
	"sandbox_3ds":           {action: true},                  // waits for a webhook that says that the customer has confirmed
	"sandbox_silent":        {silent: true},                  // does not answer requests for money, nor questions about them
	"sandbox_short":         {valid: 10 * time.Second},       // its authorisations run out soon
	"sandbox_one_capture":   {oneCapture: true},              // can be captured from once
	"sandbox_capture_fails": {declines: map[api.Operation]string{api.OperationCapture: "insufficient_funds"}},
	"sandbox_refund_fails":  {declines: map[api.Operation]string{api.OperationRefund: "account_closed"}},
}

type sandboxMethod struct {
	declines                                       map[api.Operation]string // with which code
	later, lost, twice, action, silent, oneCapture bool
	takes, valid                                   time.Duration
}

// sandboxValid is how long an authorisation holds, unless its method says otherwise.
const sandboxValid = 7 * 24 * time.Hour

// sandbox is a provider in the process that takes no money. It remembers nothing: what it
// answers follows from the operation's key and the method of payment, so that it answers the same after a
// restart, and to whichever process asks.
type sandbox struct {
	secret    string
	clock     func() time.Time
	callbacks *callbacks // by which it answers later
}

// sandboxCallback is the body of the sandbox's callbacks. Customers of the sandbox complete a
// payment with one that has the order's id only: it says that its first authorisation is done.
type sandboxCallback struct {
	ID      string     `json:"id"`
	OrderID string     `json:"order_id,omitzero"`
	Key     string     `json:"key,omitzero"`
	Result  api.Result `json:"result"`
	Ref     string     `json:"ref,omitzero"`
	Code    string     `json:"code,omitzero"`

	ExpiresAt  time.Time `json:"expires_at,omitzero"`
	OneCapture bool      `json:"one_capture,omitzero"`
}

// Takes implements Provider.
func (s *sandbox) Takes(method string) bool {
	_, ok := sandboxMethods[method]
	return ok
}

// Do implements Provider.
func (s *sandbox) Do(ctx context.Context, task *api.CallProvider) (Answer, error) {
	m := sandboxMethods[task.Method]
	authorizes := task.Operation == api.OperationAuthorize
	switch {
	case m.lost, m.silent && authorizes:
		return Answer{}, ErrSilent
	case m.action && authorizes:
		return s.action(task), nil
	case m.takes > 0:
		if err := pause(ctx, m.takes); err != nil {
			return Answer{}, err
		}
	}
	a := s.answer(task)
	if m.later && authorizes {
		s.callbacks.add(task.Key, a)
		return Answer{Result: api.ResultPending, Ref: a.Ref}, nil
	}
	if m.twice {
		s.callbacks.add(task.Key, a)
	}
	return a, nil
}

// Find implements Provider.
func (s *sandbox) Find(_ context.Context, task *api.CallProvider) (Answer, bool, error) {
	m := sandboxMethods[task.Method]
	switch {
	case task.Operation != api.OperationAuthorize:
	case m.silent:
		return Answer{}, false, ErrSilent
	case m.action:
		return s.action(task), true, nil
	}
	return s.answer(task), true, nil
}

// answer is what the sandbox has made up its mind to.
func (s *sandbox) answer(task *api.CallProvider) Answer {
	m := sandboxMethods[task.Method]
	a := Answer{Result: api.ResultDone, Ref: sandboxRef(task.PaymentKey)}
	if code, declined := m.declines[task.Operation]; declined {
		a.Result, a.Code = api.ResultDeclined, code
	} else if task.Operation == api.OperationAuthorize {
		a.OneCapture = m.oneCapture
		a.ExpiresAt = task.First.Add(sandboxValid)
		if m.valid > 0 {
			a.ExpiresAt = task.First.Add(m.valid)
		}
	}
	return a
}

func (s *sandbox) action(task *api.CallProvider) Answer {
	ref := sandboxRef(task.PaymentKey)
	return Answer{Result: api.ResultActionRequired, Ref: ref, ClientSecret: ref + "_secret_" + digest("secret", task.PaymentKey)}
}

// sandboxRef is the sandbox's name for a payment.
func sandboxRef(key string) string { return "sb_" + digest("ref", key) }

func digest(what, key string) string {
	sum := sha256.Sum256([]byte(what + "\n" + key))
	return hex.EncodeToString(sum[:10])
}

// Signature implements Provider.
func (s *sandbox) Signature() (header, secret string) { return "Sandbox-Signature", s.secret }

// Read implements Provider.
func (s *sandbox) Read(_ context.Context, body []byte) (*Callback, error) {
	var c sandboxCallback
	if err := json.Unmarshal(body, &c, json.RejectUnknownMembers(true)); err != nil {
		return nil, fault.Invalid("webhook_unreadable", "the callback can't be read; it is a JSON object with id, order_id or key, and result")
	}
	if c.Key == "" {
		c.Key = key(c.OrderID, Authorizing, 1, "")
	}
	if c.ID == "" || c.Result != api.ResultDone && c.Result != api.ResultDeclined || !strings.Contains(c.Key, "/") {
		return nil, fault.Invalid("webhook_unreadable", "the callback has an id, an order_id or a key, and the result done or declined")
	}
	if c.ExpiresAt.IsZero() {
		c.ExpiresAt = s.clock().Add(sandboxValid)
	}
	return &Callback{ID: c.ID, Key: c.Key, Answer: Answer{
		Result: c.Result, Ref: c.Ref, Code: c.Code, ExpiresAt: c.ExpiresAt, OneCapture: c.OneCapture,
	}}, nil
}

// pause waits, unless ctx ends first.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// callbacks are those that the sandbox is to send, a moment after they were added.
type callbacks struct {
	secret string
	clock  func() time.Time
	after  time.Duration
	queue  chan callback
	accept func(ctx context.Context, provider string, header func(string) string, body []byte) error
}

type callback struct {
	due  time.Time
	body []byte
}

const (
	sandboxAfter = 300 * time.Millisecond
	maxCallbacks = 10_000 // that wait; what is above is lost, and the payment asks again
	callbackTry  = 3
	callbackRest = time.Second // between two tries
)

func newCallbacks(secret string, clock func() time.Time) *callbacks {
	return &callbacks{secret: secret, clock: clock, after: sandboxAfter, queue: make(chan callback, maxCallbacks)}
}

func (c *callbacks) add(key string, a Answer) {
	body, err := json.Marshal(&sandboxCallback{
		ID: "evt_" + digest("callback", key), Key: key, Result: a.Result, Ref: a.Ref, Code: a.Code, ExpiresAt: a.ExpiresAt, OneCapture: a.OneCapture,
	}, json.Deterministic(true))
	if err != nil {
		return // a body of ours that has no JSON is a lost answer
	}
	select {
	case c.queue <- callback{c.clock().Add(c.after), body}:
	default:
	}
}

// run sends the callbacks, one after the other: all wait for the same time.
func (c *callbacks) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case next := <-c.queue:
			if pause(ctx, next.due.Sub(c.clock())) != nil {
				return nil
			}
			c.send(ctx, next.body)
		}
	}
}

// send calls the webhook, again if the broker is away. A callback that is lost for good is no harm: the
// payment asks the provider at its deadline.
func (c *callbacks) send(ctx context.Context, body []byte) {
	for range callbackTry {
		signed := Sign(c.secret, body, c.clock())
		err := c.accept(ctx, sandboxName, func(string) string { return signed }, body)
		if f, refused := fault.Of(err); err == nil || refused && f.Kind != fault.KindUnavailable {
			return
		}
		if errors.Is(pause(ctx, callbackRest), context.Canceled) {
			return
		}
	}
}
