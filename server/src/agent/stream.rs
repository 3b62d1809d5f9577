//! Packets over a byte stream: TCP, TLS, a Unix socket, a pipe in memory.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::transport::{Farewell, Received, Transport};

/// A byte stream that carries packets back to back. It keeps no buffer.
#[derive(Debug)]
pub struct StreamTransport<S> {
    stream: S,
}

impl<S> StreamTransport<S> {
    /// Carry packets over `stream`.
    pub fn new(stream: S) -> Self {
        Self { stream }
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Transport for StreamTransport<S> {
    fn poll_receive(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<Received>> {
        let mut buffer = ReadBuf::new(buffer);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
        Poll::Ready(Ok(match buffer.filled().len() {
            0 => Received::End,
            read => Received::Stream(read),
        }))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, packets: &[u8]) -> Poll<io::Result<usize>> {
        match ready!(Pin::new(&mut self.stream).poll_write(cx, packets))? {
            0 => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            taken => Poll::Ready(Ok(taken)),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_farewell(&mut self, cx: &mut Context<'_>, _farewell: Farewell) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
