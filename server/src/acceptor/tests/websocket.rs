//! WebSocket, against the library's own client on loopback.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{
        Message,
        protocol::{
            CloseFrame,
            frame::{
                Frame,
                coding::{CloseCode, Data, OpCode},
            },
        },
    },
};

use super::Running;
use crate::{
    acceptor::WebSocketAcceptor,
    agent::testing::{ACK, HEARTBEAT, Notes, handshake, request},
    session::{CloseReason, KickReason},
};

type Client = WebSocketStream<TcpStream>;

const MAX_PACKET: usize = 1 << 20;

async fn start() -> (Running, Client) {
    let acceptor = WebSocketAcceptor::bind("ws", (Ipv4Addr::LOCALHOST, 0).into(), MAX_PACKET).expect("a free port");
    let address = acceptor.local_address();
    let running = Running::start(acceptor);
    let stream = TcpStream::connect(address).await.expect("it listens");
    let (client, _) = client_async(format!("ws://{address}/"), stream).await.expect("it upgrades");
    (running, client)
}

async fn start_working() -> (Running, Client, Arc<Notes>) {
    let (mut running, mut client) = start().await;
    send(&mut client, handshake("{}")).await;
    assert_eq!(packet(&mut client).await[0], 1);
    send(&mut client, ACK.to_vec()).await;
    let notes = running.bench.opened().await;
    (running, client, notes)
}

async fn send(client: &mut Client, bytes: Vec<u8>) {
    client.send(Message::Binary(bytes.into())).await.expect("the server reads");
}

/// The next binary message.
async fn packet(client: &mut Client) -> Vec<u8> {
    match client.next().await {
        Some(Ok(Message::Binary(packet))) => packet.to_vec(),
        other => panic!("{other:?} is no packet"),
    }
}

/// The code of the server's close.
async fn close_code(client: &mut Client) -> Option<CloseCode> {
    loop {
        match client.next().await {
            Some(Ok(Message::Close(frame))) => return frame.map(|frame| frame.code),
            Some(Ok(_)) => (),
            Some(Err(_)) | None => return None,
        }
    }
}

async fn ended(running: Running, reason: CloseReason) {
    timeout(Duration::from_secs(5), async {
        while running.bench.closed().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the connection ends");
    assert_eq!(running.bench.closed(), [(reason, 1)]);
    running.end().await;
}

#[tokio::test]
async fn one_packet_in_each_message_out_any_number_in() {
    let (running, mut client, notes) = start_working().await;
    send(&mut client, [request(1, "a", "one"), HEARTBEAT.to_vec(), request(2, "a", "two")].concat()).await;
    assert_eq!(&*notes.next_message().await.body, b"one");
    assert_eq!(&*notes.next_message().await.body, b"two");
    for id in [1, 2, 3] {
        notes.client.respond(id, Ok("x".repeat(50 * id as usize * id as usize).into()));
    }
    notes.push("route", "last").expect("there is room");
    assert_eq!(packet(&mut client).await[..6], [4, 0, 0, 52, 4, 1]);
    assert_eq!(packet(&mut client).await[4..6], [0x14, 2]);
    packet(&mut client).await;
    assert_eq!(packet(&mut client).await, b"\x04\0\0\x0b\x06\x05routelast");
    client.close(None).await.expect("the server reads");
    assert_eq!(notes.next_close().await, CloseReason::ClientClosed);
    ended(running, CloseReason::ClientClosed).await;
}

#[tokio::test]
async fn text_and_fragments_are_taken() {
    let (running, mut client, notes) = start_working().await;
    let text = String::from_utf8(request(1, "a", "as text")).expect("it happens to be UTF-8");
    client.send(Message::text(text)).await.expect("the server reads");
    assert_eq!(&*notes.next_message().await.body, b"as text");
    let whole = request(2, "a", "in fragments");
    let (first, rest) = whole.split_at(3);
    let (second, third) = rest.split_at(9);
    let parts = [(first, Data::Binary, false), (second, Data::Continue, false), (third, Data::Continue, true)];
    for (part, data, last) in parts {
        let frame = Frame::message(part.to_vec(), OpCode::Data(data), last);
        client.send(Message::Frame(frame)).await.expect("the server reads");
        // Control frames may come between fragments.
        client.send(Message::Ping("here".into())).await.expect("the server reads");
    }
    assert_eq!(&*notes.next_message().await.body, b"in fragments");
    for _ in parts {
        assert_eq!(client.next().await.expect("open").expect("well-formed"), Message::Pong("here".into()));
    }
    drop(client);
    ended(running, CloseReason::ClientClosed).await;
}

#[tokio::test]
async fn a_message_that_ends_inside_a_packet_closes() {
    let (running, mut client, notes) = start_working().await;
    let whole = request(1, "a", "body");
    send(&mut client, whole[..whole.len() - 1].to_vec()).await;
    assert_eq!(close_code(&mut client).await, Some(CloseCode::Protocol));
    assert_eq!(notes.next_close().await, CloseReason::MalformedPacket);
    ended(running, CloseReason::MalformedPacket).await;
}

#[tokio::test]
async fn the_close_is_answered() {
    let (running, mut client, _) = start_working().await;
    let close = CloseFrame { code: CloseCode::Away, reason: "bye".into() };
    client.send(Message::Close(Some(close))).await.expect("the server reads");
    assert_eq!(close_code(&mut client).await, Some(CloseCode::Away));
    ended(running, CloseReason::ClientClosed).await;
}

#[tokio::test]
async fn a_drain_tells_the_client_to_come_back() {
    let (running, mut client, notes) = start_working().await;
    notes.push("before", "").expect("there is room");
    running.bench.worker.close_all();
    assert_eq!(&packet(&mut client).await[6..], b"before");
    assert_eq!(close_code(&mut client).await, Some(CloseCode::Restart));
    ended(running, CloseReason::Draining).await;
}

#[tokio::test]
async fn a_kick_is_the_last_packet() {
    let (running, mut client, notes) = start_working().await;
    notes.entity.kick(notes.record.id(), KickReason::Application);
    assert_eq!(packet(&mut client).await, [5, 0, 0, 0]);
    assert_eq!(close_code(&mut client).await, Some(CloseCode::Normal));
    ended(running, CloseReason::Kicked).await;
}

#[tokio::test]
async fn a_refused_client_reads_why() {
    let (running, mut client) = start().await;
    send(&mut client, handshake("[]")).await;
    assert!(packet(&mut client).await[4..].starts_with(br#"{"code":400,"#));
    assert_eq!(close_code(&mut client).await, Some(CloseCode::Policy));
    ended(running, CloseReason::InvalidHandshake).await;
}

#[tokio::test]
async fn large_packets_go_both_ways() {
    let (running, mut client, notes) = start_working().await;
    let body: String = (0..MAX_PACKET / 8).map(|number| format!("{number:07x} ")).take(131_000).collect();
    send(&mut client, request(1, "a", &body)).await;
    let message = notes.next_message().await;
    assert!(message.body == body.as_bytes());
    for _ in 0..3 {
        notes.client.respond(1, Ok(vec![7; 300].into()));
    }
    notes.client.respond(2, Ok(vec![7; 8 << 20].into()));
    for _ in 0..4 {
        assert_eq!(packet(&mut client).await[0], 4);
    }
    send(&mut client, [4, 0x11, 0, 0].into_iter().chain(vec![0; 0x11_0000]).collect()).await;
    ended(running, CloseReason::TooLarge).await;
}

#[tokio::test]
async fn a_stranger_may_not_send_much() {
    let (running, mut client) = start().await;
    // One message that is never finished.
    let frame = Frame::message(vec![0; 100_000], OpCode::Data(Data::Binary), false);
    let _ = client.send(Message::Frame(frame)).await;
    ended(running, CloseReason::TooLarge).await;
}

#[tokio::test]
async fn what_is_no_upgrade_is_dropped() {
    let acceptor = WebSocketAcceptor::bind("ws", (Ipv4Addr::LOCALHOST, 0).into(), MAX_PACKET).expect("a free port");
    let address = acceptor.local_address();
    let running = Running::start(acceptor);
    for nonsense in [&b"\x01\0\0\0{}"[..], b"GET / HTTP/1.1\r\nHost: game\r\n\r\n"] {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        stream.write_all(nonsense).await.expect("the server reads");
        stream.shutdown().await.expect("it is open");
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        assert_eq!(rest, b"");
    }
    assert_eq!(running.bench.worker.counts().opened(), 0);
    running.end().await;
}
