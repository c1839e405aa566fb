-- +goose Up

-- One row: the name of this life of the log.
CREATE TABLE log (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    epoch TEXT NOT NULL
) STRICT;
INSERT INTO log (id, epoch) VALUES (1, lower(hex(randomblob(8))));

-- A stream and its state as of a version (NULL where none was written yet). Events name their
-- stream by its number here: of the indexes that an order writes to, only those by stream name
-- and by command grow in the middle, where each entry costs a page; the rest grow at the end.
CREATE TABLE streams (
    id            INTEGER PRIMARY KEY,
    stream        TEXT    NOT NULL,
    state_at      INTEGER,
    state_version INTEGER,
    state         BLOB
) STRICT;
CREATE UNIQUE INDEX streams_by_name ON streams (stream);

-- Times are microseconds since 1970. flags: 1 = written with a personal payload, 2 = erases.
CREATE TABLE events (
    position INTEGER PRIMARY KEY,
    stream   INTEGER NOT NULL, -- streams.id
    version  INTEGER NOT NULL,
    type     TEXT    NOT NULL,
    schema   INTEGER NOT NULL,
    time     INTEGER NOT NULL,
    flags    INTEGER NOT NULL,
    meta     TEXT    NOT NULL,
    data     TEXT    NOT NULL
) STRICT;
CREATE UNIQUE INDEX events_by_stream ON events (stream, version);

-- By the event's position rather than by stream: rows go to the end of the table, and an
-- erasure finds them by the index that events have anyway.
CREATE TABLE personal (
    position INTEGER PRIMARY KEY,
    data     BLOB NOT NULL
) STRICT;

-- Every command that has an outcome or wrote events. An outcome that expires is deleted; if
-- its command wrote events, command and position stay and the rest becomes NULL. So one
-- index finds a repeated command for ever, and events need none by command.
CREATE TABLE outcomes (
    id       INTEGER PRIMARY KEY,
    command  BLOB    NOT NULL,
    position INTEGER NOT NULL, -- of the command's last event; 0 if it wrote none
    status   TEXT,
    type     TEXT,
    stream   TEXT,
    version  INTEGER,
    digest   TEXT,
    fault    TEXT,
    time     INTEGER
) STRICT;
CREATE UNIQUE INDEX outcomes_by_command ON outcomes (command);
CREATE INDEX outcomes_by_time ON outcomes (time) WHERE time IS NOT NULL;

-- id is the order of first parking; it is never used again.
CREATE TABLE parked (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    command  BLOB    NOT NULL UNIQUE,
    type     TEXT    NOT NULL,
    topic    TEXT    NOT NULL,
    key      BLOB    NOT NULL,
    reason   TEXT    NOT NULL,
    headers  BLOB    NOT NULL,
    payload  BLOB    NOT NULL,
    attempts INTEGER NOT NULL,
    time     INTEGER NOT NULL
) STRICT;

-- expires is in milliseconds since 1970.
CREATE TABLE leases (
    name    TEXT    PRIMARY KEY,
    holder  TEXT    NOT NULL,
    expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE cursors (
    name     TEXT    PRIMARY KEY,
    position INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
