//! What is done when the system gives no connection.

use std::{io, time::Duration};

use tokio::time::sleep;
use tracing::{debug, info, warn};

/// The wait after a failed accept, doubled up to the second while it goes on: a system out of files must not spin.
const FIRST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_millis(500);

/// Outlasts the failures of one listener. Says once that it cannot accept, and once that it can again.
#[derive(Debug)]
pub(crate) struct BackOff {
    /// The listener's name in logs.
    acceptor: String,
    /// The last wait, while accepting fails.
    last: Option<Duration>,
}

impl BackOff {
    pub(crate) fn new(acceptor: impl Into<String>) -> Self {
        Self { acceptor: acceptor.into(), last: None }
    }

    /// What an attempt to accept gave. None when it failed; then the time to try again has come.
    pub(crate) async fn outlast<T>(&mut self, attempt: io::Result<T>) -> Option<T> {
        let acceptor = &self.acceptor;
        match attempt {
            Ok(accepted) => {
                if self.last.take().is_some() {
                    info!(acceptor, "accepting connections again");
                }
                Some(accepted)
            }
            // The client gave up while it was queued.
            Err(error) if concerns_one_connection(&error) => {
                debug!(acceptor, %error, "a connection ended before it began");
                None
            }
            Err(error) => {
                if self.last.is_none() {
                    warn!(acceptor, %error, "cannot accept connections, trying again");
                }
                let wait = self.last.map_or(FIRST, |last| (last * 2).min(LONGEST));
                self.last = Some(wait);
                sleep(wait).await;
                None
            }
        }
    }
}

fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, NotConnected};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted | NotConnected)
}
