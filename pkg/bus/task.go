package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/ThreeDotsLabs/watermill/components/cqrs"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/orderlane/orderlane/pkg/fault"
	"github.com/orderlane/orderlane/pkg/kafka"
)

// Defaults of TaskOptions. With the pauses of kafka.SubscriberConfig's defaults, eight attempts
// take some ten seconds of a provider that refuses at once.
const (
	DefaultTaskAttempts = 8
	DefaultTaskTimeout  = 15 * time.Second
)

// TaskResult is what became of one attempt at a task.
type TaskResult string

// The results.
const (
	TaskDone      TaskResult = "done"
	TaskFailed    TaskResult = "failed"    // and is tried again
	TaskRefused   TaskResult = "refused"   // the outside world said no: final
	TaskExhausted TaskResult = "exhausted" // failed, and was the last attempt
	TaskBroken    TaskResult = "broken"    // can't be read, or panicked: a fault of ours
)

// TaskObserver sees what a task group does, for metrics. It is called concurrently.
type TaskObserver interface {
	Attempted(taskType string, result TaskResult, took time.Duration)
}

// TaskOptions are the settings of a task group. The zero value of each optional field means its default.
type TaskOptions struct {
	Service  string
	Producer kafka.Producer // of reports and dead letters
	Clock    func() time.Time

	// Attempts is how often a task is tried by one process, failures of the broker aside, before it
	// is given up: DefaultTaskAttempts.
	Attempts int
	// Timeout ends the context of one attempt: DefaultTaskTimeout.
	Timeout  time.Duration
	Observer TaskObserver // optional
	Log      *slog.Logger // optional
}

// TaskHandler handles one type of task; make it with HandleTask.
type TaskHandler struct{ handler cqrs.CommandHandler }

// HandleTask returns the handler of tasks of type T, which must be Typed. do does the work and
// returns what to report: a command to the gateway's own service for the stream that the task is
// for, or nil. It may be called again for the same task, also after it has succeeded, and passes
// EnvelopeFrom(ctx).ID on as the provider's idempotency key.
//
// When do has refused (an error whose fault's treatment is fault.Refuse), has failed for the last
// time or has panicked, giveUp says what to report instead, and nil reports nothing. It does not
// know whether an attempt that failed had an effect outside.
func HandleTask[T any](do func(ctx context.Context, task *T) (report Typed, err error), giveUp func(ctx context.Context, task *T, err error) Typed) TaskHandler {
	name := marshaler{}.Name(new(T))
	return TaskHandler{cqrs.NewCommandHandler(name, func(ctx context.Context, body *T) error {
		t := ctx.Value(taskKey{}).(*task)
		err := safely(func() (err error) {
			limited, cancel := context.WithTimeout(ctx, t.group.Timeout)
			defer cancel()
			t.report, err = do(limited, body)
			return err
		})
		if t.result = t.judge(err); t.result == TaskDone || t.result == TaskFailed {
			return err
		}
		t.report = nil
		panicked := safely(func() error {
			t.report = giveUp(ctx, body, err)
			return nil
		})
		if panicked != nil {
			t.result = TaskBroken
		}
		return errors.Join(err, panicked)
	})}
}

// task is one attempt at a task.
type task struct {
	received
	group   *TaskGroup
	attempt int // from 1

	result TaskResult
	report Typed // nil: none
}

type taskKey struct{}

// judge says what an attempt that ended with err came to.
func (t *task) judge(err error) TaskResult {
	var panicked *panicError
	switch {
	case err == nil:
		return TaskDone
	case errors.As(err, &panicked):
		return TaskBroken
	case isFault(err) && fault.TreatmentOf(err) == fault.Refuse:
		return TaskRefused
	case t.attempt >= t.group.Attempts:
		return TaskExhausted
	}
	return TaskFailed
}

func isFault(err error) bool {
	_, ok := fault.Of(err)
	return ok
}

// panicError is a panic of a handler.
type panicError struct{ text string }

func (e *panicError) Error() string { return e.text }

// safely turns a panic into an error with its stack.
func safely(do func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &panicError{fmt.Sprintf("panic: %v\n%s", r, debug.Stack())}
		}
	}()
	return do()
}

// TaskGroup handles all types of tasks of a service's gateway: what the service asks of the
// outside world. A task is acked when its report is published. One that failed is nacked, so that
// the subscriber (kafka.ByKey) delivers it again after a pause that grows, while its key waits
// and no lane is held up; retrying inside of the handler would keep the lane.
type TaskGroup struct {
	TaskOptions
	handlers map[string]cqrs.CommandHandler // by ce_type
}

// NewTaskGroup returns the group of a service's gateway.
func NewTaskGroup(opts TaskOptions, handlers ...TaskHandler) *TaskGroup {
	if opts.Attempts == 0 {
		opts.Attempts = DefaultTaskAttempts
	}
	if opts.Timeout == 0 {
		opts.Timeout = DefaultTaskTimeout
	}
	if opts.Observer == nil {
		opts.Observer = unobserved{}
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	g := &TaskGroup{TaskOptions: opts, handlers: make(map[string]cqrs.CommandHandler, len(handlers))}
	for _, h := range handlers {
		name := h.handler.HandlerName()
		if name == "" || g.handlers[name] != nil {
			panic(fmt.Sprintf("bus: a task handler has the type %q, which is empty or taken", name))
		}
		g.handlers[name] = h.handler
	}
	return g
}

// Attach implements Group.
func (g *TaskGroup) Attach(router *message.Router, subscriber message.Subscriber) {
	topic := TasksTopic(g.Service)
	router.AddConsumerHandler(topic, topic, subscriber, g.Handle)
}

// Handle makes one attempt at a task, and settles the message: it is acked when nothing is left to
// do, and nacked when the task is to be tried again. An error means that the process stops.
func (g *TaskGroup) Handle(m *message.Message) error {
	ctx := m.Context()
	t := &task{received: received{message: m}, group: g, attempt: 1, result: TaskBroken}
	if d, ok := kafka.DeliveryFrom(ctx); ok {
		t.attempt = d.Attempt
	}
	started := g.Clock()
	err := t.try(ctx)
	if ctx.Err() != nil && t.result != TaskDone { // stopped half way: the next owner tries again
		return context.Cause(ctx)
	}
	data, err := t.encode(err)
	g.Observer.Attempted(t.Type, t.result, g.Clock().Sub(started))
	if t.result == TaskFailed {
		g.Log.Warn("a task failed, and will be tried again", "task", m.UUID, "type", t.Type, "stream", t.Subject, "attempt", t.attempt, "error", err)
		m.Nack() // what the router says of the message after that does not count
		return nil
	}
	records, err := t.finish(data, err)
	if err != nil {
		return err
	}
	return g.publish(ctx, records)
}

// try reads the message and calls the handler of its type.
func (t *task) try(ctx context.Context) error {
	if err := t.read(); err != nil {
		return err
	}
	if d, _ := kafka.DeliveryFrom(ctx); t.Subject == "" || string(d.Key) != t.Subject {
		return fmt.Errorf("the task is for the stream %.*q, and its key is %.*q", maxStreamName, t.Subject, maxStreamName, d.Key)
	}
	name := marshaler{}.NameFromMessage(t.message)
	h := t.group.handlers[name]
	if h == nil {
		return fmt.Errorf("no handler for the task type %q", name)
	}
	body := h.NewCommand()
	if err := (marshaler{}).Unmarshal(t.message, body); err != nil {
		return fmt.Errorf("decode %s: %w", name, err)
	}
	return h.Handle(context.WithValue(withEnvelope(ctx, &t.received), taskKey{}, t), body)
}

// GatewayGroup is the consumer group of a service's gateway.
func GatewayGroup(service string) string { return service + "-gateway" }

type unobserved struct{}

func (unobserved) Attempted(string, TaskResult, time.Duration) {}
