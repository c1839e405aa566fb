package pglog

// The statements of an append. Each is bound to a portal before the log's lock is taken, and
// executed after: so its snapshot is as of the lock.

// insertBatch writes events, personal payloads, outcomes and states, unless the head has moved
// and a stream with it. Arrays that belong together are unnested together.
//
//	$1 seen; streams: $2 name, $3 version
//	events: $4 stream, $5 version, $6 type, $7 schema, $8 time, $9 flags, $10 meta, $11 data
//	personal: $12 place of the event in the batch, $13 data
//	outcomes: $14 command, $15 place of its last event or 0, $16 version, $17 time, $18 status, $19 type, $20 stream, $21 digest, $22 fault
//	states: $23 stream, $24 version, $25 state version, $26 data
//	streams that are continued: $27 name, $28 version; they are checked also where the head has
//	not moved, lest a gap is written. That a stream is new is checked by the index.
//	$29 epoch, or ''
const insertBatch = `
WITH log AS MATERIALIZED (
	SELECT CASE (
		SELECT count(*)
		FROM unnest(CASE h.head WHEN $1::int8 THEN $27::text[] ELSE $2::text[] END, CASE h.head WHEN $1 THEN $28::int8[] ELSE $3::int8[] END) q (stream, version)
		WHERE q.version <> coalesce((SELECT max(e.version) FROM events e WHERE e.stream = q.stream), 0)
	) + CASE WHEN $29::text IN ('', h.epoch) THEN 0 ELSE 1 END WHEN 0 THEN h.head ELSE conflict() END AS head, h.epoch
	FROM (SELECT coalesce((SELECT max(position) FROM events), 0) AS head, epoch FROM log) h -- the table
), new_events AS (
	INSERT INTO events (position, stream, version, type, schema, time, flags, meta, data)
	SELECT log.head + u.place, u.stream, u.version, u.type, u.schema, u.time, u.flags, u.meta, u.data
	FROM log, unnest($4::text[], $5::int8[], $6::text[], $7::int4[], $8::timestamptz[], $9::int2[], $10::json[], $11::json[])
		WITH ORDINALITY u (stream, version, type, schema, time, flags, meta, data, place)
), new_personal AS (
	INSERT INTO personal (position, data)
	SELECT log.head + u.place, u.data FROM log, unnest($12::int8[], $13::bytea[]) u (place, data)
), new_outcomes AS (
	INSERT INTO outcomes (command, position, version, time, status, type, stream, digest, fault)
	SELECT u.command, CASE u.place WHEN 0 THEN 0 ELSE log.head + u.place END, u.version, u.time, u.status, u.type, u.stream, u.digest, u.fault
	FROM log, unnest($14::uuid[], $15::int8[], $16::int8[], $17::timestamptz[], $18::text[], $19::text[], $20::text[], $21::text[], $22::json[])
		u (command, place, version, time, status, type, stream, digest, fault)
), unparked AS (
	-- There are none, as a rule. A row of another request breaks the append off.
	DELETE FROM parked p WHERE p.command = ANY ($14::uuid[])
	RETURNING CASE WHEN p.digest <> '' AND EXISTS (
		SELECT FROM unnest($14::uuid[], $21::text[]) u (command, digest) WHERE u.command = p.command AND u.digest NOT IN ('', p.digest)
	) THEN conflict() END
), new_states AS (
	INSERT INTO states AS s (stream, version, state_version, data)
	SELECT * FROM unnest($23::text[], $24::int8[], $25::int4[], $26::bytea[])
	ON CONFLICT (stream) DO UPDATE SET version = excluded.version, state_version = excluded.state_version, data = excluded.data
	WHERE excluded.version > s.version OR excluded.version = s.version AND excluded.state_version <> s.state_version
)
SELECT head, epoch FROM log`

// The others are sent with the batches that need them. Those that need the head of before the
// batch ($1 is the number of its events) find it behind them.
const (
	// erase: $1 stream, $2 version
	erase = `
DELETE FROM personal p USING unnest($1::text[], $2::int8[]) q (stream, version), events e
WHERE e.stream = q.stream AND e.version < q.version AND p.position = e.position`

	// insertStrays: $1 number of events, $2 command, $3 place of its last event
	insertStrays = `
INSERT INTO outcomes AS o (command, position)
SELECT u.command, (SELECT max(position) FROM events) - $1::int8 + u.place FROM unnest($2::uuid[], $3::int8[]) u (command, place)
ON CONFLICT (command) DO UPDATE SET position = excluded.position WHERE o.status IS NULL`

	// park: $1 command, $2 time, $3 type, $4 topic, $5 reason, $6 key, $7 headers, $8 payload, $9 digest
	park = `
WITH known AS MATERIALIZED (SELECT count(conflict()) AS none FROM outcomes WHERE command = ANY ($1::uuid[])),
reused AS MATERIALIZED (
	SELECT count(conflict()) AS none FROM parked p JOIN unnest($1, $9::text[]) u (command, digest) ON u.command = p.command
	WHERE p.digest <> '' AND u.digest NOT IN ('', p.digest)
)
INSERT INTO parked AS p (command, time, attempts, type, topic, reason, key, headers, payload, digest)
SELECT u.command, u.time, 1 + known.none + reused.none, u.type, u.topic, u.reason, u.key, u.headers, u.payload, u.digest
FROM known, reused, unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::bytea[], $8::bytea[], $9)
	WITH ORDINALITY u (command, time, type, topic, reason, key, headers, payload, digest, place) ORDER BY u.place
ON CONFLICT (command) DO UPDATE SET attempts = p.attempts + 1, time = excluded.time, type = excluded.type, topic = excluded.topic,
	reason = excluded.reason, key = excluded.key, headers = excluded.headers, payload = excluded.payload,
	digest = excluded.digest`

	// saveCursors: $1 name, $2 position
	saveCursors = `
INSERT INTO cursors AS c (name, position) SELECT * FROM unnest($1::text[], $2::int8[]) u (name, position)
WHERE u.position <= coalesce((SELECT max(e.position) FROM events e), 0)
ON CONFLICT (name) DO UPDATE SET position = excluded.position WHERE excluded.position > c.position`
)

// The queries of reads.
const (
	eventColumns = `e.position, e.stream, e.version, e.type, e.schema, e.time, e.flags, e.meta, e.data`

	renewCursors = `UPDATE cursors SET position = least(position, $1)`
	renewEpoch   = `UPDATE log SET epoch = $1::text || '-' || replace(gen_random_uuid()::text, '-', '') RETURNING epoch`

	selectHead = `SELECT epoch, coalesce((SELECT max(position) FROM events), 0) FROM log`

	// A stream comes as one row without an event, or as a row for each record of its tail, the
	// first of which has the state.
	selectStreams = `
SELECT q.place, coalesce(s.version, 0),
	CASE WHEN e.version IS NULL OR e.version = coalesce(s.version, 0) + 1 THEN s.data END, e.version IS NOT NULL, ` + eventColumns + `
FROM unnest($1::text[], $2::int4[]) WITH ORDINALITY q (stream, state_version, place)
LEFT JOIN states s ON s.stream = q.stream AND s.state_version = q.state_version
LEFT JOIN LATERAL (SELECT * FROM events e WHERE e.stream = q.stream AND e.version > coalesce(s.version, 0)) e ON true
ORDER BY q.place, e.version`

	// An expired outcome is found by its last event.
	selectOutcomes = `
SELECT o.command, o.status IS NOT NULL, o.position, o.version, o.time, o.status, o.type, o.stream, o.digest, o.fault, ` + eventColumns + `
FROM outcomes o LEFT JOIN events e ON e.position = CASE WHEN o.status IS NULL THEN o.position END
WHERE o.command = ANY ($1::uuid[])`

	selectRecords = `SELECT ` + eventColumns + ` FROM events e WHERE position > $1 ORDER BY position LIMIT $2`
	selectStream  = `SELECT ` + eventColumns + ` FROM events e WHERE stream = $1 AND version > $2 ORDER BY version LIMIT $3`

	selectPersonal = `
SELECT p.data FROM events e JOIN personal p ON p.position = e.position WHERE e.stream = $1 AND e.version <= $2 ORDER BY e.version`

	selectChanged = `
SELECT q.stream FROM unnest($1::text[], $2::int8[]) WITH ORDINALITY q (stream, version, place)
WHERE q.version <> coalesce((SELECT max(e.version) FROM events e WHERE e.stream = q.stream), 0) ORDER BY q.place`

	selectKnown = `SELECT command FROM outcomes WHERE command = ANY ($1::uuid[])`

	selectReused = `
SELECT p.command FROM parked p JOIN unnest($1::uuid[], $2::text[]) WITH ORDINALITY u (command, digest, place) ON u.command = p.command
WHERE p.digest <> '' AND u.digest NOT IN ('', p.digest) ORDER BY u.place`

	parkedColumns      = `command, time, attempts, type, topic, reason, key, headers, payload, digest`
	selectParked       = `SELECT ` + parkedColumns + ` FROM parked WHERE command = $1`
	selectParkedAfter  = `SELECT ` + parkedColumns + ` FROM parked WHERE id > coalesce((SELECT id FROM parked WHERE command = $1), 0) ORDER BY id LIMIT $2`
	selectCursor       = `SELECT position FROM cursors WHERE name = $1`
	deleteLease        = `DELETE FROM leases WHERE name = $1 AND holder = $2`
	notify             = `SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, $2)`
	listen             = `LISTEN `
	selectMigration    = `SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied`
	selectHasMigration = `SELECT to_regclass('goose_db_version') IS NOT NULL`

	takeLease = `
INSERT INTO leases AS l (name, holder, expires) VALUES ($1, $2, clock_timestamp() + $3 * interval '1 microsecond')
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires = excluded.expires
WHERE l.holder = excluded.holder OR l.expires <= clock_timestamp()`

	expireOutcomes = `
WITH old AS MATERIALIZED (
	SELECT command, position FROM outcomes WHERE time < $1 ORDER BY time LIMIT $2 FOR UPDATE SKIP LOCKED
), deleted AS (
	DELETE FROM outcomes o USING old WHERE o.command = old.command AND old.position = 0
), reduced AS (
	UPDATE outcomes o SET version = NULL, time = NULL, status = NULL, type = NULL, stream = NULL, digest = NULL, fault = NULL
	FROM old WHERE o.command = old.command AND old.position > 0
)
SELECT count(*) FROM old`
)
