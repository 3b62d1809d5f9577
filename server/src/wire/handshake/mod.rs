//! The handshake: what a client says of itself, and what the server answers.

mod request;
mod response;

pub use request::{Handshake, HandshakeError, parse_handshake};
pub use response::{HandshakeResponse, ServerHandshake, ServerHandshakeError, decode_handshake_response};
