//! Statements that read a page of a list: newest status first, ties by descending id.
//!
//! Guarantee: no task is skipped or repeated, whichever statement reads which page of a list.
//!
//! A walk examines a bounded number of tasks. If too few match, the page is short, and `walked_at`
//! and `walked_task` say where the next one begins. They are null at the end of the list, and
//! meaningless after a full page.

use crate::error::DbResult;
use longhaul_domain::{TaskState, Timestamp};
use longhaul_store::ListQuery;
use sqlx_core::query_scalar::query_scalar;
use sqlx_postgres::PgConnection;

/// Reads a page of an owner's tasks.
///
/// The index holds statuses by the second. The walk finds the second in which the page ends; that
/// second is read completely and sorted with the tasks found before it. The next page begins behind
/// it.
pub const LIST_TASKS: &str = "-- store::list_tasks
with found as materialized (
    select w.*
    from (
        select s.owner_id, s.task_id, s.state, s.status_at, s.status_seq, s.last_seq, s.status_second,
            row_number() over (order by s.status_second desc) as place
        from task_state s
        where s.owner_id = $1 and s.status_at >= $2 and (s.status_at, s.task_id) < ($3, $4)
            and s.status_second >= date_bin('1 second', $2, timestamptz '1970-01-01 00:00:00+00')
            and s.status_second <= date_bin('1 second', $3, timestamptz '1970-01-01 00:00:00+00')
    ) w
    where w.place > $8::int8 or (
        ($5::int2 is null or w.state = $5)
        and ($6::text is null or exists (
            select from tasks t where t.owner_id = w.owner_id and t.task_id = w.task_id and t.agent = $6 offset 0
        ))
    )
    order by w.status_second desc
    limit $7::int8
), edge as materialized (
    select min(f.status_second) as second from found f having count(*) = $7
), page as materialized (
    select s.owner_id, s.task_id, s.state, s.status_at, s.status_seq, s.last_seq
    from (
        select f.owner_id, f.task_id, f.state, f.status_at, f.status_seq, f.last_seq
        from found f
        where (select second from edge) is null or f.status_second > (select second from edge)
        union all
        select s.owner_id, s.task_id, s.state, s.status_at, s.status_seq, s.last_seq
        from task_state s
        where s.owner_id = $1 and s.status_second = (select second from edge)
            and s.status_at >= $2 and (s.status_at, s.task_id) < ($3, $4)
    ) s
    where ($5::int2 is null or s.state = $5)
        and ($6::text is null or exists (
            select from tasks t where t.owner_id = s.owner_id and t.task_id = s.task_id and t.agent = $6 offset 0
        ))
    order by s.status_at desc, s.task_id desc
    limit $7
)
select s.owner_id, s.task_id, s.state, s.status_at, s.status_seq, s.last_seq, t.agent, t.context_id, t.created_at,
    l.kind, l.schema, l.body::text as body,
    (select second - interval '1 microsecond' from edge) as walked_at,
    uuid 'ffffffff-ffff-ffff-ffff-ffffffffffff' as walked_task
from (values (1)) one
left join page s on true
left join lateral (
    select t.agent, t.context_id, t.created_at from tasks t
    where t.owner_id = s.owner_id and t.task_id = s.task_id
    offset 0
) t on true
left join lateral (
    select l.kind, l.schema, l.body from log l
    where l.owner_id = s.owner_id and l.task_id = s.task_id and l.seq = s.status_seq
    offset 0
) l on true
order by s.status_at desc, s.task_id desc";

/// Reads a page of the tasks in a rare state, through an index in the order of the list.
pub const LIST_RARE_STATE: &str = "-- store::list_rare_state
with found as materialized (
    select w.*
    from (
        select s.owner_id, s.task_id, s.state, s.status_at, s.status_seq, s.last_seq, s.seldom_at,
            row_number() over (order by s.seldom_at desc, s.task_id desc) as place
        from task_state s
        where s.owner_id = $1 and s.seldom = $5 and s.seldom_at >= $2 and (s.seldom_at, s.task_id) < ($3, $4)
    ) w
    where w.place > $8::int8 or $6::text is null or exists (
        select from tasks t where t.owner_id = w.owner_id and t.task_id = w.task_id and t.agent = $6 offset 0
    )
    order by w.seldom_at desc, w.task_id desc
    limit $7::int8
), edge as materialized (
    select f.status_at, f.task_id from found f where f.place = (select max(place) from found having count(*) = $7)
), page as materialized (
    select s.owner_id, s.task_id, s.state, s.status_at, s.status_seq, s.last_seq
    from found s
    where $6::text is null or exists (
        select from tasks t where t.owner_id = s.owner_id and t.task_id = s.task_id and t.agent = $6 offset 0
    )
)
select s.owner_id, s.task_id, s.state, s.status_at, s.status_seq, s.last_seq, t.agent, t.context_id, t.created_at,
    l.kind, l.schema, l.body::text as body,
    (select status_at from edge) as walked_at, (select task_id from edge) as walked_task
from (values (1)) one
left join page s on true
left join lateral (
    select t.agent, t.context_id, t.created_at from tasks t
    where t.owner_id = s.owner_id and t.task_id = s.task_id
    offset 0
) t on true
left join lateral (
    select l.kind, l.schema, l.body from log l
    where l.owner_id = s.owner_id and l.task_id = s.task_id and l.seq = s.status_seq
    offset 0
) l on true
order by s.status_at desc, s.task_id desc";

/// A statement that finds a page, and then shows its tasks with what their statuses say.
macro_rules! shown {
    ($page:literal) => {
        concat!(
            $page,
            "select s.owner_id, s.task_id, s.state, s.status_at, s.status_seq, s.last_seq, t.agent, t.context_id, t.created_at,
    l.kind, l.schema, l.body::text as body
from page s
left join lateral (
    select t.agent, t.context_id, t.created_at from tasks t
    where t.owner_id = s.owner_id and t.task_id = s.task_id
    offset 0
) t on true
left join lateral (
    select l.kind, l.schema, l.body from log l
    where l.owner_id = s.owner_id and l.task_id = s.task_id and l.seq = s.status_seq
    offset 0
) l on true
order by s.status_at desc, s.task_id desc"
        )
    };
}

/// Reads a page of the submitted or working tasks, each of which has a run. Reads every run of the
/// owner.
pub const LIST_LIVE: &str = shown!(
    "-- store::list_live
with page as materialized (
    select s.owner_id, s.task_id, s.state, s.status_at, s.status_seq, s.last_seq
    from runs r
    cross join lateral (
        select s.* from task_state s where s.owner_id = r.owner_id and s.task_id = r.task_id offset 0
    ) s
    where r.owner_id = $1 and s.state = $5 and ($6::text is null or r.agent = $6)
        and s.status_at >= $2 and (s.status_at, s.task_id) < ($3, $4)
    order by s.status_at desc, s.task_id desc
    limit $7
)
"
);

/// Reads a page of one context. Examines all its tasks, but reads status messages for the page
/// only.
pub const LIST_CONTEXT: &str = shown!(
    "-- store::list_context
with page as materialized (
    select s.owner_id, s.task_id, s.state, s.status_at, s.status_seq, s.last_seq
    from tasks t
    cross join lateral (
        select s.* from task_state s where s.owner_id = t.owner_id and s.task_id = t.task_id offset 0
    ) s
    where t.owner_id = $1 and t.context_id = $8 and ($6::text is null or t.agent = $6)
        and s.status_at >= $2 and (s.status_at, s.task_id) < ($3, $4) and ($5::int2 is null or s.state = $5)
    order by s.status_at desc, s.task_id desc
    limit $7
)
"
);

/// Counts an owner's runs up to a limit.
pub const COUNT_RUNS: &str = "-- store::count_runs
select count(*) from (select from runs r where r.owner_id = $1 limit $2) counted";

/// Largest total that is counted exactly.
pub const MAX_EXACT_TOTAL: i64 = 10_000;

/// Access path of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListPath {
    /// The tasks of one context.
    Context,
    /// The index of rare states.
    RareState,
    /// The owner's runs, which are few.
    Live,
    /// Every task, by time.
    Walk,
}

impl ListPath {
    /// Chooses the cheapest path that finds every match.
    pub async fn choose(connection: &mut PgConnection, request: &ListQuery) -> DbResult<Self> {
        use TaskState as S;
        if request.context.is_some() {
            return Ok(Self::Context);
        }
        match request.state {
            None | Some(S::Completed) => Ok(Self::Walk),
            Some(S::Failed | S::Canceled | S::InputRequired | S::Rejected | S::AuthRequired) => {
                Ok(Self::RareState)
            }
            Some(S::Submitted | S::Working) => {
                // Submitted and working tasks have runs; without too many of them no index by state
                // is needed.
                let few = few_runs(connection, request).await?;
                Ok(if few { Self::Live } else { Self::Walk })
            }
        }
    }

    /// Statement that reads a page by this path.
    pub const fn statement(self) -> &'static str {
        match self {
            Self::Context => LIST_CONTEXT,
            Self::RareState => LIST_RARE_STATE,
            Self::Live => LIST_LIVE,
            Self::Walk => LIST_TASKS,
        }
    }

    /// Returns whether a page ends after a fixed number of tasks.
    pub const fn is_bounded(self) -> bool {
        matches!(self, Self::RareState | Self::Walk)
    }
}

/// Lower bound of the status time.
pub fn status_from(request: &ListQuery) -> Timestamp {
    request.status_from.unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Returns whether reading all of the owner's runs is cheap.
async fn few_runs(connection: &mut PgConnection, request: &ListQuery) -> DbResult<bool> {
    let runs: i64 = query_scalar(COUNT_RUNS)
        .bind(request.owner.0)
        .bind(MAX_EXACT_TOTAL + 1)
        .fetch_one(connection)
        .await?;
    Ok(runs <= MAX_EXACT_TOTAL)
}
