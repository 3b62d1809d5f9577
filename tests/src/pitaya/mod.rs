//! An independent speaker of `protos.Pitaya`: a client of servers, and a backend as somebody else would write it.
//!
//! The messages are written from the protocol's text, and share nothing with the server's.

mod backend;
mod client;
mod messages;

pub use backend::{Answer, Backend};
pub use client::PitayaClient;
pub use messages::{
    BindMsg, Call, CallError, KickAnswer, KickMsg, MESSAGE_NOTIFY, MESSAGE_REQUEST, Msg, Push, RPC_SYS, RPC_USER,
    Response, Session,
};
