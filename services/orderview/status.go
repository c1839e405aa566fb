package orderview

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/projection"
)

// Ranks of a command's statuses: a later one never gives way to an earlier one.
const (
	rankAccepted = 1
	rankParked   = 2
	rankFinal    = 3
)

// commandRows are the commands: what is known of one since Kafka has it, and its outcome. The
// two come by different topics in any order; where they come in one batch, they are one write.
var commandRows = projection.Table{
	Name: commandsTable, Key: []string{"id"},
	Columns: []projection.Column{
		{Name: "id", Kind: projection.Text},
		{Name: "changed_at", Kind: projection.Int},
		{Name: "accepted_rank", Kind: projection.Int},
		{Name: "type", Kind: projection.Text},
		{Name: "stream", Kind: projection.Text},
		{Name: "caller", Kind: projection.Text},
		{Name: "accepted_at", Kind: projection.Int},
		{Name: "outcome_rank", Kind: projection.Int},
		{Name: "outcome", Kind: projection.Text},
		{Name: "outcome_caller", Kind: projection.Text},
	},
	Groups: []projection.Group{
		{Rank: "accepted_rank", Columns: []string{"type", "stream", "caller", "accepted_at"}},
		{Rank: "outcome_rank", Columns: []string{"outcome", "outcome_caller"}},
		{Rank: "changed_at"},
	},
}

// commandAge is how commands end.
var commandAge = projection.Ageing{Table: commandsTable, Key: "id", Changed: "changed_at"}

func commandsSchema(d projection.Dialect) []string {
	return append([]string{
		fmt.Sprintf(`CREATE TABLE %s (id TEXT PRIMARY KEY, changed_at BIGINT NOT NULL, accepted_rank BIGINT, type TEXT, stream TEXT,
			caller TEXT, accepted_at BIGINT, outcome_rank BIGINT, outcome TEXT, outcome_caller TEXT)`, commandsTable),
	}, commandAge.Schema(d)...)
}

func (v *view) foldOutcome(r *projection.Record) error {
	if r.Type != bus.TypeOutcome || internal(r) {
		return nil // an answer to one caller
	}
	rank := rankFinal
	switch status := es.Status(r.Header(bus.HeaderStatus)); status {
	case es.StatusParked:
		rank = rankParked
	case es.StatusSucceeded, es.StatusRefused, es.StatusFailed:
	default:
		return fmt.Errorf("an outcome has the unknown status %q", status)
	}
	v.commands.Upsert(r.Key, r.Time.UnixMicro(), nil, nil, nil, nil, nil, rank, string(r.Value), r.Header(bus.HeaderCaller))
	return nil
}

// internal reports whether a command, or its outcome, is one between services, whose status
// nobody asks for.
func internal(r *projection.Record) bool { return r.Header(bus.HeaderReplyTo) == noReply }

var noReply = strconv.Itoa(int(bus.NoReply))

// foldCommand notes that Kafka has the command; its value is none of the view's business.
func (v *view) foldCommand(r *projection.Record) {
	id := r.Header(bus.HeaderID)
	if id == "" || internal(r) {
		return // no command of ours: its service parks it
	}
	at := r.Time.UnixMicro()
	v.commands.Upsert(id, at, rankAccepted, r.Type, r.Header(bus.HeaderSubject), r.Header(bus.HeaderCaller), at, nil, nil, nil)
}

// Upkeep implements projection.Keeper: it deletes commands that their services have forgotten
// too.
func (v *view) Upkeep(ctx context.Context, tx projection.Tx, d projection.Dialect, now time.Time, limit int) error {
	if v.keep <= 0 {
		return nil
	}
	return commandAge.Delete(ctx, tx, d, now.Add(-v.keep), limit)
}
