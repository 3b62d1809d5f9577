//! The runtime for what is off the path of messages.

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Spawner, WorkersError,
    thread::{Stop, Worker},
};
use crate::request;

/// One thread beside the workers, for admin, telemetry and the topology. A busy worker does not delay it, nor the other
/// way round. Dropping it stops it without waiting.
#[derive(Debug)]
pub(crate) struct Background {
    spawner: Spawner,
    worker: Option<Worker>,
    stop: Arc<Stop>,
}

impl Background {
    /// Start it.
    pub(crate) fn start() -> Result<Self, WorkersError> {
        let stop = Arc::new(Stop::default());
        let name = "cereus-background".to_owned();
        let worker = Worker::start(name, usize::MAX, Arc::clone(&stop), std::future::pending())?;
        Ok(Self { spawner: worker.spawner().clone(), worker: Some(worker), stop })
    }

    /// Where its tasks are started.
    pub(crate) fn spawner(&self) -> &Spawner {
        &self.spawner
    }

    /// Where a game's own background tasks are started.
    pub(crate) fn for_user_code(&self) -> request::Background {
        request::Background::new(self.spawner.handle().clone(), self.spawner.tracker().clone())
    }

    /// Run a future on the calling thread, with this runtime's clock and sockets: where the main function waits.
    pub(crate) fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.spawner.handle().block_on(future)
    }

    /// Let tasks finish for `grace`, then drop what is left. Blocks; not for a task of this runtime.
    pub(crate) fn stop(mut self, grace: Duration) {
        let deadline = Instant::now() + grace;
        self.stop.by(deadline);
        // The own runtime is ending, so a short-lived one keeps the time. Without it nobody waits, which is harmless.
        let clock = tokio::runtime::Builder::new_current_thread().enable_time().build();
        if let (Some(worker), Ok(clock)) = (self.worker.take(), clock) {
            let _ = clock.block_on(worker.ended(deadline));
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stop.by(Instant::now());
    }
}
