//! One client connection: the second step of a message's path.
//!
//! [`run`] is a connection's task from its first byte to its last: the transport is opened, the client shakes hands
//! (`opening`), packets go to dispatch and what is queued for the client goes out (`working`), and the end is told to
//! everybody once (`ending`). Others reach the client through the `connection` handle, which is a session's entity and a
//! conversation's client; what a worker's connections share is in [`Worker`].
//!
//! Promised: the table of the protocol, state by state; one writer; a bounded queue for each client, whose answer to
//! "full" is to close the slow client; reading that pauses while the conversation has no room; everything that is queued
//! in one write; no buffers kept by an idle connection; a close that happens exactly once, with its reason.
//!
//! Left out: what a message means (dispatch), and where connections come from (the acceptors).

mod opening;

mod working;

mod clock;
mod connection;
mod ending;
mod inbox;
mod member;
mod queue;

mod buffers;
mod config;
mod counts;
mod settings;
mod stream;
mod transport;
mod worker;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::{
    future::{Future, poll_fn},
    io,
    pin::pin,
    sync::Arc,
};

use tokio::time::sleep_until;

#[cfg(test)]
pub(crate) use self::worker::Waiting;
pub(crate) use self::{
    config::Config,
    settings::{Settings, SettingsParts},
    transport::Refused,
    worker::Worker,
};
pub use self::{
    settings::Validator,
    stream::StreamTransport,
    transport::{Farewell, Peer, Received, Transport},
};

/// The life of one connection from `peer`; `open` says who that really is. `pending` is dropped when the handshake is
/// over, `seat` at the very end.
///
/// The beginning and the end are boxed, being large and soon over: the task is as small as a connection at work.
pub(crate) fn run<T: Transport, P: Send + 'static, S: Send + 'static>(
    worker: Arc<Worker>,
    open: impl Future<Output = io::Result<(T, Peer)>> + Send + 'static,
    peer: Peer,
    pending: P,
    seat: S,
) -> impl Future<Output = ()> + Send + 'static {
    let beginning = Box::pin(async move {
        let working = opening::begin(worker, open, peer).await;
        drop(pending);
        working
    });
    async move {
        // Used where it was put, and moved in no expression that is awaited: each would double the task.
        let mut working = beginning.await;
        let mut ending = None;
        if let Some(working) = &mut working {
            let mut sleep = pin!(sleep_until(working.clock.first()));
            ending = Some(poll_fn(|cx| working.poll(cx, sleep.as_mut())).await);
        }
        let parting = working.take().zip(ending).map(|(working, ending)| Box::pin(ending::end(working, ending)));
        if let Some(parting) = parting {
            parting.await;
        }
        drop(seat);
    }
}
