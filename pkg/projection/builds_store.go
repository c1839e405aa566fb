package projection

import (
	"cmp"
	"context"

	"github.com/orderlane/orderlane/pkg/fault"
)

// shownStore refuses queries while there is nothing to be seen.
type shownStore struct {
	Store
	queries Queryer
	builds  *Builds
}

func (s *shownStore) refuse() error {
	if s.builds.Ready() {
		return nil
	}
	return fault.Unavailable("view_building", "the view is being built: %s", cmp.Or(s.builds.Report().Waiting, "it has just begun"))
}

func (s *shownStore) Query(ctx context.Context, sql string, args []any, scan func(Row) error) error {
	if err := s.refuse(); err != nil {
		return err
	}
	return s.queries.Query(ctx, sql, args, scan)
}

func (s *shownStore) Load(ctx context.Context, q Lookup, scan func(Row) error) error {
	if err := s.refuse(); err != nil {
		return err
	}
	return s.queries.Load(ctx, q, scan)
}
