-- A task is found by its primary key alone. In a table of a few rows every index that begins with the owner costs the planner the
-- same, and a plan that was made then lives on when there are millions. The other indexes of tasks are therefore partial, by a
-- condition that always holds and that follows only from what lists ask for. Programs of before may run beside this schema: their
-- lists find the new indexes too.

-- step: concurrent tasks_conversation
create index concurrently tasks_conversation on tasks (owner_id, context_id, task_id) where context_id is not null;

-- step: concurrent
drop index concurrently if exists tasks_context;

-- step: concurrent task_state_newest
create index concurrently task_state_newest on task_state (owner_id, status_second) where status_second is not null;

-- step: concurrent
drop index concurrently if exists task_state_order;

-- step: concurrent dead_letters_of_owner
create index concurrently dead_letters_of_owner on dead_letters (owner_id, at desc, task_id desc) where at is not null;

-- step: concurrent
drop index concurrently if exists dead_letters_owner;

-- Whoever is claimed waits no longer, so the condition on the worker was of no use; without it no other index of waiting runs can
-- stand in for this one.

-- step: concurrent runs_queue_timeout
create index concurrently runs_queue_timeout on runs (queue_until) where queue_until is not null;

-- step: concurrent
drop index concurrently if exists runs_queue_until;
