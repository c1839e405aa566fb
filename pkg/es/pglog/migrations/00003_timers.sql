-- +goose Up

-- When a stream is to be woken; handed is when the timer was handed out last.
CREATE TABLE timers (
    stream  text        COLLATE "C" PRIMARY KEY,
    version bigint      NOT NULL,
    due     timestamptz NOT NULL,
    handed  timestamptz
);
CREATE INDEX timers_by_due ON timers (due, stream);
