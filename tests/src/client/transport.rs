//! Bytes on a socket, over TCP or WebSocket.

use std::net::SocketAddr;

use anyhow::{Context as _, bail, ensure};
use bytes::{Bytes, BytesMut};
use futures_util::{
    SinkExt as _, StreamExt as _,
    stream::{SplitSink, SplitStream},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::WebSocketConfig},
};

use super::wire;

/// How packets travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Back to back on a TCP stream.
    Tcp,
    /// In binary WebSocket messages.
    WebSocket,
}

/// The sending half of a connection.
#[derive(Debug)]
pub(super) enum Writer {
    Tcp(OwnedWriteHalf),
    WebSocket(SplitSink<WebSocketStream<TcpStream>, Message>),
}

/// The receiving half of a connection.
#[derive(Debug)]
pub(super) enum Reader {
    Tcp(OwnedReadHalf, BytesMut),
    WebSocket(SplitStream<WebSocketStream<TcpStream>>),
}

/// What the receiving half gives.
#[derive(Debug)]
pub(super) enum Received {
    /// A packet's type and body.
    Packet(u8, Bytes),
    /// The end of the stream, and how it came.
    End(String),
}

pub(super) async fn connect(address: SocketAddr, transport: Transport) -> anyhow::Result<(Writer, Reader)> {
    let stream = TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
    stream.set_nodelay(true)?;
    match transport {
        Transport::Tcp => {
            let (reader, writer) = stream.into_split();
            Ok((Writer::Tcp(writer), Reader::Tcp(reader, BytesMut::new())))
        }
        Transport::WebSocket => {
            let config = WebSocketConfig::default().max_frame_size(None).max_message_size(None);
            let url = format!("ws://{address}/");
            let (stream, _) = tokio_tungstenite::client_async_with_config(url, stream, Some(config)).await?;
            let (writer, reader) = stream.split();
            Ok((Writer::WebSocket(writer), Reader::WebSocket(reader)))
        }
    }
}

impl Writer {
    /// Send `bytes` with one write, or as one binary message.
    pub(super) async fn send(&mut self, bytes: Vec<u8>) -> anyhow::Result<()> {
        match self {
            Writer::Tcp(writer) => writer.write_all(&bytes).await?,
            Writer::WebSocket(writer) => writer.send(Message::Binary(bytes.into())).await?,
        }
        Ok(())
    }

    /// Send packets with one write; on a WebSocket each is a message of its own.
    pub(super) async fn send_packets(&mut self, packets: Vec<Vec<u8>>) -> anyhow::Result<()> {
        match self {
            Writer::Tcp(writer) => writer.write_all(&packets.concat()).await?,
            Writer::WebSocket(writer) => {
                for packet in packets {
                    writer.feed(Message::Binary(packet.into())).await?;
                }
                writer.flush().await?;
            }
        }
        Ok(())
    }

    /// Send one WebSocket message as it is.
    pub(super) async fn send_frame(&mut self, message: Message) -> anyhow::Result<()> {
        match self {
            Writer::Tcp(_) => bail!("a TCP connection has no frames"),
            Writer::WebSocket(writer) => Ok(writer.send(message).await?),
        }
    }

    /// Say that nothing more will be sent.
    pub(super) async fn finish(&mut self) -> anyhow::Result<()> {
        match self {
            Writer::Tcp(writer) => writer.shutdown().await?,
            Writer::WebSocket(writer) => writer.send(Message::Close(None)).await?,
        }
        Ok(())
    }
}

impl Reader {
    /// The next packet. A WebSocket message that is not exactly one packet is an error: existing clients read one.
    pub(super) async fn receive(&mut self) -> anyhow::Result<Received> {
        match self {
            Reader::Tcp(reader, buffer) => loop {
                if let Some((kind, body, size)) = wire::first_packet(buffer)? {
                    let body = Bytes::copy_from_slice(body);
                    let _ = buffer.split_to(size);
                    return Ok(Received::Packet(kind, body));
                }
                match reader.read_buf(buffer).await {
                    Ok(0) if buffer.is_empty() => return Ok(Received::End("end of stream".to_owned())),
                    Ok(0) => bail!("the stream ended inside a packet"),
                    Ok(_) => {}
                    Err(error) => return Ok(Received::End(error.to_string())),
                }
            },
            Reader::WebSocket(reader) => loop {
                match reader.next().await {
                    Some(Ok(Message::Binary(bytes))) => {
                        let Some((kind, body, size)) = wire::first_packet(&bytes)? else {
                            bail!("a message of {} bytes that is no whole packet", bytes.len());
                        };
                        ensure!(size == bytes.len(), "a message with {} bytes after its packet", bytes.len() - size);
                        return Ok(Received::Packet(kind, bytes.slice_ref(body)));
                    }
                    Some(Ok(Message::Close(frame))) => {
                        let code = frame.map_or(1005, |frame| frame.code.into());
                        return Ok(Received::End(format!("close frame {code}")));
                    }
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    Some(Ok(message)) => bail!("a message that is not binary: {message:?}"),
                    Some(Err(error)) => return Ok(Received::End(error.to_string())),
                    None => return Ok(Received::End("end of stream".to_owned())),
                }
            },
        }
    }
}
