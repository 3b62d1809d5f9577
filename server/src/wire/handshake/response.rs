//! The server's side of the handshake.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize, Serializer};

use crate::wire::compression::{InflateError, deflate_shorter, inflate};
use crate::wire::dictionary::{Dictionary, DictionaryError};
use crate::wire::outbound::{EncodeError, Outbound};
use crate::wire::packet::{HEADER, MAX_BODY, PacketError, PacketKind, decode_packet};

/// What the server answers to a Handshake.
#[derive(Clone, Copy, Debug)]
pub struct HandshakeResponse<'a> {
    /// 200, or 400 when the client is refused and the connection closes.
    pub code: u16,
    /// The application's dictionary.
    pub dictionary: &'a Dictionary,
    /// How often each side says that it is alive.
    pub heartbeat: Duration,
    /// The serializer's name.
    pub serializer: &'a str,
}

impl HandshakeResponse<'_> {
    /// The handshake was accepted.
    pub const OK: u16 = 200;
    /// The handshake was not understood or was refused.
    pub const REFUSED: u16 = 400;

    /// Appends the Handshake packet.
    ///
    /// A packet has no bit that says it is compressed: clients recognise zlib by its first two bytes. So the rules for
    /// bodies of messages hold here too. To a client whose handshake was not understood, write [`Outbound::PLAIN`].
    pub fn encode(&self, style: Outbound, out: &mut BytesMut) -> Result<(), EncodeError> {
        let sys = SysBody { dict: self.dictionary, heartbeat: Seconds(self.heartbeat), serializer: self.serializer };
        // Numbers and strings always serialize; an empty body would be refused by every client.
        let json = serde_json::to_vec(&Body { code: self.code, sys }).unwrap_or_default();
        let start = out.len();
        out.put_u32(0);
        let compress = style.compression.is_some_and(|threshold| json.len() >= threshold);
        if !(compress && deflate_shorter(&json, out)) {
            out.put_slice(&json);
        }
        let size = out.len() - start - HEADER;
        if size > MAX_BODY {
            out.truncate(start);
            return Err(EncodeError::TooLarge { size });
        }
        if let Some(header) = out.get_mut(start..start + HEADER) {
            header.copy_from_slice(&PacketKind::Handshake.header(size).to_be_bytes());
        }
        Ok(())
    }
}

/// The order of the fields is part of the protocol, here and below.
#[derive(Serialize)]
struct Body<'a> {
    code: u16,
    sys: SysBody<'a>,
}

#[derive(Serialize)]
struct SysBody<'a> {
    dict: &'a Dictionary,
    heartbeat: Seconds,
    serializer: &'a str,
}

/// Seconds without a decimal point where there is no fraction: some clients read an integer.
struct Seconds(Duration);

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.subsec_nanos() == 0 {
            serializer.serialize_u64(self.0.as_secs())
        } else {
            serializer.serialize_f64(self.0.as_secs_f64())
        }
    }
}

/// A handshake response as a client reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerHandshake {
    /// 200 when the server accepts the client.
    pub code: u16,
    /// Codes that may be used for routes.
    pub dictionary: Dictionary,
    /// How often each side says that it is alive.
    pub heartbeat: Duration,
    /// The serializer's name.
    pub serializer: String,
}

/// Why a handshake response was not understood.
#[derive(Debug, thiserror::Error)]
pub enum ServerHandshakeError {
    /// The bytes are no packet.
    #[error("the server does not speak this protocol")]
    Packet(#[from] PacketError),
    /// A packet of another kind came first.
    #[error("the server sent a {0:?} packet before its handshake response")]
    Unexpected(PacketKind),
    /// The body looks like zlib and is not.
    #[error("the handshake response is damaged")]
    Inflate(#[from] InflateError),
    /// The body is not the JSON that it should be.
    #[error("the handshake response is not valid")]
    Json(#[from] serde_json::Error),
    /// The heartbeat is negative or beyond all measure.
    #[error("the handshake response has an impossible heartbeat of {0} s")]
    Heartbeat(f64),
    /// The dictionary contradicts itself.
    #[error("the handshake response has a faulty dictionary")]
    Dictionary(#[from] DictionaryError),
}

/// Reads the server's answer from the start of what has arrived: the answer and the bytes it took, or `None` while it is
/// incomplete. `limit` bounds the packet, and what it inflates to.
pub fn decode_handshake_response(
    input: &[u8],
    limit: usize,
) -> Result<Option<(ServerHandshake, usize)>, ServerHandshakeError> {
    let Some((packet, used)) = decode_packet(input, limit)? else { return Ok(None) };
    if packet.kind != PacketKind::Handshake {
        return Err(ServerHandshakeError::Unexpected(packet.kind));
    }
    let body =
        if looks_like_zlib(packet.body) { inflate(packet.body, limit)? } else { Bytes::copy_from_slice(packet.body) };
    let Received { code, sys } = serde_json::from_slice(&body)?;
    let sys = sys.unwrap_or_default();
    let heartbeat = sys.heartbeat.unwrap_or_default();
    let heartbeat = Duration::try_from_secs_f64(heartbeat).map_err(|_| ServerHandshakeError::Heartbeat(heartbeat))?;
    let dictionary = Dictionary::new(sys.dict.unwrap_or_default())?;
    let serializer = sys.serializer.unwrap_or_default();
    Ok(Some((ServerHandshake { code, dictionary, heartbeat, serializer }, used)))
}

/// The two bytes that clients go by; JSON starts otherwise.
fn looks_like_zlib(body: &[u8]) -> bool {
    matches!(body, [0x78, 0x01 | 0x5E | 0x9C | 0xDA, ..])
}

/// Servers differ in what they leave out.
#[derive(Deserialize)]
struct Received {
    code: u16,
    sys: Option<ReceivedSys>,
}

#[derive(Default, Deserialize)]
struct ReceivedSys {
    dict: Option<BTreeMap<String, u16>>,
    heartbeat: Option<f64>,
    serializer: Option<String>,
}
