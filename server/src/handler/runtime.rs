use std::{sync::Arc, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::{runtime::Handle, sync::Semaphore};

/// How handlers are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What a handler gets after its deadline to end by itself, before it is dropped.
    #[serde(with = "crate::wire::duration")]
    #[schemars(with = "String")]
    pub grace: Duration,
    /// From when on a poll counts as one that held up its worker.
    #[serde(with = "crate::wire::duration")]
    #[schemars(with = "String")]
    pub slow_poll: Duration,
    /// How many handlers that are marked as blocking run at a time; at least one.
    pub blocking: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(2),
            // Long against the microseconds that a message costs, short against what a player notices.
            slow_poll: Duration::from_millis(20),
            blocking: 64,
        }
    }
}

/// What running handlers takes beside the handlers: one for all workers of a process.
#[derive(Debug, Clone)]
pub struct Runtime {
    pub(super) config: Config,
    /// Whose threads run what is marked as blocking; not a worker's.
    pub(super) handle: Handle,
    /// One permit per handler that blocks now.
    pub(super) permits: Arc<Semaphore>,
}

impl Runtime {
    /// Handlers run by `config`, those that block on the blocking threads of the runtime that `handle` is of.
    pub fn new(config: Config, handle: Handle) -> Self {
        let permits = config.blocking.clamp(1, Semaphore::MAX_PERMITS);
        Self { config, handle, permits: Arc::new(Semaphore::new(permits)) }
    }
}
