//! Whatever a client sends, a server goes on serving the others.

use std::net::SocketAddr;

use cereus_tests::client::{Client, Heartbeats, Options, Transport, wire};
use rand::{Rng as _, RngCore as _, SeedableRng as _, rngs::StdRng};
use serde::Deserialize;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
};
use tokio_tungstenite::tungstenite::Message as Frame;

use crate::{TRANSPORTS, assert_serves, json_cluster};

/// The protocol's vectors, shared with the server's own tests.
const VECTORS: &str = include_str!("../../../server/testdata/vectors.json");

#[derive(Deserialize)]
struct Vectors {
    packets: Vec<PacketVector>,
    bad_messages: Vec<MessageVector>,
    handshake_requests_ok: Vec<String>,
    handshake_requests_bad: Vec<String>,
}

#[derive(Deserialize)]
struct PacketVector {
    case: String,
    hex: String,
    error: Option<String>,
}

#[derive(Deserialize)]
struct MessageVector {
    hex: String,
    why: String,
}

fn vectors() -> Vectors {
    serde_json::from_str(VECTORS).unwrap()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

async fn assert_closed(client: Client, case: &str) {
    client.closed().await.unwrap_or_else(|error| panic!("{case}: {error:#}"));
}

#[tokio::test]
async fn each_malformed_packet_closes_just_its_connection() {
    let cluster = json_cluster(0).await;
    let witness = cluster.client(Transport::Tcp).await.unwrap();
    let vectors = vectors();
    for transport in TRANSPORTS {
        for PacketVector { case, hex, .. } in vectors.packets.iter().filter(|vector| vector.error.is_some()) {
            let client = cluster.client(transport).await.unwrap();
            client.send_raw(bytes(hex)).await.unwrap();
            assert_closed(client, &format!("{case} over {transport:?}")).await;
            assert_serves(&witness).await;
        }
        for MessageVector { hex, why } in &vectors.bad_messages {
            let client = cluster.client(transport).await.unwrap();
            client.send_packets(vec![wire::packet(wire::DATA, &bytes(hex))]).await.unwrap();
            assert_closed(client, &format!("{why} ({hex}) over {transport:?}")).await;
            assert_serves(&witness).await;
        }
    }
}

#[tokio::test]
async fn handshakes_are_taken_and_refused_as_the_vectors_say() {
    let cluster = json_cluster(0).await;
    let Vectors { handshake_requests_ok, handshake_requests_bad, .. } = vectors();
    let good = handshake_requests_ok.iter().map(|body| (body, 200));
    let bad = handshake_requests_bad.iter().map(|body| (body, 400));
    for transport in TRANSPORTS {
        for (body, code) in good.clone().chain(bad.clone()) {
            let client = cluster.stranger(transport, &Options::default()).await.unwrap();
            client.handshake(body).await.unwrap();
            assert_eq!(client.handshake_response().await.unwrap().code, code, "{body:?} over {transport:?}");
            if code == 200 {
                client.ack().await.unwrap();
                assert_serves(&client).await;
            } else {
                assert_closed(client, body).await;
            }
        }
    }
}

#[tokio::test]
async fn a_packet_over_the_limit_closes_on_its_header_alone() {
    let cluster = json_cluster(0).await;
    for transport in TRANSPORTS {
        // 1 MiB once the client works, 16 KiB before.
        let client = cluster.client(transport).await.unwrap();
        client.send_raw([4, 0x10, 0, 1]).await.unwrap();
        assert_closed(client, "over 1 MiB").await;
        let stranger = cluster.stranger(transport, &Options::default()).await.unwrap();
        stranger.send_raw([1, 0, 0x40, 1]).await.unwrap();
        assert_closed(stranger, "over 16 KiB").await;
    }
}

#[tokio::test]
async fn a_compressed_body_that_inflates_too_far_closes() {
    let cluster = json_cluster(0).await;
    let witness = cluster.client(Transport::Tcp).await.unwrap();
    for transport in TRANSPORTS {
        let client = cluster.client(transport).await.unwrap();
        let bomb = wire::compressed_request(1, "connector.bench.echo", &vec![0; 8 << 20]);
        client.send_packets(vec![bomb]).await.unwrap();
        assert_closed(client, "a bomb").await;
    }
    assert_serves(&witness).await;
}

#[tokio::test]
async fn a_websocket_message_that_ends_inside_a_packet_closes() {
    let cluster = json_cluster(0).await;
    let whole = wire::request(1, "connector.bench.echo", b"x");
    for length in 1..whole.len() {
        let client = cluster.client(Transport::WebSocket).await.unwrap();
        client.send_raw(&whole[..length]).await.unwrap();
        assert_closed(client, &format!("{length} bytes of a packet")).await;
    }
}

#[tokio::test]
async fn text_messages_are_read_like_binary_ones() {
    let cluster = json_cluster(0).await;
    let client = cluster.client(Transport::WebSocket).await.unwrap();
    // A notify's bytes are all valid UTF-8 here.
    let text = String::from_utf8(wire::request(1, "connector.bench.echo", b"text")).unwrap();
    client.send_frame(Frame::Text(text.into())).await.unwrap();
    assert_eq!(client.reply(1).await.unwrap().text().unwrap(), "text");
}

/// Streams in all, and how many run side by side.
const STREAMS: usize = 10_000;
const AT_ONCE: usize = 50;

/// What a good client says, the handshake first.
fn good_stream() -> (Vec<u8>, Vec<u8>) {
    let start = [wire::packet(wire::HANDSHAKE, b"{}"), wire::packet(wire::ACK, &[])].concat();
    let rest = [
        wire::request(1, "connector.bench.echo", b"hello"),
        wire::packet(wire::HEARTBEAT, &[]),
        wire::notify("connector.testsvc.testsendgroupmsg", b"hello"),
        wire::compressed_request(2, "game.bench.echo", &[b'x'; 200]),
        wire::request(300, "game.bench.echoobj", br#"{"msg":"hello"}"#),
    ];
    (start, rest.concat())
}

fn mutate(stream: &mut Vec<u8>, random: &mut StdRng) {
    for _ in 0..random.random_range(1..=4) {
        let at = random.random_range(0..stream.len());
        match random.random_range(0..5) {
            0 => stream[at] ^= 1 << random.random_range(0..8),
            1 => stream[at] = random.random(),
            2 => stream.truncate(at.max(1)),
            3 => stream.insert(at, random.random()),
            _ => drop(stream.remove(at)),
        }
        if stream.is_empty() {
            stream.push(0);
        }
    }
}

fn stream(number: usize, random: &mut StdRng) -> Vec<u8> {
    let (mut start, mut rest) = good_stream();
    if number.is_multiple_of(2) {
        mutate(&mut rest, random);
        start.append(&mut rest);
        return start;
    }
    let mut noise = vec![0; random.random_range(1..400)];
    random.fill_bytes(&mut noise);
    if number % 4 == 1 {
        // Noise alone mostly ends at its first byte: here the first header is sound.
        noise[0] = random.random_range(1..=5);
        noise.iter_mut().skip(1).take(2).for_each(|byte| *byte = 0);
    }
    noise
}

/// Send `stream`, say that this is all, and read until the server closes.
async fn play(address: SocketAddr, stream: Vec<u8>) {
    let mut socket = TcpStream::connect(address).await.unwrap();
    // The server may close before it has read all.
    let _ = socket.write_all(&stream).await;
    let _ = socket.shutdown().await;
    let mut answer = Vec::new();
    let reading = socket.read_to_end(&mut answer);
    let closed = tokio::time::timeout(cereus_tests::client::TIMEOUT, reading).await;
    assert!(closed.is_ok(), "the server did not close after {stream:?}");
}

#[tokio::test]
async fn ten_thousand_random_streams_leave_the_server_serving() {
    let mut cluster = json_cluster(1).await;
    let options = Options { heartbeats: Heartbeats::Answer, ..Options::default() };
    let witness = cluster.client_with(Transport::WebSocket, &options).await.unwrap();
    let address = cluster.address(Transport::Tcp).unwrap();
    let mut random = StdRng::seed_from_u64(11);
    let mut players = JoinSet::new();
    for number in 0..STREAMS {
        let stream = stream(number, &mut random);
        players.spawn(play(address, stream));
        if players.len() == AT_ONCE {
            players.join_next().await.unwrap().unwrap();
        }
        if number % 1000 == 0 {
            assert_serves(&witness).await;
        }
    }
    while let Some(result) = players.join_next().await {
        result.unwrap();
    }
    assert_serves(&witness).await;
    assert_serves(&cluster.client(Transport::Tcp).await.unwrap()).await;
    for name in ["connector-1", "game-1"] {
        assert!(cluster.process(name).unwrap().is_running(), "{name}");
    }
}
