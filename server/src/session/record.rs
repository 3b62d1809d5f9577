//! The authoritative session.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::changes::{Changes, Conflict, SaveError};
use super::entity::OnClose;
use super::id::SessionId;
use super::reason::CloseReason;
use super::representation::Representation;
use super::values::{Values, json};
use crate::wire::{Error, Text, codes};

/// The authoritative session, at the frontend that holds the connection.
///
/// Uid and values have one counter of versions. Each change raises it and is marked with it, so that a save can say what
/// its writer had seen. An idle one takes about 300 bytes.
pub struct Record {
    id: SessionId,
    /// Changed under the lock; beside it, because each message looks whether it has.
    version: AtomicU64,
    inner: Mutex<Inner>,
}

struct Inner {
    uid: Text,
    values: Values,
    /// The values as JSON, made when first asked for after a change.
    encoded: Option<Bytes>,
    life: Life,
    /// The servers that messages stay with: server type, server id, and how many pins it has.
    pins: Vec<(Arc<str>, Arc<str>, u32)>,
}

enum Life {
    Open(Vec<OnClose>),
    Closed(CloseReason),
}

impl Record {
    /// A new session: bound to nobody, without values.
    pub const fn new(id: SessionId) -> Self {
        let inner = Inner {
            uid: Text::new(),
            values: Values::new(),
            encoded: None,
            life: Life::Open(Vec::new()),
            pins: Vec::new(),
        };
        Self { id, version: AtomicU64::new(1), inner: Mutex::new(inner) }
    }

    /// The session's id.
    pub const fn id(&self) -> SessionId {
        self.id
    }

    /// The user it is bound to.
    pub fn uid(&self) -> Option<Text> {
        let inner = self.inner.lock();
        (!inner.uid.is_empty()).then(|| inner.uid.clone())
    }

    /// Counts the changes of uid and values.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// What a request carries of the session. The values are encoded once for each version.
    pub fn representation(&self) -> Representation {
        self.represent(&mut self.inner.lock())
    }

    /// A value; `null` counts as none.
    ///
    /// # Errors
    ///
    /// PIT-500 when the value is of another type.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, Error> {
        let inner = self.inner.lock();
        let Some(text) = inner.values.get(key) else { return Ok(None) };
        serde_json::from_str(text).map_err(|error| unreadable(key, error))
    }

    /// Sets a value, whatever it was. For the frontend itself; what handlers change comes as [`Changes`].
    ///
    /// # Errors
    ///
    /// When the value has no JSON form.
    pub fn set(&self, key: impl Into<Text>, value: &(impl Serialize + ?Sized)) -> Result<u64, Error> {
        let key = key.into();
        let text = serde_json::to_string(value).map_err(|error| unwritable(&key, error))?;
        let mut inner = self.inner.lock();
        let version = self.advance(&mut inner);
        inner.values.set(&key, || key.clone(), Some(text.into_boxed_str()), version);
        Ok(version)
    }

    /// Replaces all values by those of a JSON object, as Pitaya's `sys.pushsession` does. No bytes change nothing.
    ///
    /// # Errors
    ///
    /// PIT-400 when the bytes are no JSON object; then nothing changes.
    pub fn replace(&self, data: &[u8]) -> Result<u64, Error> {
        if data.is_empty() {
            return Ok(self.version());
        }
        let values: BTreeMap<String, &RawValue> = serde_json::from_slice(data)
            .map_err(|error| Error::new(codes::BAD_REQUEST, "session data is no JSON object").caused_by(error))?;
        let mut inner = self.inner.lock();
        let version = self.advance(&mut inner);
        inner.values.retain(|key| values.contains_key(key), version);
        for (key, value) in values {
            inner.values.set(&key, || Text::copied(&key), Some(Box::from(value.get())), version);
        }
        Ok(version)
    }

    /// Applies a save, all of it or nothing, and returns the version after it. A save without changes is none.
    ///
    /// # Errors
    ///
    /// [`SaveError::Conflict`] when a changed key was changed after the version it was read at, [`SaveError::Gone`] when
    /// the session is closed, [`SaveError::Failed`] when a value is not JSON.
    pub fn apply(&self, changes: &Changes) -> Result<u64, SaveError> {
        let mut texts = Vec::with_capacity(changes.entries.len());
        for change in &changes.entries {
            let text = change.value.as_deref().map(json).transpose().map_err(|error| {
                let message = format!("the value for `{}` is not JSON", change.key);
                Error::new(codes::BAD_REQUEST, message).caused_by(error)
            })?;
            texts.push(text);
        }

        let mut inner = self.inner.lock();
        if matches!(inner.life, Life::Closed(_)) {
            return Err(SaveError::Gone);
        }
        if changes.entries.iter().any(|change| inner.values.version(&change.key) > change.read_version) {
            return Err(SaveError::Conflict(Conflict { current: self.represent(&mut inner) }));
        }
        if changes.entries.is_empty() {
            return Ok(self.version());
        }
        let version = self.advance(&mut inner);
        for (change, text) in changes.entries.iter().zip(texts) {
            inner.values.set(&change.key, || Text::copied(&change.key), text, version);
        }
        Ok(version)
    }

    /// Binds the session to a user, for good, and returns the version after it.
    ///
    /// # Errors
    ///
    /// PIT-000 `illegal uid` for an empty one, `session is already bound to an uid`, or `session not found` for a closed
    /// session.
    pub fn bind(&self, uid: &str) -> Result<u64, Error> {
        if uid.is_empty() {
            return Err(Error::new(codes::UNKNOWN, "illegal uid"));
        }
        let mut inner = self.inner.lock();
        if matches!(inner.life, Life::Closed(_)) {
            return Err(Error::new(codes::UNKNOWN, "session not found"));
        }
        if !inner.uid.is_empty() {
            return Err(Error::new(codes::UNKNOWN, "session is already bound to an uid"));
        }
        // A copy: the uid must not keep the frame alive that it came in.
        inner.uid = Text::copied(uid);
        // The values are the same, so what was encoded still holds.
        Ok(self.count_change())
    }

    /// Keeps the session's messages to `server_type` at the server `server`, until as many [`Record::unpin`] came. A type
    /// has one such server: another replaces it, and the one before is returned with its count of pins.
    pub fn pin(&self, server_type: &Arc<str>, server: &Arc<str>) -> Option<(Arc<str>, u32)> {
        let mut inner = self.inner.lock();
        match inner.pins.iter_mut().find(|(pinned, ..)| pinned == server_type) {
            Some((_, to, count)) if to == server => {
                *count += 1;
                None
            }
            Some((_, to, count)) => Some((std::mem::replace(to, server.clone()), std::mem::replace(count, 1))),
            None => {
                inner.pins.push((server_type.clone(), server.clone(), 1));
                None
            }
        }
    }

    /// Undoes one [`Record::pin`] to that server; false when there is none.
    pub fn unpin(&self, server_type: &str, server: &str) -> bool {
        let mut inner = self.inner.lock();
        let place = inner.pins.iter().position(|(pinned, to, _)| **pinned == *server_type && **to == *server);
        let Some(place) = place else { return false };
        if let Some((.., count)) = inner.pins.get_mut(place)
            && *count > 1
        {
            *count -= 1;
        } else {
            inner.pins.swap_remove(place);
        }
        true
    }

    /// The server that messages to `server_type` stay with.
    pub fn pinned(&self, server_type: &str) -> Option<Arc<str>> {
        let inner = self.inner.lock();
        inner.pins.iter().find(|(pinned, ..)| **pinned == *server_type).map(|(_, to, _)| to.clone())
    }

    /// Forgets the pins to a server whose link is lost, because a pin lives no longer than the link; says how many.
    pub fn unpin_all(&self, server: &str) -> u32 {
        let mut inner = self.inner.lock();
        inner.pins.extract_if(.., |(_, to, _)| **to == *server).map(|(.., count)| count).sum()
    }

    /// Forgets all pins: the servers, and how many there were to each.
    pub fn forget_pins(&self) -> Vec<(Arc<str>, u32)> {
        let pins = std::mem::take(&mut self.inner.lock().pins);
        pins.into_iter().map(|(_, server, count)| (server, count)).collect()
    }

    /// Runs `callback` once when the session closes, or now if it is closed.
    pub fn on_close(&self, callback: OnClose) {
        let mut inner = self.inner.lock();
        match &mut inner.life {
            Life::Open(callbacks) => callbacks.push(callback),
            Life::Closed(reason) => {
                let reason = *reason;
                drop(inner);
                self.run(callback, reason);
            }
        }
    }

    /// Ends the session and runs its close callbacks, in the order they were registered. Returns whether this call was
    /// the first; later ones do nothing, and the first reason stays.
    pub fn close(&self, reason: CloseReason) -> bool {
        let life = {
            let mut inner = self.inner.lock();
            if matches!(inner.life, Life::Closed(_)) {
                return false;
            }
            std::mem::replace(&mut inner.life, Life::Closed(reason))
        };
        if let Life::Open(callbacks) = life {
            for callback in callbacks {
                self.run(callback, reason);
            }
        }
        true
    }

    /// Why the session was closed, once it is.
    pub fn closed(&self) -> Option<CloseReason> {
        match self.inner.lock().life {
            Life::Open(_) => None,
            Life::Closed(reason) => Some(reason),
        }
    }

    /// How many keys it keeps, removed ones included.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.inner.lock().values.len()
    }

    /// Begins a change of values.
    fn advance(&self, inner: &mut Inner) -> u64 {
        inner.encoded = None;
        self.count_change()
    }

    /// Only under the lock.
    fn count_change(&self) -> u64 {
        self.version.fetch_add(1, Ordering::Release) + 1
    }

    fn represent(&self, inner: &mut Inner) -> Representation {
        let data = inner.encoded.get_or_insert_with(|| Bytes::from(inner.values.to_json().into_boxed_slice())).clone();
        Representation { id: self.id, uid: inner.uid.clone(), data, version: self.version() }
    }

    /// A callback is user code: its panic must not keep the others from running.
    fn run(&self, callback: OnClose, reason: CloseReason) {
        if catch_unwind(AssertUnwindSafe(|| callback(reason))).is_err() {
            tracing::error!(session = self.id.get(), reason = reason.as_str(), "close callback panicked");
        }
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values stay out of logs.
        formatter.debug_struct("Record").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A value that is not of the type it was asked for.
pub(super) fn unreadable(key: &str, error: serde_json::Error) -> Error {
    Error::new(codes::INTERNAL, format!("the session's value for `{key}` is of another type")).caused_by(error)
}

/// A value that JSON cannot hold.
pub(super) fn unwritable(key: &str, error: serde_json::Error) -> Error {
    Error::new(codes::INTERNAL, format!("the session's value for `{key}` has no JSON form")).caused_by(error)
}
