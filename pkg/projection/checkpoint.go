package projection

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/go-json-experiment/json"

	"github.com/orderlane/orderlane/pkg/kafka"
)

// schema is that of all projections in a store.
var schema = []string{
	`CREATE TABLE projection_checkpoints (
		projection TEXT NOT NULL, version BIGINT NOT NULL, topic TEXT NOT NULL, part BIGINT NOT NULL,
		fence BIGINT NOT NULL, next_offset BIGINT NOT NULL, epoch TEXT NOT NULL, position BIGINT NOT NULL,
		PRIMARY KEY (projection, version, topic, part))`,
	`CREATE TABLE projection_broken (
		projection TEXT NOT NULL, version BIGINT NOT NULL, topic TEXT NOT NULL, key TEXT NOT NULL,
		part BIGINT NOT NULL, record_offset BIGINT NOT NULL, type TEXT NOT NULL, reason TEXT NOT NULL, broken_at BIGINT NOT NULL,
		PRIMARY KEY (projection, version, key, topic))`,
	`CREATE TABLE projection_builds (
		projection TEXT NOT NULL, version BIGINT NOT NULL, build BIGINT NOT NULL, state TEXT NOT NULL, frozen BIGINT NOT NULL,
		shown BIGINT NOT NULL, assignments BIGINT NOT NULL, created_at BIGINT NOT NULL, changed_at BIGINT NOT NULL,
		PRIMARY KEY (projection, version, build))`,
}

// checkpoint says how far a partition has been folded.
type checkpoint struct {
	next     int64  // offset of the next record
	epoch    string // of the log behind the topic, if there is one
	position int64  // in that log, of the last event
}

// claim is the ownership of a partition, from one assignment to the next.
type claim struct {
	kafka.Partition
	log   bool // Source.Log
	mark  func(next int64)
	fence int64

	done atomic.Int64 // at.next, for those without the lock

	// Of the step, under its lock.
	at      checkpoint // committed
	lost    int64      // if above at.next: records up to there must be read again
	round   int64      // the plan that has a course of this claim,
	course  int        // and where
	strings map[string]string

	over chan struct{} // closed when the claim has ended
	once sync.Once
	err  error
}

// course is how a plan moves the checkpoint of a claim.
type course struct {
	*claim
	from  checkpoint
	trial checkpoint // where it goes
}

// end ends the claim; err is what deliverers are told.
func (c *claim) end(err error) {
	c.once.Do(func() {
		c.err = err
		close(c.over)
	})
}

func (c *claim) ended() bool {
	select {
	case <-c.over:
		return true
	default:
		return false
	}
}

// why is the reason of an ended claim; nil if it was revoked as it should be.
func (c *claim) why() error {
	<-c.over
	return c.err
}

// reached notes what is committed.
func (c *claim) reached(at checkpoint) {
	c.at = at
	c.done.Store(at.next)
}

// raise takes a partition: it makes the checkpoint if there is none, and raises its fence,
// so that from here on no earlier claim can commit. Assigned has made sure that the build is not frozen: where
// that has just ended, the fence is one that lets it go on.
func (p *Projection) raise(ctx context.Context, tx Tx, c *claim) error {
	return tx.Query(ctx, `INSERT INTO projection_checkpoints AS c (projection, version, topic, part, fence, next_offset, epoch, position)
		VALUES ($1, $2, $3, $4, 1, 0, '', 0)
		ON CONFLICT (projection, version, topic, part) DO UPDATE SET fence = c.fence % $5 + 1
		RETURNING fence, next_offset, epoch, position`,
		[]any{p.id, p.version, c.Topic, int64(c.ID), frozen}, func(r Row) error {
			c.fence = r.Int(0)
			c.reached(checkpoint{r.Int(1), r.Text(2), r.Int(3)})
			return nil
		})
}

// move is one checkpoint to be moved.
type move struct {
	Topic     string `json:"t"`
	Partition int32  `json:"i"`
	Fence     int64  `json:"f"`
	Was       int64  `json:"w"`
	Next      int64  `json:"n"`
	Epoch     string `json:"e"`
	Position  int64  `json:"p"`
}

// The compare-and-set of checkpoints: of all in one statement on PostgreSQL, to save round
// trips, and one by one on SQLite, which has none, and where taking JSON apart costs several
// times as much.
const (
	moveAll = `UPDATE projection_checkpoints AS c SET next_offset = j.n, epoch = j.e, position = j.p
		FROM json_to_recordset($3::text::json) AS j(t text, i bigint, f bigint, w bigint, n bigint, e text, p bigint)
		WHERE c.projection = $1 AND c.version = $2 AND c.topic = j.t AND c.part = j.i AND c.fence = j.f AND c.next_offset = j.w`
	moveOne = `UPDATE projection_checkpoints SET next_offset = $1, epoch = $2, position = $3
		WHERE projection = $4 AND version = $5 AND topic = $6 AND part = $7 AND fence = $8 AND next_offset = $9`
)

// errMoved says that a checkpoint was not where this instance left it.
var errMoved = fmt.Errorf("projection: a checkpoint was moved or fenced by another instance")

// advance moves the checkpoints of courses from where they are to their trial, all or none. It is
// the first thing in a transaction: it locks the checkpoints, so that what is read after it
// cannot be changed by an instance that owned a partition before.
func (p *Projection) advance(ctx context.Context, tx Tx, claims []course) error {
	moved := int64(0)
	if p.o.Store.Dialect() == SQLite {
		for _, c := range claims {
			n, err := tx.Exec(ctx, moveOne, c.trial.next, c.trial.epoch, c.trial.position,
				p.id, p.version, c.Topic, int64(c.ID), c.fence, c.at.next)
			if err != nil {
				return err
			}
			moved += n
		}
	} else {
		list := make([]move, len(claims))
		for i, c := range claims {
			list[i] = move{c.Topic, c.ID, c.fence, c.at.next, c.trial.next, c.trial.epoch, c.trial.position}
		}
		data, err := json.Marshal(list)
		if err != nil {
			return fmt.Errorf("projection: encode checkpoints: %w", err)
		}
		if moved, err = tx.Exec(ctx, moveAll, p.id, p.version, string(data)); err != nil {
			return err
		}
	}
	if moved != int64(len(claims)) {
		return errMoved
	}
	return nil
}
