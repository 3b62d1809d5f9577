//! A frontend just large enough to test clients: it shakes hands and answers by the last part of the route.

use std::{net::SocketAddr, time::Duration};

use bytes::{Buf as _, Bytes, BytesMut};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::broadcast,
    task::JoinSet,
};
use tokio_tungstenite::{WebSocketStream, tungstenite::Message as Frame};

use super::Transport;
use crate::wire::{
    Dictionary, Error, HEADER, HandshakeResponse, MAX_BODY, MessageKind, Outbound, PacketKind, decode_message,
    decode_packet, encode_packet, encode_push, encode_response,
};

/// Serves until it is dropped.
///
/// The type `error` answers with errors only; `join` makes a connection a member; what is sent to `say` is pushed to all members.
pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl TestServer {
    /// Listen on a free port. The server sends a heartbeat right after each Ack.
    pub(crate) async fn start(transport: Transport) -> TestServer {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        let room: broadcast::Sender<Bytes> = broadcast::Sender::new(4096);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                match transport {
                    Transport::Tcp => connections.spawn(serve_tcp(stream, room.clone())),
                    Transport::WebSocket => connections.spawn(serve_websocket(stream, room.clone())),
                };
                while connections.try_join_next().is_some() {}
            }
        });
        TestServer { address, _tasks: tasks }
    }

    pub(crate) fn name(&self) -> String {
        self.address.to_string()
    }
}

/// What is said to a connection that has joined; nothing to others.
async fn said(joined: &mut Option<broadcast::Receiver<Bytes>>) -> Bytes {
    match joined {
        Some(said) => said.recv().await.unwrap(),
        None => std::future::pending().await,
    }
}

async fn serve_tcp(mut stream: TcpStream, room: broadcast::Sender<Bytes>) {
    let (mut input, mut output, mut joined) = (BytesMut::new(), BytesMut::new(), None);
    loop {
        let open = tokio::select! {
            read = stream.read_buf(&mut input) => {
                read.is_ok_and(|count| count > 0) && answer(&mut input, &mut output, &room, &mut joined)
            }
            said = said(&mut joined) => {
                output.extend_from_slice(&said);
                true
            }
        };
        if stream.write_all(&output.split()).await.is_err() || !open {
            return;
        }
    }
}

async fn serve_websocket(stream: TcpStream, room: broadcast::Sender<Bytes>) {
    let Ok(mut stream) = tokio_tungstenite::accept_async(stream).await else { return };
    let (mut input, mut output, mut joined) = (BytesMut::new(), BytesMut::new(), None);
    loop {
        let open = tokio::select! {
            frame = stream.next() => {
                let Some(Ok(frame)) = frame else { return };
                input.extend_from_slice(&frame.into_data());
                answer(&mut input, &mut output, &room, &mut joined)
            }
            said = said(&mut joined) => {
                output.extend_from_slice(&said);
                true
            }
        };
        if send(&mut stream, &mut output).await.is_err() || !open {
            return;
        }
    }
}

async fn send(stream: &mut WebSocketStream<TcpStream>, output: &mut BytesMut) -> Result<(), ()> {
    while let Some((_, size)) = decode_packet(output, MAX_BODY).unwrap() {
        assert!(size >= HEADER);
        stream.feed(Frame::Binary(output.split_to(size).freeze())).await.map_err(drop)?;
    }
    stream.flush().await.map_err(drop)
}

/// Answer all whole packets of `input`; false when the connection is to be closed.
fn answer(
    input: &mut BytesMut,
    output: &mut BytesMut,
    room: &broadcast::Sender<Bytes>,
    joined: &mut Option<broadcast::Receiver<Bytes>>,
) -> bool {
    let (plain, none) = (Outbound::PLAIN, Dictionary::default());
    while let Some((packet, size)) = decode_packet(input, MAX_BODY).unwrap() {
        match packet.kind {
            PacketKind::Handshake => {
                let heartbeat = Duration::from_secs(30);
                let response = HandshakeResponse { code: 200, dictionary: &none, heartbeat, serializer: "json" };
                response.encode(plain, output).unwrap();
            }
            PacketKind::Ack => encode_packet(PacketKind::Heartbeat, &[], output).unwrap(),
            PacketKind::Heartbeat | PacketKind::Kick => {}
            PacketKind::Data => {
                let body = bytes::Bytes::copy_from_slice(packet.body);
                let message = decode_message(body, &none, MAX_BODY).unwrap();
                let id = message.id;
                let is_wrong = message.route.starts_with("error.");
                match if is_wrong { "error" } else { message.route.rsplit('.').next().unwrap() } {
                    "echo" => encode_response(id, &message.body, false, plain, output).unwrap(),
                    "error" => {
                        let error = Error::new("PIT-500", "broken").with("part", "wheel").to_json();
                        encode_response(id, &error, true, plain, output).unwrap();
                    }
                    "push" => {
                        encode_push("onFirst", b"{\"n\":1}", &none, plain, output).unwrap();
                        encode_push("onSecond", b"two", &none, plain, output).unwrap();
                        if message.kind == MessageKind::Request {
                            encode_response(id, b"done", false, plain, output).unwrap();
                        }
                    }
                    "twice" => {
                        encode_response(id, b"1", false, plain, output).unwrap();
                        encode_response(id, b"2", false, plain, output).unwrap();
                    }
                    "join" => {
                        *joined = Some(room.subscribe());
                        encode_response(id, b"ack", false, plain, output).unwrap();
                    }
                    "say" => {
                        let mut push = BytesMut::new();
                        encode_push("onSay", &message.body, &none, plain, &mut push).unwrap();
                        // Nobody has joined.
                        let _ = room.send(push.freeze());
                    }
                    "kick" => encode_packet(PacketKind::Kick, b"enough", output).unwrap(),
                    "silent" => {}
                    _ => return false,
                }
            }
        }
        input.advance(size);
    }
    true
}
