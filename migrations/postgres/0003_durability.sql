-- What keeps work from being lost or starved: time limits, fair turns, concurrency keys, checkpoints, dead letters, schedules,
-- and workers that are missed when they are gone. Programs of before may run beside this schema: what is new is nullable or
-- has a default.

alter table tasks
    add column queue_timeout_ms int8,
    add column concurrency_key text;

-- deadline_at is null when there is none, and when the task has ended. version: of the executor that ran the task last.
alter table task_state
    add column deadline_at timestamptz,
    add column version text;

create index task_state_deadline on task_state (deadline_at) where deadline_at is not null;

-- stage: 0 ready, 1 to be run later, 2 held back because its concurrency key is in use.
alter table runs
    add column stage int2 not null default 0 check (stage between 0 and 2),
    add column queue_until timestamptz,
    add column deadline_at timestamptz,
    add column concurrency_key text,
    add column version text;

-- Owners take turns: the next owner is found by one step in this index, however much the one before has waiting.
drop index runs_ready;
create index runs_queue on runs (agent, stage, owner_id, priority desc, run_at, task_id) where worker is null;
create index runs_scheduled on runs (run_at) where worker is null and stage = 1;
create index runs_held_back on runs (agent, owner_id, concurrency_key, priority desc, run_at, task_id)
    where worker is null and stage = 2;
create index runs_queue_until on runs (queue_until) where worker is null and queue_until is not null;

update runs set stage = 1 where worker is null and run_at > clock_timestamp();

-- session_key: of the advisory lock that a session of the worker holds for as long as it lives; null where it holds none.
-- gone_since: since when nobody holds that lock. seen_at: when a worker without a session was heard of last. lost_at: since when
-- it counts as dead, for good.
alter table workers
    add column lease_ms int8,
    add column session_key int8,
    add column gone_since timestamptz,
    add column seen_at timestamptz,
    add column lost_at timestamptz;

-- Which life of which server this is. Leases may run out while the server is away, and nobody can renew them then.
create table server_epoch (
    one boolean primary key default true check (one),
    identity text not null,
    since timestamptz not null
);

-- Empty after a crash of the server: what is unlogged does not survive one.
create unlogged table server_run (one boolean primary key default true check (one));

create function server_identity() returns text
    language sql volatile
    return extract(epoch from pg_postmaster_start_time())::text
        || '/' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8);

insert into server_epoch (identity, since) values (server_identity(), '1970-01-01');
insert into server_run default values;

-- How it stands with each worker. ends_at: when its lease is over, which is never before a full lease after the server came
-- up. watched: whether the absence of its session says anything. beat_at: when it was heard of last.
create view worker_life as
select
    w.worker_id,
    w.lease_until,
    w.seen_at,
    w.gone_since,
    w.lost_at,
    e.identity = server_identity() and exists (select from server_run) as same_server,
    greatest(w.lease_until, e.since + coalesce(w.lease_ms, 15000) * interval '1 millisecond') as ends_at,
    e.since + coalesce(w.lease_ms, 15000) * interval '1 millisecond' <= clock_timestamp() as watched,
    w.session_key is null or w.session_key in (
        select (l.classid::int8 << 32) | l.objid::int8
        from pg_locks l
        where l.locktype = 'advisory' and l.objsubid = 1 and l.granted
            and l.database = (select d.oid from pg_database d where d.datname = current_database())
    ) as present,
    greatest(w.lease_until - coalesce(w.lease_ms, 15000) * interval '1 millisecond', w.seen_at) as beat_at
from workers w
cross join server_epoch e;

-- Results that runs have stored under a name. They belong to the task.
create table checkpoints (
    owner_id int4 not null,
    task_id uuid not null,
    name text not null,
    at timestamptz not null,
    value json not null,
    primary key (owner_id, task_id, name)
);

-- Tasks that have failed, and what became of them.
create table dead_letters (
    owner_id int4 not null,
    task_id uuid not null,
    agent text not null,
    at timestamptz not null,
    because int2 not null check (because between 1 and 7),
    cause text not null,
    attempts int4 not null,
    redriven_as uuid,
    dismissed boolean not null default false,
    primary key (owner_id, task_id)
);

create index dead_letters_at on dead_letters (at desc, task_id desc);
create index dead_letters_owner on dead_letters (owner_id, at desc, task_id desc);

-- Tasks that are made by the clock.
create table schedules (
    owner_id int4 not null,
    name text not null,
    agent text not null,
    schema int2 not null default 1,
    plan json not null,
    next_at timestamptz,
    paused boolean not null,
    last_at timestamptz,
    last_task uuid,
    revision int8 not null,
    primary key (owner_id, name)
);

create index schedules_due on schedules (next_at) where next_at is not null and not paused;

-- Views for people, continued.

create function run_stage_name(stage int2) returns text
    language sql immutable parallel safe
    return case stage when 0 then 'ready' when 1 then 'scheduled' when 2 then 'held-back' end;

create function failed_because_name(because int2) returns text
    language sql immutable parallel safe
    return case because
        when 1 then 'fatal' when 2 then 'attempts-used-up' when 3 then 'poison' when 4 then 'queue-timeout'
        when 5 then 'attempt-timeout' when 6 then 'no-progress' when 7 then 'deadline'
    end;

-- stage is null while a worker runs the task.
create or replace view task_overview as
select
    t.owner_id,
    o.name as owner,
    t.task_id,
    t.agent,
    t.context_id,
    task_state_name(s.state) as state,
    t.created_at,
    s.status_at,
    s.last_seq as entries,
    s.turn,
    r.attempt,
    r.priority,
    r.run_at,
    r.worker,
    w.name as worker_name,
    r.cancel_at,
    case when r.worker is null then run_stage_name(r.stage) end as stage,
    s.deadline_at,
    r.losses
from tasks t
join task_state s on s.owner_id = t.owner_id and s.task_id = t.task_id
left join owners o on o.owner_id = t.owner_id
left join runs r on r.owner_id = t.owner_id and r.task_id = t.task_id
left join workers w on w.worker_id = r.worker;

-- A row per task that has failed. It waits for somebody as long as it is neither redriven nor dismissed.
create view dead_letters_overview as
select
    d.owner_id,
    o.name as owner,
    d.task_id,
    d.agent,
    t.context_id,
    d.at,
    failed_because_name(d.because) as because,
    d.cause,
    d.attempts,
    d.redriven_as,
    d.dismissed
from dead_letters d
join tasks t on t.owner_id = d.owner_id and t.task_id = d.task_id
left join owners o on o.owner_id = d.owner_id;
