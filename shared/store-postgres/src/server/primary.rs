//! Decides whether a server is the primary to write to.

use crate::error::{DbError, DbResult};
use sqlx_core::{from_row::FromRow, row::Row};
use sqlx_postgres::PgRow;

/// Asks a server whether it is writable, and for its timeline, which rises with every promotion.
pub const VERIFY_SERVER: &str = "-- store::verify_server
select pg_is_in_recovery() as standby, current_setting('transaction_read_only') = 'on' as read_only,
    case when not pg_is_in_recovery() then left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) end as timeline";

/// The columns of [`VERIFY_SERVER`].
#[derive(Debug, Clone)]
pub struct ServerStatus {
    standby: bool,
    read_only: bool,
    timeline: Option<u32>,
}

/// The database cluster and timeline that this process last wrote to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClusterTimeline {
    /// System identifier of the cluster, where the server reveals it.
    pub system: Option<i64>,
    /// Timeline of the primary.
    pub timeline: u32,
}

/// Relation of an admitted server to the known primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrimaryStatus {
    /// The known primary.
    Known,
    /// A newly promoted primary. Its predecessor must not be used again.
    Promoted,
}

impl FromRow<'_, PgRow> for ServerStatus {
    fn from_row(row: &PgRow) -> Result<Self, sqlx_core::Error> {
        let timeline: Option<String> = row.try_get("timeline")?;
        Ok(Self {
            standby: row.try_get("standby")?,
            read_only: row.try_get("read_only")?,
            timeline: timeline.and_then(|hex| u32::from_str_radix(&hex, 16).ok()),
        })
    }
}

impl ClusterTimeline {
    /// Compares a server with the known primary and records a promotion.
    ///
    /// A server with an older timeline was replaced without noticing; writes to it would be lost.
    pub fn admit(&mut self, facts: &ServerStatus, system: Option<i64>) -> DbResult<PrimaryStatus> {
        if facts.standby {
            return Err(DbError::ConnectionLost(
                "the server is a standby and cannot be written to".to_owned(),
            ));
        }
        if facts.read_only {
            return Err(DbError::ConnectionLost(
                "the server is read-only (default_transaction_read_only is on)".to_owned(),
            ));
        }
        if let (Some(known), Some(other)) = (self.system, system)
            && known != other
        {
            return Err(DbError::ConnectionLost(format!(
                "the address leads to another database cluster ({other}, not {known}); restart this process if that is meant"
            )));
        }
        // A server that hides its timeline is assumed to be on the known one.
        let timeline = facts.timeline.unwrap_or(self.timeline);
        if timeline < self.timeline {
            return Err(DbError::ConnectionLost(format!(
                "the server was replaced: its timeline {timeline} is older than {}; restart this process if an older \
                 state was restored",
                self.timeline
            )));
        }
        let promoted = self.timeline != 0 && timeline > self.timeline;
        *self = Self { system: self.system.or(system), timeline };
        Ok(if promoted { PrimaryStatus::Promoted } else { PrimaryStatus::Known })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn primary(timeline: u32) -> ServerStatus {
        ServerStatus { standby: false, read_only: false, timeline: Some(timeline) }
    }

    #[test]
    fn only_the_newest_primary_of_the_same_cluster_is_admitted() {
        let mut lineage = ClusterTimeline::default();
        assert_eq!(lineage.admit(&primary(3), Some(7)).unwrap(), PrimaryStatus::Known);
        assert_eq!(lineage.admit(&primary(3), None).unwrap(), PrimaryStatus::Known);
        assert_eq!(lineage.admit(&primary(5), Some(7)).unwrap(), PrimaryStatus::Promoted);
        assert_eq!(lineage.admit(&primary(5), Some(7)).unwrap(), PrimaryStatus::Known);
        let standby = ServerStatus { standby: true, read_only: true, timeline: None };
        let read_only = ServerStatus { read_only: true, ..primary(5) };
        for (facts, system) in
            [(standby, Some(7)), (read_only, Some(7)), (primary(3), Some(7)), (primary(5), Some(8))]
        {
            let refused = lineage.admit(&facts, system);
            assert!(matches!(refused, Err(DbError::ConnectionLost(_))), "{facts:?} {system:?}");
        }
        assert_eq!(lineage, ClusterTimeline { system: Some(7), timeline: 5 });
    }

    #[test]
    fn a_server_that_does_not_tell_its_timeline_is_admitted() {
        let mut lineage = ClusterTimeline { system: None, timeline: 5 };
        let silent = ServerStatus { timeline: None, ..primary(0) };
        assert_eq!(lineage.admit(&silent, None).unwrap(), PrimaryStatus::Known);
        assert_eq!(lineage.timeline, 5);
    }
}
