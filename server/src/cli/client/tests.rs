use super::{Connection, Endpoint, Options, Transport, decode_error, testing::TestServer};
use crate::wire::{Dictionary, Error, Outbound, PacketKind, encode_request};

async fn open(server: &TestServer, transport: Transport) -> Connection {
    let endpoint = Endpoint::resolve(&server.name(), transport).await.unwrap();
    let (connection, answer) = Connection::open(&endpoint, &Options::default()).await.unwrap();
    assert_eq!((answer.code, &*answer.serializer), (200, "json"));
    connection
}

async fn check_echo(transport: Transport) {
    let server = TestServer::start(transport).await;
    let mut connection = open(&server, transport).await;
    // More than any one read or write takes.
    let body = vec![7; 100_000];
    for id in 1..=3 {
        let outgoing = connection.outgoing();
        encode_request(id, "a.b.echo", &body, &Dictionary::default(), Outbound::PLAIN, outgoing).unwrap();
    }
    connection.flush().await.unwrap();
    for id in 1..=3 {
        let (kind, message) = connection.next().await.unwrap().unwrap();
        assert_eq!(kind, PacketKind::Data);
        assert_eq!(message[..2], [4, id]);
        assert_eq!(message[2..], body);
    }
    connection.close().await.unwrap();
}

#[tokio::test]
async fn requests_travel_over_tcp() {
    check_echo(Transport::Tcp).await;
}

#[tokio::test]
async fn requests_travel_over_websocket() {
    check_echo(Transport::WebSocket).await;
}

#[tokio::test]
async fn an_endpoint_is_a_host_and_a_port() {
    let cases = [
        ("127.0.0.1:3250", Some(Transport::Tcp)),
        ("tcp://127.0.0.1:3250", Some(Transport::Tcp)),
        ("ws://127.0.0.1:3251/", Some(Transport::WebSocket)),
        ("wss://127.0.0.1:3251", None),
        ("127.0.0.1", None),
        ("", None),
    ];
    for (target, transport) in cases {
        let endpoint = Endpoint::resolve(target, Transport::Tcp).await;
        assert_eq!(endpoint.ok().map(|endpoint| endpoint.transport()), transport, "{target}");
    }
    let remote = Endpoint::resolve("192.0.2.1:3250", Transport::Tcp).await.unwrap();
    assert!(!remote.is_loopback());
}

#[tokio::test]
async fn a_refused_connection_is_said_in_one_line() {
    let address = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().to_string()
    };
    let endpoint = Endpoint::resolve(&address, Transport::Tcp).await.unwrap();
    let error = Connection::open(&endpoint, &Options::default()).await.unwrap_err();
    assert_eq!(format!("{error:#}"), format!("cannot connect to {address}: connection refused, nothing listens there"));
}

#[tokio::test]
async fn a_server_of_another_protocol_is_an_error() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let serving = async {
        use tokio::io::AsyncWriteExt as _;
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        std::future::pending::<()>().await;
    };
    let endpoint = Endpoint::resolve(&address, Transport::Tcp).await.unwrap();
    let options = Options::default();
    tokio::select! {
        () = serving => unreachable!(),
        result = Connection::open(&endpoint, &options) => assert!(result.is_err()),
    }
}

#[test]
fn errors_are_read_in_both_serializers() {
    let error = Error::new("PIT-433", "test error").with("some", "meta");
    for (body, serializer) in [(error.to_json(), "json"), (error.to_protobuf(), "protobuf")] {
        let decoded = decode_error(&body, serializer);
        assert_eq!((decoded.code(), decoded.message()), ("PIT-433", "test error"));
        assert_eq!(decoded.metadata().get("some").map(String::as_str), Some("meta"));
    }
    assert_eq!(decode_error(b"woow", "json").message(), "woow");
}
