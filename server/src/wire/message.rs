//! Messages, the bodies of Data packets: reading them.

use bytes::{Buf, Bytes};

use super::compression::{InflateError, inflate};
use super::dictionary::Dictionary;
use super::text::Text;
use super::varint;

/// Bit 0: the route is a dictionary code.
pub(super) const ROUTE_CODE: u8 = 0b0000_0001;
/// Bit 4: the body is zlib.
pub(super) const COMPRESSED: u8 = 0b0001_0000;
/// Bit 5: a response that is an error.
pub(super) const ERROR: u8 = 0b0010_0000;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageKind {
    /// Wants an answer.
    Request,
    /// Wants none.
    Notify,
    /// The answer to a request.
    Response,
    /// Sent by the server of its own accord.
    Push,
}

impl MessageKind {
    const fn from_flags(flags: u8) -> Result<Self, MessageError> {
        match (flags >> 1) & 0b111 {
            0 => Ok(Self::Request),
            1 => Ok(Self::Notify),
            2 => Ok(Self::Response),
            3 => Ok(Self::Push),
            other => Err(MessageError::Kind(other)),
        }
    }

    /// The type in its place in the flag byte.
    pub(super) const fn flags(self) -> u8 {
        (self as u8) << 1
    }

    /// Whether such a message carries an id.
    pub const fn has_id(self) -> bool {
        matches!(self, Self::Request | Self::Response)
    }

    /// Whether such a message carries a route.
    pub const fn has_route(self) -> bool {
        !matches!(self, Self::Response)
    }
}

/// A message whose route and body are slices of one shared allocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What it is.
    pub kind: MessageKind,
    /// What an answer refers to; 0 for a kind without an id.
    pub id: u64,
    /// The route, a dictionary code already replaced; empty for a response.
    pub route: Text,
    /// The body, already inflated.
    pub body: Bytes,
    /// Whether a response is an error.
    pub error: bool,
}

/// Bytes that are no message. The connection they came from is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// No byte at all.
    #[error("the message is empty")]
    Empty,
    /// No message has this type.
    #[error("unknown message type {0}")]
    Kind(u8),
    /// The message is shorter than it says.
    #[error("the message is shorter than it says")]
    Truncated,
    /// The id has more than 64 bits.
    #[error("the message id has more than 64 bits")]
    Id,
    /// The dictionary has no such code.
    #[error("the route code {0} is not in the dictionary")]
    UnknownCode(u16),
    /// The route is not UTF-8.
    #[error("the route is not UTF-8")]
    NotUtf8,
    /// The body says it is compressed and cannot be inflated.
    #[error("a compressed body was not accepted")]
    Body(#[from] InflateError),
}

impl MessageError {
    /// A closed set of names for metrics.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Empty => "message_empty",
            Self::Kind(_) => "message_type",
            Self::Truncated => "message_truncated",
            Self::Id => "message_id",
            Self::UnknownCode(_) => "route_code",
            Self::NotUtf8 => "route_not_utf8",
            Self::Body(InflateError::Invalid) => "body_not_zlib",
            Self::Body(InflateError::TooLarge { .. }) => "body_too_large",
        }
    }
}

/// Reads the body of a Data packet.
///
/// Route and body of the result share `input`; nothing is copied or allocated unless the body has to be inflated, which
/// stops at `max_inflated` bytes. (A `Bytes` that was never sliced or cloned may allocate its count for the first
/// slice; [`share`](super::share()) makes one that has it already.) Codes are understood whatever the client said in
/// its handshake.
pub fn decode_message(input: Bytes, dictionary: &Dictionary, max_inflated: usize) -> Result<Message, MessageError> {
    let (&flags, mut rest) = input.split_first().ok_or(MessageError::Empty)?;
    let kind = MessageKind::from_flags(flags)?;
    let mut id = 0;
    if kind.has_id() {
        (id, rest) = varint::decode(rest)?;
    }
    let mut route = Text::new();
    if kind.has_route() {
        if flags & ROUTE_CODE == 0 {
            let (&length, after) = rest.split_first().ok_or(MessageError::Truncated)?;
            let (name, after) = after.split_at_checked(usize::from(length)).ok_or(MessageError::Truncated)?;
            route = Text::try_from(input.slice_ref(name)).map_err(|_| MessageError::NotUtf8)?;
            rest = after;
        } else {
            let (code, after) = rest.split_first_chunk::<2>().ok_or(MessageError::Truncated)?;
            let code = u16::from_be_bytes(*code);
            route = dictionary.route(code).ok_or(MessageError::UnknownCode(code))?.clone();
            rest = after;
        }
    }
    let body = if flags & COMPRESSED == 0 {
        let used = input.len() - rest.len();
        let mut body = input;
        body.advance(used);
        body
    } else {
        inflate(rest, max_inflated)?
    };
    Ok(Message { kind, id, route, body, error: flags & ERROR != 0 })
}
