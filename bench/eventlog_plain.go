package main

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// The tables of one transaction per command, and what it writes.
var plainTables = []string{
	`CREATE TABLE plain_events (stream TEXT, version BIGINT, type TEXT, command TEXT UNIQUE, at BIGINT, data TEXT, PRIMARY KEY (stream, version))`,
	`CREATE TABLE plain_outcomes (command TEXT PRIMARY KEY, stream TEXT, status TEXT, version BIGINT, at BIGINT)`,
	`CREATE TABLE plain_states (stream TEXT PRIMARY KEY, version BIGINT, data TEXT)`,
}

const (
	plainEvent   = `INSERT INTO plain_events VALUES ($1, 1, 'parcel_sent', $2, $3, $4)`
	plainOutcome = `INSERT INTO plain_outcomes VALUES ($1, $2, 'succeeded', 1, $3)`
	plainState   = `INSERT INTO plain_states VALUES ($1, 1, $2)`
	plainCount   = `SELECT count(*) FROM plain_events`
)

var (
	plainData      = `{"Text":"` + parcelText + `"}`
	plainStateData = `{"Text":"` + parcelText[:100] + `"}`
)

// plainSQLite is one connection behind a lock: callers that wait for it in SQLite itself, on
// connections of their own, are many times slower.
type plainSQLite struct {
	mu   sync.Mutex
	conn *sqlite.Conn
}

func openPlainSQLite(path string) (plainLog, error) {
	c, err := sqlite.OpenConn(path, sqlite.OpenReadWrite|sqlite.OpenCreate|sqlite.OpenWAL)
	if err != nil {
		return nil, err
	}
	for _, sql := range append([]string{"PRAGMA synchronous = FULL", "PRAGMA wal_autocheckpoint = 4000", "PRAGMA cache_size = -16000"}, plainTables...) {
		if err := sqlitex.ExecuteTransient(c, sql, nil); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	return &plainSQLite{conn: c}, nil
}

func (l *plainSQLite) exec(sql string, texts []string, at int64) error {
	s, err := l.conn.Prepare(sql)
	if err != nil {
		return err
	}
	for i, text := range texts {
		if text == "" {
			s.BindInt64(i+1, at)
		} else {
			s.BindText(i+1, text)
		}
	}
	if _, err := s.Step(); err != nil {
		return err
	}
	return s.Reset()
}

// Append implements plainLog.
func (l *plainSQLite) Append(_ context.Context, id uuid.UUID) error {
	command := id.String()
	stream, at := "parcel-"+command, time.Now().UnixMicro()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range []struct {
		sql   string
		texts []string
	}{
		{"BEGIN IMMEDIATE", nil},
		{plainEvent, []string{stream, command, "", plainData}},
		{plainOutcome, []string{command, stream, ""}},
		{plainState, []string{stream, plainStateData}},
		{"COMMIT", nil},
	} {
		if err := l.exec(s.sql, s.texts, at); err != nil {
			return err
		}
	}
	return nil
}

// Count implements plainLog.
func (l *plainSQLite) Count(context.Context) (n int64, err error) {
	return sqlitex.ResultInt64(l.conn.Prep(plainCount))
}

// Close implements plainLog.
func (l *plainSQLite) Close() error { return l.conn.Close() }

// plainPostgres has a connection for each caller, and sends a transaction in one round trip.
type plainPostgres struct{ pool *pgxpool.Pool }

func openPlainPostgres(ctx context.Context, url string) (plainLog, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	config.MaxConns = appendCallers
	config.ConnConfig.RuntimeParams["plan_cache_mode"] = "force_generic_plan"
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	for _, sql := range plainTables {
		// Comparing by language costs, and nobody would have it for ids.
		if _, err := pool.Exec(ctx, strings.NewReplacer("stream TEXT", `stream TEXT COLLATE "C"`, "command TEXT", "command UUID").Replace(sql)); err != nil {
			pool.Close()
			return nil, err
		}
	}
	return &plainPostgres{pool}, nil
}

// Append implements plainLog.
func (l *plainPostgres) Append(ctx context.Context, id uuid.UUID) error {
	command := id.String()
	stream, at := "parcel-"+command, time.Now().UnixMicro()
	batch := &pgx.Batch{}
	batch.Queue(plainEvent, stream, command, at, plainData)
	batch.Queue(plainOutcome, command, stream, at)
	batch.Queue(plainState, stream, plainStateData)
	return l.pool.SendBatch(ctx, batch).Close() // one implicit transaction
}

// Count implements plainLog.
func (l *plainPostgres) Count(ctx context.Context) (n int64, err error) {
	err = l.pool.QueryRow(ctx, plainCount).Scan(&n)
	return n, err
}

// Close implements plainLog.
func (l *plainPostgres) Close() error {
	l.pool.Close()
	return nil
}
