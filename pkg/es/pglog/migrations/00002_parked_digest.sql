-- +goose Up

-- Of the request's body: the same idempotency key with another body must not replace a parked
-- command. What was parked before has none, and is like any.
ALTER TABLE parked ADD COLUMN digest text NOT NULL DEFAULT '';
