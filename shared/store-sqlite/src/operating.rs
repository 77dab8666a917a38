//! What operators and schedules ask, handed to the writer or to a reader.

use crate::{
    SqliteStore,
    intents::weight,
    read::operate,
    write::{dead, schedules},
};
use async_trait::async_trait;
use longhaul_domain::{OwnerId, TaskKey};
use longhaul_store::{
    DeadLetter, DeadLetterQuery, DueSchedules, FireOutcome, FireSchedule, OperatorStore,
    QueueRecord, Redrive, RedriveOutcome, Result, Schedule, ScheduleStore, WorkerRecord,
};
use std::sync::Arc;

#[async_trait]
impl OperatorStore for SqliteStore {
    async fn dead(&self, query: DeadLetterQuery) -> Result<Vec<DeadLetter>> {
        self.readers.read(move |conn| operate::dead(conn, &query)).await
    }

    async fn dead_letter(&self, key: TaskKey) -> Result<Option<DeadLetter>> {
        self.readers.read(move |conn| operate::one_dead(conn, key)).await
    }

    async fn redrive(&self, redrive: Redrive) -> Result<RedriveOutcome> {
        let accept = &redrive.new.accept;
        let weight = weight(accept);
        let (dead, new) = (redrive.dead, redrive.new.into());
        self.writer.write(weight, move |tx| dead::redrive(tx, dead, &new)).await
    }

    async fn dismiss(&self, key: TaskKey) -> Result<bool> {
        self.writer.write(0, move |tx| dead::dismiss(tx, key)).await
    }

    async fn queues(&self) -> Result<Vec<QueueRecord>> {
        let now = self.time.now();
        self.readers.read(move |conn| operate::queues(conn, now)).await
    }

    async fn workers(&self) -> Result<Vec<WorkerRecord>> {
        let leases = Arc::clone(&self.leases);
        self.readers.read(move |conn| operate::workers(conn, &leases)).await
    }
}

#[async_trait]
impl ScheduleStore for SqliteStore {
    async fn put_schedule(&self, schedule: Schedule) -> Result<bool> {
        self.writer.write(0, move |tx| schedules::put(tx, &schedule)).await
    }

    async fn schedule(&self, owner: OwnerId, name: &str) -> Result<Option<Schedule>> {
        let name = name.to_owned();
        self.readers.read(move |conn| schedules::one(conn, owner, &name)).await
    }

    async fn schedules(&self, owner: Option<OwnerId>) -> Result<Vec<Schedule>> {
        self.readers.read(move |conn| schedules::list(conn, owner)).await
    }

    async fn delete_schedule(&self, owner: OwnerId, name: &str) -> Result<bool> {
        let name = name.to_owned();
        self.writer.write(0, move |tx| schedules::delete(tx, owner, &name)).await
    }

    async fn due_schedules(&self, limit: u32) -> Result<DueSchedules> {
        let now = self.time.now();
        self.readers.read(move |conn| schedules::due(conn, now, limit)).await
    }

    async fn fire(&self, fire: FireSchedule) -> Result<FireOutcome> {
        let message = fire.task.as_ref().map(|(_, new)| &new.accept);
        let weight = message.map_or(0, weight);
        let fire = schedules::Firing::from(fire);
        self.writer.write(weight, move |tx| schedules::fire(tx, &fire)).await
    }
}
