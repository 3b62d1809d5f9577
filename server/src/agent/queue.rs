//! What waits to be written to one client.

use bytes::BytesMut;

use super::{buffers::Buffers, config::OutboundConfig};
use crate::wire::HEADER;

/// Until the writer had its turn, this many times the bound is taken: a burst that no socket has seen yet says nothing
/// about the client.
const BURST: usize = 4;

/// Packets back to back, with the bound on what is not yet written. The connection's mutex guards it.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Not yet taken by the writer. Has memory only while it has packets.
    packets: BytesMut,
    messages: usize,
    /// With the writer: taken and not yet written.
    unwritten: Amount,
    /// The socket took less than it was given.
    blocked: bool,
}

/// A number of packets and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) messages: usize,
    pub(super) bytes: usize,
}

/// The client is too slow: nothing was queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Overflow;

impl Queue {
    /// Append what `encode` writes: one packet. An error of `encode` must leave nothing behind.
    pub(super) fn put<E>(
        &mut self,
        bound: &OutboundConfig,
        buffers: &Buffers,
        encode: impl FnOnce(&mut BytesMut) -> Result<(), E>,
    ) -> Result<Result<(), Overflow>, E> {
        let before = self.packets.len();
        self.put_always(buffers, encode)?;
        let waiting = self.waiting();
        let times = if self.blocked { 1 } else { BURST };
        let alone = waiting.messages == 1;
        if !alone && (waiting.messages > bound.messages * times || waiting.bytes > bound.bytes * times) {
            self.packets.truncate(before);
            self.messages -= 1;
            return Ok(Err(Overflow));
        }
        Ok(Ok(()))
    }

    /// More than the bound waits, and the writer has not had its turn: that says nothing about the client.
    pub(super) fn is_crowded(&self, bound: &OutboundConfig) -> bool {
        let waiting = self.waiting();
        !self.blocked && (waiting.messages > bound.messages || waiting.bytes > bound.bytes)
    }

    /// The same without a bound, for what is bounded by its nature: a heartbeat, a kick.
    pub(super) fn put_always<E>(
        &mut self,
        buffers: &Buffers,
        encode: impl FnOnce(&mut BytesMut) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.packets.capacity() == 0 {
            self.packets = buffers.take();
        }
        let encoded = encode(&mut self.packets);
        if encoded.is_ok() {
            self.messages += 1;
        } else if self.packets.is_empty() {
            buffers.give_back(std::mem::take(&mut self.packets));
        }
        encoded
    }

    pub(super) fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// Everything queued and unwritten.
    pub(super) fn waiting(&self) -> Amount {
        Amount { messages: self.messages + self.unwritten.messages, bytes: self.packets.len() + self.unwritten.bytes }
    }

    /// Let go of everything.
    pub(super) fn clear(&mut self, buffers: &Buffers) {
        buffers.give_back(std::mem::take(&mut self.packets));
        *self = Self::default();
    }
}

/// The writer's part: one batch, from the queue to the socket. Only the connection's task has it.
#[derive(Debug, Default)]
pub(super) struct Batch {
    packets: BytesMut,
    written: usize,
    /// Where the first packet begins that is not wholly written.
    first_waiting: usize,
}

impl Batch {
    /// When the last batch is written, say so, and take all that is queued.
    pub(super) fn refill(&mut self, queue: &mut Queue) {
        if !self.is_empty() {
            return;
        }
        queue.unwritten = Amount::default();
        queue.blocked = false;
        if !queue.is_empty() {
            queue.unwritten = Amount { messages: queue.messages, bytes: queue.packets.len() };
            queue.messages = 0;
            self.packets = std::mem::take(&mut queue.packets);
        }
    }

    /// Everything in it is written.
    pub(super) fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// What is still to be written.
    pub(super) fn rest(&self) -> &[u8] {
        self.packets.get(self.written..).unwrap_or_default()
    }

    /// The socket took so many bytes of the rest.
    pub(super) fn advance(&mut self, taken: usize) {
        self.written += taken;
    }

    /// The socket takes no more for now: tell the queue what is still waiting.
    pub(super) fn blocked(&mut self, queue: &mut Queue) {
        while let Some(&[_, high, middle, low]) = self.packets.get(self.first_waiting..self.first_waiting + HEADER) {
            let end = self.first_waiting + HEADER + u32::from_be_bytes([0, high, middle, low]) as usize;
            if end > self.written {
                break;
            }
            self.first_waiting = end;
            queue.unwritten.messages -= 1;
        }
        queue.unwritten.bytes = self.rest().len();
        queue.blocked = true;
    }

    /// All of it is written: give the memory back.
    pub(super) fn finish(&mut self, buffers: &Buffers) {
        buffers.give_back(std::mem::take(&mut self.packets));
        self.written = 0;
        self.first_waiting = 0;
    }
}
