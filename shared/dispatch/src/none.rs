//! No wake-ups at all, for a deployment without broker.
//!
//! Guarantee: it does nothing and fails at nothing; workers find their work by probing the store.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use longhaul_domain::AgentName;
use tokio_util::sync::CancellationToken;

use crate::{Counts, Delivery, Dispatch, DispatchError, Wake, WakeSource, Waker};

/// The dispatcher of a deployment that has none.
#[derive(Debug, Default)]
pub struct NoDispatch {
    closed: CancellationToken,
}

impl NoDispatch {
    /// Makes one.
    pub fn new() -> Self {
        Self::default()
    }
}

struct Nobody;

impl Waker for Nobody {
    fn wake(&self, _: Wake) {}
}

struct Silence {
    closed: CancellationToken,
}

#[async_trait]
impl WakeSource for Silence {
    async fn next(&mut self) -> Option<Delivery> {
        self.closed.cancelled().await;
        None
    }

    async fn pause(&mut self) {}

    async fn resume(&mut self) {}
}

#[async_trait]
impl Dispatch for NoDispatch {
    fn waker(&self) -> Arc<dyn Waker> {
        Arc::new(Nobody)
    }

    async fn source(&self, _: Vec<AgentName>) -> Result<Box<dyn WakeSource>, DispatchError> {
        if self.closed.is_cancelled() {
            return Err(DispatchError::Closed);
        }
        Ok(Box::new(Silence { closed: self.closed.clone() }))
    }

    async fn declare(&self, _: &[AgentName]) -> Result<(), DispatchError> {
        Ok(())
    }

    async fn wait_connected(&self, _: Duration) -> Result<(), DispatchError> {
        Ok(())
    }

    fn counts(&self) -> Counts {
        Counts::default()
    }

    async fn close(&self) {
        self.closed.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::support::{agent, wake};
    use futures::FutureExt;

    #[tokio::test]
    async fn a_wake_up_goes_nowhere_and_a_source_ends_only_at_the_close() {
        let dispatch = NoDispatch::new();
        let mut source = dispatch.source(vec![agent("a")]).await.unwrap();
        dispatch.waker().wake(wake("a", 1));
        assert!(source.next().now_or_never().is_none(), "there is nothing to receive");
        dispatch.close().await;
        assert!(source.next().await.is_none());
        assert!(matches!(dispatch.source(vec![]).await, Err(DispatchError::Closed)));
    }
}
