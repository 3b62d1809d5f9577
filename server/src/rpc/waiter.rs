//! A caller that is a future.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::{Caller, Outcome};

/// Hands the outcome of one call to a future.
pub(crate) struct Waiter(Mutex<Option<oneshot::Sender<Outcome>>>);

impl Waiter {
    pub(crate) fn new() -> (Arc<Self>, oneshot::Receiver<Outcome>) {
        let (sender, receiver) = oneshot::channel();
        (Arc::new(Self(Mutex::new(Some(sender)))), receiver)
    }
}

impl Caller for Waiter {
    fn complete(self: Arc<Self>, _token: u64, outcome: Outcome) {
        if let Some(sender) = self.0.lock().take() {
            // A caller that is gone wants no answer.
            let _ = sender.send(outcome);
        }
    }
}
