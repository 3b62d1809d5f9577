//! What a frontend does with each kind of packet and message in each state of a connection.

use cereus_tests::{
    client::{Client, EventKind, Heartbeats, Options, Transport, wire},
    cluster::Cluster,
    conformance::trial,
};

use crate::{TRANSPORTS, assert_serves, json_cluster};

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Start,
    Shaken,
    Working,
}

const GOOD: &str = r#"{"sys":{"platform":"test"},"user":{}}"#;

/// A connection in `state`.
async fn client_in(cluster: &Cluster, transport: Transport, state: State) -> Client {
    let options = Options { heartbeats: Heartbeats::Manual, ..Options::default() };
    let client = cluster.stranger(transport, &options).await.unwrap();
    if state != State::Start {
        client.handshake(GOOD).await.unwrap();
        assert_eq!(client.handshake_response().await.unwrap().code, 200);
    }
    if state == State::Working {
        client.ack().await.unwrap();
    }
    client
}

/// What happens next.
#[derive(Clone, Copy, Debug)]
enum Then {
    /// The connection is closed, and nothing is sent.
    Close,
    /// The handshake is refused with code 400, then the connection is closed.
    Refuse,
    /// The connection goes on as if nothing had come.
    GoOn,
}

async fn check(cluster: &Cluster, state: State, what: &str, packet: &[u8], then: Then) {
    for transport in TRANSPORTS {
        let client = client_in(cluster, transport, state).await;
        let before = client.events().len();
        client.send_raw(packet).await.unwrap();
        let case = format!("{what} in state {state:?} over {transport:?}");
        match then {
            Then::Close => {
                client.closed().await.unwrap_or_else(|error| panic!("{case}: {error:#}"));
                assert_eq!(client.events().len(), before + 1, "{case}: {:?}", client.events());
            }
            Then::Refuse => {
                assert_eq!(client.handshake_response().await.unwrap().code, 400, "{case}");
                client.closed().await.unwrap_or_else(|error| panic!("{case}: {error:#}"));
            }
            Then::GoOn => {
                if state == State::Start {
                    client.handshake(GOOD).await.unwrap();
                    assert_eq!(client.handshake_response().await.unwrap().code, 200, "{case}");
                }
                if state != State::Working {
                    client.ack().await.unwrap();
                }
                assert_serves(&client).await;
            }
        }
    }
}

#[tokio::test]
async fn each_packet_in_each_state() {
    use Then::{Close, GoOn, Refuse};

    let cluster = json_cluster(0).await;
    let good = wire::packet(wire::HANDSHAKE, GOOD.as_bytes());
    let bad = wire::packet(wire::HANDSHAKE, b"asiodjasd");
    let ack = wire::packet(wire::ACK, &[]);
    let heartbeat = wire::packet(wire::HEARTBEAT, b"a body is ignored");
    let kick = wire::packet(wire::KICK, &[]);
    let data = wire::request(1, "connector.bench.echo", b"x");
    let unknown = [6, 0, 0, 0];
    let (start, shaken, working) = (State::Start, State::Shaken, State::Working);
    for (state, what, packet, then) in [
        (start, "malformed header", &unknown[..], Close),
        (shaken, "malformed header", &unknown, Close),
        (working, "malformed header", &unknown, Close),
        (start, "bad handshake", &bad, Refuse),
        (shaken, "bad handshake", &bad, Close),
        (working, "bad handshake", &bad, Close),
        (shaken, "second handshake", &good, Close),
        (working, "second handshake", &good, Close),
        (start, "ack", &ack, Close),
        (working, "second ack", &ack, GoOn),
        (start, "heartbeat", &heartbeat, GoOn),
        (shaken, "heartbeat", &heartbeat, GoOn),
        (working, "heartbeat", &heartbeat, GoOn),
        (start, "kick of the client", &kick, GoOn),
        (shaken, "kick of the client", &kick, GoOn),
        (working, "kick of the client", &kick, GoOn),
        (start, "data", &data, Close),
        (shaken, "data", &data, Close),
    ] {
        check(&cluster, state, what, packet, then).await;
    }
}

#[tokio::test]
async fn the_end_of_the_stream_closes_in_each_state() {
    let cluster = json_cluster(0).await;
    for transport in TRANSPORTS {
        for state in [State::Start, State::Shaken, State::Working] {
            let client = client_in(&cluster, transport, state).await;
            client.finish().await.unwrap();
            client.closed().await.unwrap();
        }
    }
}

#[tokio::test]
async fn nothing_but_the_response_is_sent_before_the_ack() {
    let cluster = json_cluster(0).await;
    for transport in TRANSPORTS {
        let client = client_in(&cluster, transport, State::Shaken).await;
        // The server has read both packets once it has answered what follows the Ack.
        client.batch().packet(wire::packet(wire::HEARTBEAT, &[])).send().await.unwrap();
        assert_eq!(client.events().len(), 1);
        client.ack().await.unwrap();
        assert_serves(&client).await;
    }
}

#[tokio::test]
async fn the_handshake_response_is_exact() {
    let cluster = json_cluster(0).await;
    let client = client_in(&cluster, Transport::Tcp, State::Shaken).await;
    let body = client.handshake_response().await.unwrap().body;
    let expected = r#"{"code":200,"sys":{"dict":{},"heartbeat":30,"serializer":"json"}}"#;
    assert_eq!(String::from_utf8_lossy(&body), expected);
}

#[tokio::test]
async fn a_handshake_after_which_no_ack_comes_is_closed_in_time() {
    let cluster = Cluster::builder()
        .frontend("connector")
        .variable("CEREUS__AGENT__HANDSHAKE_TIMEOUT", "1s")
        .start()
        .await
        .unwrap();
    for transport in TRANSPORTS {
        for state in [State::Start, State::Shaken] {
            client_in(&cluster, transport, state).await.closed().await.unwrap();
        }
    }
}

#[tokio::test]
async fn requests_that_cannot_be_served_are_answered_with_their_reason() {
    let cluster = json_cluster(0).await;
    for transport in TRANSPORTS {
        let client = cluster.client(transport).await.unwrap();
        for (route, code, message) in [
            ("", "PIT-400", "route field can not be empty"),
            ("connector..echo", "PIT-400", "route field can not be empty"),
            ("connector. .echo", "PIT-400", "route field can not be empty"),
            ("echo", "PIT-400", "invalid route"),
            ("a.b.c.d", "PIT-400", "invalid route"),
            ("connector.bench.nothing", "PIT-404", "pitaya/handler: connector.bench.nothing not found"),
            ("connector.Bench.echo", "PIT-404", "pitaya/handler: connector.Bench.echo not found"),
            ("connector.testsvc.testsendgroupmsg", "PIT-400", "tried to request a notify route"),
            ("nowhere.bench.echo", "PIT-500", "no servers available of this type"),
        ] {
            let failure = client.request(route, "x").await.unwrap().failure().unwrap();
            assert_eq!((&*failure.code, &*failure.message), (code, message), "{route:?} over {transport:?}");
        }
        assert_serves(&client).await;
    }
}

#[tokio::test]
async fn a_notify_for_a_request_handler_runs_without_an_answer() {
    let cluster = json_cluster(0).await;
    let client = cluster.client(Transport::Tcp).await.unwrap();
    client.notify("connector.trial.set", "name=Ada").await.unwrap();
    let reply = client.request(&trial::route("connector", trial::GET), "name").await.unwrap();
    assert_eq!((reply.text().unwrap(), reply.sequence), ("Ada".to_owned(), 1));
}

#[tokio::test]
async fn a_request_with_the_id_zero_runs_without_an_answer() {
    let cluster = json_cluster(0).await;
    let client = cluster.client(Transport::Tcp).await.unwrap();
    client.send_packets(vec![wire::request(0, "connector.trial.set", b"name=Ada")]).await.unwrap();
    let reply = client.request(&trial::route("connector", trial::GET), "name").await.unwrap();
    assert_eq!((reply.text().unwrap(), client.answers(0)), ("Ada".to_owned(), 0));
}

#[tokio::test]
async fn a_response_from_a_client_is_answered_with_an_error() {
    let cluster = json_cluster(0).await;
    let client = cluster.client(Transport::Tcp).await.unwrap();
    client.send_packets(vec![wire::response(77, b"what")]).await.unwrap();
    assert_eq!(client.reply(77).await.unwrap().code().as_deref(), Some("PIT-400"));
    assert_serves(&client).await;
}

#[tokio::test]
async fn a_push_from_a_client_is_handled_as_a_notify() {
    let cluster = json_cluster(0).await;
    let client = cluster.client(Transport::Tcp).await.unwrap();
    client.send_packets(vec![wire::push("connector.trial.set", b"name=Ada")]).await.unwrap();
    let reply = client.request(&trial::route("connector", trial::GET), "name").await.unwrap();
    assert_eq!(reply.text().unwrap(), "Ada");
}

#[tokio::test]
async fn more_than_the_bound_in_flight_waits_and_is_answered() {
    let cluster = json_cluster(1).await;
    let client = cluster.client(Transport::Tcp).await.unwrap();
    let route = trial::route("game", trial::SLEEP);
    // Three times what one session may have in lanes and in flight.
    let batch = (0..192).fold(client.batch(), |batch, number| batch.request(&route, format!("1 {number}")));
    for (number, id) in batch.send().await.unwrap().into_iter().enumerate() {
        assert_eq!(client.reply(id).await.unwrap().text().unwrap(), format!("1 {number}"));
    }
}

#[tokio::test]
async fn compressed_requests_are_inflated() {
    let cluster = json_cluster(1).await;
    for transport in TRANSPORTS {
        let client = cluster.client(transport).await.unwrap();
        for route in ["connector.bench.echo", "game.bench.echo"] {
            let (id, body) = (client.id(), "long ".repeat(100));
            client.send_packets(vec![wire::compressed_request(id, route, body.as_bytes())]).await.unwrap();
            assert_eq!(client.reply(id).await.unwrap().text().unwrap(), body);
        }
    }
}

#[tokio::test]
async fn several_packets_in_one_websocket_message_are_understood() {
    let cluster = json_cluster(0).await;
    let client = cluster.client(Transport::WebSocket).await.unwrap();
    let echo = "connector.bench.echo";
    let ids = client.batch().request(echo, "1").request(echo, "2").send_joined().await.unwrap();
    for (id, body) in ids.into_iter().zip(["1", "2"]) {
        assert_eq!(client.reply(id).await.unwrap().text().unwrap(), body);
    }
}

#[tokio::test]
async fn bytes_may_arrive_one_at_a_time() {
    let cluster = json_cluster(0).await;
    let client = cluster.client(Transport::Tcp).await.unwrap();
    for byte in wire::request(500, "connector.bench.echo", b"slowly") {
        client.send_raw([byte]).await.unwrap();
    }
    assert_eq!(client.reply(500).await.unwrap().text().unwrap(), "slowly");
    let kinds: Vec<_> = client.events().into_iter().map(|event| event.kind).collect();
    assert!(matches!(kinds[..], [EventKind::Handshake(_), EventKind::Response { id: 500, .. }]), "{kinds:?}");
}
