//! The handshake's details.

use std::time::Duration;

use tokio::{io::AsyncReadExt, time::Instant};

use super::{Bench, PLAIN_ANSWER, PLAIN_HANDSHAKE, bench_with, connect, connect_as, once};
use crate::{
    agent::testing::{ACK, HEARTBEAT, handshake, request},
    session::CloseReason,
};

#[tokio::test(start_paused = true)]
async fn what_is_sent_together_is_answered_in_turn() {
    let mut bench = bench_with(|_| ());
    let mut client = connect(&bench);
    let together =
        [&handshake(PLAIN_HANDSHAKE)[..], &ACK, &request(1, "a", "one"), &request(2, "a", "two"), &HEARTBEAT].concat();
    client.send(&together).await;
    assert_eq!(client.packet().await, (1, PLAIN_ANSWER.into()));
    let notes = bench.opened().await;
    for (id, body) in [(1, "one"), (2, "two")] {
        let message = notes.next_message().await;
        assert_eq!((message.id, &*message.body), (id, body.as_bytes()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_cut_at_any_byte_means_the_same() {
    let together = [&handshake(PLAIN_HANDSHAKE)[..], &ACK, &request(300, "room.room.join", "{}")].concat();
    for cut in 1..together.len() {
        let mut bench = bench_with(|_| ());
        let mut client = connect(&bench);
        let (first, second) = together.split_at(cut);
        client.send(first).await;
        // Virtual time moves on only when the server has nothing left to do.
        tokio::time::sleep(Duration::from_millis(1)).await;
        client.send(second).await;
        assert_eq!(client.packet().await, (1, PLAIN_ANSWER.into()), "cut at {cut}");
        let message = bench.opened().await.next_message().await;
        assert_eq!((message.id, message.route.as_str(), &*message.body), (300, "room.room.join", &b"{}"[..]));
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_follows_the_answer_before_the_ack() {
    let mut bench = bench_with(|_| ());
    let mut client = connect(&bench);
    client.send(&handshake(PLAIN_HANDSHAKE)).await;
    client.packet().await;
    let quiet = tokio::time::timeout(Duration::from_secs(9), client.pipe.read_u8()).await;
    assert!(quiet.is_err(), "something came: {quiet:?}");
    client.send(&ACK).await;
    bench.opened().await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_fit_at_once_is_still_whole() {
    let mut bench = bench_with(|_| ());
    let (mut client, _) = connect_as(&mut bench, 7, PLAIN_HANDSHAKE).await;
    client.send(&HEARTBEAT).await;
    assert_eq!(bench.worker.counts().open(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_runs_until_the_ack() {
    for greeted in [false, true] {
        let bench = bench_with(|_| ());
        let start = Instant::now();
        let mut client = connect(&bench);
        if greeted {
            tokio::time::sleep(Duration::from_secs(6)).await;
            client.send(&handshake(PLAIN_HANDSHAKE)).await;
            client.packet().await;
            client.send(&HEARTBEAT).await;
        }
        assert_eq!(client.rest().await, b"");
        assert_eq!(start.elapsed().as_secs(), 10, "greeted: {greeted}");
        client.gone().await;
        assert_eq!(bench.closed(), once(CloseReason::HandshakeTimeout));
    }
}

#[tokio::test(start_paused = true)]
async fn opening_the_transport_counts_against_the_deadline() {
    let bench = bench_with(|_| ());
    let start = Instant::now();
    let never = std::future::pending::<
        std::io::Result<(crate::agent::StreamTransport<tokio::io::DuplexStream>, crate::agent::Peer)>,
    >();
    let worker = std::sync::Arc::clone(&bench.worker);
    crate::agent::run(worker, never, crate::agent::Peer::default(), (), ()).await;
    assert_eq!(start.elapsed().as_secs(), 10);
    assert_eq!(bench.closed(), once(CloseReason::HandshakeTimeout));
}

#[tokio::test(start_paused = true)]
async fn only_clients_that_read_it_get_compression() {
    let long = r#"{"sys":{"dict":true},"user":{}}"#;
    let mut bench = Bench::new();
    for (body, compressed) in [(long, true), ("{}", true), (PLAIN_HANDSHAKE, false)] {
        let (mut client, notes) = connect_as(&mut bench, 1 << 20, body).await;
        let text = "abc".repeat(100);
        notes.client.respond(1, Ok(text.into()));
        let (kind, packet) = client.packet().await;
        assert_eq!(kind, 4);
        assert_eq!(packet[0] & 0x10 != 0, compressed, "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn only_clients_that_read_them_get_codes() {
    let mut bench = Bench::new();
    for (body, code) in [(r#"{"sys":{"dict":true}}"#, true), ("{}", false), (PLAIN_HANDSHAKE, true)] {
        let (mut client, notes) = connect_as(&mut bench, 1 << 20, body).await;
        notes.push("onMessage", "{}").expect("there is room");
        let (_, packet) = client.packet().await;
        assert_eq!(packet == b"\x07\0\x04{}", code, "{body}");
        assert_eq!(packet == b"\x06\x09onMessage{}", !code, "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_session_knows_the_clients_ip_version() {
    let mut bench = Bench::new();
    let (_client, notes) = connect_as(&mut bench, 1 << 20, "{}").await;
    assert_eq!(&*notes.record.representation().data, br#"{"ipversion":"ipv4"}"#);
    assert!(bench.pool.get(notes.record.id()).is_some());
}

#[tokio::test(start_paused = true)]
async fn the_session_knows_what_the_client_said() {
    let mut bench = Bench::new();
    let body = r#"{"sys":{"platform":"mac"},"user":{"age":30}}"#;
    let (_client, notes) = connect_as(&mut bench, 1 << 20, body).await;
    let said = notes.entity.handshake(notes.record.id()).expect("it is here");
    assert_eq!((said.platform.as_str(), &said.user["age"]), ("mac", &30.into()));
}
