//! From bytes to packets, at whatever point the stream was cut.

use bytes::{Buf, Bytes, BytesMut};

use crate::wire::{self, HEADER, PacketError, PacketKind, decode_packet};

/// Bodies that arrive together in so many bytes share one allocation. Not more, because whoever keeps one keeps all.
const SHARED: usize = 4 << 10;

/// What was received and not yet handled. Nearly always nothing, and then it takes no memory.
#[derive(Debug, Default)]
pub(super) struct Inbox(Option<Box<Held>>);

#[derive(Debug)]
enum Held {
    /// The start of a packet, or packets for which there was no room.
    Stream(BytesMut),
    /// Whole packets for which there was no room.
    Message(Bytes),
}

/// What the receiver of packets says to each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Give the next one.
    Go,
    /// This was the last for now: keep what follows.
    Last,
    /// Keep it, and what follows, for later.
    Keep,
}

/// A packet whose body may be kept.
pub(super) struct Incoming<'a> {
    pub(super) kind: PacketKind,
    pub(super) body: &'a [u8],
    chunk: &'a [u8],
    /// Where the body begins in the chunk.
    start: usize,
    shared: &'a mut Option<Bytes>,
}

/// Why no more packets come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// All that was there is handled, perhaps but for the start of a packet.
    Drained,
    /// The receiver wants no more now; what follows is held.
    Stopped,
}

/// Bytes that are no packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    /// A packet that is none, or is too large.
    #[error(transparent)]
    Packet(#[from] PacketError),
    /// A message of the transport that does not end with a packet.
    #[error("a message ends inside a packet")]
    CutMessage,
}

/// What goes wrong while packets are taken: the bytes, or what the receiver thinks of a packet.
pub(super) enum Fault<E> {
    Malformed(Malformed),
    Rejected(E),
}

impl Inbox {
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Hand over what is held.
    pub(super) fn take<E>(
        &mut self,
        limit: usize,
        receiver: impl FnMut(Incoming<'_>) -> Result<Next, E>,
    ) -> Result<Outcome, Fault<E>> {
        let (outcome, is_empty) = match self.0.as_deref_mut() {
            None => return Ok(Outcome::Drained),
            Some(Held::Stream(held)) => {
                let (used, outcome) = packets(held, &mut None, limit, receiver)?;
                held.advance(used);
                (outcome, held.is_empty())
            }
            Some(Held::Message(held)) => {
                let outcome = message(held, limit, receiver)?;
                (outcome, held.is_empty())
            }
        };
        if is_empty {
            self.0 = None;
        }
        Ok(outcome)
    }

    /// Hand over the packets that are complete with these bytes of a stream. Call [`take`](Self::take) first.
    pub(super) fn stream<E>(
        &mut self,
        bytes: &[u8],
        limit: usize,
        receiver: impl FnMut(Incoming<'_>) -> Result<Next, E>,
    ) -> Result<Outcome, Fault<E>> {
        if let Some(Held::Stream(held)) = self.0.as_deref_mut() {
            held.extend_from_slice(bytes);
            return self.take(limit, receiver);
        }
        let (used, outcome) = packets(bytes, &mut None, limit, receiver)?;
        if let Some(rest) = bytes.get(used..).filter(|rest| !rest.is_empty()) {
            self.0 = Some(Box::new(Held::Stream(BytesMut::from(rest))));
        }
        Ok(outcome)
    }

    /// Hand over the packets of a message. Call [`take`](Self::take) first.
    pub(super) fn message<E>(
        &mut self,
        mut bytes: Bytes,
        limit: usize,
        receiver: impl FnMut(Incoming<'_>) -> Result<Next, E>,
    ) -> Result<Outcome, Fault<E>> {
        let outcome = message(&mut bytes, limit, receiver)?;
        if !bytes.is_empty() {
            self.0 = Some(Box::new(Held::Message(bytes)));
        }
        Ok(outcome)
    }
}

/// Hand over packets from the start of a message, and leave what was not taken.
fn message<E>(
    held: &mut Bytes,
    limit: usize,
    receiver: impl FnMut(Incoming<'_>) -> Result<Next, E>,
) -> Result<Outcome, Fault<E>> {
    let (used, outcome) = packets(held, &mut Some(held.clone()), limit, receiver)?;
    held.advance(used);
    if outcome == Outcome::Drained && !held.is_empty() {
        return Err(Fault::Malformed(Malformed::CutMessage));
    }
    Ok(outcome)
}

/// Hand over packets from the start of `chunk`, and say how many bytes they took.
fn packets<E>(
    chunk: &[u8],
    shared: &mut Option<Bytes>,
    limit: usize,
    mut receiver: impl FnMut(Incoming<'_>) -> Result<Next, E>,
) -> Result<(usize, Outcome), Fault<E>> {
    let mut used = 0;
    while let Some(rest) = chunk.get(used..) {
        let found = decode_packet(rest, limit).map_err(|error| Fault::Malformed(error.into()))?;
        let Some((packet, size)) = found else { break };
        let incoming = Incoming { kind: packet.kind, body: packet.body, chunk, start: used + HEADER, shared };
        match receiver(incoming).map_err(Fault::Rejected)? {
            Next::Go => used += size,
            Next::Last => return Ok((used + size, Outcome::Stopped)),
            Next::Keep => return Ok((used, Outcome::Stopped)),
        }
    }
    Ok((used, Outcome::Drained))
}

impl Incoming<'_> {
    /// The body in shared memory.
    pub(super) fn share(&mut self) -> Bytes {
        if self.shared.is_none() && self.chunk.len() <= SHARED {
            *self.shared = Some(wire::share(self.chunk));
        }
        match self.shared {
            Some(shared) => shared.slice(self.start..self.start + self.body.len()),
            None => wire::share(self.body),
        }
    }
}
