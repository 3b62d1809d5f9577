//! An acceptor as a game may write it: clients on a Unix socket.

use std::{io, os::unix::net::UnixStream as StdStream, path::PathBuf};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
};

use super::Running;
use crate::{
    acceptor::{Acceptor, Peer, Socket, StreamTransport},
    agent::testing::{ACK, handshake, request},
    session::CloseReason,
};

struct UnixAcceptor {
    path: PathBuf,
    listener: UnixListener,
}

struct UnixSocket(StdStream);

impl Acceptor for UnixAcceptor {
    type Socket = UnixSocket;

    fn name(&self) -> &'static str {
        "unix"
    }

    fn address(&self) -> String {
        self.path.display().to_string()
    }

    async fn accept(&mut self) -> io::Result<(UnixSocket, Peer)> {
        let (stream, _) = self.listener.accept().await?;
        Ok((UnixSocket(stream.into_std()?), Peer::default()))
    }
}

impl Socket for UnixSocket {
    type Transport = StreamTransport<UnixStream>;

    async fn open(self) -> io::Result<Self::Transport> {
        Ok(StreamTransport::new(UnixStream::from_std(self.0)?))
    }
}

#[tokio::test]
async fn clients_connect_over_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("game.sock");
    let listener = UnixListener::bind(&path).expect("a new socket");
    let mut running = Running::start(UnixAcceptor { path: path.clone(), listener });
    let mut stream = UnixStream::connect(&path).await.expect("it listens");
    stream
        .write_all(&[&handshake("{}")[..], &ACK, &request(5, "a", "hello")].concat())
        .await
        .expect("the server reads");
    let length = stream.read_u32().await.expect("the server answers") & 0xFF_FFFF;
    stream.read_exact(&mut vec![0; length as usize]).await.expect("the answer is whole");
    let notes = running.bench.opened().await;
    assert_eq!(&*notes.next_message().await.body, b"hello");
    assert_eq!(&*notes.record.representation().data, b"{}", "no address, no IP version");
    drop(stream);
    assert_eq!(notes.next_close().await, CloseReason::ClientClosed);
    running.end().await;
}
