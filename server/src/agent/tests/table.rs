//! What happens when, as the protocol's table says.

use tokio::io::AsyncWriteExt;

use super::{Bench, Client, PLAIN_ANSWER, PLAIN_HANDSHAKE, bench_with, connect, once};
use crate::{
    agent::testing::{ACK, HEARTBEAT, handshake, packet, request},
    session::CloseReason,
    wire::PacketKind,
};

/// What the client did before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Fresh,
    Greeted,
    Working,
}

use State::{Fresh, Greeted, Working};

/// What the server has to do about the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// Nothing that is seen; the connection goes on.
    Accepted,
    /// Answer this, and go on.
    Answered(&'static str),
    /// Answer this, and close.
    Refused(&'static str, CloseReason),
    /// Close without a word.
    Closed(CloseReason),
    /// Give it to the conversation.
    Handled,
    /// The client may work now.
    Opened,
}

use Outcome::{Accepted, Answered, Closed, Handled, Opened, Refused};

const REFUSAL: &str =
    r#"{"code":400,"sys":{"dict":{"onMessage":4,"room.room.join":1},"heartbeat":30,"serializer":"json"}}"#;

async fn check(state: State, event: &[u8], expected: Outcome) {
    let mut bench = bench_with(|_| ());
    let mut client = connect(&bench);
    if state != Fresh {
        client.send(&handshake(PLAIN_HANDSHAKE)).await;
        client.packet().await;
    }
    let mut notes = None;
    if state == Working {
        client.send(&ACK).await;
        notes = Some(bench.opened().await);
    }

    client.send(event).await;
    match expected {
        Accepted | Opened => go_on(&mut bench, &mut client, state, expected).await,
        Answered(answer) => {
            assert_eq!(client.packet().await, (1, answer.as_bytes().to_vec()), "{state:?} {event:x?}");
            go_on(&mut bench, &mut client, Greeted, Accepted).await;
        }
        Handled => {
            let message = notes.take().expect("it works").next_message().await;
            assert_eq!(message.route, "room.room.join", "{state:?} {event:x?}");
            go_on(&mut bench, &mut client, state, Accepted).await;
        }
        Refused(answer, reason) => {
            assert_eq!(client.packet().await, (1, answer.as_bytes().to_vec()), "{state:?} {event:x?}");
            assert_eq!(client.rest().await, b"", "{state:?} {event:x?}");
            ended(bench, client, reason).await;
        }
        Closed(reason) => {
            assert_eq!(client.rest().await, b"", "{state:?} {event:x?}");
            if let Some(notes) = notes {
                assert_eq!(notes.next_close().await, reason, "{state:?} {event:x?}");
                assert_eq!(notes.so_far(), [], "{state:?} {event:x?}");
            }
            ended(bench, client, reason).await;
        }
    }
}

/// The connection lives: it can be brought to work.
async fn go_on(bench: &mut Bench, client: &mut Client, state: State, expected: Outcome) {
    if state == Fresh {
        client.send(&handshake(PLAIN_HANDSHAKE)).await;
        client.packet().await;
    }
    if state != Working && expected != Opened {
        client.send(&ACK).await;
    }
    if state != Working {
        bench.opened().await;
    }
    assert_eq!(bench.closed(), []);
    assert_eq!(bench.worker.counts().open(), 1);
}

async fn ended(bench: Bench, client: Client, reason: CloseReason) {
    client.gone().await;
    assert_eq!(bench.closed(), once(reason));
    assert_eq!((bench.worker.counts().pending(), bench.worker.counts().open()), (0, 0));
    assert!(bench.pool.is_empty());
}

#[tokio::test(start_paused = true)]
async fn each_event_in_each_state() {
    let data = request(1, "room.room.join", "{}");
    let notify = packet(PacketKind::Data, b"\x02\x0eroom.room.join{}");
    let push = packet(PacketKind::Data, b"\x06\x0eroom.room.join{}");
    let code = packet(PacketKind::Data, b"\x03\x00\x01{}");
    let good = handshake(PLAIN_HANDSHAKE);
    let refused = handshake(r#"{"sys":{"type":"js","clientVersion":"old"}}"#);
    let kick = packet(PacketKind::Kick, b"");
    let full_ack = packet(PacketKind::Ack, b"body");
    let full_heartbeat = packet(PacketKind::Heartbeat, b"body");
    let error = CloseReason::ProtocolError;
    let table: &[(State, &[u8], Outcome)] = &[
        (Fresh, &good, Answered(PLAIN_ANSWER)),
        (Greeted, &good, Closed(error)),
        (Working, &good, Closed(error)),
        (Fresh, &handshake("nonsense"), Refused(REFUSAL, CloseReason::InvalidHandshake)),
        (Greeted, &handshake("nonsense"), Closed(error)),
        (Working, &handshake("nonsense"), Closed(error)),
        (Fresh, &refused, Refused(REFUSAL, CloseReason::HandshakeRefused)),
        (Greeted, &refused, Closed(error)),
        (Working, &refused, Closed(error)),
        (Fresh, &ACK, Closed(error)),
        (Greeted, &ACK, Opened),
        (Greeted, &full_ack, Opened),
        (Working, &ACK, Accepted),
        (Fresh, &HEARTBEAT, Accepted),
        (Greeted, &HEARTBEAT, Accepted),
        (Working, &HEARTBEAT, Accepted),
        (Working, &full_heartbeat, Accepted),
        (Fresh, &kick, Accepted),
        (Greeted, &kick, Accepted),
        (Working, &kick, Accepted),
        (Fresh, &data, Closed(error)),
        (Greeted, &data, Closed(error)),
        (Working, &data, Handled),
        (Working, &notify, Handled),
        (Working, &push, Handled),
        (Working, &code, Handled),
    ];
    for (state, event, expected) in table {
        check(*state, event, *expected).await;
    }
}

#[tokio::test(start_paused = true)]
async fn malformed_packets_close_in_every_state() {
    for state in [Fresh, Greeted, Working] {
        for kind in [0, 6, 7, 0x80, 0xFF] {
            check(state, &[kind, 0, 0, 0], Closed(CloseReason::MalformedPacket)).await;
        }
    }
    let over_16_kib = [4, 0, 0x40, 1];
    check(Fresh, &over_16_kib, Closed(CloseReason::TooLarge)).await;
    check(Greeted, &over_16_kib, Closed(CloseReason::TooLarge)).await;
    check(Working, &[4, 0x10, 0, 1], Closed(CloseReason::TooLarge)).await;
}

#[tokio::test(start_paused = true)]
async fn an_undecodable_message_closes() {
    let bodies: &[&[u8]] = &[
        b"",
        b"\0",
        b"\x00\x01",
        b"\x00\x80",
        b"\x08\x01\x01a",
        b"\x01\x01\x00\x09",
        b"\x00\x01\x02\xFF\xFE",
        b"\x10\x01\x01a",
    ];
    for body in bodies {
        check(Working, &packet(PacketKind::Data, body), Closed(CloseReason::MalformedMessage)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_response_from_the_client_is_the_conversations_business() {
    let mut bench = bench_with(|_| ());
    let (mut client, notes) = super::connect_working(&mut bench).await;
    client.send(&packet(PacketKind::Data, b"\x04\x07{}")).await;
    let message = notes.next_message().await;
    assert_eq!((message.kind, message.id), (crate::wire::MessageKind::Response, 7));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_stream_closes_in_every_state() {
    for state in [Fresh, Greeted, Working] {
        for rest in [&b""[..], b"\x03\0"] {
            let mut bench = bench_with(|_| ());
            let mut client = connect(&bench);
            if state != Fresh {
                client.send(&handshake(PLAIN_HANDSHAKE)).await;
                client.packet().await;
            }
            if state == Working {
                client.send(&ACK).await;
                bench.opened().await;
            }
            client.send(rest).await;
            client.pipe.shutdown().await.expect("a pipe does not fail");
            assert_eq!(client.rest().await, b"");
            ended(bench, client, CloseReason::ClientClosed).await;
        }
    }
}
