package textbook

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// postgresConns is more than a router has handlers at once with 8 partitions.
const postgresConns = 32

// postgresStore has everything in one database.
type postgresStore struct{ pool *pgxpool.Pool }

func openPostgres(ctx context.Context, url string) (store, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	config.MaxConns = postgresConns
	config.ConnConfig.RuntimeParams["plan_cache_mode"] = "force_generic_plan"
	config.ConnConfig.RuntimeParams["jit"] = "off"
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	for _, sql := range append(append([]string(nil), logTables...), viewTables...) {
		if _, err := pool.Exec(ctx, sql); err != nil {
			pool.Close()
			return nil, fmt.Errorf("textbook: %s: %w", sql, err)
		}
	}
	return &postgresStore{pool}, nil
}

// uniqueViolation is the SQLSTATE of a row that is there already.
const uniqueViolation = "23505"

// Place implements store. Both inserts go in one batch, which is one transaction and one
// round trip; a command that comes again fails as a whole and is looked up.
func (s *postgresStore) Place(ctx context.Context, event *OrderPlaced, out outcome) (*OrderPlaced, error) {
	batch := &pgx.Batch{}
	order := ""
	if event != nil {
		order = event.OrderID
		data, err := encode(event)
		if err != nil {
			return nil, err
		}
		batch.Queue(insertEvent, order, event.Version, out.command, event.PlacedAt.UnixMicro(), string(data))
	}
	batch.Queue(insertOutcome, out.command, order, out.status, out.reason, time.Now().UnixMicro())
	err := s.pool.SendBatch(ctx, batch).Close()
	if code := (*pgconn.PgError)(nil); errors.As(err, &code) && code.Code == uniqueViolation {
		var data string
		if err := s.pool.QueryRow(ctx, selectEvent, out.command).Scan(&data); err != nil {
			return nil, fmt.Errorf("textbook: look up %s: %w", out.command, err)
		}
		return decode([]byte(data))
	}
	if err != nil {
		return nil, fmt.Errorf("textbook: place %s: %w", order, err)
	}
	return event, nil
}

// Show implements store.
func (s *postgresStore) Show(ctx context.Context, e *OrderPlaced) error {
	doc, err := encode(e)
	if err != nil {
		return err
	}
	_, err = s.pool.Exec(ctx, upsertOrder, e.OrderID, e.Version, e.CustomerID, string(e.Status), e.PlacedAt.UnixMicro(), string(doc))
	if err != nil {
		return fmt.Errorf("textbook: show %s: %w", e.OrderID, err)
	}
	return nil
}

func (s *postgresStore) Close() error {
	s.pool.Close()
	return nil
}
