//! zlib in both directions, with the limits that make it safe and worth its time.

use bytes::{Bytes, BytesMut};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When bodies are compressed, and how far a compressed one may grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CompressionConfig {
    /// Whether responses, errors and pushes may be compressed. What clients send compressed is always inflated.
    pub enabled: bool,
    /// The shortest body, in bytes, that is worth the attempt.
    pub threshold: usize,
    /// The longest body, in bytes, that a client's compressed message may inflate to; over it the connection is closed.
    pub max_inflated: usize,
}

impl Default for CompressionConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            // Below this a zlib header, checksum and the time of both sides outweigh what is saved.
            threshold: 128,
            max_inflated: 1024 * 1024,
        }
    }
}

/// Why a compressed body was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InflateError {
    /// Not zlib, damaged, or cut short.
    #[error("the body is not valid zlib")]
    Invalid,
    /// It inflates to more than is accepted.
    #[error("the body inflates to more than {limit} bytes")]
    TooLarge {
        /// What was allowed.
        limit: usize,
    },
}

/// What a zlib stream begins with: deflate, a window of 32 KiB, compressed fast. Clients go by these two bytes.
const ZLIB_HEADER: [u8; 2] = [0x78, 0x01];

/// Appends `body` to `out` as zlib if that is strictly shorter than `body`; otherwise leaves `out` as it was.
pub(super) fn deflate_shorter(body: &[u8], out: &mut BytesMut) -> bool {
    let start = out.len();
    // Room for one byte less than the body: what does not fit is not shorter.
    out.resize(start + body.len().saturating_sub(1), 0);
    let room = out.get_mut(start..).unwrap_or_default();
    let mut deflate = Compress::new_with_window_bits(Compression::fast(), true, window_bits(body.len()));
    let finished = matches!(deflate.compress(body, room, FlushCompress::Finish), Ok(Status::StreamEnd));
    out.truncate(if finished { start + deflate.total_out() as usize } else { start });
    if finished && let Some(header) = out.get_mut(start..start + ZLIB_HEADER.len()) {
        // The header may name a larger window than was needed.
        header.copy_from_slice(&ZLIB_HEADER);
    }
    finished
}

/// The window that holds a body of this length, up to the 32 KiB of the protocol. Clearing a larger one costs more than
/// compressing most bodies does.
const fn window_bits(length: usize) -> u8 {
    // Below 1 KiB the window is not what costs.
    if length <= 1 << 10 {
        10
    } else if length <= 1 << 12 {
        12
    } else if length <= 1 << 14 {
        14
    } else {
        15
    }
}

/// Inflates a zlib stream to at most `limit` bytes. Bytes after its end are ignored, as other servers do.
pub(super) fn inflate(input: &[u8], limit: usize) -> Result<Bytes, InflateError> {
    // Room grows with what is really there: a short bomb must not reserve the limit.
    let mut room = input.len().saturating_mul(4).clamp(64, 16 * 1024).min(limit.saturating_add(1));
    let mut output = Vec::with_capacity(room);
    let mut inflate = Decompress::new(true);
    loop {
        let used = inflate.total_in() as usize;
        let rest = input.get(used..).unwrap_or_default();
        let before = output.len();
        let status =
            inflate.decompress_vec(rest, &mut output, FlushDecompress::Finish).map_err(|_| InflateError::Invalid)?;
        if output.len() > limit {
            return Err(InflateError::TooLarge { limit });
        }
        if status == Status::StreamEnd {
            return Ok(Bytes::from(output));
        }
        let stuck = inflate.total_in() as usize == used && output.len() == before;
        if output.len() < output.capacity() && stuck {
            return Err(InflateError::Invalid);
        }
        if output.len() == output.capacity() {
            room = room.saturating_mul(2).min(limit.saturating_add(1));
            output.reserve_exact(room.saturating_sub(output.len()).max(1));
        }
    }
}
