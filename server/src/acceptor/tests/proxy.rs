//! PROXY headers, as load balancers send them and as they do not.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{Running, edge::listen};
use crate::{
    acceptor::{
        Guarded, Listen, Protocol, TcpAcceptor,
        proxy::{Error, Found, LONGEST, find},
    },
    agent::testing::{ACK, handshake},
    session::CloseReason,
};

const CLIENT: &str = "[2001:db8::7]:51234";

/// A header of version 2 from `CLIENT`, with `additions` after the addresses.
fn version_2(additions: usize) -> Vec<u8> {
    let mut header = b"\r\n\r\n\x00\r\nQUIT\n\x21\x21".to_vec();
    header.extend(u16::try_from(36 + additions).unwrap().to_be_bytes());
    for address in [CLIENT, "[2001:db8::1]:3250"] {
        let SocketAddr::V6(address) = address.parse().unwrap() else { unreachable!() };
        header.extend(address.ip().octets());
    }
    header.extend(51234_u16.to_be_bytes());
    header.extend(3250_u16.to_be_bytes());
    header.extend(vec![4; additions]);
    header
}

#[test]
fn both_versions_say_where_the_client_is() {
    let client = Some(CLIENT.parse().unwrap());
    let local = b"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00".to_vec();
    let rows = [
        (b"PROXY TCP6 2001:db8::7 2001:db8::1 51234 3250\r\n".to_vec(), client),
        (b"PROXY TCP4 203.0.113.7 10.0.0.1 51234 3250\r\n".to_vec(), Some(([203, 0, 113, 7], 51234).into())),
        (b"PROXY UNKNOWN\r\n".to_vec(), None),
        (version_2(0), client),
        (version_2(LONGEST - 52), client),
        (local, None),
    ];
    for (header, client) in rows {
        let length = header.len();
        for cut in 0..length {
            assert_eq!(find(&header[..cut]), Ok(Found::Beginning), "{cut} of {header:?}");
        }
        let followed = [&header[..], b"\x01\x00\x00\x02{}"].concat();
        for bytes in [&header, &followed] {
            assert_eq!(find(bytes), Ok(Found::Header { length, client }));
        }
    }
}

#[test]
fn anything_else_is_none() {
    let long_line = |rest: usize| [b"PROXY UNKNOWN ", "x".repeat(rest).as_bytes(), b"\r\n"].concat();
    let rows = [
        (handshake("{}"), Error::Invalid),
        (b"GET / HTTP/1.1\r\n".to_vec(), Error::Invalid),
        (b"PROXY TCP4 a b c d\r\n".to_vec(), Error::Invalid),
        (b"PROXY TCP4 203.0.113.7 10.0.0.1 51234 99999\r\n".to_vec(), Error::Invalid),
        (long_line(92), Error::TooLong),
        (long_line(92)[..107].to_vec(), Error::Invalid),
        (version_2(LONGEST), Error::TooLong),
        (version_2(LONGEST)[..LONGEST].to_vec(), Error::TooLong),
    ];
    for (bytes, error) in rows {
        assert_eq!(find(&bytes), Err(error), "{}", String::from_utf8_lossy(&bytes));
    }
    assert!(matches!(find(&long_line(91)), Ok(Found::Header { length: 107, .. })));
}

fn start(trusted: &[&str]) -> (Running, SocketAddr) {
    let trusted_proxies = trusted.iter().map(|network| network.parse().unwrap()).collect();
    let listen = Listen { proxy_protocol: true, trusted_proxies, ..listen(Protocol::Tcp) };
    let guarded = Guarded::new(&listen).unwrap().unwrap();
    let acceptor = TcpAcceptor::bind(&listen.name, listen.address).unwrap().behind(guarded);
    let address = acceptor.local_address();
    (Running::start(acceptor), address)
}

#[tokio::test]
async fn a_header_may_come_in_pieces_and_what_follows_it_is_not_lost() {
    for header in [b"PROXY TCP6 2001:db8::7 2001:db8::1 51234 3250\r\n".to_vec(), version_2(0), version_2(700)] {
        let (mut running, address) = start(&["127.0.0.0/8"]);
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (pieces, last) = header.split_at(header.len().min(60) - 1);
        for byte in pieces {
            stream.write_all(&[*byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        stream.write_all(&[last, &handshake("{}"), &ACK].concat()).await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), 1);
        let notes = running.bench.opened().await;
        assert_eq!(notes.record.get::<String>("ipversion").unwrap().as_deref(), Some("ipv6"));
        drop(stream);
        running.end().await;
    }
}

/// Connects, sends this, and expects that the connection is closed for this reason.
async fn check(trusted: &[&str], sent: &[u8], expected: CloseReason) {
    let (running, address) = start(trusted);
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(sent).await.unwrap();
    let mut rest = Vec::new();
    // It is reset when something is left unread.
    let _ = stream.read_to_end(&mut rest).await;
    assert!(rest.is_empty(), "{rest:?}");
    while running.bench.closed().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(running.bench.closed(), [(expected, 1)]);
    running.end().await;
}

#[tokio::test]
async fn who_sends_none_is_closed_and_counted() {
    check(&[], &handshake("{}"), CloseReason::ProxyHeader).await;
    check(&[], &version_2(LONGEST), CloseReason::ProxyHeader).await;
    check(&["10.0.0.0/8"], &version_2(0), CloseReason::ProxyHeader).await;
}

#[tokio::test]
async fn who_sends_it_too_slowly_runs_into_the_deadline_of_the_handshake() {
    let (running, address) = start(&[]);
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"PROXY TCP4 203.").await.unwrap();
    // It is being waited for.
    while running.bench.worker.counts().pending() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tokio::time::pause();
    // The time passes as soon as nobody has anything to do.
    tokio::time::sleep(Duration::from_secs(11)).await;
    tokio::time::resume();
    assert_eq!(running.bench.closed(), [(CloseReason::HandshakeTimeout, 1)]);
    assert!(stream.read_u8().await.is_err());
    running.end().await;
}
