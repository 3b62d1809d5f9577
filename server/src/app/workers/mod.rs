//! The threads of a server: one current-thread runtime per worker, and one runtime for what is off the path of messages.
//!
//! A connection, its handlers and its links stay on the worker they were dealt to, so that a message is never handed
//! between threads without need. Everything else (admin, watching the topology, telemetry) runs on [`Background`].
//!
//! Promises: tasks are counted ([`Spawner`]), each worker says once a second that it is alive ([`Ticks`]), and stopping
//! ends within its deadline and names the workers that did not end. Which worker gets a socket is decided elsewhere.

mod background;
mod thread;
mod ticks;

#[cfg(test)]
mod tests;

use std::{
    num::NonZeroUsize,
    sync::Arc,
    time::{Duration, Instant},
};

use self::thread::{Stop, Worker};

pub(crate) use self::{background::Background, ticks::Ticks};
use crate::lanes::Spawner;

/// A session id carries its worker in eight bits.
pub(crate) const MAX_WORKERS: usize = 256;

/// How often a worker says that it is alive.
const TICK: Duration = Duration::from_secs(1);

/// What may go wrong with the threads of a server.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorkersError {
    /// More workers than a session id can name.
    #[error("{0} workers are too many: a server has at most {MAX_WORKERS}")]
    TooMany(usize),
    /// The system gave no thread or no runtime.
    #[error("the runtime {name} did not start")]
    Start {
        /// Name of the thread.
        name: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// The workers of a server. Dropping it stops them without waiting.
#[derive(Debug)]
pub(crate) struct Workers {
    threads: Vec<Worker>,
    ticks: Ticks,
    stop: Arc<Stop>,
}

impl Workers {
    /// How many workers a server has when nothing else is said: one for each core this process may use, which honours
    /// CPU affinity and the quota of its cgroup.
    pub(crate) fn default_count() -> NonZeroUsize {
        std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
    }

    /// Start `count` workers, named `cereus-worker-0` and so on.
    pub(crate) fn start(count: NonZeroUsize) -> Result<Self, WorkersError> {
        if count.get() > MAX_WORKERS {
            return Err(WorkersError::TooMany(count.get()));
        }
        let ticks = Ticks::starting(count.get(), Instant::now());
        let mut workers = Self { threads: Vec::with_capacity(count.get()), ticks, stop: Arc::default() };
        for index in 0..count.get() {
            // When one fails, dropping `workers` stops those that run.
            let ticks = workers.ticks.clone();
            let worker =
                Worker::start(format!("cereus-worker-{index}"), index, Arc::clone(&workers.stop), async move {
                    tick(index, &ticks).await;
                })?;
            workers.threads.push(worker);
        }
        Ok(workers)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.threads.len()
    }

    /// Where tasks of worker `index` are started; none when there is no such worker.
    #[cfg(test)]
    pub(crate) fn spawner(&self, index: usize) -> Option<&Spawner> {
        self.threads.get(index).map(Worker::spawner)
    }

    /// All spawners, by worker.
    pub(crate) fn spawners(&self) -> impl ExactSizeIterator<Item = &Spawner> {
        self.threads.iter().map(Worker::spawner)
    }

    /// Which workers are alive.
    pub(crate) fn ticks(&self) -> &Ticks {
        &self.ticks
    }

    /// How many tasks run on all workers.
    #[cfg(test)]
    pub(crate) fn tasks(&self) -> usize {
        self.spawners().map(Spawner::tasks).sum()
    }

    /// Let tasks finish for `grace`, then drop what is left and end the threads. Returns the names of workers that did
    /// not end, because a task of theirs computes without end; their threads are left behind.
    pub(crate) async fn stop(mut self, grace: Duration) -> Vec<String> {
        let deadline = Instant::now() + grace;
        self.stop.by(deadline);
        let mut stuck = Vec::new();
        for worker in self.threads.drain(..) {
            stuck.extend(worker.ended(deadline).await.err());
        }
        stuck
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stop.by(Instant::now());
    }
}

/// Say that the worker is alive, for ever.
async fn tick(index: usize, ticks: &Ticks) {
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        ticks.record(index, Instant::now());
    }
}
