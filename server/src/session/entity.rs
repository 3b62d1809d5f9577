//! The other end of a session.

use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;

use super::changes::{Changes, SaveError};
use super::id::SessionId;
use super::reason::{CloseReason, KickReason};
use super::subscriptions::Subscription;
use crate::wire::{EncodeError, Error, Handshake, SharedPush, Text, codes};

/// A boxed future, as trait objects need it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What runs when a session closes.
pub type OnClose = Box<dyn FnOnce(CloseReason) + Send>;

/// The frontend that holds a session.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Frontend {
    /// Its server id.
    pub id: Arc<str>,
    /// Its server type.
    pub server_type: Arc<str>,
}

/// Why a push was not queued.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// There is no room now. From [`Session::push`](super::Session::push): nor was there until the deadline.
    #[error("the way to the client is full")]
    Full,
    /// The session, or the way to it, is closed.
    #[error("the session is closed")]
    Closed,
    /// The session is bound to nobody, and its frontend, which is no server of this framework, is reached by user only.
    #[error("the session is not bound to an uid")]
    Unbound,
    /// The route is over 255 bytes, or the message over what a packet or a frame may hold.
    #[error("the push is too large")]
    TooLarge,
    /// The value has no form in the server's serializer.
    #[error("the push cannot be encoded")]
    Encode(#[source] Error),
}

impl From<EncodeError> for PushError {
    fn from(error: EncodeError) -> Self {
        match error {
            EncodeError::TooLarge { .. } | EncodeError::RouteTooLong { .. } => Self::TooLarge,
        }
    }
}

impl From<PushError> for Error {
    fn from(error: PushError) -> Self {
        let code = match error {
            PushError::Encode(error) => return error,
            PushError::Full => codes::NOT_EXECUTED,
            PushError::Closed | PushError::Unbound | PushError::TooLarge => codes::UNKNOWN,
        };
        Self::new(code, error.to_string()).caused_by(error)
    }
}

/// The other end of a session: the connection's agent on a frontend, the link to the frontend on a backend.
///
/// One entity may serve many sessions, so each call names the session.
pub trait Entity: Send + Sync + 'static {
    /// Queues a push, or says at once why not. Never blocks.
    ///
    /// # Errors
    ///
    /// [`PushError::Full`] promises that [`Entity::writable`] resolves later.
    fn try_push(&self, session: SessionId, route: &str, body: &Bytes) -> Result<(), PushError>;

    /// As [`Entity::try_push`], for a push that many get.
    ///
    /// # Errors
    ///
    /// As [`Entity::try_push`].
    fn try_push_shared(&self, session: SessionId, push: &SharedPush) -> Result<(), PushError> {
        self.try_push(session, push.route(), push.body())
    }

    /// Whether so much was queued since the writer's last turn that whoever can wait should give it one, by
    /// [`Entity::writable`], before the next push.
    fn is_crowded(&self) -> bool {
        false
    }

    /// Resolves when a push may fit again or this end is closed, also if that was so before it was first polled. Room
    /// may be taken by somebody else meanwhile: push again and see.
    fn writable(&self) -> BoxFuture<'static, ()>;

    /// Sends the client away behind what is queued for it, and closes.
    fn kick(&self, session: SessionId, reason: KickReason);

    /// Binds the session to a user, and returns the session's version after that.
    fn bind(&self, session: SessionId, uid: Text) -> BoxFuture<'static, Result<u64, Error>>;

    /// Saves changed values where the session is held, and returns the session's version after that.
    fn save(&self, session: SessionId, changes: Changes) -> BoxFuture<'static, Result<u64, SaveError>>;

    /// Sends all messages of the session to this server's type to this server, until as many [`Entity::unpin`] came.
    fn pin(&self, session: SessionId) -> BoxFuture<'static, Result<(), Error>>;

    /// Undoes one [`Entity::pin`].
    fn unpin(&self, session: SessionId);

    /// Makes the session a member of a channel. Done when what anybody publishes from then on reaches it.
    fn subscribe(
        &self,
        _session: SessionId,
        _channel: Text,
        _subscription: Subscription,
    ) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(ready(Err(Error::new(codes::INTERNAL, "the session's frontend knows no channels"))))
    }

    /// Ends the membership, with the farewell it was made with; a session that is no member stays none.
    fn unsubscribe(&self, _session: SessionId, _channel: &str) {}

    /// The frontend that holds the session.
    fn address(&self) -> Frontend;

    /// What the client said of itself in its handshake. Only the frontend that holds the session knows.
    fn handshake(&self, _session: SessionId) -> Option<Handshake> {
        None
    }

    /// Runs `callback` once, when the session closes, or now if it is closed. Only the frontend that holds the session
    /// can promise that; other ends give the callback back.
    fn on_close(&self, _session: SessionId, callback: OnClose) -> Result<(), OnClose> {
        Err(callback)
    }
}
