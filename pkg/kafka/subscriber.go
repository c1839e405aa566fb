package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill/message"
)

// Mode is what a Subscriber keeps in order, and how.
type Mode uint8

const (
	// ByTurn hands messages out at once, in the partition's order, and gives each a turn of its
	// key in its context (package turn). It is for handlers that end in an engine: they run
	// concurrently, and what must be in order is passed to the turn.
	ByTurn Mode = iota
	// ByKey hands a message out only when the earlier one of its key is done. It is for
	// handlers that wait on the outside world.
	ByKey
)

// Bounds and times of a Subscriber.
const (
	DefaultWindow   = 1024
	DefaultLanes    = 128
	DefaultDrain    = 10 * time.Second
	DefaultRetryMin = 50 * time.Millisecond
	DefaultRetryMax = 5 * time.Second
)

// SubscriberConfig are the settings of a Subscriber. The zero value of everything but
// Brokers and Group has a default.
type SubscriberConfig struct {
	Config
	Group string
	Mode  Mode

	// Window is how many messages of a partition may be in flight: handed out, or waiting for
	// an earlier one of their key, and not done. Default DefaultWindow.
	Window int
	// Lanes is how many messages are with handlers at once in ByKey mode, over all partitions
	// of a subscription. Default DefaultLanes.
	Lanes int

	// RetryMin and RetryMax bound the pause before a nacked message is delivered again; it
	// doubles with each attempt. There is no end to the attempts: a handler that gives up acks.
	RetryMin, RetryMax time.Duration

	// Drain is how long messages in flight may take to end when partitions move or the
	// subscriber closes; then their contexts end and they are left to the next owner. Never
	// more than three quarters of RebalanceTimeout, so that the group does not wait for it.
	Drain time.Duration

	Logger *slog.Logger // default: nothing is logged
}

func (c SubscriberConfig) withDefaults() SubscriberConfig {
	c.Config = c.Config.withDefaults()
	if c.Window == 0 {
		c.Window = DefaultWindow
	}
	if c.Lanes == 0 {
		c.Lanes = DefaultLanes
	}
	if c.RetryMin == 0 {
		c.RetryMin = DefaultRetryMin
	}
	if c.RetryMax == 0 {
		c.RetryMax = DefaultRetryMax
	}
	if c.Drain == 0 {
		c.Drain = DefaultDrain
	}
	c.Drain = min(c.Drain, c.RebalanceTimeout*3/4)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// backoff is the pause before the next attempt after that many failed ones, from 1.
func (c *SubscriberConfig) backoff(failed int) time.Duration {
	d := c.RetryMin
	for ; failed > 1 && d < c.RetryMax; failed-- {
		d *= 2
	}
	return min(d, c.RetryMax)
}

// Subscriber is a Watermill subscriber that keeps a bounded window of messages in flight per
// partition, where watermill-kafka's waits for each Ack before the next message. It delivers
// at least once: the offset committed is that of the lowest message not yet done, and a
// nacked message is delivered again in its place while its key waits.
//
// A message's context outlives the context of Subscribe, so that work in flight can end; it
// ends when the drain time is up. The UUID is the message's ce_id, or else
// <topic>/<partition>/<offset>. It is safe for concurrent use.
type Subscriber struct {
	cfg     SubscriberConfig
	closing chan struct{}

	mu     sync.Mutex
	closed bool
	wg     sync.WaitGroup
	claims map[*claim]struct{}
}

// NewSubscriber checks the settings; it connects when it is asked to Subscribe.
func NewSubscriber(cfg SubscriberConfig) (*Subscriber, error) {
	if err := cfg.Config.Validate(); err != nil {
		return nil, err
	}
	if cfg.Group == "" {
		return nil, errors.New("kafka: a subscriber needs the name of a consumer group")
	}
	cfg = cfg.withDefaults()
	if cfg.Window < 1 || cfg.Lanes < 1 || cfg.RetryMin < 0 || cfg.RetryMax < cfg.RetryMin {
		return nil, fmt.Errorf("kafka: subscriber of group %s: window, lanes and pauses are above zero", cfg.Group)
	}
	return &Subscriber{cfg: cfg, closing: make(chan struct{}), claims: make(map[*claim]struct{})}, nil
}

// Subscribe joins the group for a topic and returns its messages until ctx ends or the
// subscriber is closed; then it drains and closes the channel. While brokers cannot be
// reached, or the topic does not exist yet, it keeps trying and says so in the log.
func (s *Subscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errors.New("kafka: subscriber is closed")
	}
	sub := &subscription{
		Subscriber: s,
		topic:      topic,
		values:     context.WithoutCancel(ctx),
		out:        make(chan *message.Message),
		lanes:      make(chan struct{}, s.cfg.Lanes),
		log:        s.cfg.Logger.With("topic", topic, "group", s.cfg.Group),
	}
	ctx, cancel := context.WithCancel(ctx)
	s.wg.Go(func() {
		defer cancel()
		select {
		case <-s.closing:
		case <-ctx.Done():
		}
	})
	s.wg.Go(func() {
		defer cancel()
		defer close(sub.out)
		sub.run(ctx)
	})
	return sub.out, nil
}

// Close ends all subscriptions: nothing more is handed out, messages in flight are waited
// for up to the drain time, offsets are committed and the group is left.
func (s *Subscriber) Close() error {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.closing)
	}
	s.mu.Unlock()
	s.wg.Wait()
	return nil
}

// subscription is one topic of a Subscriber: a member of the group.
type subscription struct {
	*Subscriber
	topic  string
	values context.Context // what contexts of messages inherit
	out    chan *message.Message
	lanes  chan struct{} // ByKey: one entry per message with a handler
	log    *slog.Logger
}

func (s *subscription) run(ctx context.Context) {
	retry := backoff{min: 250 * time.Millisecond, max: 5 * time.Second}
	for ctx.Err() == nil {
		err := s.member(ctx, retry.reset)
		if ctx.Err() != nil {
			return
		}
		pause := retry.next()
		s.log.Warn("kafka: consumer group member is out", "error", err, "retry_in", pause)
		wait(ctx, pause)
	}
}

// member joins the group and consumes, generation by generation, until something fails.
func (s *subscription) member(ctx context.Context, joined func()) error {
	conf := s.cfg.sarama()
	if s.cfg.InstanceID != "" {
		// Members of one group that read different topics are different members.
		conf.Consumer.Group.InstanceId = s.cfg.InstanceID + "." + s.topic
	}
	group, err := sarama.NewConsumerGroup(s.cfg.Brokers, s.cfg.Group, conf)
	if err != nil {
		return fmt.Errorf("kafka: connect group %s: %w", s.cfg.Group, err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for err := range group.Errors() {
			s.log.Warn("kafka: consumer group", "error", err)
		}
	}()
	h := &groupHandler{subscription: s, joined: joined}
	for err == nil && ctx.Err() == nil {
		err = group.Consume(ctx, []string{s.topic}, h)
	}
	closeErr := group.Close() // leaves the group, so that others take over at once
	<-done
	return errors.Join(err, closeErr)
}

// groupHandler is what Sarama calls for each generation and each claimed partition.
type groupHandler struct {
	*subscription
	joined func()
}

// Setup is called when the group has given this member its partitions.
func (h *groupHandler) Setup(session sarama.ConsumerGroupSession) error {
	h.joined()
	h.log.Info("kafka: partitions assigned", "partitions", session.Claims()[h.topic], "generation", session.GenerationID())
	return nil
}

// Cleanup is called when all claims of a generation have ended.
func (h *groupHandler) Cleanup(sarama.ConsumerGroupSession) error { return nil }

// ConsumeClaim reads one partition until the generation ends or the subscription does.
func (h *groupHandler) ConsumeClaim(session sarama.ConsumerGroupSession, kc sarama.ConsumerGroupClaim) error {
	c := newClaim(h.subscription, session, kc)
	h.mu.Lock()
	h.claims[c] = struct{}{}
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		delete(h.claims, c)
		h.mu.Unlock()
	}()
	c.consume()
	return nil
}

// backoff counts pauses that double.
type backoff struct{ min, max, now time.Duration }

func (b *backoff) reset() { b.now = 0 }

func (b *backoff) next() time.Duration {
	b.now = min(max(b.min, 2*b.now), b.max)
	return b.now
}

// wait pauses for d, or until ctx ends.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
