package kafka

import (
	"context"
	"time"

	"github.com/orderlane/orderlane/pkg/turn"
)

// Delivery says where a message was read.
type Delivery struct {
	Topic     string
	Partition int32
	Offset    int64
	Key       []byte
	Time      time.Time // when the message was produced
	// Attempt counts the deliveries of the message since its partition came here, from 1.
	Attempt int
}

type deliveryKey struct{}

// DeliveryFrom returns where the message of a handler's context was read; ok is false if the
// message was not delivered by this package. The key must not be changed.
func DeliveryFrom(ctx context.Context) (d Delivery, ok bool) {
	if p, ok := ctx.Value(deliveryKey{}).(*Delivery); ok {
		return *p, true
	}
	return Delivery{}, false
}

// NewDeliveryContext returns a context that carries where a message was read. It is for other
// subscribers, such as the memory broker's.
func NewDeliveryContext(ctx context.Context, d Delivery) context.Context {
	return &deliveryContext{Context: ctx, delivery: d}
}

// deliveryContext costs one allocation where context.WithValue costs four.
type deliveryContext struct {
	context.Context
	delivery Delivery
	turn     *turn.Turn // nil: whatever the context around says
}

func (c *deliveryContext) Value(key any) any {
	switch key.(type) {
	case deliveryKey:
		return &c.delivery
	case turn.Key:
		if c.turn != nil {
			return c.turn
		}
	}
	return c.Context.Value(key)
}
