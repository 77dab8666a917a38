-- Views for people who read history in SQL. The columns are a promise; the tables behind them are not.

create function task_state_name(state int2) returns text
    language sql immutable parallel safe
    return case state
        when 1 then 'submitted' when 2 then 'working' when 3 then 'completed' when 4 then 'failed'
        when 5 then 'canceled' when 6 then 'input-required' when 7 then 'rejected' when 8 then 'auth-required'
    end;

create function log_kind_name(kind int2) returns text
    language sql immutable parallel safe
    return case kind
        when 1 then 'message' when 2 then 'status' when 3 then 'artifact' when 4 then 'note'
    end;

-- A row per task: where it stands, and whether it is queued or running.
create view task_overview as
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
    r.cancel_at
from tasks t
join task_state s on s.owner_id = t.owner_id and s.task_id = t.task_id
left join owners o on o.owner_id = t.owner_id
left join runs r on r.owner_id = t.owner_id and r.task_id = t.task_id
left join workers w on w.worker_id = r.worker;

-- A row per log entry. The body stays json: a legal number such as 1e999999 has no place in jsonb.
create view task_history as
select
    t.owner_id,
    o.name as owner,
    l.task_id,
    t.agent,
    t.context_id,
    l.seq,
    l.at,
    l.attempt,
    log_kind_name(l.kind) as kind,
    case when l.kind = 2 then l.body ->> 'state' end as state,
    case when l.kind = 3 then l.body -> 'artifact' ->> 'artifactId' end as artifact_id,
    l.schema,
    l.body
from log l
join tasks t on t.owner_id = l.owner_id and t.task_id = l.task_id
left join owners o on o.owner_id = t.owner_id;
