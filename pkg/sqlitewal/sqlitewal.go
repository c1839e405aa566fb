// Package sqlitewal writes SQLite's write-ahead logs back into their databases beside the
// connection that writes. It stands under the event logs and the read stores that are SQLite
// files.
//
// SQLite itself does that in the commit that has made the log too long, and one commit in a
// thousand takes tens of milliseconds, with everything that waits for it. Here a connection of
// its own does most of it beforehand. SQLite's own write-back stays: it finds little left to do,
// and it is what begins the log anew at its start.
package sqlitewal

import (
	"context"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// every is after how many commits the log is written back: a few hundred pages while commits
// are small and come one after the other, and what a write-back costs does not show.
const every = 200

// Keeper writes one log back.
type Keeper struct {
	path    string
	commits int           // since it was due last; the writer's
	due     chan struct{} // holds one while there is something to write back
	stop    context.CancelFunc
	ended   chan struct{}
}

// New returns a keeper of the database at path, which is in WAL mode. It opens a connection when
// there is something to do. Close it before the last other connection, which cleans up.
func New(path string) *Keeper {
	ctx, stop := context.WithCancel(context.Background())
	k := &Keeper{path: path, due: make(chan struct{}, 1), stop: stop, ended: make(chan struct{})}
	go k.run(ctx)
	return k
}

// Committed tells of a commit. It is for the one who writes, and takes no time.
func (k *Keeper) Committed() {
	if k.commits++; k.commits < every {
		return
	}
	k.commits = 0
	select {
	case k.due <- struct{}{}:
	default: // the last one is not done yet
	}
}

// run writes back whenever it is due. An error is not told: the commit that makes the log too long
// meets it too, and tells.
func (k *Keeper) run(ctx context.Context) {
	defer close(k.ended)
	var c *sqlite.Conn
	defer func() {
		if c != nil {
			_ = c.Close()
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.due:
		}
		if c == nil {
			var err error
			if c, err = sqlite.OpenConn(k.path, sqlite.OpenReadWrite); err != nil {
				c = nil
				continue
			}
			c.SetInterrupt(ctx.Done())
		}
		if !writeBack(c) {
			_ = c.Close()
			c = nil
		}
	}
}

// writeBack waits for nobody, and makes nobody wait. It answers false if the connection knows of
// no log: one that was opened before the database was in WAL mode never looks for it again.
func writeBack(c *sqlite.Conn) (log bool) {
	err := sqlitex.ExecuteTransient(c, "PRAGMA wal_checkpoint(PASSIVE)", &sqlitex.ExecOptions{
		ResultFunc: func(s *sqlite.Stmt) error {
			log = s.ColumnInt(1) >= 0
			return nil
		},
	})
	return log || err != nil
}

// Close ends the keeper when what it is at is done.
func (k *Keeper) Close() {
	k.stop()
	<-k.ended
}
