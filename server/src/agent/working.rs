//! A connection at work: its task's loop.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use tokio::time::{Instant, Sleep};
use tracing::debug;

use super::{
    clock::Clock,
    connection::{Ending, Settled},
    inbox::{Fault, Inbox, Incoming, Next, Outcome},
    member::Member,
    queue::Batch,
    settings::Settings,
    transport::{Received, Transport, lost},
};
use crate::{
    dispatch::Conversation,
    session::CloseReason,
    wire::{PacketKind, decode_message},
};

/// After so many reads or packets the other connections of the worker have their turn.
const READS: usize = 4;
const PACKETS: usize = 256;

/// After so many rounds of reading and writing, too.
const ROUNDS: usize = 4;

/// Everything that a connection's task has while its client works.
pub(super) struct Working<T> {
    pub(super) transport: T,
    pub(super) member: Member,
    pub(super) inbox: Inbox,
    pub(super) batch: Batch,
    pub(super) clock: Clock,
}

/// How far reading came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// The socket has no more.
    Waiting,
    /// The conversation has no room: it wakes the task when it has.
    Paused,
    /// There may be more, but it is the others' turn.
    Interrupted,
}

/// What became of the packets of one read.
struct Handled {
    /// When the first of them was seen.
    at: Option<Instant>,
    /// Packets that were handled.
    count: usize,
    /// Messages among them.
    messages: usize,
    /// The conversation has no room for another message.
    full: bool,
}

impl<T: Transport> Working<T> {
    /// One turn of the task. Ready when the connection has to end.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, sleep: Pin<&mut Sleep>) -> Poll<Ending> {
        match self.turn(cx) {
            Ok(()) => self.clock.poll(self.member.connection(), self.member.conversation(), cx, sleep),
            Err(ending) => Poll::Ready(ending),
        }
    }

    fn turn(&mut self, cx: &mut Context<'_>) -> Result<(), Ending> {
        if self.member.connection().begin(cx.waker()) {
            self.clock.forget_task();
        }
        if !self.batch.is_empty() {
            self.write(cx)?;
        }
        for _ in 0..ROUNDS {
            let reading = self.read(cx)?;
            let settled = loop {
                match self.member.connection().settle(&mut self.batch) {
                    Settled::Write => self.write(cx)?,
                    other => break other,
                }
            };
            match settled {
                Settled::End(ending) => return Err(ending),
                Settled::Leave if !self.member.conversation().finish() => {
                    return Err(Ending::Gently(CloseReason::Draining));
                }
                Settled::Idle | Settled::Leave | Settled::Write if reading == Reading::Interrupted => break,
                Settled::Idle | Settled::Leave | Settled::Write => return Ok(()),
                // An earlier deadline, or room again.
                Settled::Again => self.clock.ask_again(),
            }
        }
        cx.waker().wake_by_ref();
        Ok(())
    }

    fn read(&mut self, cx: &mut Context<'_>) -> Result<Reading, Ending> {
        let Self { transport, member, inbox, clock, .. } = self;
        let (connection, conversation) = (member.connection(), member.conversation());
        let worker = connection.worker();
        let settings = worker.settings();
        let limit = settings.config.max_packet;
        let mut handled = Handled { at: None, count: 0, messages: 0, full: conversation.is_full() };
        let mut receiver = |packet: Incoming<'_>| handle(packet, settings, conversation, &mut handled);
        let mut reading = Reading::Interrupted;

        let result = (|| {
            if inbox.take(limit, &mut receiver).map_err(Fault::reason)? == Outcome::Stopped {
                return Ok(());
            }
            let mut buffer = worker.read_buffer();
            for _ in 0..READS {
                if conversation.is_full() {
                    reading = Reading::Paused;
                    return Ok(());
                }
                let outcome = match transport.poll_receive(cx, &mut buffer) {
                    Poll::Pending => {
                        reading = Reading::Waiting;
                        return Ok(());
                    }
                    Poll::Ready(Ok(Received::Stream(length))) => {
                        inbox.stream(buffer.get(..length).unwrap_or_default(), limit, &mut receiver)
                    }
                    Poll::Ready(Ok(Received::Message(message))) => inbox.message(message, limit, &mut receiver),
                    Poll::Ready(Ok(Received::End)) => return Err(CloseReason::ClientClosed),
                    Poll::Ready(Err(error)) => {
                        debug!(session = %connection.id(), %error, "reading failed");
                        return Err(lost(&error));
                    }
                };
                if outcome.map_err(Fault::reason)? == Outcome::Stopped {
                    return Ok(());
                }
            }
            Ok(())
        })();
        result.map_err(Ending::Abruptly)?;

        if handled.messages > 0 {
            clock.ask_again();
        }
        if let Some(at) = handled.at {
            clock.heard(at);
        }
        if handled.full {
            reading = Reading::Paused;
        }
        clock.pause(reading == Reading::Paused);
        Ok(reading)
    }

    /// Write the batch as far as the socket takes it.
    fn write(&mut self, cx: &mut Context<'_>) -> Result<(), Ending> {
        match self.poll_write(cx) {
            Poll::Ready(Ok(())) => {
                self.clock.write_done();
                Ok(())
            }
            Poll::Ready(Err(error)) => {
                debug!(session = %self.member.connection().id(), %error, "writing failed");
                Err(Ending::Abruptly(CloseReason::ConnectionLost))
            }
            Poll::Pending => {
                self.member.connection().blocked(&mut self.batch);
                Ok(())
            }
        }
    }

    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        while !self.batch.rest().is_empty() {
            match self.transport.poll_send(cx, self.batch.rest()) {
                Poll::Ready(Ok(taken)) => {
                    self.batch.advance(taken);
                    self.clock.write_done();
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.clock.write_blocked(&self.member.connection().worker().settings().config);
                    return Poll::Pending;
                }
            }
        }
        match self.transport.poll_flush(cx) {
            Poll::Ready(Ok(())) => {
                self.batch.finish(self.member.connection().worker().buffers());
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                self.clock.write_blocked(&self.member.connection().worker().settings().config);
                Poll::Pending
            }
        }
    }
}

/// What a packet means for a client that works.
fn handle(
    mut packet: Incoming<'_>,
    settings: &Settings,
    conversation: &dyn Conversation,
    handled: &mut Handled,
) -> Result<Next, CloseReason> {
    match packet.kind {
        PacketKind::Data => {
            if handled.count >= PACKETS {
                return Ok(Next::Keep);
            }
            if handled.full {
                return Ok(Next::Keep);
            }
            let max_inflated = settings.wire.compression.max_inflated;
            let message = decode_message(packet.share(), &settings.dictionary, max_inflated).map_err(|error| {
                debug!(%error, reason = error.reason(), "a message cannot be decoded");
                CloseReason::MalformedMessage
            })?;
            let now = *handled.at.get_or_insert_with(Instant::now);
            handled.full = !conversation.message(message, now);
            handled.messages += 1;
        }
        PacketKind::Ack | PacketKind::Heartbeat | PacketKind::Kick => (),
        PacketKind::Handshake => return Err(CloseReason::ProtocolError),
    }
    handled.at.get_or_insert_with(Instant::now);
    handled.count += 1;
    Ok(Next::Go)
}
