package insights

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/orderlane/orderlane/pkg/kafka/memkafka"
	"github.com/orderlane/orderlane/pkg/projection"
	"github.com/orderlane/orderlane/pkg/projection/sqlitestore"
	"github.com/orderlane/orderlane/pkg/service/servicetest"
)

// buildsOf folds what a broker has, in a store, until the test ends.
func buildsOf(t *testing.T, broker *memkafka.Broker, store projection.Store) *projection.Builds {
	b, err := projection.OpenBuilds(t.Context(), projection.BuildsOptions{
		Options: projection.Options{Store: store, Clock: servicetest.Clock, Replay: broker.ReadRange},
		View:    newView(), Offsets: broker.Offsets,
		Scratch: func(context.Context, bool) (projection.Store, error) { return sqlitestore.OpenScratch("") },
		Consume: func(ctx context.Context, _ string, topics []string, build *projection.Projection) error {
			consumer := broker.Consumer(build)
			defer consumer.Revoke()
			if err := consumer.Assign(ctx, broker.Partitions(topics...)...); err != nil {
				return err
			}
			for {
				if _, err := consumer.StepAny(3); err != nil {
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
	return b
}

func TestAVerificationFindsNothingButWhatIsWrong(t *testing.T) {
	store, err := sqlitestore.Open(filepath.Join(t.TempDir(), "view.db"), sqlitestore.Options{Readers: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	w := newWorld(t)
	w.story()
	b := buildsOf(t, w.Broker, store)
	for deadline := time.Now().Add(30 * time.Second); !b.Ready(); <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the view is not built")
		}
	}
	// The clock stands still, so what is old by now was deleted as it came in, or not at all.
	exec := func(sql string, args ...any) {
		t.Helper()
		if err := store.Update(t.Context(), func(tx projection.Tx) error {
			_, err := tx.Exec(t.Context(), sql, args...)
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	exec("DELETE FROM "+activityTable+"_b1 WHERE scale = $1 AND start < $2", bySecond, noon.Add(-secondsKept).Unix())
	verify := func() projection.Verification {
		t.Helper()
		v, err := b.Verify(t.Context(), projection.VerifyOptions{All: true}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	if v := verify(); len(v.Differences)+len(v.Skipped) > 0 || v.Rows < 30 {
		t.Errorf("a view that is right: %+v", v)
	}
	exec("UPDATE " + moneyTable + "_b1 SET captured = captured + 1 WHERE captured > 0")
	if v := verify(); v.Count != 2 || v.Differences[0].Column != "captured" {
		t.Errorf("money that nobody paid: %+v", v)
	}
}
