-- What a client has said to a task after its first message: the number of messages and the bytes of their bodies. Null is nothing.
-- Tasks of before count from here on. The previous release can run against this schema; its messages are not counted. Rewrites
-- nothing.
alter table task_state
    add column follow_ups int4,
    add column follow_up_bytes int8;
