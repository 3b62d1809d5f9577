//! An acceptor as a game may write it: clients that come through a pipe in memory.

use std::io;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    sync::mpsc,
};

use super::Running;
use crate::{
    acceptor::{Acceptor, Peer, Socket, StreamTransport},
    agent::testing::{ACK, handshake, request},
    session::CloseReason,
};

struct Pipes(mpsc::Receiver<DuplexStream>);

struct Pipe(DuplexStream);

impl Acceptor for Pipes {
    type Socket = Pipe;

    fn name(&self) -> &'static str {
        "pipes"
    }

    fn address(&self) -> String {
        "memory".to_owned()
    }

    async fn accept(&mut self) -> io::Result<(Pipe, Peer)> {
        Ok((Pipe(self.0.recv().await.ok_or(io::ErrorKind::BrokenPipe)?), Peer::default()))
    }
}

impl Socket for Pipe {
    type Transport = StreamTransport<DuplexStream>;

    async fn open(self, peer: Peer) -> io::Result<(Self::Transport, Peer)> {
        Ok((StreamTransport::new(self.0), peer))
    }
}

#[tokio::test]
async fn clients_connect_over_it() {
    let (clients, pipes) = mpsc::channel(1);
    let mut running = Running::start(Pipes(pipes));
    let (mut stream, end) = duplex(4096);
    clients.send(end).await.expect("it accepts");
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
