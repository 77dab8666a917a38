//! Task ids chosen by clients, and messages without ids, as in A2A 0.1.
//!
//! A chosen id always means the same task: the first message that names it creates the task, later
//! ones go to it. When several create it concurrently, on any nodes, one does and the others follow
//! up. A message's id is derived from its task, its words and the turn of the conversation, so a
//! repeated message is recognised.

use super::{Caller, Result, Service, accept::AcceptedSend};
use longhaul_domain::{Seq, TaskKey};
use longhaul_store::{ReadLimit, SnapshotOptions};
use longhaul_wire::{ProtocolError, SendRequest, TaskRef, assign_message_id};

impl Service {
    /// Accepts a message for a task whose id the client chose and which may not exist yet.
    pub(super) async fn accept_chosen(
        &self,
        caller: &Caller,
        request: SendRequest,
        target: &TaskRef,
        waits: bool,
    ) -> Result<AcceptedSend> {
        let key = Self::key(caller, target)?;
        // Only a hint: a task created in between is found when accepting fails.
        if self.exists(caller, key).await? {
            return self.accept_follow_up(caller, request, target).await;
        }
        let mut first = request.clone();
        name(&mut first, target, Seq::START);
        // As in a follow-up, so the message is recognised whichever way it comes again.
        first.message.task_id = Some(key.task);
        if let Some(created) = self.accept_new(caller, first, key, waits).await? {
            return Ok(created);
        }
        // Another request has created the task meanwhile; its agent may be another one.
        self.exists(caller, key).await?;
        self.accept_follow_up(caller, request, target).await
    }

    /// Derives the id of a follow-up that came without one.
    pub(super) async fn name_follow_up(
        &self,
        caller: &Caller,
        request: &mut SendRequest,
        target: &TaskRef,
        key: TaskKey,
    ) -> Result<()> {
        if caller.rules.names_tasks {
            let turn = self.turn(caller, key).await?;
            name(request, target, turn);
        }
        Ok(())
    }

    /// Tells if the task exists. An id names one task of an owner, whichever agent runs it.
    async fn exists(&self, caller: &Caller, key: TaskKey) -> Result<bool> {
        let found = self.store.read_task(key, SnapshotOptions::STATUS).await;
        let Some(task) = found.map_err(|e| caller.failed(&e))? else { return Ok(false) };
        if caller.agent.as_ref().is_some_and(|agent| *agent != task.agent) {
            let why = format!(
                "names a task of the agent {}; choose another id, or send to that agent's address",
                task.agent
            );
            return Err(ProtocolError::invalid("id", why));
        }
        Ok(true)
    }

    /// Place of the last status that parked the task, or the start. Reads the log, which few
    /// clients need.
    async fn turn(&self, caller: &Caller, key: TaskKey) -> Result<Seq> {
        let (mut turn, mut after) = (Seq::START, Seq::START);
        loop {
            let page = self.store.read_log(key, after, ReadLimit::default()).await;
            let Some(page) = page.map_err(|e| caller.failed(&e))? else { return Ok(turn) };
            let Some(last) = page.entries.last() else { return Ok(turn) };
            after = last.seq;
            let mut parks = page
                .entries
                .iter()
                .filter(|entry| entry.body.status().is_some_and(|change| change.state.is_parked()));
            turn = parks.next_back().map_or(turn, |entry| entry.seq);
        }
    }
}

fn name(request: &mut SendRequest, target: &TaskRef, turn: Seq) {
    assign_message_id(&mut request.message, &target.to_string(), turn);
}
