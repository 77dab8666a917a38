-- The first schema. Times are milliseconds since 1970 (UTC), ids of tasks and workers are UUIDs as text, bodies are
-- JSON text whose layout `v` names. Everything that belongs to somebody begins its key with owner_id.

CREATE TABLE owners (
    owner_id   INTEGER PRIMARY KEY,
    name       TEXT    NOT NULL UNIQUE,
    created_at INTEGER NOT NULL
) STRICT;

-- Whose everything is while authentication is switched off.
INSERT INTO owners (owner_id, name, created_at) VALUES (1, 'local', 0);

CREATE TABLE api_keys (
    owner_id   INTEGER NOT NULL REFERENCES owners,
    key_id     TEXT    NOT NULL UNIQUE,
    hash       BLOB    NOT NULL UNIQUE,  -- SHA-256 of the secret, which is kept nowhere
    scopes     TEXT    NOT NULL,         -- names, separated by blanks
    label      TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER,
    PRIMARY KEY (owner_id, key_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE agents (
    name       TEXT    NOT NULL PRIMARY KEY,
    version    TEXT    NOT NULL,
    updated_at INTEGER NOT NULL,
    v          INTEGER NOT NULL DEFAULT 1,
    body       TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

-- What never changes about a task.
CREATE TABLE tasks (
    owner_id   INTEGER NOT NULL REFERENCES owners,
    task       TEXT    NOT NULL,
    agent      TEXT    NOT NULL,
    context_id TEXT    NOT NULL,
    priority   INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (owner_id, task)
) STRICT, WITHOUT ROWID;

CREATE INDEX tasks_of_context ON tasks (owner_id, context_id, task);

-- What changes about it. Lists are ordered by the status only, which changes far less often than the rest.
CREATE TABLE task_state (
    owner_id     INTEGER NOT NULL,
    task         TEXT    NOT NULL,
    state        INTEGER NOT NULL,  -- as in the view task_history
    status_at    INTEGER NOT NULL,
    status_seq   INTEGER NOT NULL,  -- the log entry of the status; 0 for the first state
    last_seq     INTEGER NOT NULL,
    message_seq  INTEGER NOT NULL,  -- the last message of the client
    turn         INTEGER NOT NULL,
    epoch        INTEGER NOT NULL,  -- of the last run; rises whenever the right to write changes hands
    op_epoch     INTEGER NOT NULL,  -- the epoch in which last_op was written
    last_op      INTEGER NOT NULL,
    settle_token TEXT,              -- the claim that was settled last
    PRIMARY KEY (owner_id, task)
) STRICT, WITHOUT ROWID;

CREATE INDEX task_state_list ON task_state (owner_id, status_at DESC, task DESC, state);

-- The record: entries are added, never changed.
CREATE TABLE log (
    owner_id    INTEGER NOT NULL,
    task        TEXT    NOT NULL,
    seq         INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    attempt     INTEGER NOT NULL,  -- 0 when no executor wrote it
    kind        INTEGER NOT NULL,  -- 1 message, 2 status, 3 artifact, 4 note
    state       INTEGER,           -- of a status
    says        INTEGER NOT NULL,  -- 1 when a message is in it
    artifact_id TEXT,              -- of an artifact
    head        INTEGER NOT NULL,  -- 1 when the artifact begins here, or begins anew
    v           INTEGER NOT NULL DEFAULT 1,
    body        TEXT    NOT NULL,
    PRIMARY KEY (owner_id, task, seq)
) STRICT;

CREATE INDEX log_messages ON log (owner_id, task, seq) WHERE says = 1;
CREATE INDEX log_heads ON log (owner_id, task, artifact_id, seq) WHERE head = 1;

-- Queue and lease: one row for each task that is queued or running, none for one that waits or has ended.
CREATE TABLE runs (
    owner_id    INTEGER NOT NULL,
    task        TEXT    NOT NULL,
    agent       TEXT    NOT NULL,
    priority    INTEGER NOT NULL,
    run_at      INTEGER NOT NULL,
    attempt     INTEGER NOT NULL,
    epoch       INTEGER NOT NULL,
    token       TEXT,              -- random per claim
    worker      TEXT,              -- who has claimed it
    cancel_at   INTEGER,           -- asked to stop: by force at this time
    handed_back INTEGER NOT NULL,  -- whether an end was handed back for an unread message
    losses      INTEGER NOT NULL,  -- how many workers were lost with it
    trace       TEXT,
    PRIMARY KEY (owner_id, task)
) STRICT, WITHOUT ROWID;

CREATE INDEX runs_due ON runs (agent, priority DESC, run_at, task) WHERE worker IS NULL;
CREATE INDEX runs_of_worker ON runs (worker) WHERE worker IS NOT NULL;
CREATE INDEX runs_canceled ON runs (cancel_at) WHERE cancel_at IS NOT NULL;

CREATE TABLE workers (
    worker      TEXT    NOT NULL PRIMARY KEY,
    name        TEXT    NOT NULL,
    started_at  INTEGER NOT NULL,
    lease_until INTEGER NOT NULL,
    v           INTEGER NOT NULL DEFAULT 1,
    agents      TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

-- By what a repeated message is recognised, for 24 hours.
CREATE TABLE message_keys (
    owner_id INTEGER NOT NULL,
    key      BLOB    NOT NULL,
    content  BLOB    NOT NULL,
    task     TEXT    NOT NULL,
    seq      INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    PRIMARY KEY (owner_id, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX message_keys_by_age ON message_keys (at);

-- Contents over 64 KiB, once per owner, by SHA-256.
CREATE TABLE blobs (
    owner_id INTEGER NOT NULL REFERENCES owners,
    hash     BLOB    NOT NULL,
    bytes    BLOB    NOT NULL,
    PRIMARY KEY (owner_id, hash)
) STRICT;

-- Views for people who read history in SQL, with the columns that the views on Postgres have. The columns are a
-- promise; the tables behind them are not.

-- A row per task: where it stands, and whether it is queued or running.
CREATE VIEW task_overview AS
SELECT t.owner_id,
       o.name AS owner,
       t.task AS task_id,
       t.agent,
       t.context_id,
       CASE s.state
           WHEN 1 THEN 'submitted' WHEN 2 THEN 'working' WHEN 3 THEN 'completed' WHEN 4 THEN 'failed'
           WHEN 5 THEN 'canceled' WHEN 6 THEN 'input-required' WHEN 7 THEN 'rejected' WHEN 8 THEN 'auth-required'
       END AS state,
       strftime('%Y-%m-%dT%H:%M:%fZ', t.created_at / 1000.0, 'unixepoch') AS created_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', s.status_at / 1000.0, 'unixepoch') AS status_at,
       s.last_seq AS entries,
       s.turn,
       r.attempt,
       r.priority,
       strftime('%Y-%m-%dT%H:%M:%fZ', r.run_at / 1000.0, 'unixepoch') AS run_at,
       r.worker,
       w.name AS worker_name,
       strftime('%Y-%m-%dT%H:%M:%fZ', r.cancel_at / 1000.0, 'unixepoch') AS cancel_at
FROM tasks t
JOIN task_state s ON s.owner_id = t.owner_id AND s.task = t.task
LEFT JOIN owners o ON o.owner_id = t.owner_id
LEFT JOIN runs r ON r.owner_id = t.owner_id AND r.task = t.task
LEFT JOIN workers w ON w.worker = r.worker;

-- A row per log entry.
CREATE VIEW task_history AS
SELECT t.owner_id,
       o.name AS owner,
       l.task AS task_id,
       t.agent,
       t.context_id,
       l.seq,
       strftime('%Y-%m-%dT%H:%M:%fZ', l.at / 1000.0, 'unixepoch') AS at,
       l.attempt,
       CASE l.kind WHEN 1 THEN 'message' WHEN 2 THEN 'status' WHEN 3 THEN 'artifact' WHEN 4 THEN 'note' END AS kind,
       CASE l.state
           WHEN 1 THEN 'submitted' WHEN 2 THEN 'working' WHEN 3 THEN 'completed' WHEN 4 THEN 'failed'
           WHEN 5 THEN 'canceled' WHEN 6 THEN 'input-required' WHEN 7 THEN 'rejected' WHEN 8 THEN 'auth-required'
       END AS state,
       l.artifact_id,
       l.v AS schema,
       l.body
FROM log l
JOIN tasks t ON t.owner_id = l.owner_id AND t.task = l.task
LEFT JOIN owners o ON o.owner_id = l.owner_id;
