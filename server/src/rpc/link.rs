//! One conversation with one peer, as everybody else sees it.

use std::{
    fmt,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::Waker,
};

use arc_swap::ArcSwapOption;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use prost::{Message, length_delimiter_len};
use tokio::{runtime::Handle, sync::Notify};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Caller, Config, Identity, Outcome, hello,
    metrics::Counts,
    outbound::{OVERHEAD, Outbound},
    pending::Call,
    proto::{self, frame::Kind},
    secure::Certificates,
};
use crate::{
    topology::{Server, ServerId},
    wire,
};

/// Whether frames can be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Standing {
    /// The first attempt to connect is under way; what is sent waits for it.
    Connecting = 0,
    /// Connected, and the peer has said who it is.
    Live = 1,
    /// Not connected. An opened link tries again on its own, an accepted one is over.
    Down = 2,
}

/// What all links of one worker have in common.
#[derive(Debug)]
pub(super) struct Common {
    pub(super) identity: Arc<Identity>,
    pub(super) worker: usize,
    pub(super) config: Config,
    /// What connections are encrypted with, if they are.
    pub(super) certificates: Option<Arc<Certificates>>,
    pub(super) counts: Counts,
    pub(super) tasks: TaskTracker,
    pub(super) runtime: Handle,
    /// This server is going away.
    pub(super) draining: AtomicBool,
}

/// One conversation with one peer, opened or accepted by this server. All methods may be called from any thread.
///
/// An opened link survives reconnects: its standing and its peer's incarnation change, its calls of before are
/// completed. An accepted link is one connection.
pub(crate) struct Link {
    /// The peer that the topology promised, or that introduced itself.
    server: ServerId,
    /// Where an opened link leads.
    pub(super) address: Mutex<Option<SocketAddr>>,
    /// The type of the server that it leads to, as the topology says; none when it was accepted.
    pub(super) promised_type: Option<Arc<str>>,
    opened: bool,
    /// The peer takes each request as a call of its own.
    unary: bool,
    common: Arc<Common>,
    peer: ArcSwapOption<Identity>,
    /// The peer's, again: each message needs it.
    incarnation: AtomicU64,
    /// The version of the protocol that both ends know; 0 before the peer said who it is.
    version: AtomicU32,
    outbound: Mutex<Outbound>,
    pub(super) pending: AtomicUsize,
    standing: AtomicU8,
    draining: AtomicBool,
    /// The peer knows that this server is going away.
    pub(super) drained: AtomicBool,
    /// Requests of the peer that are not answered.
    pub(super) admitted: AtomicUsize,
    pub(super) held: AtomicUsize,
    /// Sessions whose messages keep to this link: see [`super::Kept`].
    pub(super) sessions: AtomicUsize,
    room: Notify,
    /// This link is to end.
    stop: CancellationToken,
    /// It is to end when it has nothing in flight: the peer left the topology.
    pub(super) leaving: AtomicBool,
}

impl fmt::Debug for Link {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Link")
            .field("server", &self.server)
            .field("opened", &self.opened)
            .field("standing", &self.standing())
            .field("pending", &self.pending())
            .finish_non_exhaustive()
    }
}

impl Link {
    /// To a server that is called.
    pub(super) fn to(server: &Server, common: Arc<Common>) -> Arc<Self> {
        let promised = (server.address, server.server_type.clone());
        Arc::new(Self::with_peer(server.id.clone(), Some(promised), None, common))
    }

    /// From a peer that called.
    pub(super) fn from(server: ServerId, common: Arc<Common>) -> Arc<Self> {
        Arc::new(Self::with_peer(server, None, None, common))
    }

    /// To `peer`, which takes unary calls and never says who it is.
    pub(super) fn unary(peer: Identity, address: SocketAddr, common: Arc<Common>) -> Arc<Self> {
        let promised = (address, peer.server_type.clone());
        Arc::new(Self::with_peer(peer.server_id.clone(), Some(promised), Some(peer), common))
    }

    fn with_peer(
        server: ServerId,
        promised: Option<(SocketAddr, Arc<str>)>,
        peer: Option<Identity>,
        common: Arc<Common>,
    ) -> Self {
        let (address, promised_type) = promised.unzip();
        Self {
            server,
            address: Mutex::new(address),
            promised_type,
            opened: address.is_some(),
            unary: peer.is_some(),
            common,
            incarnation: AtomicU64::new(peer.as_ref().map_or(0, |peer| peer.incarnation)),
            peer: ArcSwapOption::from_pointee(peer),
            version: AtomicU32::new(0),
            outbound: Mutex::new(Outbound::new()),
            pending: AtomicUsize::new(0),
            standing: AtomicU8::new(Standing::Connecting as u8),
            draining: AtomicBool::new(false),
            drained: AtomicBool::new(false),
            admitted: AtomicUsize::new(0),
            held: AtomicUsize::new(0),
            sessions: AtomicUsize::new(0),
            room: Notify::new(),
            stop: CancellationToken::new(),
            leaving: AtomicBool::new(false),
        }
    }

    /// The peer's id, known before the peer is connected.
    pub(crate) fn server(&self) -> &ServerId {
        &self.server
    }

    /// Who the peer said it is; of an opened link that is down, who it was.
    pub(crate) fn peer(&self) -> Option<Arc<Identity>> {
        self.peer.load_full()
    }

    /// This server opened the link and sends requests on it.
    pub(crate) fn is_opened(&self) -> bool {
        self.opened
    }

    /// The peer takes each request as a call of its own, in no order.
    pub(crate) fn is_unary(&self) -> bool {
        self.unary
    }

    /// Whether frames can be sent.
    pub(crate) fn standing(&self) -> Standing {
        match self.standing.load(Relaxed) {
            0 => Standing::Connecting,
            1 => Standing::Live,
            _ => Standing::Down,
        }
    }

    /// The peer said that it is going away.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Relaxed)
    }

    /// The peer's process; 0 before it said who it is.
    pub(crate) fn incarnation(&self) -> u64 {
        self.incarnation.load(Relaxed)
    }

    /// Whether the peer is known to be of a release that knows no channels.
    pub(crate) fn lacks_channels(&self) -> bool {
        self.unary || (1..hello::CHANNELS).contains(&self.version.load(Relaxed))
    }

    /// Calls in flight.
    pub(crate) fn pending(&self) -> usize {
        self.pending.load(Relaxed)
    }

    /// Sessions whose messages keep to this link.
    pub(crate) fn sessions(&self) -> usize {
        self.sessions.load(Relaxed)
    }

    /// Bytes that wait to be sent.
    pub(crate) fn queued(&self) -> usize {
        self.outbound.lock().bytes()
    }

    /// The worker that the link lives on.
    pub(crate) fn worker(&self) -> usize {
        self.common.worker
    }

    /// Sends a request; `caller` is told how it ended, with `token`. Returns the id for `cancel`.
    ///
    /// # Errors
    /// The request, when there is no room for it or the link is down. One that is too large is taken and answered
    /// with PIT-500.
    #[expect(clippy::result_large_err, reason = "handing the request back in place saves an allocation for each call")]
    pub(crate) fn call(
        &self,
        mut request: proto::Request,
        caller: Arc<dyn Caller>,
        token: u64,
    ) -> Result<u64, proto::Request> {
        request.id = 0;
        let length = request.encoded_len();
        let (id, waker) = {
            let mut outbound = self.outbound.lock();
            if !outbound.is_taking() {
                return Err(request);
            }
            if !outbound.has_room(self.common.config.outbound) || outbound.pending.is_full() {
                drop(outbound);
                self.common.counts.full.fetch_add(1, Relaxed);
                return Err(request);
            }
            if length > self.common.config.max_frame {
                let id = outbound.pending.none();
                drop(outbound);
                self.complete_later(caller, token, Outcome::Answered(Some(self.too_large(length))));
                return Ok(id);
            }
            let id = outbound.pending.request(request, caller, token);
            // The key of `Request.id` is one byte.
            let waker = outbound.push_call(id, length + 1 + length_delimiter_len(id as usize));
            self.pending.store(outbound.pending.len(), Relaxed);
            (id, waker)
        };
        wake(waker);
        Ok(id)
    }

    /// Tells the peer that the answer to a call is no longer wanted. The call completes all the same.
    pub(crate) fn cancel(&self, id: u64) {
        let mut outbound = self.outbound.lock();
        if !outbound.pending.contains(id) {
            return;
        }
        let waker = outbound.push(Kind::Cancel(proto::Cancel { id }));
        drop(outbound);
        wake(waker);
    }

    /// Sends a frame if there is room for it, such as a push.
    ///
    /// # Errors
    /// The frame, when there is no room, the link is down, or the frame is larger than `max_frame`.
    #[expect(clippy::result_large_err, reason = "handing the frame back in place saves an allocation for each push")]
    pub(crate) fn try_send(&self, frame: proto::Frame) -> Result<(), proto::Frame> {
        let Some(kind) = frame.kind else { return Ok(()) };
        if self.is_too_large(&kind) {
            return Err(kind.into());
        }
        let mut outbound = self.outbound.lock();
        if !outbound.is_taking() {
            return Err(kind.into());
        }
        if !outbound.has_room(self.common.config.outbound) {
            drop(outbound);
            self.common.counts.full.fetch_add(1, Relaxed);
            return Err(kind.into());
        }
        let waker = outbound.push(kind);
        drop(outbound);
        wake(waker);
        Ok(())
    }

    /// Sends a frame that is bounded by what is in flight, such as a response. Dropped when the link is down; a response
    /// that is too large becomes PIT-500.
    pub(crate) fn send(&self, frame: proto::Frame) {
        let Some(mut kind) = frame.kind else { return };
        if self.is_too_large(&kind) {
            let Kind::Response(response) = &mut kind else { return };
            response.outcome = Some(self.too_large(response.encoded_len()));
        }
        let mut outbound = self.outbound.lock();
        if !outbound.is_taking() {
            return;
        }
        let waker = outbound.push(kind);
        drop(outbound);
        wake(waker);
    }

    /// Tells the process `incarnation` of the peer that a session has ended. Always taken: while the link is down that waits
    /// for the process to come back, and is void when another one comes, or the link is to end. What was on its way when the
    /// link was lost may be lost.
    pub(crate) fn send_closed(&self, closed: proto::Closed, incarnation: u64) {
        if closed.encoded_len() + OVERHEAD > self.common.config.max_frame {
            return;
        }
        let mut outbound = self.outbound.lock();
        if self.incarnation() != incarnation {
            return;
        }
        let waker = outbound.push_closed(closed);
        drop(outbound);
        wake(waker);
    }

    /// Resolves when `try_send` and `call` may find room again, or the link is down.
    pub(crate) fn writable(self: &Arc<Self>) -> BoxFuture<'static, ()> {
        let link = self.clone();
        Box::pin(async move {
            let mut room = pin!(link.room.notified());
            loop {
                // Before the look, so that room made in between is not missed.
                room.as_mut().enable();
                if link.has_room() {
                    return;
                }
                room.as_mut().await;
                room.set(link.room.notified());
            }
        })
    }

    /// Whether frames are taken at all: not when the connection is lost or closing.
    pub(crate) fn is_taking(&self) -> bool {
        self.outbound.lock().is_taking()
    }

    fn has_room(&self) -> bool {
        let mut outbound = self.outbound.lock();
        !outbound.is_taking() || outbound.has_room(self.common.config.outbound)
    }

    /// Whether the frame is larger than this link takes.
    pub(crate) fn is_too_large(&self, kind: &Kind) -> bool {
        match kind {
            Kind::Response(response) => match &response.outcome {
                Some(proto::response::Outcome::Body(body)) => body.len() + OVERHEAD > self.common.config.max_frame,
                Some(_) => kind.encoded_len() > self.common.config.max_frame,
                None => false,
            },
            Kind::Push(push) => push.route.len() + push.body.len() + 2 * OVERHEAD > self.common.config.max_frame,
            _ => kind.encoded_len() > self.common.config.max_frame,
        }
    }

    pub(super) fn too_large(&self, length: usize) -> proto::response::Outcome {
        self.common.counts.too_large.fetch_add(1, Relaxed);
        let most = self.common.config.max_frame;
        let error = wire::Error::new(
            wire::codes::INTERNAL,
            format!("a message of {length} bytes is larger than a link takes ({most})"),
        );
        proto::response::Outcome::Error((&error).into())
    }

    /// Completes a call that was never queued, from a task, because callers may hold locks while they call.
    pub(super) fn complete_later(&self, caller: Arc<dyn Caller>, token: u64, outcome: Outcome) {
        self.common.tasks.spawn_on(async move { caller.complete(token, outcome) }, &self.common.runtime);
    }
}

/// The link as its own tasks see it.
impl Link {
    pub(super) fn common(&self) -> &Common {
        &self.common
    }

    pub(super) fn outbound(&self) -> &Mutex<Outbound> {
        &self.outbound
    }

    pub(super) fn stopped(&self) -> &CancellationToken {
        &self.stop
    }

    /// The peer has said who it is, and that both know this version of the protocol.
    pub(crate) fn open(&self, peer: Identity, version: u32) {
        let incarnation = peer.incarnation;
        self.version.store(version, Relaxed);
        self.peer.store(Some(Arc::new(peer)));
        self.draining.store(false, Relaxed);
        let waker = {
            let mut outbound = self.outbound.lock();
            outbound.redeliver(self.incarnation.swap(incarnation, Relaxed) == incarnation);
            outbound.open()
        };
        self.standing.store(Standing::Live as u8, Relaxed);
        wake(waker);
    }

    /// The peer introduced itself as one that is going away: what waited for it goes elsewhere.
    pub(super) fn give_back(&self) {
        let calls = {
            let mut outbound = self.outbound.lock();
            let calls = outbound.give_back();
            self.pending.store(outbound.pending.len(), Relaxed);
            calls
        };
        for call in calls {
            call.lose();
        }
        self.room.notify_waiters();
    }

    /// The peer said that it is going away.
    pub(super) fn drain(&self) {
        self.draining.store(true, Relaxed);
    }

    /// The peer answered a call.
    pub(super) fn answer(&self, response: proto::Response) {
        let call: Option<Call> = {
            let mut outbound = self.outbound.lock();
            let call = outbound.pending.take(response.id);
            self.pending.store(outbound.pending.len(), Relaxed);
            call
        };
        if let Some(call) = call {
            call.answer(response.outcome);
            self.leave_when_idle();
        }
    }

    /// The connection is gone, or could not be made: completes all calls.
    pub(super) fn lose(&self) {
        let (calls, waker) = self.outbound.lock().lose();
        self.standing.store(Standing::Down as u8, Relaxed);
        self.pending.store(0, Relaxed);
        wake(waker);
        for call in calls {
            call.lose();
        }
        self.room.notify_waiters();
    }

    /// Room was made in the queue.
    pub(super) fn unblock(&self) {
        self.room.notify_waiters();
    }

    /// Sends what is queued, takes nothing more, and ends.
    pub(super) fn close(&self) {
        let waker = self.outbound.lock().finish();
        self.stop.cancel();
        wake(waker);
        self.room.notify_waiters();
    }
}

pub(super) fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
