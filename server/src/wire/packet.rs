//! Packets: a type, a 24-bit length, a body.

use bytes::{BufMut, BytesMut};

/// The largest body a packet can carry: its length has 24 bits.
pub const MAX_BODY: usize = 0xFF_FFFF;

/// Bytes before the body: the type and the length.
pub const HEADER: usize = 4;

/// What a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum PacketKind {
    /// The client's introduction and the server's answer to it, both JSON.
    Handshake = 1,
    /// The client has read the handshake response; messages may flow.
    Ack = 2,
    /// The sender is alive.
    Heartbeat = 3,
    /// A message.
    Data = 4,
    /// The server ends the connection.
    Kick = 5,
}

impl PacketKind {
    /// The kind that this type byte means.
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Handshake),
            2 => Some(Self::Ack),
            3 => Some(Self::Heartbeat),
            4 => Some(Self::Data),
            5 => Some(Self::Kick),
            _ => None,
        }
    }

    /// A whole packet of this kind with no body, as heartbeats, acknowledgements and kicks are sent.
    pub const fn empty(self) -> [u8; HEADER] {
        [self as u8, 0, 0, 0]
    }

    /// The header of a packet whose body has `length` bytes, at most [`MAX_BODY`].
    pub(super) const fn header(self, length: usize) -> u32 {
        ((self as u32) << 24) | length as u32
    }
}

/// A packet in the bytes it was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// What it is.
    pub kind: PacketKind,
    /// What it carries.
    pub body: &'a [u8],
}

/// Bytes that are no packet, or a body that fits into none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// No packet has this type.
    #[error("unknown packet type {0}")]
    Type(u8),
    /// The body is longer than is accepted, or than a packet can carry.
    #[error("a packet body of {size} bytes is over the limit of {limit}")]
    TooLarge {
        /// The length the header gives, or of the body to encode.
        size: usize,
        /// What was allowed.
        limit: usize,
    },
}

impl PacketError {
    /// A closed set of names for metrics.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Type(_) => "packet_type",
            Self::TooLarge { .. } => "packet_too_large",
        }
    }
}

/// The first packet of `input` and the bytes it takes, or `None` while it is incomplete.
///
/// Type and size are judged on the header alone, before the body has arrived; `limit` is the longest body accepted.
pub fn decode_packet(input: &[u8], limit: usize) -> Result<Option<(Packet<'_>, usize)>, PacketError> {
    let Some((&[kind, high, middle, low], rest)) = input.split_first_chunk::<HEADER>() else {
        return Ok(None);
    };
    let Some(kind) = PacketKind::from_byte(kind) else {
        return Err(PacketError::Type(kind));
    };
    let size = u32::from_be_bytes([0, high, middle, low]) as usize;
    if size > limit {
        return Err(PacketError::TooLarge { size, limit });
    }
    Ok(rest.get(..size).map(|body| (Packet { kind, body }, HEADER + size)))
}

/// Appends a packet to `out`. A body over [`MAX_BODY`] is refused and nothing is appended.
pub fn encode_packet(kind: PacketKind, body: &[u8], out: &mut BytesMut) -> Result<(), PacketError> {
    if body.len() > MAX_BODY {
        return Err(PacketError::TooLarge { size: body.len(), limit: MAX_BODY });
    }
    out.reserve(HEADER + body.len());
    out.put_u32(kind.header(body.len()));
    out.put_slice(body);
    Ok(())
}
