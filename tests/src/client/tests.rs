use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_tungstenite::tungstenite::Message as Frame;

use super::{Client, EventKind, Heartbeats, Options, Transport, wire};

const WELCOME: &str = r#"{"code":200,"sys":{"dict":{"onCoded":4},"heartbeat":30,"serializer":"json"}}"#;

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn what_is_sent_is_as_the_vectors_say() {
    for (packet, hex) in [
        (wire::request(1, "room.room.join", b"{}"), "0400001300010e726f6f6d2e726f6f6d2e6a6f696e7b7d"),
        (wire::request(128, "a", b"{}"), "0400000700800101617b7d"),
        (wire::request(4_294_967_295, "a", b""), "0400000800ffffffff0f0161"),
        (wire::coded_request(2, 3, b"{}"), "04000006010200037b7d"),
        (wire::notify("a", b""), "04000003020161"),
        (wire::push("a", b""), "04000003060161"),
        (wire::response(129, b""), "04000003048101"),
        (wire::packet(wire::ACK, &[]), "02000000"),
        (wire::packet(wire::HEARTBEAT, &[]), "03000000"),
    ] {
        assert_eq!(packet, bytes(hex));
    }
    let long = wire::packet(wire::DATA, &vec![0; 0x01_0203]);
    assert_eq!(long[..4], [4, 1, 2, 3]);
}

#[test]
fn what_is_received_is_as_the_vectors_say() {
    let dictionary = BTreeMap::from([(1, "a".to_owned()), (4, "onMessage".to_owned())]);
    let response = |id, error, body: &str| wire::Message::Response { id, error, body: body.to_owned().into() };
    let push = |route: &str, body: &str| wire::Message::Push { route: route.to_owned(), body: body.to_owned().into() };
    for (hex, expected) in [
        ("0400", response(0, false, "")),
        ("048101", response(129, false, "")),
        ("240001", response(0, true, "\u{1}")),
        ("060161", push("a", "")),
        ("070001", push("a", "")),
        ("0700047b226d7367223a226869227d", push("onMessage", "{\"msg\":\"hi\"}")),
        ("3400789c4aca49240601020000ffff33ff0f64", response(0, true, "blablablablablablablablablablablablabla")),
    ] {
        assert_eq!(wire::message(&bytes(hex), &dictionary).unwrap(), expected, "{hex}");
    }
    for bad in [
        "04ffffffffffffffffffff0155",
        "",
        "04",
        "0480",
        "0605",
        "0800",
        "070009",
        "0700",
        "140001",
        "020161",
        "00010161",
        "440001",
    ] {
        assert!(wire::message(&bytes(bad), &dictionary).is_err(), "{bad}");
    }
    assert_eq!(wire::message(&bytes("04ffffffffffffffffff01"), &dictionary).unwrap(), response(u64::MAX, false, ""));
}

#[test]
fn packets_are_taken_whole() {
    let two = bytes("0100000102020000020101");
    assert_eq!(wire::first_packet(&two).unwrap(), Some((1, &[2][..], 5)));
    assert_eq!(wire::first_packet(&two[5..]).unwrap(), Some((2, &[1, 1][..], 6)));
    for length in 0..5 {
        assert_eq!(wire::first_packet(&two[..length]).unwrap(), None);
    }
    assert!(wire::first_packet(&[0]).is_err());
    assert!(wire::first_packet(&[6]).is_err());
}

#[test]
fn compression_is_undone() {
    let packet = wire::compressed_request(1, "a", &[b'x'; 500]);
    assert!(packet.len() < 100);
    assert_eq!(packet[4], 0x10);
    assert_eq!(wire::inflate(&packet[8..]).unwrap(), vec![b'x'; 500]);
}

/// A server that says `script` piece by piece: each piece after one more message of the client has arrived.
async fn scripted(transport: Transport, script: Vec<Vec<u8>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        match transport {
            Transport::Tcp => {
                let mut input = [0; 4096];
                for piece in script {
                    assert!(stream.read(&mut input).await.unwrap() > 0);
                    stream.write_all(&piece).await.unwrap();
                }
                while stream.read(&mut input).await.is_ok_and(|count| count > 0) {}
            }
            Transport::WebSocket => {
                let mut stream = tokio_tungstenite::accept_async(stream).await.unwrap();
                for piece in script {
                    stream.next().await.unwrap().unwrap();
                    stream.send(Frame::Binary(piece.into())).await.unwrap();
                }
                while let Some(Ok(_)) = stream.next().await {}
            }
        }
    };
    let runtime = tokio::runtime::Handle::current();
    drop(runtime.spawn(serving));
    address
}

fn options(heartbeats: Heartbeats) -> Options {
    Options { heartbeats, timeout: Duration::from_secs(5), ..Options::default() }
}

#[tokio::test]
async fn what_arrives_keeps_its_order() {
    let mut answers = wire::push("onFirst", b"1");
    answers.extend(wire::packet(wire::DATA, &bytes("0700047b7d")));
    answers.extend(wire::response(1, b"one"));
    answers.extend(wire::push("onLast", b""));
    // The packet of the Ack counts as a message.
    let script = vec![wire::packet(wire::HANDSHAKE, WELCOME.as_bytes()), wire::packet(wire::HEARTBEAT, &[]), answers];
    let address = scripted(Transport::Tcp, script).await;
    let client = Client::connect_with(address, Transport::Tcp, &options(Heartbeats::Manual)).await.unwrap();
    client.wait_for("heartbeat", |kind| *kind == EventKind::Heartbeat).await.unwrap();
    let reply = client.request("a.b.c", "x").await.unwrap();
    assert_eq!((reply.ok().unwrap().as_ref(), reply.id), (&b"one"[..], 1));
    assert_eq!(client.next_push().await.unwrap(), ("onFirst".to_owned(), "1".into()));
    assert_eq!(client.next_push().await.unwrap(), ("onCoded".to_owned(), "{}".into()));
    assert_eq!(client.next_push().await.unwrap().0, "onLast");
    let order: Vec<_> = client.events().into_iter().map(|event| event.sequence).collect();
    assert_eq!(order, [0, 1, 2, 3, 4, 5]);
    assert_eq!((reply.sequence, client.answers(1), client.answers(2)), (4, 1, 0));
}

#[tokio::test]
async fn a_message_that_is_not_one_packet_is_a_violation() {
    let two = [wire::packet(wire::HEARTBEAT, &[]), wire::packet(wire::HEARTBEAT, &[])].concat();
    let script = vec![wire::packet(wire::HANDSHAKE, WELCOME.as_bytes()), two];
    let address = scripted(Transport::WebSocket, script).await;
    let client = Client::connect_with(address, Transport::WebSocket, &options(Heartbeats::Manual)).await.unwrap();
    let error = client.closed().await.unwrap_err();
    assert!(error.to_string().contains("4 bytes after its packet"), "{error}");
    assert!(!client.is_open());
}

#[tokio::test]
async fn heartbeats_are_answered() {
    let welcome = wire::packet(wire::HANDSHAKE, WELCOME.as_bytes());
    let beat = wire::packet(wire::HEARTBEAT, &[]);
    // The Ack is answered by a heartbeat, its answer by the next one.
    let script = vec![welcome, beat.clone(), beat.clone(), beat];
    let address = scripted(Transport::Tcp, script).await;
    let client = Client::connect_with(address, Transport::Tcp, &options(Heartbeats::Answer)).await.unwrap();
    let third = client.wait_for_nth("third heartbeat", 3, |kind| *kind == EventKind::Heartbeat).await.unwrap();
    assert_eq!(third.sequence, 3);
}

#[tokio::test]
async fn an_error_answer_is_read() {
    let error = br#"{"code":"PIT-404","msg":"gone","metadata":{"route":"a"}}"#;
    let mut answer = wire::response(1, error);
    answer[4] |= 0x20;
    let script = vec![wire::packet(wire::HANDSHAKE, WELCOME.as_bytes()), answer];
    let address = scripted(Transport::Tcp, script).await;
    let client = Client::open(address, Transport::Tcp, &options(Heartbeats::Manual)).await.unwrap();
    client.handshake("{}").await.unwrap();
    let welcome = client.handshake_response().await.unwrap();
    assert_eq!((welcome.code, &*welcome.serializer), (200, "json"));
    assert!((welcome.heartbeat - 30.0).abs() < f64::EPSILON);
    client.batch().packet(wire::packet(wire::ACK, &[])).request("a.b.c", "").send().await.unwrap();
    let reply = client.reply(1).await.unwrap();
    let failure = reply.failure().unwrap();
    assert_eq!((&*failure.code, &*failure.message, &*failure.metadata["route"]), ("PIT-404", "gone", "a"));
    assert!(reply.ok().is_err());
    assert_eq!(reply.code().as_deref(), Some("PIT-404"));
}

#[tokio::test]
async fn every_wait_has_an_end() {
    let script = vec![wire::packet(wire::HANDSHAKE, WELCOME.as_bytes())];
    let address = scripted(Transport::Tcp, script).await;
    let options = Options { timeout: Duration::from_millis(50), ..options(Heartbeats::Answer) };
    let client = Client::connect_with(address, Transport::Tcp, &options).await.unwrap();
    assert!(client.request("a.b.c", "").await.unwrap_err().to_string().contains("no answer to request 1"));
    assert!(client.next_push().await.is_err());
    assert!(client.closed().await.is_err());
    client.finish().await.unwrap();
    assert_eq!(client.closed().await.unwrap(), "end of stream");
    assert!(client.next_push().await.unwrap_err().to_string().contains("the connection ended without push"));
}
