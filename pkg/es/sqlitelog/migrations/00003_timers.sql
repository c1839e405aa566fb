-- +goose Up

-- When a stream is to be woken. Times are microseconds since 1970; handed is when the timer was
-- handed out last.
CREATE TABLE timers (
    stream  TEXT    PRIMARY KEY,
    version INTEGER NOT NULL,
    due     INTEGER NOT NULL,
    handed  INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX timers_by_due ON timers (due);
