//! Appends and settles, in batches of both kinds.
//!
//! What is as usual is written with one statement ([`fast`]). For the others, one transaction: lock, decide each in the order of
//! its coming, write. Several writes to one task see one another.

use crate::{
    db::Db,
    failure::DbResult,
    replay,
    work::{
        append::{self, Output},
        fast,
        settle::{self, Ending},
    },
    write::{Changes, LockedTask, lock::lock_tasks},
};
use longhaul_domain::{Seq, TaskKey};
use longhaul_store::{Append, Appended, Result, Settled, StoreError};
use sqlx_core::connection::Connection;
use std::{collections::BTreeSet, sync::Arc};

/// A write of a run.
#[derive(Debug)]
pub enum Write {
    /// Output.
    Append(Output),
    /// Its end.
    Settle(Ending),
}

/// What became of it.
#[derive(Debug, Clone, Copy)]
pub enum Wrote {
    /// Output.
    Append(Appended),
    /// Its end.
    Settle(Settled),
}

impl Write {
    /// What it writes, and by which right.
    pub const fn output(&self) -> &Output {
        match self {
            Self::Append(output) => output,
            Self::Settle(ending) => &ending.output,
        }
    }

    /// What it weighs in a batch, in bytes.
    pub fn weight(&self) -> usize {
        self.output().weight()
    }

    /// The task.
    pub const fn key(&self) -> TaskKey {
        self.output().append.key
    }

    /// What is answered where no such task is.
    const fn fenced(&self) -> Wrote {
        match self {
            Self::Append(_) => Wrote::Append(Appended::Fenced),
            Self::Settle(_) => Wrote::Settle(Settled::Fenced),
        }
    }
}

impl Wrote {
    /// The last entry, where this was written before: perhaps a moment ago, and the answer was lost before anybody was told.
    const fn already(self) -> Option<Seq> {
        match self {
            Self::Append(Appended::Already { last }) | Self::Settle(Settled::Already { last }) => {
                Some(last)
            }
            Self::Append(_) | Self::Settle(_) => None,
        }
    }

    const fn wrote(&self) -> bool {
        matches!(
            self,
            Self::Append(Appended::Now { .. })
                | Self::Settle(Settled::Now { .. } | Settled::HandedBack { .. })
        )
    }
}

/// Runs one batch.
pub async fn run(db: Arc<Db>, writes: Vec<Write>) -> Vec<Result<Wrote>> {
    let done = fast::run(&db, &writes).await;
    let left: Vec<Write> =
        writes.into_iter().zip(&done).filter(|(_, d)| d.is_none()).map(|(w, _)| w).collect();
    let long = if left.is_empty() {
        Vec::new()
    } else {
        replay::batch(&*db, left, |db, writes| Box::pin(write(db, writes))).await
    };
    let mut long = long.into_iter();
    let of_the_others =
        || Err(StoreError::Unavailable("a write got no answer; try again".to_owned()));
    done.into_iter()
        .map(|d| d.map_or_else(|| long.next().unwrap_or_else(of_the_others), Ok))
        .collect()
}

async fn write(db: &Db, writes: &[Write]) -> DbResult<Vec<Result<Wrote>>> {
    let mut connection = db.hot().await?;
    let mut transaction = connection.begin().await?;
    let mut tasks = lock_tasks(&mut transaction, writes.iter().map(Write::key)).await?;
    let mut changes = Changes::default();
    let mut touched = BTreeSet::new();
    let mut already = Vec::new();
    let outcomes = writes
        .iter()
        .map(|write| {
            let Some(task) = tasks.get_mut(&write.key()) else { return Ok(write.fenced()) };
            let wrote = decide(task, write)?;
            if wrote.wrote() {
                let Append { blobs, checkpoints, .. } = &write.output().append;
                changes.blobs(task.key.owner, blobs);
                changes.checkpoints(task.key, task.now, checkpoints);
                touched.insert(task.key);
            }
            already.extend(wrote.already().map(|last| (write.key(), last)));
            Ok(wrote)
        })
        .collect();
    for key in touched {
        tasks.remove(&key).into_iter().for_each(|task| changes.task(task));
    }
    already.extend(changes.commit(transaction, &db.signals).await?);
    connection.done();
    db.signals.grown(already);
    Ok(outcomes)
}

fn decide(task: &mut LockedTask, write: &Write) -> Result<Wrote> {
    match write {
        Write::Append(output) => append::append(task, output).map(Wrote::Append),
        Write::Settle(ending) => settle::settle(task, ending).map(Wrote::Settle),
    }
}
