//! The unary service `protos.Pitaya`, as Pitaya's gRPC mode speaks it: served beside the links on their port, and called
//! in the place of a link when a server type says `protocol: pitaya`.
//!
//! A [`Link`](super::Link) to such a server is a link for everybody above: it queues, it stands or is down, each call
//! that it took ends once. Only its task differs: `attempt` takes requests from the queue one by one and makes each a
//! unary call. What such a peer has no word for (pins, closed sessions, draining) is not said to it.
//!
//! What calls mean is `forward`'s, which implements the generated trait behind [`routes`].

mod calls;
mod channels;
mod duration;
mod metadata;
mod outgoing;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use tonic::service::Routes;

use super::config::MAX_BATCH;
use super::proto::pitaya::pitaya_server::{Pitaya, PitayaServer};

pub(super) use calls::{attempt, link};
pub(crate) use channels::{Channels, Client};
pub(crate) use metadata::{read as read_metadata, timeout, write as write_metadata};
pub(crate) use outgoing::failure;

/// The service, as something to serve beside the links.
pub(crate) fn routes(service: impl Pitaya) -> Routes {
    let server = PitayaServer::new(service).max_decoding_message_size(MAX_BATCH).max_encoding_message_size(usize::MAX);
    Routes::new(server)
}
