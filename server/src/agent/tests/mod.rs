//! Connections over a pipe in memory, on paused time.

mod handshake;
mod inbox;
mod outbound;
mod queue;
mod reading;
mod size;
mod stopping;
mod table;
mod times;

use std::{io, sync::Arc};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    task::JoinHandle,
};

use super::{
    Config, Peer, StreamTransport, Validator, run,
    testing::{ACK, Bench, Notes, handshake},
};
use crate::session::CloseReason;

/// The answer to a handshake, as these tests' server gives it to a client that reads no compression.
const PLAIN_ANSWER: &str =
    r#"{"code":200,"sys":{"dict":{"onMessage":4,"room.room.join":1},"heartbeat":30,"serializer":"json"}}"#;

/// A client that reads no compression, so that what it gets can be compared.
const PLAIN_HANDSHAKE: &str = r#"{"sys":{"type":"js-websocket"}}"#;

/// A client at the other end of a pipe.
struct Client {
    pipe: DuplexStream,
    task: JoinHandle<()>,
}

fn connect(bench: &Bench) -> Client {
    connect_through(bench, 1 << 20)
}

/// Connect through a pipe that holds so many bytes in each direction.
#[allow(clippy::disallowed_methods, reason = "the test waits for the task itself")]
fn connect_through(bench: &Bench, capacity: usize) -> Client {
    let (pipe, far) = duplex(capacity);
    let peer = Peer::from(std::net::SocketAddr::from(([127, 0, 0, 1], 5000)));
    let from = peer.clone();
    let open = async move { io::Result::Ok((StreamTransport::new(far), peer)) };
    let task = tokio::spawn(run(Arc::clone(&bench.worker), open, from, (), ()));
    Client { pipe, task }
}

/// Connect and shake hands.
async fn connect_working(bench: &mut Bench) -> (Client, Arc<Notes>) {
    connect_working_through(bench, 1 << 20).await
}

async fn connect_working_through(bench: &mut Bench, capacity: usize) -> (Client, Arc<Notes>) {
    connect_as(bench, capacity, PLAIN_HANDSHAKE).await
}

async fn connect_as(bench: &mut Bench, capacity: usize, body: &str) -> (Client, Arc<Notes>) {
    let mut client = connect_through(bench, capacity);
    client.send(&handshake(body)).await;
    client.packet().await;
    client.send(&ACK).await;
    let notes = bench.opened().await;
    (client, notes)
}

impl Client {
    async fn send(&mut self, bytes: &[u8]) {
        self.pipe.write_all(bytes).await.expect("the server reads");
    }

    /// The next packet: its type and body.
    async fn packet(&mut self) -> (u8, Vec<u8>) {
        self.try_packet().await.expect("the server sends a packet")
    }

    async fn try_packet(&mut self) -> Option<(u8, Vec<u8>)> {
        let header = self.pipe.read_u32().await.ok()?;
        let mut body = vec![0; (header & 0xFF_FFFF) as usize];
        self.pipe.read_exact(&mut body).await.expect("the packet is whole");
        Some(((header >> 24) as u8, body))
    }

    /// What comes until the server closes.
    async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        self.pipe.read_to_end(&mut rest).await.expect("a pipe does not fail");
        rest
    }

    /// Wait until the connection's task is over.
    async fn gone(self) {
        self.task.await.expect("the task does not panic");
    }
}

fn refusing() -> Vec<Validator> {
    let validator = Validator::new("version", |handshake: &crate::wire::Handshake| {
        if handshake.client_version == "old" { Err(io::Error::other("too old")) } else { Ok(()) }
    });
    vec![validator]
}

fn bench_with(change: impl FnOnce(&mut Config)) -> Bench {
    let mut config = Config::default();
    change(&mut config);
    Bench::with(config, refusing())
}

fn once(reason: CloseReason) -> Vec<(CloseReason, u64)> {
    vec![(reason, 1)]
}
