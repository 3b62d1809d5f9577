//! What handlers hold of a session.

use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout_at};

use super::changes::SaveError;
use super::copy::Copy;
use super::entity::{Frontend, PushError};
use super::id::SessionId;
use super::reason::{CloseReason, KickReason};
use super::record::{unreadable, unwritable};
use super::staged::Staged;
use super::subscriptions::Subscription;
use crate::wire::{Error, Handshake, Text, codes};

/// How often [`Session::update`] tries before it gives a conflict back. Each conflict means that another writer got
/// through, so so many in a row mean a value that is changed too often to live in a session.
pub const UPDATE_TRIES: usize = 8;

/// The session of the client that sent a request.
///
/// Reading sees what this handler changed and, below that, the newest the server knows. Changes are local until
/// [`Session::save`], on frontends and backends alike. Clones share them; other requests do not see them.
///
/// ```
/// # async fn hello(session: cereus::session::Session) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// session.set("room", "lobby")?;
/// session.save().await?;
/// let visits = session.update(|session| {
///     let visits = session.get::<u64>("visits")?.unwrap_or(0) + 1;
///     session.set("visits", visits)?;
///     Ok(visits)
/// }).await?;
/// session.push("welcome", &serde_json::json!({ "visits": visits })).await?;
/// # Ok(())
/// # }
/// ```
pub struct Session {
    copy: Arc<Copy>,
    deadline: Instant,
    /// Made when first needed: most handlers of most games only look at the id.
    staged: OnceLock<Arc<Mutex<Staged>>>,
}

impl Session {
    /// A handle for one request: on the lane's copy, with the request's deadline, until which a push waits for room.
    pub const fn new(copy: Arc<Copy>, deadline: Instant) -> Self {
        Self { copy, deadline, staged: OnceLock::new() }
    }

    /// The same session, whose pushes wait until another time: for work that goes on when the request is answered.
    #[must_use]
    pub fn until(&self, deadline: Instant) -> Self {
        Self { deadline, ..self.clone() }
    }

    /// The session's id.
    pub fn id(&self) -> SessionId {
        self.copy.id()
    }

    /// The user it is bound to.
    pub fn uid(&self) -> Option<Text> {
        self.copy.uid()
    }

    /// The frontend that holds the connection.
    pub fn frontend(&self) -> Frontend {
        self.copy.entity().address()
    }

    /// What the client said of itself in its handshake; `None` but on the frontend that holds the connection. It is read
    /// anew at each call: what is needed often, or on other servers, belongs into the session's values.
    pub fn handshake(&self) -> Option<Handshake> {
        self.copy.entity().handshake(self.id())
    }

    /// A value. A value of `null` counts as none.
    ///
    /// # Errors
    ///
    /// PIT-500 when the value is of another type.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, Error> {
        let value = {
            let mut staged = self.staged().lock();
            if let Some(value) = staged.get(key) {
                value.cloned()
            } else {
                let reading = self.copy.read(key)?;
                staged.read(&reading);
                reading.value
            }
        };
        let Some(value) = value else { return Ok(None) };
        serde_json::from_slice(&value).map_err(|error| unreadable(key, error))
    }

    /// Sets a value, here until [`Session::save`].
    ///
    /// # Errors
    ///
    /// PIT-500 when the value has no JSON form.
    pub fn set(&self, key: &str, value: impl Serialize) -> Result<(), Error> {
        let value = serde_json::to_vec(&value).map_err(|error| unwritable(key, error))?;
        self.staged().lock().change(key, Some(Bytes::from(value)), || self.copy.read(key))
    }

    /// Removes a value, here until [`Session::save`].
    ///
    /// # Errors
    ///
    /// PIT-500 when the frontend sent data that cannot be read.
    pub fn remove(&self, key: &str) -> Result<(), Error> {
        self.staged().lock().change(key, None, || self.copy.read(key))
    }

    /// Saves what was changed, all of it or nothing. When it returns, later messages of the session see it.
    ///
    /// # Errors
    ///
    /// On [`SaveError::Conflict`] the changes are dropped, and reading gives the current values. On the other errors they
    /// stay, and a second save is safe: had the first one happened after all, it conflicts.
    ///
    /// # Cancel safety
    ///
    /// When the future is dropped the save may have happened or not; the changes stay, as after a failure.
    pub async fn save(&self) -> Result<(), SaveError> {
        let Some(staged) = self.staged.get() else { return Ok(()) };
        let changes = staged.lock().changes();
        if changes.entries.is_empty() {
            return Ok(());
        }
        match self.copy.entity().save(self.id(), changes.clone()).await {
            Ok(version) => {
                self.copy.saved(&changes, version);
                staged.lock().saved(&changes, version);
                Ok(())
            }
            Err(SaveError::Conflict(conflict)) => {
                self.copy.refresh(conflict.current.clone());
                *staged.lock() = Staged::default();
                Err(SaveError::Conflict(conflict))
            }
            Err(error) => Err(error),
        }
    }

    /// Changes values on the ground of what they are: runs `change`, saves, and begins again with the current values
    /// when somebody else was faster, [`UPDATE_TRIES`] times at most.
    ///
    /// `change` gets a handle of its own: what was changed on this one before is neither seen nor saved by it.
    ///
    /// # Errors
    ///
    /// That of `change`, and then nothing is saved; otherwise as [`Session::save`].
    pub async fn update<R>(&self, mut change: impl FnMut(&Self) -> Result<R, Error>) -> Result<R, SaveError> {
        let mut tries = 1;
        loop {
            let attempt = Self::new(Arc::clone(&self.copy), self.deadline);
            let result = change(&attempt)?;
            match attempt.save().await {
                Ok(()) => return Ok(result),
                Err(SaveError::Conflict(_)) if tries < UPDATE_TRIES => tries += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Binds the session to a user, for good. When it returns, later messages of the session see it.
    ///
    /// # Errors
    ///
    /// PIT-000 `illegal uid` for an empty one, or `session is already bound to an uid`; or the frontend was not reached.
    pub async fn bind(&self, uid: impl Into<Text>) -> Result<(), Error> {
        let uid = uid.into();
        let version = self.copy.entity().bind(self.id(), uid.clone()).await?;
        self.copy.bound(uid, version);
        Ok(())
    }

    /// Sends a message to the client, in the server's serializer; waits for room until the request's deadline.
    ///
    /// # Errors
    ///
    /// [`PushError::Full`] when there was none. On a protobuf server [`PushError::Encode`]: use
    /// [`Session::push_payload`].
    pub async fn push<T: Serialize + ?Sized>(&self, route: &str, value: &T) -> Result<(), PushError> {
        let body = self.copy.serializer().encode(value).map_err(|error| PushError::Encode(error.into()))?;
        self.push_bytes(route, body).await
    }

    /// As [`Session::push`], for a type that both serde and prost know, in whichever form the server speaks.
    ///
    /// # Errors
    ///
    /// As [`Session::push`].
    pub async fn push_payload<T: Serialize + prost::Message>(&self, route: &str, value: &T) -> Result<(), PushError> {
        let body = self.copy.serializer().encode_payload(value).map_err(|error| PushError::Encode(error.into()))?;
        self.push_bytes(route, body).await
    }

    /// As [`Session::push`], with the bytes as they are.
    ///
    /// # Errors
    ///
    /// As [`Session::push`].
    pub async fn push_bytes(&self, route: &str, body: impl Into<Bytes>) -> Result<(), PushError> {
        let body = body.into();
        let entity = self.copy.entity();
        loop {
            if !entity.is_crowded() {
                match entity.try_push(self.id(), route, &body) {
                    Err(PushError::Full) => {}
                    result => return result,
                }
            }
            if timeout_at(self.deadline, entity.writable()).await.is_err() {
                return Err(PushError::Full);
            }
        }
    }

    /// Sends a message to the client if there is room now.
    ///
    /// # Errors
    ///
    /// [`PushError::Full`] when there is none.
    pub fn try_push(&self, route: &str, body: &Bytes) -> Result<(), PushError> {
        self.copy.entity().try_push(self.id(), route, body)
    }

    /// Sends the client away, behind what is queued for it.
    pub fn kick(&self) {
        self.copy.entity().kick(self.id(), KickReason::Application);
    }

    /// Keeps the session's messages to this server's type on this server, until as many [`Session::unpin`].
    ///
    /// # Errors
    ///
    /// When the frontend was not reached.
    pub async fn pin(&self) -> Result<(), Error> {
        self.copy.entity().pin(self.id()).await?;
        self.copy.detach();
        Ok(())
    }

    /// Undoes one [`Session::pin`].
    pub fn unpin(&self) {
        self.copy.entity().unpin(self.id());
    }

    /// Makes the session a member of a channel: what any server [publishes](crate::App::publish) to it from then on
    /// reaches the client. The membership is kept by the frontend that holds the session. It ends with
    /// [`Session::unsubscribe`] or with the session, and with nothing else: not with this server. To subscribe again
    /// changes only what it subscribed [with](Session::subscribe_with).
    ///
    /// ```
    /// # async fn enter(app: cereus::App, session: cereus::Session) -> Result<(), cereus::Error> {
    /// session.subscribe("room/lobby").await?;
    /// app.publish("room/lobby", "onNewUser", &serde_json::json!({ "name": "ada" }))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// PIT-400 for a name that is empty or longer than 255 bytes, or when the session is in as many channels as it may
    /// be; PIT-000 when the session is gone; PIT-500 when its frontend knows no channels; PIT-502 when that was not
    /// reached.
    ///
    /// # Cancel safety
    ///
    /// When the future is dropped the session may be a member or not.
    pub async fn subscribe(&self, channel: &str) -> Result<(), Error> {
        self.subscribe_with(channel, Subscription::new()).await
    }

    /// As [`Session::subscribe`], with what other members are to know of this one, and to get when it leaves.
    ///
    /// # Errors
    ///
    /// As [`Session::subscribe`]; also PIT-400 when the subscription is larger than 4 KiB or its farewell's route longer
    /// than 255 bytes.
    pub async fn subscribe_with(&self, channel: &str, subscription: Subscription) -> Result<(), Error> {
        self.copy.entity().subscribe(self.id(), Text::copied(channel), subscription).await
    }

    /// Ends the session's membership of a channel, if it has one, with its [farewell](Subscription::farewell). What was
    /// published before may still arrive.
    pub fn unsubscribe(&self, channel: &str) {
        self.copy.entity().unsubscribe(self.id(), channel);
    }

    /// Runs `callback` once when the session closes, or now if it is closed.
    ///
    /// # Errors
    ///
    /// Only the frontend that holds the session can promise it; a backend uses the service's `on_disconnect`.
    pub fn on_close(&self, callback: impl FnOnce(CloseReason) + Send + 'static) -> Result<(), Error> {
        let refused = "only the frontend that holds the session runs close callbacks; use on_disconnect of a service";
        let entity = self.copy.entity();
        entity.on_close(self.id(), Box::new(callback)).map_err(|_| Error::new(codes::UNKNOWN, refused))
    }

    fn staged(&self) -> &Arc<Mutex<Staged>> {
        self.staged.get_or_init(Arc::default)
    }
}

impl Clone for Session {
    fn clone(&self) -> Self {
        Self {
            copy: Arc::clone(&self.copy),
            deadline: self.deadline,
            staged: OnceLock::from(Arc::clone(self.staged())),
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Session").field("id", &self.id()).field("uid", &self.uid()).finish_non_exhaustive()
    }
}
