//! The client protocol as bytes: packets, messages, routes, the handshake, serializers and errors.
//!
//! This is the last step of the path on both sides: the agent reads and writes clients with it, dispatch and forward
//! take routes and errors from it, and `cereus request` is a client made of it. All of it is pure and total: no IO, no
//! clock, no task, and no input that panics; what comes from outside is bounded before memory is taken for it. Where a
//! client can do without a feature of the protocol, [`Outbound`] says how to write to that client.
//!
//! It leaves out when something may be sent (the state of a connection is the agent's) and the protocol between servers.

mod packet;

mod message;
mod outbound;
mod share;
mod shared_push;
mod varint;

mod compression;
mod config;
mod dictionary;
mod handshake;
mod route;
mod text;

pub(crate) mod at_least;
pub(crate) mod duration;

mod error;
mod serializer;

#[cfg(test)]
mod tests;

pub use compression::{CompressionConfig, InflateError};
pub use config::{Config, PushCodes};
pub use dictionary::{Dictionary, DictionaryError};
pub use error::{Error, codes};
pub use handshake::{
    Handshake, HandshakeError, HandshakeResponse, ServerHandshake, ServerHandshakeError, decode_handshake_response,
    parse_handshake,
};
pub use message::{Message, MessageError, MessageKind, decode_message};
pub use outbound::{EncodeError, Outbound, encode_notify, encode_push, encode_request, encode_response};
pub use packet::{HEADER, MAX_BODY, Packet, PacketError, PacketKind, decode_packet, encode_packet};
pub use route::{Route, RouteError};
pub use serializer::{BoxError, CustomSerializer, Serializer, SerializerError};
pub use share::share;
pub use shared_push::SharedPush;
pub use text::{NotUtf8, Text};
