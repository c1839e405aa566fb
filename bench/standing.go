package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/orderlane/orderlane/api/fulfilment"
	"github.com/orderlane/orderlane/api/inventory"
	"github.com/orderlane/orderlane/api/notifications"
	"github.com/orderlane/orderlane/bench/mix"
)

// standing is a system whose views have a data set, which is queried. It serves several measures, one
// after the other.
type standing struct {
	*system
	data   *mix.Data
	read   *mix.Messages // all of them
	filled filled
	ids    []string // of its orders
}

// stand returns the system with its data set, and starts its process. What is not queried is left
// out of the data set, so that there is time for more orders: mails, and what fulfilment and inventory tell.
func (b *bench) stand(ctx context.Context) (*standing, error) {
	if st := b.standing; st != nil {
		if err := st.launch(ctx); err != nil {
			return nil, err
		}
		return st, st.settled(ctx)
	}
	lives, err := b.lives(ctx)
	if err != nil {
		return nil, err
	}
	b.say("data set: %s orders", thousands(float64(b.orders)))
	s, data, err := b.newMix(ctx, lives, b.orders, fulfilment.Service, inventory.Service, notifications.Service)
	if err != nil {
		return nil, err
	}
	st := &standing{system: s, data: data, read: data.Messages()}
	if st.filled, err = s.fillMix(ctx, st.read, -1); err != nil {
		return nil, err
	}
	if _, err := s.project(ctx, st.filled); err != nil {
		return nil, err
	}
	for i := range b.orders {
		st.ids = append(st.ids, data.Order(i).ID)
	}
	b.standing = st
	return st, nil
}

// settled waits until the views are as they were when the process was stopped.
func (st *standing) settled(ctx context.Context) error {
	return st.proc.Until(ctx, startWithin, projectEvery, func() error {
		if err := ready("http://" + st.operator + "/readyz"); err != nil {
			return err
		}
		var order struct {
			ID string `json:"id"`
		}
		last := st.ids[len(st.ids)-1]
		status, err := st.look(ctx, "/v1/orders/"+last, &order)
		if err == nil && order.ID != last {
			err = fmt.Errorf("order %s is answered with %d", last, status)
		}
		return errors.Join(err)
	})
}

// chance is a number by chance, the same for the same connection and request.
func chance(connection, n, below int) int {
	x := (uint64(connection)<<32 + uint64(n) + 1) * 0x9e3779b97f4a7c15
	x ^= x >> 32
	x *= 0xd6e8feb86659fd93
	x ^= x >> 32
	return int(x % uint64(below))
}

// sample is some order.
func (st *standing) sample(i int) mix.Order {
	return st.data.Order(chance(0, i, len(st.ids)))
}

// month asks for the sales of some thirty days.
func (st *standing) month(i int) string {
	from := st.data.Begins().AddDate(0, 0, chance(1, i, 60))
	return fmt.Sprintf("/v1/insights/sales?limit=50&from=%s&to=%s", from.Format(time.DateOnly), from.AddDate(0, 0, 29).Format(time.DateOnly))
}
