//! Messages: writing them, as each client can read them.

use bytes::{BufMut, BytesMut};

use super::compression::deflate_shorter;
use super::config::{Config, PushCodes};
use super::dictionary::Dictionary;
use super::handshake::Handshake;
use super::message::{COMPRESSED, ERROR, MessageKind, ROUTE_CODE};
use super::packet::{HEADER, MAX_BODY, PacketKind};
use super::varint;

/// How bodies and routes may be written for one reader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outbound {
    /// Bodies of at least this many bytes are compressed where that makes them shorter; `None`: never.
    pub compression: Option<usize>,
    /// Whether routes may be written as dictionary codes.
    pub dictionary: bool,
}

impl Outbound {
    /// What every client can read: nothing compressed, no codes.
    pub const PLAIN: Self = Self { compression: None, dictionary: false };

    /// How to write to a client, given what it said of itself.
    ///
    /// The JavaScript client reads no compression, and always the dictionary. Other clients read zlib; codes in pushes
    /// only when they say so, or when the configuration says that all do.
    pub fn for_client(handshake: &Handshake, config: &Config) -> Self {
        let javascript = handshake.is_javascript();
        let compression = &config.compression;
        Self {
            compression: (compression.enabled && !javascript).then_some(compression.threshold),
            dictionary: javascript || handshake.dict || config.push_codes == PushCodes::Always,
        }
    }
}

/// A message that cannot be written. Nothing was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// It does not fit into a packet.
    #[error("a message of {size} bytes does not fit into a packet")]
    TooLarge {
        /// What the packet's body would measure.
        size: usize,
    },
    /// The route does not fit into its length byte.
    #[error("a route of {length} bytes cannot be sent: 255 is the most")]
    RouteTooLong {
        /// Its length.
        length: usize,
    },
}

/// Appends a Data packet with the answer to request `id`; `error` says that the body is an error.
pub fn encode_response(
    id: u64,
    body: &[u8],
    error: bool,
    style: Outbound,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    let flags = MessageKind::Response.flags() | if error { ERROR } else { 0 };
    Head { flags, id: Some(id), target: Target::None }.encode(body, style, out)
}

/// Appends a Data packet with a push.
pub fn encode_push(
    route: &str,
    body: &[u8],
    dictionary: &Dictionary,
    style: Outbound,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    Head::routed(MessageKind::Push, None, route, dictionary, style)?.encode(body, style, out)
}

/// Appends a Data packet with a request, as a client sends it.
pub fn encode_request(
    id: u64,
    route: &str,
    body: &[u8],
    dictionary: &Dictionary,
    style: Outbound,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    Head::routed(MessageKind::Request, Some(id), route, dictionary, style)?.encode(body, style, out)
}

/// Appends a Data packet with a notify, as a client sends it.
pub fn encode_notify(
    route: &str,
    body: &[u8],
    dictionary: &Dictionary,
    style: Outbound,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    Head::routed(MessageKind::Notify, None, route, dictionary, style)?.encode(body, style, out)
}

/// All of a message but its body.
struct Head<'a> {
    flags: u8,
    id: Option<u64>,
    target: Target<'a>,
}

enum Target<'a> {
    None,
    Code(u16),
    /// A name and its length, which fits the length byte.
    Name(u8, &'a str),
}

impl<'a> Head<'a> {
    fn routed(
        kind: MessageKind,
        id: Option<u64>,
        route: &'a str,
        dictionary: &Dictionary,
        style: Outbound,
    ) -> Result<Self, EncodeError> {
        if style.dictionary
            && let Some(code) = dictionary.code(route)
        {
            return Ok(Self { flags: kind.flags() | ROUTE_CODE, id, target: Target::Code(code) });
        }
        let length = u8::try_from(route.len()).map_err(|_| EncodeError::RouteTooLong { length: route.len() })?;
        Ok(Self { flags: kind.flags(), id, target: Target::Name(length, route) })
    }

    fn encode(&self, body: &[u8], style: Outbound, out: &mut BytesMut) -> Result<(), EncodeError> {
        if style.compression.is_some_and(|threshold| body.len() >= threshold) && self.encode_compressed(body, out) {
            return Ok(());
        }
        let size = self.length() + body.len();
        if size > MAX_BODY {
            return Err(EncodeError::TooLarge { size });
        }
        out.reserve(HEADER + size);
        out.put_u32(PacketKind::Data.header(size));
        self.put(self.flags, out);
        out.put_slice(body);
        Ok(())
    }

    /// Whether the packet was appended with its body compressed; otherwise `out` is as it was.
    fn encode_compressed(&self, body: &[u8], out: &mut BytesMut) -> bool {
        let start = out.len();
        out.reserve(HEADER + self.length() + body.len());
        out.put_u32(0);
        self.put(self.flags | COMPRESSED, out);
        if deflate_shorter(body, out) {
            let size = out.len() - start - HEADER;
            if size <= MAX_BODY
                && let Some(header) = out.get_mut(start..start + HEADER)
            {
                header.copy_from_slice(&PacketKind::Data.header(size).to_be_bytes());
                return true;
            }
        }
        out.truncate(start);
        false
    }

    fn length(&self) -> usize {
        let id = self.id.map_or(0, varint::length);
        let route = match self.target {
            Target::None => 0,
            Target::Code(_) => 2,
            Target::Name(length, _) => 1 + usize::from(length),
        };
        1 + id + route
    }

    fn put(&self, flags: u8, out: &mut BytesMut) {
        out.put_u8(flags);
        if let Some(id) = self.id {
            varint::encode(id, out);
        }
        match self.target {
            Target::None => {}
            Target::Code(code) => out.put_u16(code),
            Target::Name(length, name) => {
                out.put_u8(length);
                out.put_slice(name.as_bytes());
            }
        }
    }
}
