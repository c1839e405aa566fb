-- +goose Up

-- One row: the name of this life of the log.
CREATE TABLE log (
    one   boolean PRIMARY KEY DEFAULT true CHECK (one),
    epoch text NOT NULL
);
INSERT INTO log (epoch) VALUES (replace(gen_random_uuid()::text, '-', ''));

-- Stream names compare byte by byte (COLLATE "C"), which costs a fraction of a language's order.
-- json, not jsonb: what was written comes back byte for byte, and nothing is parsed into a tree.
-- flags: 1 = written with a personal payload, 2 = erases.
CREATE TABLE events (
    position bigint      PRIMARY KEY,
    version  bigint      NOT NULL,
    time     timestamptz NOT NULL,
    schema   integer     NOT NULL,
    flags    smallint    NOT NULL,
    stream   text        COLLATE "C" NOT NULL,
    type     text        NOT NULL,
    meta     json        NOT NULL,
    data     json        NOT NULL
);
CREATE UNIQUE INDEX events_by_stream ON events (stream, version);

-- By the event's position rather than by stream: its index grows at the end, and an erasure
-- finds the rows by the index that events have anyway.
CREATE TABLE personal (
    position bigint PRIMARY KEY,
    data     bytea  NOT NULL
);

-- Every command that has an outcome or wrote events. An outcome that expires is deleted; if
-- its command wrote events, command and position stay and the rest becomes NULL. So one
-- index finds a repeated command for ever, and events need none by command.
CREATE TABLE outcomes (
    command  uuid   PRIMARY KEY,
    position bigint NOT NULL, -- of the command's last event; 0 if it wrote none
    version  bigint,
    time     timestamptz,
    status   text,
    type     text,
    stream   text,
    digest   text,
    fault    json
);
CREATE INDEX outcomes_by_time ON outcomes (time) WHERE time IS NOT NULL;

-- Room in the pages lets an update stay in its page and leave the index alone.
CREATE TABLE states (
    stream        text    COLLATE "C" PRIMARY KEY,
    version       bigint  NOT NULL,
    state_version integer NOT NULL,
    data          bytea   NOT NULL
) WITH (fillfactor = 80);

-- id is the order of first parking.
CREATE TABLE parked (
    command  uuid        PRIMARY KEY,
    id       bigint      NOT NULL UNIQUE GENERATED ALWAYS AS IDENTITY,
    time     timestamptz NOT NULL,
    attempts integer     NOT NULL,
    type     text        NOT NULL,
    topic    text        NOT NULL,
    reason   text        NOT NULL,
    key      bytea       NOT NULL,
    headers  bytea       NOT NULL,
    payload  bytea       NOT NULL
);

CREATE TABLE leases (
    name    text        PRIMARY KEY,
    holder  text        NOT NULL,
    expires timestamptz NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE cursors (
    name     text   PRIMARY KEY,
    position bigint NOT NULL
) WITH (fillfactor = 50);

-- Breaks off the transaction of an append that others have overtaken.
-- +goose StatementBegin
CREATE FUNCTION conflict() RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the append conflicts with what others have written' USING ERRCODE = 'OL409';
END
$$;
-- +goose StatementEnd
