-- session_server: the life of the server in which the worker's session was seen last. Once it was seen in the present one, its
-- absence says something at once; only workers that were not seen since the server came back have a full lease first.
-- The previous release can run against this schema; it does not write the column, so nothing changes for its workers. Rewrites
-- nothing.
alter table workers add column session_server text;

create or replace view worker_life as
select
    w.worker_id,
    w.lease_until,
    w.seen_at,
    w.gone_since,
    w.lost_at,
    e.identity = server_identity() and exists (select from server_run) as same_server,
    greatest(w.lease_until, e.since + coalesce(w.lease_ms, 15000) * interval '1 millisecond') as ends_at,
    e.since + coalesce(w.lease_ms, 15000) * interval '1 millisecond' <= clock_timestamp()
        or coalesce(w.session_server = e.identity, false) as watched,
    w.session_key is null or w.session_key in (
        select (l.classid::int8 << 32) | l.objid::int8
        from pg_locks l
        where l.locktype = 'advisory' and l.objsubid = 1 and l.granted
            and l.database = (select d.oid from pg_database d where d.datname = current_database())
    ) as present,
    greatest(w.lease_until - coalesce(w.lease_ms, 15000) * interval '1 millisecond', w.seen_at) as beat_at,
    w.session_server is distinct from e.identity as unseen
from workers w
cross join server_epoch e;
