-- What a client has said to a task after its first message: the number of messages and the bytes of their bodies. Null is nothing.
ALTER TABLE task_state ADD COLUMN follow_ups INTEGER;
ALTER TABLE task_state ADD COLUMN follow_up_bytes INTEGER;
