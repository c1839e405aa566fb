package servicetest

import (
	"context"
	"testing"
	"time"

	"github.com/orderlane/orderlane/pkg/kafka/memkafka"
	"github.com/orderlane/orderlane/pkg/projection"
	"github.com/orderlane/orderlane/pkg/projection/sqlitestore"
)

// Of builds.
const (
	buildBatch = 3                // records that a build takes from a partition at once
	buildFor   = 30 * time.Second // that a first build may take
)

// RunBuilds builds a view from a broker in a store, and keeps it until the test ends. It returns when the view is built.
func RunBuilds(t testing.TB, view projection.Twin, broker *memkafka.Broker, store projection.Store) *projection.Builds {
	t.Helper()
	b, err := projection.OpenBuilds(t.Context(), projection.BuildsOptions{
		Options: projection.Options{Store: store, Clock: Clock, Replay: broker.ReadRange},
		View:    view, Offsets: broker.Offsets,
		Scratch: func(context.Context, bool) (projection.Store, error) { return sqlitestore.OpenScratch("") },
		Consume: func(ctx context.Context, _ string, topics []string, build *projection.Projection) error {
			consumer := broker.Consumer(build)
			defer consumer.Revoke()
			if err := consumer.Assign(ctx, broker.Partitions(topics...)...); err != nil {
				return err
			}
			for {
				if _, err := consumer.StepAny(buildBatch); err != nil {
					return err
				}
				select {
				case <-ctx.Done():
					return nil
				case <-time.After(time.Millisecond):
				}
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	for deadline := time.After(buildFor); !b.Ready(); {
		select {
		case <-time.After(time.Millisecond):
		case <-deadline:
			t.Fatal("the view is not built")
		}
	}
	return b
}
