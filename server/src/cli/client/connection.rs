//! One connection: whole packets out, whole packets in.

use std::{
    future::{Future as _, poll_fn},
    io,
    net::{IpAddr, SocketAddr},
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};

use anyhow::{Context as _, anyhow, bail};
use bytes::{Buf as _, Bytes, BytesMut};
use futures_util::{Sink as _, Stream as _};
use tokio::{
    io::{AsyncReadExt as _, AsyncWrite as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Error as WebSocketError, Message, error::ProtocolError, protocol::WebSocketConfig},
};

use super::endpoint::{Endpoint, Transport};
use crate::wire::{
    HEADER, Handshake, MAX_BODY, PacketKind, ServerHandshake, decode_handshake_response, decode_packet, encode_packet,
};

/// The code of a handshake response that accepts the client.
const ACCEPTED: u16 = 200;

/// How a connection is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// The address to connect from; the system chooses when there is none.
    pub(crate) source: Option<IpAddr>,
    /// Bytes asked for in one read: small for connections that wait, large for those that work.
    pub(crate) read_size: usize,
    /// How long connecting and the handshake may take together.
    pub(crate) timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Options { source: None, read_size: 16 * 1024, timeout: Duration::from_secs(5) }
    }
}

/// A connection past its handshake.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: Socket,
    incoming: BytesMut,
    /// Whole packets that wait to be written; on TCP the first `written` bytes have left.
    outgoing: BytesMut,
    written: usize,
    read_size: usize,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpStream),
    /// The flag says that messages were handed to the library and not yet flushed.
    WebSocket(Box<WebSocketStream<TcpStream>>, bool),
}

impl Connection {
    /// Connect, shake hands, and queue the Ack; it leaves with the first write.
    pub(crate) async fn open(endpoint: &Endpoint, options: &Options) -> anyhow::Result<(Connection, ServerHandshake)> {
        let opening = async {
            let mut connection = connect(endpoint, options).await?;
            handshake().encode(&mut connection.outgoing)?;
            connection.flush().await.context("the handshake could not be sent")?;
            let answer = loop {
                if let Some((answer, used)) = decode_handshake_response(&connection.incoming, MAX_BODY)? {
                    connection.incoming.advance(used);
                    break answer;
                }
                if !connection.fill().await? {
                    bail!("the server closed the connection before its handshake response");
                }
            };
            if answer.code != ACCEPTED {
                bail!("the server refused the handshake with code {}", answer.code);
            }
            connection.queue(PacketKind::Ack, &[])?;
            Ok((connection, answer))
        };
        let name = endpoint.name();
        match tokio::time::timeout(options.timeout, opening).await {
            Ok(result) => result.with_context(|| format!("cannot connect to {name}")),
            Err(_) => bail!("cannot connect to {name}: no handshake response within {:?}", options.timeout),
        }
    }

    /// The buffer that packets are queued in: append whole packets.
    pub(crate) fn outgoing(&mut self) -> &mut BytesMut {
        &mut self.outgoing
    }

    /// Queue one packet.
    pub(crate) fn queue(&mut self, kind: PacketKind, body: &[u8]) -> anyhow::Result<()> {
        encode_packet(kind, body, &mut self.outgoing).map_err(anyhow::Error::from)
    }

    /// Write what is queued; ready when nothing is left.
    pub(crate) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Tcp(stream) => {
                while let Some(rest) = self.outgoing.get(self.written..).filter(|rest| !rest.is_empty()) {
                    match ready!(Pin::new(&mut *stream).poll_write(context, rest))? {
                        0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                        count => self.written += count,
                    }
                }
                self.outgoing.clear();
                self.written = 0;
                Poll::Ready(Ok(()))
            }
            Socket::WebSocket(stream, unflushed) => {
                let mut stream = Pin::new(&mut **stream);
                while let Some(size) = first_packet(&self.outgoing) {
                    ready!(stream.as_mut().poll_ready(context)).map_err(into_io)?;
                    *unflushed = true;
                    let packet = self.outgoing.split_to(size).freeze();
                    stream.as_mut().start_send(Message::Binary(packet)).map_err(into_io)?;
                }
                if *unflushed {
                    ready!(stream.as_mut().poll_flush(context)).map_err(into_io)?;
                    *unflushed = false;
                }
                Poll::Ready(Ok(()))
            }
        }
    }

    /// Take a burst from the socket; ready with false at the end of the stream.
    pub(crate) fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        Poll::Ready(ready!(self.poll_read(context)).or_else(reset_is_the_end))
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        match &mut self.socket {
            Socket::Tcp(stream) => {
                self.incoming.reserve(self.read_size);
                // `read_buf` keeps no state between polls, so that it may be made anew for each.
                let count = ready!(pin!(stream.read_buf(&mut self.incoming)).poll(context))?;
                Poll::Ready(Ok(count > 0))
            }
            Socket::WebSocket(stream, _) => {
                let before = self.incoming.len();
                loop {
                    match Pin::new(&mut **stream).poll_next(context) {
                        Poll::Ready(Some(Ok(Message::Binary(bytes)))) => self.incoming.extend_from_slice(&bytes),
                        Poll::Ready(Some(Ok(Message::Text(text)))) => self.incoming.extend_from_slice(text.as_bytes()),
                        Poll::Ready(Some(Ok(_))) => {}
                        Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(into_io(error))),
                        Poll::Ready(None) => return Poll::Ready(Ok(self.incoming.len() > before)),
                        Poll::Pending if self.incoming.len() > before => return Poll::Ready(Ok(true)),
                        Poll::Pending => return Poll::Pending,
                    }
                }
            }
        }
    }

    /// Hand each whole packet that has arrived to `each`, in order. A heartbeat is answered instead: the answer is
    /// queued.
    pub(crate) fn drain(
        &mut self,
        mut each: impl FnMut(PacketKind, &[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut used = 0;
        while let Some((packet, size)) = decode_packet(self.incoming.get(used..).unwrap_or_default(), MAX_BODY)? {
            used += size;
            if packet.kind == PacketKind::Heartbeat {
                encode_packet(PacketKind::Heartbeat, &[], &mut self.outgoing)?;
            } else {
                each(packet.kind, packet.body)?;
            }
        }
        self.incoming.advance(used);
        Ok(())
    }

    /// Write what is queued.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        poll_fn(|context| self.poll_flush(context)).await
    }

    /// The next packet that is not a heartbeat; nothing at the end of the stream. What is queued meanwhile is written.
    ///
    /// Cancel safe: a packet that was not returned stays for the next call.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Option<(PacketKind, Bytes)>> {
        loop {
            while let Some((packet, size)) = decode_packet(&self.incoming, MAX_BODY)? {
                let (kind, body) = (packet.kind, Bytes::copy_from_slice(packet.body));
                self.incoming.advance(size);
                if kind != PacketKind::Heartbeat {
                    return Ok(Some((kind, body)));
                }
                self.queue(PacketKind::Heartbeat, &[])?;
            }
            if !self.fill().await? {
                return Ok(None);
            }
        }
    }

    /// Take a burst from the socket, and write what is queued meanwhile. False at the end of the stream.
    async fn fill(&mut self) -> io::Result<bool> {
        poll_fn(|context| {
            if let Poll::Ready(Err(error)) = self.poll_flush(context) {
                return Poll::Ready(Err(error));
            }
            self.poll_fill(context)
        })
        .await
    }

    /// Write what is queued, say that nothing more will come, and wait until the server has closed its end too.
    pub(crate) async fn close(mut self) -> anyhow::Result<()> {
        self.flush().await?;
        match &mut self.socket {
            Socket::Tcp(stream) => stream.shutdown().await?,
            Socket::WebSocket(stream, _) => stream.close(None).await.map_err(into_io)?,
        }
        // What still comes is of no use, and nothing may be answered any more.
        while poll_fn(|context| self.poll_fill(context)).await? {
            self.incoming.clear();
        }
        Ok(())
    }
}

/// A peer that resets the connection ends it like one that closes it.
fn reset_is_the_end(error: io::Error) -> io::Result<bool> {
    if error.kind() == io::ErrorKind::ConnectionReset { Ok(false) } else { Err(error) }
}

/// What this client says of itself: it wants to know why it is kicked. Codes in pushes are not asked for, so that a
/// push arrives with its route.
fn handshake() -> Handshake {
    Handshake {
        platform: "cereus".to_owned(),
        lib_version: env!("CARGO_PKG_VERSION").to_owned(),
        kick_reason: true,
        ..Handshake::default()
    }
}

async fn connect(endpoint: &Endpoint, options: &Options) -> anyhow::Result<Connection> {
    let mut failure = None;
    for address in endpoint.addresses() {
        match connect_tcp(*address, options).await {
            Ok(stream) => return finish(stream, endpoint, options).await,
            Err(error) => failure = Some(error),
        }
    }
    Err(match failure {
        Some(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            anyhow!("connection refused, nothing listens there")
        }
        Some(error) => error.into(),
        None => anyhow!("the name has no address"),
    })
}

async fn connect_tcp(address: SocketAddr, options: &Options) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_nodelay(true)?;
    if let Some(source) = options.source {
        socket.bind(SocketAddr::new(source, 0))?;
    }
    socket.connect(address).await
}

async fn finish(stream: TcpStream, endpoint: &Endpoint, options: &Options) -> anyhow::Result<Connection> {
    let socket = match endpoint.transport() {
        Transport::Tcp => Socket::Tcp(stream),
        Transport::WebSocket => {
            let config = WebSocketConfig::default()
                .read_buffer_size(options.read_size)
                .write_buffer_size(options.read_size.max(4096))
                .max_message_size(Some(HEADER + MAX_BODY))
                .max_frame_size(Some(HEADER + MAX_BODY));
            let url = format!("ws://{}/", endpoint.name());
            let (stream, _) = tokio_tungstenite::client_async_with_config(url, stream, Some(config))
                .await
                .context("the WebSocket upgrade failed")?;
            Socket::WebSocket(Box::new(stream), false)
        }
    };
    Ok(Connection {
        socket,
        incoming: BytesMut::new(),
        outgoing: BytesMut::new(),
        written: 0,
        read_size: options.read_size,
    })
}

/// The size of the first whole packet in `bytes`, its header included.
fn first_packet(bytes: &[u8]) -> Option<usize> {
    let [_, high, middle, low] = *bytes.first_chunk::<HEADER>()?;
    let size = HEADER + u32::from_be_bytes([0, high, middle, low]) as usize;
    (bytes.len() >= size).then_some(size)
}

fn into_io(error: WebSocketError) -> io::Error {
    match error {
        WebSocketError::Io(error) => error,
        WebSocketError::ConnectionClosed
        | WebSocketError::AlreadyClosed
        | WebSocketError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
            io::ErrorKind::ConnectionReset.into()
        }
        error => io::Error::other(error),
    }
}
