//! One upgraded connection.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_util::{Sink, Stream};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::{
    WebSocketStream, accept_async_with_config,
    tungstenite::{
        Error, Message,
        error::ProtocolError,
        protocol::{CloseFrame, WebSocketConfig, frame::coding::CloseCode},
    },
};

use super::{
    super::{Farewell, Received, Transport},
    channel::Channel,
};

/// The library's own buffers: it keeps the first for each connection, and the second holds control frames only.
const READ_BUFFER: usize = 1024;
const WRITE_BUFFER: usize = 4096;

/// Length of a packet's header.
const HEADER: usize = 4;

/// A message may hold several packets; together they may exceed the largest one by this much.
const SEVERAL_PACKETS: usize = 64 << 10;

/// What may be read for the upgrade itself, request line and headers.
const UPGRADE: usize = 16 << 10;

/// What frames and control frames may add to the packets before the limit for packets is full.
const FRAMING: usize = 4 << 10;

/// Packets in WebSocket messages: the server sends one packet in each, and takes any number in text or binary ones.
#[derive(Debug)]
pub struct WebSocketTransport<S> {
    socket: WebSocketStream<Channel<S>>,
    max_packet: usize,
    said_farewell: bool,
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> WebSocketTransport<S> {
    /// Answer the upgrade request that comes on `stream`. `max_packet` is the largest packet body that
    /// [`limit_packet`](Transport::limit_packet) will ever ask for.
    ///
    /// # Errors
    /// When the stream ends, or what comes is no upgrade request.
    pub async fn accept(stream: S, max_packet: usize) -> io::Result<Self> {
        let largest = max_packet + HEADER + SEVERAL_PACKETS;
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(WRITE_BUFFER)
            .max_write_buffer_size(2 * WRITE_BUFFER)
            .max_message_size(Some(largest))
            .max_frame_size(Some(largest));
        let upgrade = accept_async_with_config(Channel::new(stream, UPGRADE), Some(config));
        let mut socket = upgrade.await.map_err(failure)?;
        socket.get_mut().set_upgraded();
        Ok(Self { socket, max_packet, said_farewell: false })
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Transport for WebSocketTransport<S> {
    fn poll_receive(&mut self, cx: &mut Context<'_>, _buffer: &mut [u8]) -> Poll<io::Result<Received>> {
        loop {
            return Poll::Ready(match ready!(Pin::new(&mut self.socket).poll_next(cx)) {
                Some(Ok(Message::Binary(message))) => Ok(Received::Message(message)),
                Some(Ok(Message::Text(message))) => Ok(Received::Message(Bytes::from(message))),
                // The library answers pings and closes by itself when it is asked for the next message.
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_))) => continue,
                // Clients that vanish without a word are no news. The library has left its answer to a close unwritten.
                Some(Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake))) | None => {
                    let _ = Pin::new(self.socket.get_mut()).poll_flush(cx);
                    Ok(Received::End)
                }
                Some(Err(error)) => Err(failure(error)),
            });
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, packets: &[u8]) -> Poll<io::Result<usize>> {
        if self.socket.get_ref().is_full() {
            ready!(self.poll_flush(cx))?;
        }
        let channel = self.socket.get_mut();
        let mut taken = 0;
        while let Some(packet) = packets.get(taken..).and_then(first_packet) {
            channel.put(packet);
            taken += packet.len();
            if channel.is_full() {
                break;
            }
        }
        if taken == 0 {
            return Poll::Ready(Err(io::ErrorKind::InvalidInput.into()));
        }
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx).map_err(failure)
    }

    fn poll_farewell(&mut self, cx: &mut Context<'_>, farewell: Farewell) -> Poll<io::Result<()>> {
        if !self.said_farewell {
            self.said_farewell = true;
            let code = match farewell {
                Farewell::Normal => CloseCode::Normal,
                Farewell::Restart => CloseCode::Restart,
                Farewell::Violation => CloseCode::Protocol,
                Farewell::Refused => CloseCode::Policy,
            };
            let close = Message::Close(Some(CloseFrame { code, reason: "".into() }));
            match Pin::new(&mut self.socket).start_send(close) {
                // The peer was first: the library has answered already.
                Ok(()) | Err(Error::ConnectionClosed | Error::AlreadyClosed | Error::Protocol(_)) => (),
                Err(error) => return Poll::Ready(Err(failure(error))),
            }
        }
        self.poll_flush(cx)
    }

    fn limit_packet(&mut self, bytes: usize) {
        let budget = if bytes < self.max_packet { bytes + HEADER + FRAMING } else { usize::MAX };
        self.socket.get_mut().set_budget(budget);
    }
}

/// The packet that `packets` begins with. The server encoded it, so it is whole.
fn first_packet(packets: &[u8]) -> Option<&[u8]> {
    let [_, high, middle, low, ..] = *packets else { return None };
    packets.get(..HEADER + u32::from_be_bytes([0, high, middle, low]) as usize)
}

/// What the library says, as the agent understands it.
fn failure(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        Error::Capacity(error) => io::Error::new(io::ErrorKind::FileTooLarge, error),
        Error::ConnectionClosed | Error::AlreadyClosed => io::ErrorKind::NotConnected.into(),
        other => io::Error::new(io::ErrorKind::InvalidData, other),
    }
}
