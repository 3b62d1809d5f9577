//! What a save asks for, and how it may fail.

use bytes::Bytes;

use super::representation::Representation;
use crate::wire::{Error, Text, codes};

/// The changed values of one save, applied whole or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// One entry for each changed key.
    pub entries: Vec<Change>,
}

/// A changed value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its key.
    pub key: Text,
    /// The new value as JSON; `None` removes the key.
    pub value: Option<Bytes>,
    /// The session's version at which the writer read the key. The save conflicts when the key was changed after it.
    pub read_version: u64,
}

/// A changed key was changed by somebody else since it was read; nothing was saved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the session was changed since it was read")]
pub struct Conflict {
    /// The session as it is now.
    pub current: Representation,
}

/// Why a save did not happen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SaveError {
    /// Read again and try again; [`Session::update`](super::Session::update) does that.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// The session is closed, or its frontend does not know it.
    #[error("session not found")]
    Gone,
    /// The frontend was not reached or refused the values. With code PIT-502 the outcome is unknown.
    #[error("the session was not saved")]
    Failed(#[source] Error),
}

/// What a caller is told. Nothing was saved, but for PIT-502.
impl From<SaveError> for Error {
    fn from(error: SaveError) -> Self {
        match error {
            SaveError::Failed(error) => error,
            SaveError::Conflict(_) | SaveError::Gone => Self::new(codes::UNKNOWN, error.to_string()).caused_by(error),
        }
    }
}

impl From<Error> for SaveError {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}
