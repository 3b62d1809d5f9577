//! The stream below the WebSocket library.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What may wait here for the socket before no more is taken: about as much as one write should carry.
const HIGH_WATER: usize = 16 << 10;

/// First byte of every frame sent: final, binary.
const BINARY: u8 = 0x82;

/// Between the library and the socket: one buffer for its control frames and our data frames, each added whole, and a
/// count of what may still be read.
#[derive(Debug)]
pub(super) struct Channel<S> {
    stream: S,
    /// Whole frames. Has no memory while there is nothing to send.
    outgoing: Vec<u8>,
    written: usize,
    /// Bytes that may be read before it counts as an attack.
    budget: usize,
    upgraded: bool,
}

impl<S> Channel<S> {
    pub(super) fn new(stream: S, budget: usize) -> Self {
        Self { stream, outgoing: Vec::new(), written: 0, budget, upgraded: false }
    }

    /// From here on what the library writes are whole control frames.
    pub(super) fn set_upgraded(&mut self) {
        self.upgraded = true;
    }

    pub(super) fn set_budget(&mut self, bytes: usize) {
        self.budget = bytes;
    }

    /// No more fits until some of it is written.
    pub(super) fn is_full(&self) -> bool {
        self.outgoing.len() - self.written >= HIGH_WATER
    }

    /// Add one message.
    pub(super) fn put(&mut self, payload: &[u8]) {
        self.outgoing.reserve(payload.len() + 10);
        self.outgoing.push(BINARY);
        match payload.len() {
            short @ 0..=125 => self.outgoing.push(short as u8),
            medium @ 126..=0xFFFF => {
                self.outgoing.push(126);
                self.outgoing.extend_from_slice(&(medium as u16).to_be_bytes());
            }
            long => {
                self.outgoing.push(127);
                self.outgoing.extend_from_slice(&(long as u64).to_be_bytes());
            }
        }
        self.outgoing.extend_from_slice(payload);
    }
}

impl<S: AsyncWrite + Unpin> Channel<S> {
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.outgoing.get(self.written..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.written += written,
            }
        }
        self.outgoing = Vec::new();
        self.written = 0;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Channel<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.budget == 0 {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::FileTooLarge, "too much before the Ack")));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        self.budget = self.budget.saturating_sub(buffer.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Channel<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, frames: &[u8]) -> Poll<io::Result<usize>> {
        if !self.upgraded {
            return Pin::new(&mut self.stream).poll_write(cx, frames);
        }
        // A peer that sends pings and reads no answers must not fill the memory.
        if self.is_full() {
            ready!(self.poll_drain(cx))?;
        }
        self.outgoing.extend_from_slice(frames);
        Poll::Ready(Ok(frames.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
