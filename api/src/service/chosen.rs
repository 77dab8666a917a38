//! Tasks whose ids clients choose, and messages without ids, as A2A 0.1 has them.
//!
//! A chosen id means one task for ever: the first message that names it makes the task, and later ones go on with it. When
//! several make it at the same time, on whatever nodes, one does and the others go on with that. A message gets the id that
//! follows from its task, its words and the turn of the conversation, so one that is sent again is recognised.

use super::{Caller, Result, Service, accept::InFlight};
use longhaul_domain::{Seq, TaskKey};
use longhaul_store::{ReadLimit, SnapshotOptions};
use longhaul_wire::{ProtocolError, SendRequest, TaskRef, chosen};

impl Service {
    /// Takes a message in for a task that a client named itself and that need not exist yet.
    pub(super) async fn accept_chosen(
        &self,
        caller: &Caller,
        request: SendRequest,
        target: &TaskRef,
        waits: bool,
    ) -> Result<InFlight> {
        let key = Self::key(caller, target)?;
        if self.exists(caller, key).await? {
            return self.accept_follow_up(caller, request, target).await;
        }
        let mut first = request.clone();
        name(&mut first, target, Seq::START);
        // As a follow-up has it: whichever way it comes again, it is recognised.
        first.message.task_id = Some(key.task);
        match self.accept_new(caller, first, key, waits).await {
            // Somebody else has made it meanwhile.
            Err(ProtocolError::Internal { .. }) if self.exists(caller, key).await? => {
                self.accept_follow_up(caller, request, target).await
            }
            made => made,
        }
    }

    /// Names a follow-up that came without an id.
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

    /// Whether the task exists. An id names one task of an owner, whichever agent does it.
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

    /// Place of the last status that parked the task; the start when none did. Reads the log, which few clients ask for.
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
    chosen::name(&mut request.message, &target.to_string(), turn);
}
