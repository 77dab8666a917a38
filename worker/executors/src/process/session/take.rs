//! What a plugin says while its run lasts.

use super::{Break, Session, WINDOW};
use crate::process::{
    frames::{Kind, Said, ToPlugin},
    requests::{self, Refusal},
};
use longhaul_domain::{ArtifactId, ArtifactUpdate, MessageId};
use longhaul_executor::TaskContext;

impl Session<'_> {
    pub(super) async fn take(&mut self, said: Said) -> Result<(), Break> {
        match said.kind {
            Kind::Status => {
                let message = self.message(&said)?;
                let (ctx, _) = self.place(said.step.as_deref())?;
                ctx.status_update(message, said.metadata).await?;
                self.grant().await
            }
            Kind::Artifact => {
                self.artifact(said).await?;
                self.grant().await
            }
            Kind::Request => self.request(&said).await,
            Kind::Read => self.read(&said),
            // The reader deals with the others.
            _ => Ok(()),
        }
    }

    async fn artifact(&mut self, said: Said) -> Result<(), Break> {
        let violation = |what: &str| Break::Violation(what.to_owned());
        let artifact = said.artifact.ok_or_else(|| violation("`artifact` without an artifact"))?;
        let append = said.append.unwrap_or(false);
        let (ctx, last_artifact) = self.place(said.step.as_deref())?;
        let id = match &artifact.artifact_id {
            Some(id) => ArtifactId::new(id.as_str())
                .map_err(|error| Break::Violation(format!("artifactId {error}")))?,
            None if append => {
                let last = last_artifact.clone();
                last.ok_or_else(|| violation("`append` without an artifactId before any artifact"))?
            }
            None => ctx.new_artifact(Vec::new()).artifact_id,
        };
        let new_here = last_artifact.as_ref() != Some(&id);
        *last_artifact = Some(id.clone());
        if append && new_here {
            // Either begun by this run, or left by an earlier one; anything else is refused.
            ctx.continue_artifact(id.clone()).await?;
        }
        let update = ArtifactUpdate {
            artifact: artifact.into_artifact(id),
            append,
            last_chunk: said.last_chunk.unwrap_or(false),
            metadata: said.metadata,
        };
        Ok(ctx.artifact_update(update).await?)
    }

    /// Where output of a step goes, or that of none, and which artifact was written there last.
    fn place(
        &mut self,
        step: Option<&str>,
    ) -> Result<(TaskContext, &mut Option<ArtifactId>), Break> {
        let Some(name) = step else { return Ok((self.ctx.clone(), &mut self.last_artifact)) };
        let under_way = self.steps.get(name);
        under_way.ok_or_else(|| Break::Violation(format!("step {name:?} is not under way")))
    }

    async fn request(&mut self, said: &Said) -> Result<(), Break> {
        let id = said.id.as_deref();
        let id = id.ok_or_else(|| Break::Violation("`request` without an id".to_owned()))?;
        let answer = match said.params() {
            Ok(params) => {
                let method = said.method.as_deref().unwrap_or_default();
                requests::answer(self.ctx, &mut self.steps, method, params).await
            }
            Err(problem) => Err(Refusal::Told(problem)),
        };
        self.route.answered();
        let run = self.run;
        match answer {
            Ok(answer) => {
                let result = Some(answer.reply());
                self.say(&ToPlugin::Reply { run, id, result, error: None }).await
            }
            Err(Refusal::Told(problem)) => {
                let error = Some(problem.as_str());
                self.say(&ToPlugin::Reply { run, id, result: None, error }).await
            }
            Err(Refusal::Context(error)) => Err(error.into()),
        }
    }

    fn read(&mut self, said: &Said) -> Result<(), Break> {
        let id = said.message_id.clone().and_then(|id| MessageId::new(id).ok());
        let seq = id.and_then(|id| self.sent.remove(&id));
        let seq = seq.ok_or_else(|| {
            Break::Violation("`read` of a message that was not sent, or read before".to_owned())
        })?;
        self.ctx.mark_read(seq);
        Ok(())
    }

    /// An output has been accepted: grants credit back, several at a time.
    async fn grant(&mut self) -> Result<(), Break> {
        self.owed += 1;
        if self.owed < WINDOW / 2 {
            return Ok(());
        }
        let credit = std::mem::take(&mut self.owed);
        self.route.grant(credit);
        self.say(&ToPlugin::Credit { run: self.run, credit }).await
    }
}
