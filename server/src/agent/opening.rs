//! A connection before its Ack: the handshake.

use std::{
    future::{Future, poll_fn},
    io,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::time::{Instant, timeout_at};
use tracing::{debug, info};

use super::{
    clock::Clock,
    ending::part,
    inbox::{Fault, Inbox, Incoming, Malformed, Next, Outcome},
    member::Member,
    queue::Batch,
    transport::{Farewell, Peer, Received, Transport, lost},
    worker::Worker,
    working::Working,
};
use crate::{
    session::CloseReason,
    wire::{Handshake, Outbound, PacketError, PacketKind, parse_handshake},
};

/// A connection whose client completed the handshake.
struct Opened<T> {
    transport: T,
    peer: Peer,
    inbox: Inbox,
    handshake: Handshake,
    /// The handshake as it came.
    body: Box<[u8]>,
}

/// A connection that did not get there.
struct Failed<T> {
    reason: CloseReason,
    /// The transport, when the peer has something to read before it goes.
    transport: Option<T>,
}

impl<T> From<CloseReason> for Failed<T> {
    fn from(reason: CloseReason) -> Self {
        Self { reason, transport: None }
    }
}

/// Open the transport and shake hands, with a deadline for both that is counted from now. None when the connection has
/// ended instead.
pub(super) async fn begin<T: Transport>(
    worker: Arc<Worker>,
    open: impl Future<Output = io::Result<(T, Peer)>>,
    peer: Peer,
) -> Option<Working<T>> {
    let mut arrival = worker.counts().arrival();
    let deadline = Instant::now() + worker.settings().config.handshake_timeout;
    let handshake = timeout_at(deadline, converse(&worker, open, &peer));
    let result = match worker.turning_away().run_until_cancelled(handshake).await {
        Some(Ok(result)) => result,
        Some(Err(_)) => Err(CloseReason::HandshakeTimeout.into()),
        None => Err(CloseReason::Draining.into()),
    };
    match result {
        Ok(Opened { transport, peer, inbox, handshake, body }) => {
            arrival.opened();
            drop(arrival);
            let clock = Clock::new(&worker.settings().config);
            let member = Member::join(&worker, &handshake, body, &peer);
            Some(Working { transport, member, inbox, batch: Batch::default(), clock })
        }
        Err(Failed { reason, transport }) => {
            debug!(reason = reason.as_str(), ?peer, "a connection ended before its handshake");
            arrival.failed(reason);
            if let Some(transport) = transport {
                part(&worker, transport, Farewell::Refused).await;
            }
            None
        }
    }
}

async fn converse<T: Transport>(
    worker: &Worker,
    open: impl Future<Output = io::Result<(T, Peer)>>,
    peer: &Peer,
) -> Result<Opened<T>, Failed<T>> {
    let (mut transport, peer) = open.await.map_err(|error| {
        debug!(%error, ?peer, "a connection was not opened");
        lost(&error)
    })?;
    let limit = worker.settings().config.max_handshake_packet;
    transport.limit_packet(limit);
    let mut inbox = Inbox::default();

    let mut asked = None;
    receive(worker, &mut transport, &mut inbox, |packet| match packet.kind {
        PacketKind::Handshake => {
            asked = Some(parse_handshake(packet.body).map(|handshake| (handshake, Box::from(packet.body))));
            Ok(Next::Last)
        }
        PacketKind::Heartbeat | PacketKind::Kick => Ok(Next::Go),
        PacketKind::Ack | PacketKind::Data => Err(CloseReason::ProtocolError),
    })
    .await?;

    let asked = asked.ok_or(CloseReason::Internal)?;
    let answer = match &asked {
        Ok((handshake, _)) => Outbound::for_client(handshake, &worker.settings().wire),
        Err(_) => Outbound::PLAIN,
    };
    let judged = match asked {
        Ok((handshake, body)) => validate(worker, &handshake, &peer).map(|()| (handshake, body)),
        Err(error) => {
            debug!(%error, ?peer, "a handshake is not valid");
            Err(CloseReason::InvalidHandshake)
        }
    };
    let packet = if judged.is_ok() { worker.settings().accepted(answer) } else { worker.settings().refused(answer) };
    send(&mut transport, &packet).await.map_err(|error| lost(&error))?;
    let (handshake, body) = match judged {
        Ok(accepted) => accepted,
        Err(reason) => return Err(Failed { reason, transport: Some(transport) }),
    };

    receive(worker, &mut transport, &mut inbox, |packet| match packet.kind {
        PacketKind::Ack => Ok(Next::Last),
        PacketKind::Heartbeat | PacketKind::Kick => Ok(Next::Go),
        PacketKind::Handshake | PacketKind::Data => Err(CloseReason::ProtocolError),
    })
    .await?;
    transport.limit_packet(worker.settings().config.max_packet);
    Ok(Opened { transport, peer, inbox, handshake, body })
}

fn validate(worker: &Worker, handshake: &Handshake, peer: &Peer) -> Result<(), CloseReason> {
    for validator in &worker.settings().validators {
        if let Err(error) = validator.check(handshake) {
            info!(validator = validator.name(), %error, ?peer, "a handshake was refused");
            return Err(CloseReason::HandshakeRefused);
        }
    }
    Ok(())
}

/// Give packets to `receiver` until it says that one was the last.
async fn receive<T: Transport>(
    worker: &Worker,
    transport: &mut T,
    inbox: &mut Inbox,
    mut receiver: impl FnMut(Incoming<'_>) -> Result<Next, CloseReason>,
) -> Result<(), CloseReason> {
    let limit = worker.settings().config.max_handshake_packet;
    let outcome = inbox.take(limit, &mut receiver).map_err(Fault::reason)?;
    if outcome == Outcome::Stopped {
        return Ok(());
    }
    poll_fn(|cx| {
        loop {
            match ready!(receive_once(worker, transport, inbox, limit, &mut receiver, cx))? {
                Outcome::Stopped => return Poll::Ready(Ok(())),
                Outcome::Drained => (),
            }
        }
    })
    .await
}

fn receive_once<T: Transport>(
    worker: &Worker,
    transport: &mut T,
    inbox: &mut Inbox,
    limit: usize,
    receiver: impl FnMut(Incoming<'_>) -> Result<Next, CloseReason>,
    cx: &mut Context<'_>,
) -> Poll<Result<Outcome, CloseReason>> {
    let mut buffer = worker.read_buffer();
    let outcome = match ready!(transport.poll_receive(cx, &mut buffer)) {
        Ok(Received::Stream(length)) => inbox.stream(buffer.get(..length).unwrap_or_default(), limit, receiver),
        Ok(Received::Message(message)) => inbox.message(message, limit, receiver),
        Ok(Received::End) => return Poll::Ready(Err(CloseReason::ClientClosed)),
        Err(error) => return Poll::Ready(Err(lost(&error))),
    };
    Poll::Ready(outcome.map_err(Fault::reason))
}

/// Write all of one packet, and nothing else with it.
async fn send<T: Transport>(transport: &mut T, packet: &[u8]) -> io::Result<()> {
    let mut written = 0;
    poll_fn(|cx| {
        while let Some(rest) = packet.get(written..).filter(|rest| !rest.is_empty()) {
            written += ready!(transport.poll_send(cx, rest))?;
        }
        transport.poll_flush(cx)
    })
    .await
}

impl Fault<CloseReason> {
    /// Why the connection closes.
    pub(super) fn reason(self) -> CloseReason {
        match self {
            Self::Rejected(reason) => reason,
            Self::Malformed(Malformed::Packet(PacketError::TooLarge { .. })) => CloseReason::TooLarge,
            Self::Malformed(Malformed::Packet(PacketError::Type(_)) | Malformed::CutMessage) => {
                CloseReason::MalformedPacket
            }
        }
    }
}
