//! The end of a connection.

use std::{
    future::poll_fn,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::timeout;
use tracing::debug;

use super::{
    connection::Ending,
    transport::{Farewell, Received, Transport},
    worker::Worker,
    working::Working,
};
use crate::session::CloseReason;

/// How long the peer has to close its side after it was told. A socket that is closed with unread bytes is reset, and the
/// peer may then lose what it was sent last.
const LINGER: Duration = Duration::from_millis(500);

/// Write what has to be written, close the session, and part from the peer.
pub(super) async fn end<T: Transport>(mut working: Working<T>, ending: Ending) {
    let reason = ending.reason();
    if let Ending::Gently(_) = ending {
        let limit = working.member.connection().worker().settings().config.write_timeout;
        match timeout(limit, poll_fn(|cx| poll_drain(&mut working, cx))).await {
            Ok(Ok(())) => (),
            Ok(Err(error)) => debug!(%error, "the last packets were not written"),
            Err(_) => debug!("the last packets were not written in time"),
        }
    }
    working.member.close(reason);
    let worker = working.member.connection().worker();
    match ending {
        Ending::Gently(reason) => part(worker, working.transport, farewell(reason)).await,
        Ending::Abruptly(CloseReason::ClientClosed | CloseReason::ConnectionLost) => (),
        Ending::Abruptly(reason) => say(&mut working.transport, farewell(reason)).await,
    }
}

fn poll_drain<T: Transport>(working: &mut Working<T>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
    loop {
        if working.batch.is_empty() {
            working.member.connection().refill(&mut working.batch);
            if working.batch.is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
        ready!(working.poll_write(cx))?;
    }
}

/// Tell the peer that it is over, and wait a little until it has understood.
pub(super) async fn part<T: Transport>(worker: &Worker, mut transport: T, farewell: Farewell) {
    let parting = async {
        if poll_fn(|cx| transport.poll_farewell(cx, farewell)).await.is_err() {
            return;
        }
        // What still comes is of no interest.
        while let Ok(Received::Stream(_) | Received::Message(_)) =
            poll_fn(|cx| transport.poll_receive(cx, &mut worker.read_buffer())).await
        {}
    };
    // A peer that does not close is left alone.
    let _ = timeout(LINGER, parting).await;
}

/// Tell the peer if that needs no waiting.
async fn say<T: Transport>(transport: &mut T, farewell: Farewell) {
    poll_fn(|cx| {
        let _ = transport.poll_farewell(cx, farewell);
        Poll::Ready(())
    })
    .await;
}

fn farewell(reason: CloseReason) -> Farewell {
    match reason {
        CloseReason::Draining => Farewell::Restart,
        CloseReason::MalformedPacket
        | CloseReason::TooLarge
        | CloseReason::MalformedMessage
        | CloseReason::ProtocolError => Farewell::Violation,
        CloseReason::InvalidHandshake
        | CloseReason::HandshakeRefused
        | CloseReason::HandshakeTimeout
        | CloseReason::ProxyHeader
        | CloseReason::TlsHandshake
        | CloseReason::HeartbeatTimeout
        | CloseReason::SlowConsumer
        | CloseReason::WriteTimeout
        | CloseReason::RateLimited => Farewell::Refused,
        CloseReason::ClientClosed
        | CloseReason::ConnectionLost
        | CloseReason::Kicked
        | CloseReason::Replaced
        | CloseReason::Internal => Farewell::Normal,
    }
}
