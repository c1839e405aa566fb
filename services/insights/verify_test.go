package insights

import (
	"path/filepath"
	"testing"

	"github.com/orderlane/orderlane/pkg/projection"
	"github.com/orderlane/orderlane/pkg/projection/sqlitestore"
	"github.com/orderlane/orderlane/pkg/service/servicetest"
)

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
	b := servicetest.RunBuilds(t, newView(), w.Broker, store)
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
