//! A lane's copy of a session.

use std::collections::BTreeMap;
use std::fmt;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::value::RawValue;

use super::changes::Changes;
use super::entity::Entity;
use super::id::SessionId;
use super::record::Record;
use super::representation::Representation;
use crate::wire::{Error, Serializer, Text, codes};

/// A lane's copy of a session, shared by the handlers that run in the lane.
///
/// A newer [`Representation`] replaces its base. What was saved or bound here is known before a representation can tell:
/// such keys, and the uid, stay on top of the base until a representation comes that is as new as they are.
pub struct Copy {
    id: SessionId,
    entity: Arc<dyn Entity>,
    /// Of the server: how its handlers' pushes are written.
    serializer: Arc<Serializer>,
    /// Of the base. Changed under the lock; beside it, because each message looks whether it is the newest.
    version: AtomicU64,
    state: Mutex<State>,
}

struct State {
    base: Representation,
    /// The uid bound here, and the version of that, while it is newer than the base.
    bound: Option<(Text, u64)>,
    /// What was saved here, while it is newer than the base.
    saved: Vec<Saved>,
    /// The values of the base, sorted by key; parsed when first asked for.
    parsed: Option<Box<[(Text, Bytes)]>>,
}

struct Saved {
    key: Text,
    value: Option<Bytes>,
    version: u64,
}

/// A key of a copy, as it was when read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The key.
    pub key: Text,
    /// Its value as JSON, if it has one.
    pub value: Option<Bytes>,
    /// The session's version that the value is known to be of.
    pub version: u64,
}

impl Copy {
    /// A copy of the session behind `entity`, on a server with this serializer.
    pub fn new(base: Representation, entity: Arc<dyn Entity>, serializer: Arc<Serializer>) -> Arc<Self> {
        let (id, version) = (base.id, AtomicU64::new(base.version));
        let state = State { base, bound: None, saved: Vec::new(), parsed: None };
        Arc::new(Self { id, entity, serializer, version, state: Mutex::new(state) })
    }

    /// The session.
    pub const fn id(&self) -> SessionId {
        self.id
    }

    /// The session's other end.
    pub const fn entity(&self) -> &Arc<dyn Entity> {
        &self.entity
    }

    /// How pushes are written.
    pub fn serializer(&self) -> &Serializer {
        &self.serializer
    }

    /// The user the session is bound to.
    pub fn uid(&self) -> Option<Text> {
        let state = self.state.lock();
        let uid = state.bound.as_ref().map_or(&state.base.uid, |(uid, _)| uid);
        (!uid.is_empty()).then(|| uid.clone())
    }

    /// The version of the newest representation this copy has seen.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Takes a representation, if it is newer than the last.
    pub fn refresh(&self, representation: Representation) {
        if representation.version <= self.version() {
            return;
        }
        let mut state = self.state.lock();
        if representation.version <= state.base.version {
            return;
        }
        let version = representation.version;
        self.version.store(version, Ordering::Release);
        let old = (mem::replace(&mut state.base, representation), state.parsed.take());
        state.saved.retain(|saved| saved.version > version);
        state.bound.take_if(|(_, bound)| *bound <= version);
        drop(state);
        drop(old);
    }

    /// Takes the representation of a session that is held by this server, if it is newer than the last.
    pub fn follow(&self, record: &Record) {
        if self.version() < record.version() {
            self.refresh(record.representation());
        }
    }

    /// The value of a key and the version it was read at.
    ///
    /// # Errors
    ///
    /// PIT-500 when the frontend sent data that is no JSON object.
    pub fn read(&self, key: &str) -> Result<Reading, Error> {
        let mut state = self.state.lock();
        if let Some(saved) = state.saved.iter().find(|saved| *saved.key == *key) {
            return Ok(Reading { key: saved.key.clone(), value: saved.value.clone(), version: saved.version });
        }
        let version = state.base.version;
        let values = state.values()?;
        let found = values.binary_search_by(|(known, _)| known.as_str().cmp(key)).ok().and_then(|at| values.get(at));
        Ok(match found {
            Some((key, value)) => Reading { key: key.clone(), value: Some(value.clone()), version },
            None => Reading { key: Text::copied(key), value: None, version },
        })
    }

    /// All values as they are known here, with `changes` made to them, as a JSON object: for a frontend that takes the
    /// values of a session as a whole.
    ///
    /// # Errors
    ///
    /// PIT-500 when the frontend sent data that is no JSON object, PIT-400 when a changed value is not JSON.
    pub fn with_changes(&self, changes: &Changes) -> Result<Bytes, Error> {
        let mut state = self.state.lock();
        state.values()?;
        let mut values: BTreeMap<&str, &Bytes> =
            state.parsed.iter().flatten().map(|(key, value)| (key.as_str(), value)).collect();
        let saved = state.saved.iter().map(|saved| (&saved.key, &saved.value));
        for (key, value) in saved.chain(changes.entries.iter().map(|change| (&change.key, &change.value))) {
            match value {
                Some(value) => values.insert(key.as_str(), value),
                None => values.remove(key.as_str()),
            };
        }
        let values: BTreeMap<&str, &RawValue> = values
            .into_iter()
            .map(|(key, value)| Ok((key, serde_json::from_slice(value)?)))
            .collect::<Result<_, serde_json::Error>>()
            .map_err(|error| Error::new(codes::BAD_REQUEST, "a session value is not JSON").caused_by(error))?;
        serde_json::to_vec(&values)
            .map(Bytes::from)
            .map_err(|error| Error::new(codes::INTERNAL, "session values have no JSON form").caused_by(error))
    }

    /// Takes what a save was acknowledged for.
    pub fn saved(&self, changes: &Changes, version: u64) {
        let mut state = self.state.lock();
        if version <= state.base.version {
            return;
        }
        for change in &changes.entries {
            let saved = Saved { key: change.key.clone(), value: change.value.clone(), version };
            match state.saved.iter_mut().find(|known| known.key == change.key) {
                Some(known) if known.version >= version => {}
                Some(known) => *known = saved,
                None => state.saved.push(saved),
            }
        }
    }

    /// Takes the uid that a bind was acknowledged for.
    pub fn bound(&self, uid: Text, version: u64) {
        let mut state = self.state.lock();
        if version > state.base.version {
            state.bound = Some((uid, version));
        }
    }

    /// Lets go of the buffer that the representation came in. For copies that stay, as those of pinned sessions do: the
    /// buffer may be a whole batch of frames.
    pub fn detach(&self) {
        let mut state = self.state.lock();
        state.base.data = Bytes::copy_from_slice(&state.base.data);
        state.base.uid = Text::copied(&state.base.uid);
        state.parsed = None;
    }
}

impl State {
    fn values(&mut self) -> Result<&[(Text, Bytes)], Error> {
        if self.parsed.is_none() {
            self.parsed = Some(parse(&self.base.data)?);
        }
        Ok(self.parsed.as_deref().unwrap_or_default())
    }
}

/// The values of a JSON object, sorted by key, each a slice of `data`.
fn parse(data: &Bytes) -> Result<Box<[(Text, Bytes)]>, Error> {
    if data.is_empty() {
        return Ok(Box::default());
    }
    let values: BTreeMap<String, &RawValue> = serde_json::from_slice(data)
        .map_err(|error| Error::new(codes::INTERNAL, "session data is no JSON object").caused_by(error))?;
    Ok(values.into_iter().map(|(key, raw)| (Text::from(key), data.slice_ref(raw.get().as_bytes()))).collect())
}

impl fmt::Debug for Copy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values stay out of logs.
        formatter.debug_struct("Copy").field("id", &self.id).field("version", &self.version()).finish_non_exhaustive()
    }
}
