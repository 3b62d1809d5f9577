//! What travels of a session.

use bytes::Bytes;

use super::id::SessionId;
use crate::wire::Text;

/// What a request carries of its session. Cheap to clone: all parts are shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Representation {
    /// The session.
    pub id: SessionId,
    /// The user it is bound to; empty for none.
    pub uid: Text,
    /// Its values, a JSON object. No bytes at all stand for no values.
    pub data: Bytes,
    /// Counts the changes of uid and values. A representation holds every change up to its version.
    pub version: u64,
}
