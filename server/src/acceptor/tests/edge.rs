//! Clients that come through TLS, with and without a PROXY header before it, over TCP and WebSocket.

use std::{net::Ipv4Addr, sync::Arc};

use futures_util::{SinkExt, StreamExt};
use rustls::{ClientConfig, RootCertStore, pki_types::pem::PemObject};
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_tungstenite::{client_async, tungstenite::Message};

use super::Running;
use crate::{
    acceptor::{Guarded, Listen, Protocol, TcpAcceptor, Tls, WebSocketAcceptor},
    agent::testing::{ACK, handshake, request},
    session::CloseReason,
    tls::{
        self,
        testing::{Authority, Pair, mount_pair},
    },
};

const HOST: &str = "localhost";

pub(super) fn listen(protocol: Protocol) -> Listen {
    let address = (Ipv4Addr::LOCALHOST, 0).into();
    let name = "edge".to_owned();
    Listen { name, protocol, address, tls: None, proxy_protocol: false, trusted_proxies: Vec::new() }
}

/// A folder with the certificate of an acceptor.
struct Secret(TempDir);

impl Secret {
    fn new(pair: &Pair) -> Self {
        let folder = TempDir::new().unwrap();
        mount_pair(folder.path(), pair);
        Self(folder)
    }

    fn listen(&self, protocol: Protocol) -> Listen {
        let file = |name: &str| self.0.path().join(name);
        Listen { tls: Some(Tls { certificate: file("tls.crt"), key: file("tls.key") }), ..listen(protocol) }
    }
}

fn start(listen: &Listen) -> (Running, std::net::SocketAddr) {
    let guarded = Guarded::new(listen).unwrap().unwrap();
    match listen.protocol {
        Protocol::Tcp => {
            let acceptor = TcpAcceptor::bind(&listen.name, listen.address).unwrap().behind(guarded);
            let address = acceptor.local_address();
            (Running::start(acceptor), address)
        }
        Protocol::WebSocket => {
            let acceptor = WebSocketAcceptor::bind(&listen.name, listen.address, 1 << 20).unwrap().behind(guarded);
            let address = acceptor.local_address();
            (Running::start(acceptor), address)
        }
    }
}

/// A client that believes `authority`, and asks for `protocols`.
async fn encrypt(stream: TcpStream, authority: &Authority, protocols: &[&[u8]]) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(rustls::pki_types::CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(tls::provider()).with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    TlsConnector::from(Arc::new(config)).connect(HOST.try_into().unwrap(), stream).await.expect("it is believed")
}

/// Shake hands, and send one message.
async fn greet(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    stream.write_all(&handshake("{}")).await.expect("the server reads");
    let length = stream.read_u32().await.expect("the server answers") & 0xFF_FFFF;
    stream.read_exact(&mut vec![0; length as usize]).await.expect("the answer is whole");
    stream.write_all(&ACK).await.expect("the server reads");
    stream.write_all(&request(1, "a", "hello")).await.expect("the server reads");
}

#[tokio::test]
async fn clients_come_through_tls_and_a_new_certificate_is_for_new_ones() {
    let authority = Authority::new();
    let (old, new) = (authority.issue(&[HOST]), authority.issue(&[HOST]));
    let secret = Secret::new(&old);
    let (mut running, address) = start(&secret.listen(Protocol::Tcp));
    let shown = |stream: &TlsStream<TcpStream>| stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
    let is =
        |pair: &Pair| rustls::pki_types::CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap().to_vec();

    let mut first = encrypt(TcpStream::connect(address).await.unwrap(), &authority, &[]).await;
    assert_eq!(shown(&first), is(&old));
    assert_eq!(first.get_ref().1.alpn_protocol(), None);
    greet(&mut first).await;
    let notes = running.bench.opened().await;
    assert_eq!(&*notes.next_message().await.body, b"hello");

    mount_pair(secret.0.path(), &new);
    let second = tokio::time::timeout(std::time::Duration::from_secs(10), async {
        loop {
            let stream = encrypt(TcpStream::connect(address).await.unwrap(), &authority, &[]).await;
            if shown(&stream) == is(&new) {
                break stream;
            }
        }
    });
    let mut second = second.await.expect("the new certificate is shown");
    greet(&mut second).await;
    running.bench.opened().await;
    // The older one goes on, in both directions, and what is large goes through.
    let large = "x".repeat(300_000);
    first.write_all(&request(2, "a", &large)).await.unwrap();
    assert_eq!(notes.next_message().await.body.len(), large.len());
    notes.push("onMessage", "still here").unwrap();
    assert_eq!(first.read_u8().await.unwrap(), 4);
    drop((first, second));
    running.end().await;
}

#[tokio::test]
async fn clients_come_through_tls_and_websocket() {
    let authority = Authority::new();
    let secret = Secret::new(&authority.issue(&[HOST]));
    let (mut running, address) = start(&secret.listen(Protocol::WebSocket));
    // As a browser does.
    let stream = encrypt(TcpStream::connect(address).await.unwrap(), &authority, &[b"http/1.1"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let (mut client, _) = client_async(format!("wss://{HOST}/"), stream).await.expect("it upgrades");
    client.send(Message::Binary(handshake("{}").into())).await.unwrap();
    assert_eq!(client.next().await.unwrap().unwrap().into_data()[0], 1);
    client.send(Message::Binary(ACK.to_vec().into())).await.unwrap();
    let notes = running.bench.opened().await;
    client.send(Message::Binary(request(1, "a", "hello").into())).await.unwrap();
    assert_eq!(&*notes.next_message().await.body, b"hello");
    drop(client);
    running.end().await;
}

#[tokio::test]
async fn a_client_without_tls_is_counted() {
    let secret = Secret::new(&Authority::new().issue(&[HOST]));
    let (running, address) = start(&secret.listen(Protocol::Tcp));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&handshake("{}")).await.unwrap();
    let mut rest = Vec::new();
    // An alert, or nothing.
    let _ = stream.read_to_end(&mut rest).await;
    while running.bench.closed().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(running.bench.closed(), [(CloseReason::TlsHandshake, 1)]);
    running.end().await;
}

#[tokio::test]
async fn a_proxy_header_comes_before_tls() {
    let authority = Authority::new();
    let secret = Secret::new(&authority.issue(&[HOST]));
    let (mut running, address) = start(&Listen { proxy_protocol: true, ..secret.listen(Protocol::Tcp) });
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"PROXY TCP6 2001:db8::7 2001:db8::1 51234 3250\r\n").await.unwrap();
    let mut stream = encrypt(stream, &authority, &[]).await;
    greet(&mut stream).await;
    let notes = running.bench.opened().await;
    assert_eq!(notes.record.get::<String>("ipversion").unwrap().as_deref(), Some("ipv6"));
    drop(stream);
    running.end().await;
}

#[test]
fn nothing_stands_before_an_acceptor_that_asks_for_nothing() {
    assert!(Guarded::new(&listen(Protocol::Tcp)).unwrap().is_none());
}
