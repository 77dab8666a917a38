//! What operators do, and what the clock does.

use crate::{
    PostgresStore,
    intake::accept_new::NewTask,
    operate::{dead, overview, redrive},
    schedules::{self, fire},
};
use async_trait::async_trait;
use longhaul_domain::{OwnerId, TaskKey};
use longhaul_store::{
    DeadLetter, DeadLetterQuery, DueSchedules, FireOutcome, FireSchedule, OperatorStore,
    QueueRecord, Redrive, RedriveOutcome, Result, Schedule, ScheduleStore, WorkerRecord,
};

#[async_trait]
impl OperatorStore for PostgresStore {
    async fn dead(&self, query: DeadLetterQuery) -> Result<Vec<DeadLetter>> {
        let read = || async { dead::list(&mut *self.db.reader().await?, &query).await };
        self.db.repeatable(read).await
    }

    async fn dead_letter(&self, key: TaskKey) -> Result<Option<DeadLetter>> {
        let read = || async { dead::one(&mut *self.db.reader().await?, key).await };
        self.db.repeatable(read).await
    }

    async fn redrive(&self, redrive: Redrive) -> Result<RedriveOutcome> {
        let Redrive { dead, new } = redrive;
        let new = NewTask::from(new);
        self.db.repeatable(|| redrive::redrive(&self.db, dead, &new)).await
    }

    async fn dismiss(&self, key: TaskKey) -> Result<bool> {
        self.db.repeatable(|| dead::dismiss(&self.db.pool, key)).await
    }

    async fn queues(&self) -> Result<Vec<QueueRecord>> {
        let read = || async { overview::queues(&mut *self.db.reader().await?).await };
        self.db.repeatable(read).await
    }

    async fn workers(&self) -> Result<Vec<WorkerRecord>> {
        let read = || async { overview::workers(&mut *self.db.reader().await?).await };
        self.db.repeatable(read).await
    }
}

#[async_trait]
impl ScheduleStore for PostgresStore {
    async fn put_schedule(&self, schedule: Schedule) -> Result<bool> {
        self.db.repeatable(|| schedules::put(&self.db.pool, &schedule)).await
    }

    async fn schedule(&self, owner: OwnerId, name: &str) -> Result<Option<Schedule>> {
        let read = || async { schedules::one(&mut *self.db.reader().await?, owner, name).await };
        self.db.repeatable(read).await
    }

    async fn schedules(&self, owner: Option<OwnerId>) -> Result<Vec<Schedule>> {
        let read = || async { schedules::list(&mut *self.db.reader().await?, owner).await };
        self.db.repeatable(read).await
    }

    async fn delete_schedule(&self, owner: OwnerId, name: &str) -> Result<bool> {
        self.db.repeatable(|| schedules::delete(&self.db.pool, owner, name)).await
    }

    async fn due_schedules(&self, limit: u32) -> Result<DueSchedules> {
        let read = || async { schedules::due(&mut *self.db.reader().await?, limit).await };
        self.db.repeatable(read).await
    }

    async fn fire(&self, fire: FireSchedule) -> Result<FireOutcome> {
        let firing = fire::Firing::from(fire);
        self.db.repeatable(|| fire::fire(&self.db, &firing)).await
    }
}
