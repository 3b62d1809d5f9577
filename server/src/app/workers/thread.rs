//! One thread with one current-thread runtime.

use std::{
    future::Future,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use tokio::{runtime::Builder, sync::oneshot};
use tokio_util::sync::CancellationToken;

use super::{Spawner, WorkersError};

/// How long dropping what is left may take when the grace is over.
const PATIENCE: Duration = Duration::from_secs(1);

/// How threads are told to stop.
#[derive(Debug, Default)]
pub(super) struct Stop {
    token: CancellationToken,
    /// Until when tasks may finish; set before the token is cancelled.
    deadline: OnceLock<Instant>,
}

impl Stop {
    /// Stop, and give tasks until `deadline`. The first call decides.
    pub(super) fn by(&self, deadline: Instant) {
        self.deadline.get_or_init(|| deadline);
        self.token.cancel();
    }
}

/// The handle of one thread.
#[derive(Debug)]
pub(super) struct Worker {
    name: String,
    spawner: Spawner,
    ended: oneshot::Receiver<()>,
}

impl Worker {
    /// Start a thread that runs `pulse` beside its tasks until it is told to stop.
    pub(super) fn start(
        name: String,
        index: usize,
        stop: Arc<Stop>,
        pulse: impl Future<Output = ()> + Send + 'static,
    ) -> Result<Self, WorkersError> {
        let failed = |source| WorkersError::Start { name: name.clone(), source };
        let runtime = Builder::new_current_thread().enable_all().thread_name(&name).build().map_err(failed)?;
        let spawner = Spawner::new(index, runtime.handle().clone());
        let tracker = spawner.tracker().clone();
        let (ending, ended) = oneshot::channel::<()>();
        let run = move || {
            // Dropped last, also when the thread unwinds: whoever stops the thread waits for it.
            let _ending = ending;
            runtime.block_on(async {
                tokio::select! {
                    biased;
                    () = stop.token.cancelled() => {}
                    () = pulse => {}
                }
                tracker.close();
                let deadline = stop.deadline.get().copied().unwrap_or_else(Instant::now);
                // What has not finished by then is dropped with the runtime.
                let _ = tokio::time::timeout_at(deadline.into(), tracker.wait()).await;
            });
            runtime.shutdown_background();
        };
        std::thread::Builder::new().name(name.clone()).spawn(run).map_err(failed)?;
        Ok(Self { name, spawner, ended })
    }

    pub(super) fn spawner(&self) -> &Spawner {
        &self.spawner
    }

    /// Wait until the thread has ended, or fail with its name when it did not by a moment after `deadline`.
    pub(super) async fn ended(self, deadline: Instant) -> Result<(), String> {
        let patience = tokio::time::Instant::from_std(deadline + PATIENCE);
        // The sender is only ever dropped: an error of the channel is the end of the thread.
        tokio::time::timeout_at(patience, self.ended).await.map_or(Err(self.name), |_| Ok(()))
    }
}
