//! Message ids: base-128, low group first, 64 bits at most.

use bytes::{BufMut, BytesMut};

use super::message::MessageError;

/// The id at the start of `input`, and what follows it.
pub(super) fn decode(input: &[u8]) -> Result<(u64, &[u8]), MessageError> {
    let mut value = 0;
    let mut shift = 0;
    let mut rest = input;
    while let Some((&byte, after)) = rest.split_first() {
        // The tenth byte holds the 64th bit alone.
        if shift == 63 && byte > 1 {
            return Err(MessageError::Id);
        }
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok((value, after));
        }
        shift += 7;
        rest = after;
    }
    Err(MessageError::Truncated)
}

/// How many bytes an id takes.
pub(super) const fn length(id: u64) -> usize {
    // Seven bits a byte, and one byte for zero.
    (70 - (id | 1).leading_zeros() as usize) / 7
}

/// Appends an id.
pub(super) fn encode(mut id: u64, out: &mut BytesMut) {
    while id >= 0x80 {
        out.put_u8(id as u8 | 0x80);
        id >>= 7;
    }
    out.put_u8(id as u8);
}
