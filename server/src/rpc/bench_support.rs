//! What the benches of links need of this module: one end that echoes, one that keeps calls in flight, and a queue.

use std::{
    fmt,
    future::pending,
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use bytes::{Bytes, BytesMut};
use prost::{Message, length_delimiter_len};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tonic::service::Routes;

pub use super::proto::link::{Batch, Frame, Request, Response, Session, frame, response};
use super::{
    Caller, Channels, Config, Families, Identity, Link, LinkEvents, Links, Outcome, Requests, Sessions,
    outbound::Outbound, proto, serve,
};
use crate::topology::Server;

/// A forwarded 64-byte request of a session with some data, as a frontend sends it.
pub fn request() -> Request {
    Request {
        route: Bytes::from_static(b"room.bench.echo"),
        body: Bytes::from_static(&[7; 64]),
        session: Some(Session {
            id: 3_586_481_586_380_955_649,
            uid: Bytes::from_static(b"player-17"),
            data: Bytes::from_static(br#"{"ip":"127.0.0.1","platform":"linux","lang":"en","room":17}"#),
            version: 3,
        }),
        timeout_micros: 10_000_000,
        message_id: 1_000,
        ..Request::default()
    }
}

fn identity(name: &str) -> Arc<Identity> {
    Arc::new(Identity { server_id: name.into(), incarnation: 1, server_type: "room".into(), serializer: "json".into() })
}

/// Answers each request with its body.
pub(crate) struct Echo;

impl Requests for Echo {
    fn request(&self, link: &Arc<Link>, request: Request, _: Instant) {
        link.send(Response::body(request.id, request.body).into());
    }
    fn cancel(&self, _: &Arc<Link>, _: u64) {}
    fn closed(&self, _: &Arc<Link>, _: proto::Closed) {}
    fn batch_done(&self, _: &Arc<Link>) {}
}

/// Does nothing about what comes.
pub(crate) struct Deaf;

impl Sessions for Deaf {
    fn push(&self, _: &Arc<Link>, _: proto::Push) {}
    fn kick(&self, _: &Arc<Link>, _: proto::Kick) {}
    fn bind(&self, _: &Arc<Link>, _: proto::Bind) {}
    fn save(&self, _: &Arc<Link>, _: proto::SessionSave) {}
    fn pin(&self, _: &Arc<Link>, _: proto::Pin) {}
    fn unpin(&self, _: &Arc<Link>, _: proto::Unpin) {}
}

impl LinkEvents for Deaf {
    fn up(&self, _: &Arc<Link>) {}
    fn down(&self, _: &Arc<Link>) {}
    fn draining(&self, _: &Arc<Link>) {}
    fn drained(&self, _: &Arc<Link>) {}
}

impl Channels for Deaf {
    fn up(&self, _: &Arc<Link>) {}
    fn down(&self, _: &Arc<Link>) {}
    fn subscribe(&self, _: &Arc<Link>, _: proto::Subscribe) {}
    fn unsubscribe(&self, _: &Arc<Link>, _: proto::Unsubscribe) {}
    fn interest(&self, _: &Arc<Link>, _: proto::Interest) {}
    fn publish(&self, _: &Arc<Link>, _: proto::Publish) {}
    fn members(&self, _: &Arc<Link>, _: proto::Members) {}
}

fn families() -> Families {
    Families { requests: Arc::new(Echo), sessions: Arc::new(Deaf), links: Arc::new(Deaf), channels: Arc::new(Deaf) }
}

/// Accepts links and echoes, for ever.
pub async fn echo(listener: TcpListener) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    let links = Links::new(identity("back"), 0, &Config::default());
    links.attach(families());
    let (sender, sockets) = mpsc::channel(16);
    let accept = async {
        while let Ok((socket, _)) = listener.accept().await {
            let Ok(socket) = socket.into_std() else { return };
            if sender.send(socket).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(accept, serve(sockets, links, Routes::default(), pending()));
}

/// Calls a server that echoes.
#[derive(Debug)]
pub struct Client {
    /// Keeps the link open.
    _links: Arc<Links>,
    link: Arc<Link>,
    request: Request,
    /// Calls that are still to be made.
    left: AtomicU64,
    open: AtomicU64,
    done: Notify,
}

impl Client {
    /// A client of the server at `address`.
    pub fn open(address: SocketAddr) -> Arc<Self> {
        let links = Links::new(identity("front"), 0, &Config::default());
        links.attach(families());
        let link = links.open(&Server::new("back", "room", address));
        Arc::new(Self {
            _links: links,
            link,
            request: request(),
            left: AtomicU64::new(0),
            open: AtomicU64::new(0),
            done: Notify::new(),
        })
    }

    /// Makes `count` calls, `in_flight` at a time.
    pub async fn run(self: &Arc<Self>, count: u64, in_flight: u64) {
        let first = count.min(in_flight);
        self.left.store(count - first, Relaxed);
        self.open.store(first, Relaxed);
        for _ in 0..first {
            self.call();
        }
        self.done.notified().await;
    }

    fn call(self: &Arc<Self>) {
        // A call that is handed back counts as made: the result is then too good to be overlooked.
        if self.link.call(self.request.clone(), self.clone(), 0).is_err() {
            self.end();
        }
    }

    fn end(&self) {
        // All of it runs on one thread; the atomics are only there to be shared.
        let open = self.open.load(Relaxed) - 1;
        self.open.store(open, Relaxed);
        if open == 0 {
            self.done.notify_one();
        }
    }
}

impl Caller for Client {
    fn complete(self: Arc<Self>, _: u64, _: Outcome) {
        let left = self.left.load(Relaxed);
        if left > 0 {
            self.left.store(left - 1, Relaxed);
            self.call();
        } else {
            self.end();
        }
    }
}

/// Calls that wait for the stream of a link.
pub struct Queue(Outbound);

impl Queue {
    /// As many calls of [`request`], none of them sent.
    pub fn of_requests(count: usize) -> Self {
        let mut outbound = Outbound::new();
        outbound.open();
        let caller = Arc::new(Nobody);
        for _ in 0..count {
            let length = request().encoded_len();
            let id = outbound.pending.request(request(), caller.clone(), 0);
            outbound.push_call(id, length + 1 + length_delimiter_len(id as usize));
        }
        Self(outbound)
    }

    /// Appends the next batch to `buffer`, as the stream does; gives the number of its frames.
    pub fn encode(&mut self, buffer: &mut BytesMut) -> usize {
        self.0.encode(0, Config::default().outbound, buffer).frames
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Queue").field("bytes", &self.0.bytes()).finish_non_exhaustive()
    }
}

/// Waits for no answer.
struct Nobody;

impl Caller for Nobody {
    fn complete(self: Arc<Self>, _: u64, _: Outcome) {}
}
