//! The channels of sessions, as sessions see them.

use std::sync::Arc;

use super::entity::BoxFuture;
use super::id::SessionId;
use super::pool::Entry;
use crate::wire::{Error, Text};

/// Keeps which session of this frontend is in which channel.
pub trait Subscriptions: Send + Sync + 'static {
    /// Makes the session a member; when it has ended, it is none.
    fn subscribe(&self, entry: &Arc<Entry>, channel: Text) -> BoxFuture<'static, Result<(), Error>>;

    /// Ends that.
    fn unsubscribe(&self, session: SessionId, channel: &str);
}
