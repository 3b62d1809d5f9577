//! The client protocol's bytes, written from its text alone.

use std::{collections::BTreeMap, io::Read as _};

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;

/// Packet types.
pub const HANDSHAKE: u8 = 1;
/// The client has understood the handshake response.
pub const ACK: u8 = 2;
/// A sign of life.
pub const HEARTBEAT: u8 = 3;
/// A message.
pub const DATA: u8 = 4;
/// The server throws the client out.
pub const KICK: u8 = 5;

/// Bytes of a packet's header.
pub const HEADER: usize = 4;
/// The largest body of a packet.
pub const MAX_BODY: usize = 0xFF_FFFF;

const REQUEST: u8 = 0;
const NOTIFY: u8 = 1;
const RESPONSE: u8 = 2;
const PUSH: u8 = 3;

const CODED_ROUTE: u8 = 0x01;
const ZLIB: u8 = 0x10;
const ERROR: u8 = 0x20;

/// A packet: type, length in three bytes with the high one first, body.
///
/// # Panics
///
/// When the body is longer than the length can say.
pub fn packet(kind: u8, body: &[u8]) -> Vec<u8> {
    assert!(body.len() <= MAX_BODY, "a packet's body has at most {MAX_BODY} bytes");
    let length = body.len();
    let mut bytes = Vec::with_capacity(HEADER + length);
    bytes.extend([kind, (length >> 16) as u8, (length >> 8) as u8, length as u8]);
    bytes.extend_from_slice(body);
    bytes
}

/// A Data packet with a request.
pub fn request(id: u64, route: &str, body: &[u8]) -> Vec<u8> {
    let mut message = vec![REQUEST << 1];
    put_varint(id, &mut message);
    put_route(route, &mut message);
    message.extend_from_slice(body);
    packet(DATA, &message)
}

/// A Data packet with a notify.
pub fn notify(route: &str, body: &[u8]) -> Vec<u8> {
    let mut message = vec![NOTIFY << 1];
    put_route(route, &mut message);
    message.extend_from_slice(body);
    packet(DATA, &message)
}

/// A Data packet with a request whose route is a dictionary code.
pub fn coded_request(id: u64, code: u16, body: &[u8]) -> Vec<u8> {
    let mut message = vec![REQUEST << 1 | CODED_ROUTE];
    put_varint(id, &mut message);
    message.extend_from_slice(&code.to_be_bytes());
    message.extend_from_slice(body);
    packet(DATA, &message)
}

/// A Data packet with a request whose body is compressed, whether or not that makes it shorter.
pub fn compressed_request(id: u64, route: &str, body: &[u8]) -> Vec<u8> {
    let mut message = vec![REQUEST << 1 | ZLIB];
    put_varint(id, &mut message);
    put_route(route, &mut message);
    // Reading from a slice does not fail.
    let _ = flate2::read::ZlibEncoder::new(body, flate2::Compression::best()).read_to_end(&mut message);
    packet(DATA, &message)
}

/// A Data packet with a response, which no client sends.
pub fn response(id: u64, body: &[u8]) -> Vec<u8> {
    let mut message = vec![RESPONSE << 1];
    put_varint(id, &mut message);
    message.extend_from_slice(body);
    packet(DATA, &message)
}

/// A Data packet with a push, which no client sends.
pub fn push(route: &str, body: &[u8]) -> Vec<u8> {
    let mut message = vec![PUSH << 1];
    put_route(route, &mut message);
    message.extend_from_slice(body);
    packet(DATA, &message)
}

fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push((value % 0x80) as u8 + 0x80);
        value /= 0x80;
    }
    out.push(value as u8);
}

fn put_route(route: &str, out: &mut Vec<u8>) {
    assert!(route.len() <= 255, "a route has at most 255 bytes");
    out.push(route.len() as u8);
    out.extend_from_slice(route.as_bytes());
}

/// The first packet of `bytes` as type and body, and how many bytes it takes; nothing while it is not whole.
///
/// # Errors
///
/// A type that a server does not send.
pub fn first_packet(bytes: &[u8]) -> anyhow::Result<Option<(u8, &[u8], usize)>> {
    let Some(kind) = bytes.first() else { return Ok(None) };
    ensure!((HANDSHAKE..=KICK).contains(kind), "packet type {kind}");
    let Some(header) = bytes.get(..HEADER) else { return Ok(None) };
    let size = header.iter().skip(1).fold(0, |size, byte| size << 8 | usize::from(*byte));
    Ok(bytes.get(HEADER..HEADER + size).map(|body| (*kind, body, HEADER + size)))
}

/// What a server says in a Data packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// The answer to a request.
    Response {
        /// The request's id.
        id: u64,
        /// The error bit.
        error: bool,
        /// The body, inflated.
        body: Bytes,
    },
    /// A message that was not asked for.
    Push {
        /// Its name.
        route: String,
        /// The body, inflated.
        body: Bytes,
    },
}

/// Read the body of a Data packet that a server sent.
///
/// # Errors
///
/// All that a server must not send, requests and notifies too.
pub fn message(bytes: &[u8], dictionary: &BTreeMap<u16, String>) -> anyhow::Result<Message> {
    let mut reader = Reader(bytes);
    let flags = reader.byte()?;
    ensure!(flags & 0b1100_0000 == 0, "reserved bits are set in {flags:#04x}");
    match flags >> 1 & 0b111 {
        RESPONSE => {
            let id = reader.varint()?;
            let body = body(flags, reader.0)?;
            Ok(Message::Response { id, error: flags & ERROR != 0, body })
        }
        PUSH => {
            let route = if flags & CODED_ROUTE == 0 {
                let length = reader.byte()?;
                std::str::from_utf8(reader.take(usize::from(length))?)?.to_owned()
            } else {
                let code = reader.take(2)?.iter().fold(0, |code, byte| code << 8 | u16::from(*byte));
                dictionary.get(&code).with_context(|| format!("code {code} is not in the dictionary"))?.clone()
            };
            Ok(Message::Push { route, body: body(flags, reader.0)? })
        }
        kind => bail!("a server does not send messages of type {kind}"),
    }
}

fn body(flags: u8, bytes: &[u8]) -> anyhow::Result<Bytes> {
    if flags & ZLIB == 0 { Ok(Bytes::copy_from_slice(bytes)) } else { inflate(bytes) }
}

/// Undo zlib.
///
/// # Errors
///
/// Anything but one whole zlib stream.
pub fn inflate(bytes: &[u8]) -> anyhow::Result<Bytes> {
    let mut inflated = Vec::new();
    flate2::read::ZlibDecoder::new(bytes).read_to_end(&mut inflated).context("the body cannot be inflated")?;
    Ok(inflated.into())
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> anyhow::Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count).context("the message is shorter than it says")?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> anyhow::Result<u8> {
        self.take(1)?.first().copied().context("nothing")
    }

    fn varint(&mut self) -> anyhow::Result<u64> {
        let mut value = 0_u64;
        let mut weight = 1_u64;
        loop {
            let byte = self.byte()?;
            let digit = u64::from(byte % 0x80).checked_mul(weight).context("the id is over 64 bits")?;
            value = value.checked_add(digit).context("the id is over 64 bits")?;
            if byte < 0x80 {
                return Ok(value);
            }
            weight = weight.checked_mul(0x80).context("the id is over 64 bits")?;
        }
    }
}
