-- Time limits, concurrency keys, pinned versions, checkpoints, dead letters and schedules.

ALTER TABLE tasks ADD COLUMN queue_timeout_ms INTEGER;  -- how long it may be runnable without being started
ALTER TABLE tasks ADD COLUMN concurrency_key TEXT;      -- tasks of one owner, agent and key are limited together

ALTER TABLE task_state ADD COLUMN deadline_at INTEGER;  -- must have ended by then; null once it has
ALTER TABLE task_state ADD COLUMN version TEXT;         -- of the executor to which a parked task is pinned

CREATE INDEX task_state_deadline ON task_state (deadline_at) WHERE deadline_at IS NOT NULL;

ALTER TABLE runs ADD COLUMN stage INTEGER NOT NULL DEFAULT 0;  -- 0 ready, 1 scheduled, 2 held back for its key
ALTER TABLE runs ADD COLUMN queue_until INTEGER;               -- must have been started by then; null once it was
ALTER TABLE runs ADD COLUMN concurrency_key TEXT;              -- as in tasks
ALTER TABLE runs ADD COLUMN version TEXT;                      -- of the executor to which it is pinned

UPDATE runs SET stage = 1 WHERE worker IS NULL AND run_at > CAST(unixepoch('now', 'subsec') * 1000 AS INTEGER);

DROP INDEX runs_due;
-- With the worker in it, an index is all that is read to count runs.
CREATE INDEX runs_queued ON runs (agent, stage, owner_id, priority DESC, run_at, task, worker) WHERE worker IS NULL;
CREATE INDEX runs_scheduled ON runs (run_at) WHERE worker IS NULL AND stage = 1;
CREATE INDEX runs_held_back ON runs (agent, owner_id, concurrency_key, priority DESC, run_at, task)
    WHERE worker IS NULL AND stage = 2;
CREATE INDEX runs_running ON runs (agent, owner_id, concurrency_key, worker) WHERE worker IS NOT NULL;
CREATE INDEX runs_queue_until ON runs (queue_until) WHERE queue_until IS NOT NULL;

-- What runs have stored under a name, the last value of each.
CREATE TABLE checkpoints (
    owner_id INTEGER NOT NULL,
    task     TEXT    NOT NULL,
    name     TEXT    NOT NULL,
    attempt  INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    value    TEXT    NOT NULL,  -- JSON
    PRIMARY KEY (owner_id, task, name)
) STRICT;

-- A row per task that has failed.
CREATE TABLE dead_letters (
    owner_id    INTEGER NOT NULL,
    task        TEXT    NOT NULL,
    agent       TEXT    NOT NULL,
    context_id  TEXT    NOT NULL,
    at          INTEGER NOT NULL,
    because     INTEGER NOT NULL,  -- as in the view dead_letters_overview
    cause       TEXT    NOT NULL,
    attempts    INTEGER NOT NULL,
    handled_at  INTEGER,           -- when somebody dealt with it
    redriven_as TEXT,              -- the task that does its work again; null with handled_at: dismissed
    PRIMARY KEY (owner_id, task)
) STRICT, WITHOUT ROWID;

CREATE INDEX dead_letters_list ON dead_letters (at DESC, task DESC);
CREATE INDEX dead_letters_open ON dead_letters (at DESC, task DESC) WHERE handled_at IS NULL;
CREATE INDEX dead_letters_of_owner ON dead_letters (owner_id, at DESC, task DESC);

-- Tasks that are made by the clock.
CREATE TABLE schedules (
    owner_id  INTEGER NOT NULL REFERENCES owners,
    name      TEXT    NOT NULL,
    agent     TEXT    NOT NULL,
    next_at   INTEGER,
    paused    INTEGER NOT NULL,
    last_at   INTEGER,
    last_task TEXT,
    revision  INTEGER NOT NULL,
    v         INTEGER NOT NULL DEFAULT 1,
    plan      TEXT    NOT NULL,  -- JSON
    PRIMARY KEY (owner_id, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX schedules_due ON schedules (next_at) WHERE next_at IS NOT NULL AND paused = 0;

DROP VIEW task_overview;

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
       strftime('%Y-%m-%dT%H:%M:%fZ', r.cancel_at / 1000.0, 'unixepoch') AS cancel_at,
       CASE WHEN r.worker IS NULL THEN
           CASE r.stage WHEN 0 THEN 'ready' WHEN 1 THEN 'scheduled' WHEN 2 THEN 'held-back' END
       END AS stage,
       strftime('%Y-%m-%dT%H:%M:%fZ', s.deadline_at / 1000.0, 'unixepoch') AS deadline_at,
       r.losses
FROM tasks t
JOIN task_state s ON s.owner_id = t.owner_id AND s.task = t.task
LEFT JOIN owners o ON o.owner_id = t.owner_id
LEFT JOIN runs r ON r.owner_id = t.owner_id AND r.task = t.task
LEFT JOIN workers w ON w.worker = r.worker;

-- A row per task that has failed, and what became of it.
CREATE VIEW dead_letters_overview AS
SELECT d.owner_id,
       o.name AS owner,
       d.task AS task_id,
       d.agent,
       d.context_id,
       strftime('%Y-%m-%dT%H:%M:%fZ', d.at / 1000.0, 'unixepoch') AS at,
       CASE d.because
           WHEN 1 THEN 'fatal' WHEN 2 THEN 'attempts-used-up' WHEN 3 THEN 'poison' WHEN 4 THEN 'queue-timeout'
           WHEN 5 THEN 'attempt-timeout' WHEN 6 THEN 'no-progress' WHEN 7 THEN 'deadline'
       END AS because,
       d.cause,
       d.attempts,
       d.redriven_as,
       d.handled_at IS NOT NULL AND d.redriven_as IS NULL AS dismissed
FROM dead_letters d
LEFT JOIN owners o ON o.owner_id = d.owner_id;
