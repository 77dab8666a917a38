-- Lists of the tasks in a state that few tasks are in. Programs of before may run beside this schema. This rewrites the table.

-- Null for all tasks that are queued, run or have completed: an update that leaves an indexed column as it was stays HOT, so they
-- touch this index never. An index on the state itself, or with the state in its predicate, would take HOT from every task.
alter table task_state
    add column seldom int2 generated always as (case when state in (4, 5, 6, 7, 8) then state end) stored,
    add column seldom_at timestamptz generated always as (case when state in (4, 5, 6, 7, 8) then status_at end) stored;
create index task_state_seldom on task_state (owner_id, seldom, seldom_at, task_id) where seldom is not null;
