//! Answers that are errors.

use crate::wire::{Error, Serializer};

/// The code of an error answer that cannot be read; no server sends it.
const UNREADABLE: &str = "unreadable";

/// Read the body of an error answer as the serializer that the handshake named writes it.
pub(crate) fn decode_error(body: &[u8], serializer: &str) -> Error {
    let serializer = if serializer == Serializer::Protobuf.name() { Serializer::Protobuf } else { Serializer::Json };
    let error = serializer.decode_error(body);
    error.unwrap_or_else(|_| Error::new(UNREADABLE, String::from_utf8_lossy(body)))
}
