//! What a server says about itself, and whether it is the one to write to.

use crate::failure::{DbResult, Failure};
use sqlx_core::{from_row::FromRow, row::Row};
use sqlx_postgres::PgRow;

/// Asks a server whether it can be written to, and for its timeline: a number that rises with every promotion.
pub const VERIFY_SERVER: &str = "-- store::verify_server
select pg_is_in_recovery() as standby, current_setting('transaction_read_only') = 'on' as read_only,
    case when not pg_is_in_recovery() then left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) end as timeline";

/// The columns of [`VERIFY_SERVER`].
#[derive(Debug, Clone)]
pub struct ServerFacts {
    standby: bool,
    read_only: bool,
    timeline: Option<u32>,
}

/// The history that was written to last: a database cluster, and its timeline.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lineage {
    /// The cluster's number, where the server tells it.
    pub system: Option<i64>,
    /// Its timeline.
    pub timeline: u32,
}

/// What a server is, compared with what is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// The one that is known.
    Known,
    /// A promoted one: its predecessor must not be used any more.
    Promoted,
}

impl FromRow<'_, PgRow> for ServerFacts {
    fn from_row(row: &PgRow) -> Result<Self, sqlx_core::Error> {
        let timeline: Option<String> = row.try_get("timeline")?;
        Ok(Self {
            standby: row.try_get("standby")?,
            read_only: row.try_get("read_only")?,
            timeline: timeline.and_then(|hex| u32::from_str_radix(&hex, 16).ok()),
        })
    }
}

impl Lineage {
    /// Compares a server with what is known and takes note of a promotion. A server of an older timeline is one that was
    /// replaced and does not know it: what is written there is lost.
    pub fn admit(&mut self, facts: &ServerFacts, system: Option<i64>) -> DbResult<Admission> {
        if facts.standby {
            return Err(Failure::Lost(
                "the server is a standby and cannot be written to".to_owned(),
            ));
        }
        if facts.read_only {
            return Err(Failure::Lost(
                "the server is read-only (default_transaction_read_only is on)".to_owned(),
            ));
        }
        if let (Some(known), Some(other)) = (self.system, system)
            && known != other
        {
            return Err(Failure::Lost(format!(
                "the address leads to another database cluster ({other}, not {known}); restart this process if that is meant"
            )));
        }
        let timeline = facts.timeline.unwrap_or(self.timeline);
        if timeline < self.timeline {
            return Err(Failure::Lost(format!(
                "the server was replaced: its timeline {timeline} is older than {}; restart this process if an older \
                 state was restored",
                self.timeline
            )));
        }
        let promoted = self.timeline != 0 && timeline > self.timeline;
        *self = Self { system: self.system.or(system), timeline };
        Ok(if promoted { Admission::Promoted } else { Admission::Known })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn primary(timeline: u32) -> ServerFacts {
        ServerFacts { standby: false, read_only: false, timeline: Some(timeline) }
    }

    #[test]
    fn only_the_newest_primary_of_the_same_cluster_is_admitted() {
        let mut lineage = Lineage::default();
        assert_eq!(lineage.admit(&primary(3), Some(7)).unwrap(), Admission::Known);
        assert_eq!(lineage.admit(&primary(3), None).unwrap(), Admission::Known);
        assert_eq!(lineage.admit(&primary(5), Some(7)).unwrap(), Admission::Promoted);
        assert_eq!(lineage.admit(&primary(5), Some(7)).unwrap(), Admission::Known);
        let standby = ServerFacts { standby: true, read_only: true, timeline: None };
        let read_only = ServerFacts { read_only: true, ..primary(5) };
        for (facts, system) in
            [(standby, Some(7)), (read_only, Some(7)), (primary(3), Some(7)), (primary(5), Some(8))]
        {
            let refused = lineage.admit(&facts, system);
            assert!(matches!(refused, Err(Failure::Lost(_))), "{facts:?} {system:?}");
        }
        assert_eq!(lineage, Lineage { system: Some(7), timeline: 5 });
    }

    #[test]
    fn a_server_that_does_not_tell_its_timeline_is_admitted() {
        let mut lineage = Lineage { system: None, timeline: 5 };
        let silent = ServerFacts { timeline: None, ..primary(0) };
        assert_eq!(lineage.admit(&silent, None).unwrap(), Admission::Known);
        assert_eq!(lineage.timeline, 5);
    }
}
