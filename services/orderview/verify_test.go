package orderview

import (
	"testing"

	"github.com/orderlane/orderlane/pkg/projection"
	"github.com/orderlane/orderlane/pkg/service/servicetest"
)

// TestASampleOfTheViewIsComparedWhole: each row says whose it is, so that one command mends what differs.
func TestASampleOfTheViewIsComparedWhole(t *testing.T) {
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.Fold(append(w.life(1), w.settled(1)...)...)
			store := open(t)
			b := servicetest.RunBuilds(t, newView(0), w.Broker, store)
			verify := func() projection.Verification {
				t.Helper()
				v, err := b.Verify(t.Context(), projection.VerifyOptions{Sample: 1}, nil)
				if err != nil {
					t.Fatal(err)
				}
				return v
			}
			if v := verify(); len(v.Differences)+len(v.Skipped) > 0 || v.Keys < 4 || v.Rows < 20 {
				t.Errorf("a view that is right: %+v", v)
			}
			err := store.Update(t.Context(), func(tx projection.Tx) error {
				_, err := tx.Exec(t.Context(), "UPDATE "+historyTable+"_b1 SET caller = 'eve' WHERE stream = $1 AND version = 2", "order-"+orderID(1))
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			if v := verify(); v.Count != 1 || v.Differences[0].Column != "caller" || v.Differences[0].Key != "order-"+orderID(1) {
				t.Errorf("history that never was: %+v", v)
			}
		})
	}
}
