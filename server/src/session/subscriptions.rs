//! The channels of sessions, as sessions see them.

use std::sync::Arc;

use bytes::Bytes;

use super::entity::BoxFuture;
use super::id::SessionId;
use super::pool::Entry;
use crate::wire::{Error, Text};

/// What a session subscribes to a channel with: kept with the membership, by the frontend that holds the session.
///
/// ```
/// use cereus::{App, Error, Session, Subscription};
/// use serde_json::json;
///
/// async fn enter(app: App, session: Session, name: &str) -> Result<(), Error> {
///     let gone = app.serializer().encode(&json!({ "name": name }))?;
///     let subscription = Subscription::new().info(name.to_owned()).farewell("onLeave", gone);
///     session.subscribe_with("room/lobby", subscription).await
/// }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subscription {
    pub(crate) info: Bytes,
    pub(crate) farewell: Option<Farewell>,
}

/// What is published when a membership ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Farewell {
    pub(crate) route: Text,
    pub(crate) body: Bytes,
}

impl Subscription {
    /// Nothing beside the membership.
    pub fn new() -> Self {
        Self::default()
    }

    /// What `App::members` tells of this member, in whatever form the game likes, such as a name.
    #[must_use]
    pub fn info(mut self, info: impl Into<Bytes>) -> Self {
        self.info = info.into();
        self
    }

    /// What the other members get when the membership ends, whether by `Session::unsubscribe` or with the session: a push
    /// on `route` with this body, in the serializer that clients read. The frontend publishes it, once, whatever became of
    /// the server that subscribed the session; it is lost only when the frontend itself dies.
    #[must_use]
    pub fn farewell(mut self, route: &str, body: impl Into<Bytes>) -> Self {
        self.farewell = Some(Farewell { route: Text::copied(route), body: body.into() });
        self
    }

    /// Its bytes.
    pub(crate) fn size(&self) -> usize {
        let farewell = self.farewell.as_ref().map_or(0, |farewell| farewell.route.len() + farewell.body.len());
        self.info.len() + farewell
    }
}

/// Keeps which session of this frontend is in which channel.
pub trait Subscriptions: Send + Sync + 'static {
    /// Makes the session a member; when it has ended, it is none.
    fn subscribe(
        &self,
        entry: &Arc<Entry>,
        channel: Text,
        subscription: Subscription,
    ) -> BoxFuture<'static, Result<(), Error>>;

    /// Ends that.
    fn unsubscribe(&self, session: SessionId, channel: &str);
}
