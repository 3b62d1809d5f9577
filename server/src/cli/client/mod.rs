//! The client's end of a connection, for the subcommands that talk to a frontend like a game client does.
//!
//! An [`Endpoint`] is what was typed after the subcommand; a [`Connection`] is a socket past its handshake that carries
//! whole packets, over TCP or WebSocket alike. It queues what is to be sent and writes all of it at once, reads in
//! bursts, and answers heartbeats by itself. What a packet means is left to its user, as are reconnects: a connection
//! that ended stays ended.

mod connection;
mod endpoint;
mod failure;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub(crate) use connection::{Connection, Options};
pub(crate) use endpoint::{Endpoint, Transport};
pub(crate) use failure::decode_error;
