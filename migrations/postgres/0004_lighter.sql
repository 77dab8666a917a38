-- Fewer index entries for each task. Programs of before may run beside this schema: none of their statements needs these indexes,
-- but on very long logs they read slower without those that are dropped. Building the new ones reads the log once, and nobody
-- writes meanwhile.

-- Old dedupe keys are found by walking the table, a bounded number of pages at a time.
drop index message_keys_age;

-- The beginning of a log is read by its key; what bears a message or begins an artifact behind that is found by small indexes,
-- which most tasks never touch.
drop index log_messages;
drop index log_heads;
create index log_later_messages on log (owner_id, task_id, seq) where speaks and seq > 16;
create index log_later_heads on log (owner_id, task_id, head, seq) where head is not null and seq > 16;

-- Lists are ordered by the time of the status. Only its second is indexed, so that a task which ends within the second in which it
-- was accepted moves no index entry. Ascending, so that new entries go to the end, where pages fill up and are split without
-- being copied; lists walk it backwards, and sort within a second. This rewrites the table.
alter table task_state
    add column status_second timestamptz generated always as (
        date_bin('1 second', status_at, timestamptz '1970-01-01 00:00:00+00')
    ) stored;
alter table task_state set (fillfactor = 60);
drop index task_state_list;
create index task_state_order on task_state (owner_id, status_second);
