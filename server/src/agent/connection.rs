//! The handle of one connection: what others queue for the client, and what they tell its task.

use std::{convert::Infallible, future::ready, sync::Arc, task::Waker};

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::Notify;
use tracing::{debug, warn};

use super::{
    config::OutboundConfig,
    queue::{Amount, Batch, Overflow, Queue},
    worker::Worker,
};
use crate::{
    dispatch::Client,
    session::{
        BoxFuture, Changes, CloseReason, Entity, Frontend, KickReason, OnClose, PushError, Record, SaveError,
        SessionId, Subscription,
    },
    wire::{
        EncodeError, Error, Handshake, Outbound, PacketKind, SharedPush, Text, codes, encode_packet, encode_push,
        encode_response, parse_handshake,
    },
};

/// The route of the push that announces a stop.
const DRAINING: &str = "sys.draining";

/// A connection after its handshake, as everybody but its own task sees it.
pub(crate) struct Connection {
    worker: Arc<Worker>,
    record: Arc<Record>,
    style: Outbound,
    /// What the client said of itself, as it came: parsed it would take several times the memory.
    handshake: Box<[u8]>,
    /// The client wants to know why it is kicked.
    kick_reason: bool,
    /// The client wants to know when the server will stop.
    drain: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    queue: Queue,
    ending: Option<Ending>,
    /// It ends as soon as everything that the client asked for is answered.
    leaving: bool,
    /// The connection's task.
    task: Option<Waker>,
    /// The task runs, or will run: no need to wake it.
    awake: bool,
    /// It must look again before it sleeps.
    signalled: bool,
    /// Those who wait for the writer's turn, when there are any.
    turn: Option<Arc<Notify>>,
}

/// How the connection ends, as somebody decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// What is queued is written first, and the peer is told.
    Gently(CloseReason),
    /// Now.
    Abruptly(CloseReason),
}

impl Ending {
    pub(super) fn reason(self) -> CloseReason {
        match self {
            Self::Gently(reason) | Self::Abruptly(reason) => reason,
        }
    }
}

/// What the connection's task has to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settled {
    /// Sleep until woken.
    Idle,
    /// Write the batch.
    Write,
    /// Somebody called [`Client::wake`].
    Again,
    /// End when the client waits for no answer; else sleep until woken.
    Leave,
    /// End.
    End(Ending),
}

impl State {
    fn wake(&mut self) {
        if !self.awake {
            self.awake = true;
            if let Some(task) = &self.task {
                task.wake_by_ref();
            }
        }
    }

    fn end(&mut self, ending: Ending) {
        self.ending.get_or_insert(ending);
        self.wake();
        self.writer_had_its_turn();
    }

    fn is_crowded(&self, bound: &OutboundConfig) -> bool {
        self.ending.is_none() && self.queue.is_crowded(bound)
    }

    fn writer_had_its_turn(&mut self) {
        if let Some(turn) = self.turn.take() {
            turn.notify_waiters();
        }
    }
}

impl Connection {
    pub(super) fn new(worker: Arc<Worker>, record: Arc<Record>, handshake: &Handshake, body: Box<[u8]>) -> Self {
        Self {
            style: Outbound::for_client(handshake, &worker.settings().wire),
            handshake: body,
            kick_reason: handshake.kick_reason,
            drain: handshake.drain,
            worker,
            record,
            state: Mutex::default(),
        }
    }

    pub(super) fn worker(&self) -> &Arc<Worker> {
        &self.worker
    }

    pub(super) fn record(&self) -> &Record {
        &self.record
    }

    pub(super) fn id(&self) -> SessionId {
        self.record.id()
    }

    /// End the connection after what is queued, without a kick.
    pub(super) fn close(&self, reason: CloseReason) {
        self.state.lock().end(Ending::Gently(reason));
    }

    /// End the connection as `close` does, but take no more of its messages and answer those that were taken first.
    pub(super) fn leave(&self) {
        let mut state = self.state.lock();
        state.leaving = true;
        state.wake();
    }

    /// What is queued for the client or on its way to the socket.
    pub(super) fn waiting(&self) -> Amount {
        self.state.lock().queue.waiting()
    }

    /// Tell the client, if it asked, that the server stops in so many seconds.
    pub(super) fn announce_drain(&self, seconds: u64) {
        if self.drain {
            let body = Bytes::from(json!({ "deadline": seconds }).to_string());
            if let Err(error) = self.try_push(self.id(), DRAINING, &body) {
                debug!(session = %self.id(), %error, "a client was not told of the drain");
            }
        }
    }

    /// Queue a heartbeat. It is not bounded: there is one in each interval, and writing has a time limit.
    pub(super) fn heartbeat(&self) {
        let mut state = self.state.lock();
        let Ok(()) = state.queue.put_always(self.worker.buffers(), |packets| {
            packets.extend_from_slice(&PacketKind::Heartbeat.empty());
            Ok::<_, Infallible>(())
        });
        state.wake();
    }

    /// The task begins to run. Says whether it is another one than the last time.
    pub(super) fn begin(&self, task: &Waker) -> bool {
        let mut state = self.state.lock();
        state.awake = true;
        let known = state.task.as_ref().is_some_and(|known| known.will_wake(task));
        if !known {
            state.task = Some(task.clone());
        }
        !known
    }

    /// What is left to do; fills `batch` when it is empty. The last call before the task sleeps returns `Idle` or `Leave`.
    pub(super) fn settle(&self, batch: &mut Batch) -> Settled {
        let mut state = self.state.lock();
        if let Some(ending) = state.ending {
            return Settled::End(ending);
        }
        if batch.is_empty() {
            batch.refill(&mut state.queue);
            state.writer_had_its_turn();
            if !batch.is_empty() {
                return Settled::Write;
            }
        }
        if std::mem::take(&mut state.signalled) {
            return Settled::Again;
        }
        state.awake = false;
        if state.leaving { Settled::Leave } else { Settled::Idle }
    }

    /// More for the batch, whatever was decided about the connection.
    pub(super) fn refill(&self, batch: &mut Batch) {
        batch.refill(&mut self.state.lock().queue);
    }

    /// The socket takes no more of the batch for now.
    pub(super) fn blocked(&self, batch: &mut Batch) {
        let mut state = self.state.lock();
        batch.blocked(&mut state.queue);
        state.writer_had_its_turn();
    }

    /// The connection is over: nothing is queued any more, and what is queued is dropped.
    pub(super) fn over(&self, reason: CloseReason) {
        let mut state = self.state.lock();
        state.ending.get_or_insert(Ending::Abruptly(reason));
        state.queue.clear(self.worker.buffers());
        state.writer_had_its_turn();
        state.task = None;
    }

    /// Bind the session, and send away whoever held the uid on this server before.
    fn bind_now(&self, session: SessionId, uid: &str) -> Result<u64, Error> {
        let pool = self.worker.pool();
        let entry = pool.get(session).filter(|_| session == self.id());
        let entry = entry.ok_or_else(|| Error::new(codes::UNKNOWN, "session not found"))?;
        let version = self.record.bind(uid)?;
        if let Some(older) = pool.bind_unique(uid, &entry) {
            older.entity.kick(older.record.id(), KickReason::Replaced);
        }
        Ok(version)
    }

    /// Queue one packet, unless the connection ends or does so because of it.
    fn put(
        &self,
        encode: impl FnOnce(&mut BytesMut) -> Result<(), EncodeError>,
    ) -> Result<Result<(), Closed>, EncodeError> {
        let mut state = self.state.lock();
        if state.ending.is_some() {
            return Ok(Err(Closed));
        }
        let bound = &self.worker.settings().config.outbound;
        if let Err(Overflow) = state.queue.put(bound, self.worker.buffers(), encode)? {
            state.end(Ending::Abruptly(CloseReason::SlowConsumer));
            return Ok(Err(Closed));
        }
        state.wake();
        Ok(Ok(()))
    }
}

/// Nothing can be queued any more.
struct Closed;

impl Client for Connection {
    fn respond(&self, id: u64, answer: Result<Bytes, Error>) {
        let (body, failed) = match answer {
            Ok(body) => (body, false),
            Err(error) => (self.worker.settings().serializer.encode_error(&error), true),
        };
        let Err(unencodable) = self.put(|packets| encode_response(id, &body, failed, self.style, packets)) else {
            return;
        };
        warn!(session = %self.id(), request = id, error = %unencodable, "an answer does not fit into a packet");
        let error = Error::new(codes::INTERNAL, unencodable.to_string());
        let body = self.worker.settings().serializer.encode_error(&error);
        // This one fits: its texts are our own. A connection that is closing answers nothing.
        let _ = self.put(|packets| encode_response(id, &body, true, self.style, packets));
    }

    fn wake(&self) {
        let mut state = self.state.lock();
        state.signalled = true;
        state.wake();
    }
}

impl Entity for Connection {
    fn try_push(&self, session: SessionId, route: &str, body: &Bytes) -> Result<(), PushError> {
        if session != self.id() {
            return Err(PushError::Closed);
        }
        let dictionary = &self.worker.settings().dictionary;
        let put = self.put(|packets| encode_push(route, body, dictionary, self.style, packets));
        put?.map_err(|Closed| PushError::Closed)
    }

    fn try_push_shared(&self, session: SessionId, push: &SharedPush) -> Result<(), PushError> {
        if session != self.id() {
            return Err(PushError::Closed);
        }
        let packet = push.packet(&self.worker.settings().dictionary, self.style)?;
        let copied = self.put(|packets| {
            packets.extend_from_slice(packet);
            Ok(())
        });
        copied?.map_err(|Closed| PushError::Closed)
    }

    fn is_crowded(&self) -> bool {
        self.state.lock().is_crowded(&self.worker.settings().config.outbound)
    }

    /// A client's queue is never full for long: when the writer had its turn there is room, or the client is too slow and
    /// closed for it.
    fn writable(&self) -> BoxFuture<'static, ()> {
        let mut state = self.state.lock();
        if !state.is_crowded(&self.worker.settings().config.outbound) {
            return Box::pin(ready(()));
        }
        let turn = state.turn.get_or_insert_default();
        Box::pin(Arc::clone(turn).notified_owned())
    }

    fn kick(&self, session: SessionId, reason: KickReason) {
        if session != self.id() {
            return;
        }
        let body = if self.kick_reason {
            json!({ "code": reason.as_str(), "msg": reason.message() }).to_string()
        } else {
            String::new()
        };
        let mut state = self.state.lock();
        if state.ending.is_some() {
            return;
        }
        let queued = state
            .queue
            .put_always(self.worker.buffers(), |packets| encode_packet(PacketKind::Kick, body.as_bytes(), packets));
        if let Err(error) = queued {
            warn!(session = %self.id(), %error, "a kick was not written");
        }
        state.end(Ending::Gently(reason.closes_with()));
    }

    fn bind(&self, session: SessionId, uid: Text) -> BoxFuture<'static, Result<u64, Error>> {
        Box::pin(ready(self.bind_now(session, &uid)))
    }

    fn save(&self, session: SessionId, changes: Changes) -> BoxFuture<'static, Result<u64, SaveError>> {
        let saved = if session == self.id() { self.record.apply(&changes) } else { Err(SaveError::Gone) };
        Box::pin(ready(saved))
    }

    /// A frontend's own handlers need no pin: the session is here.
    fn pin(&self, _session: SessionId) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(ready(Ok(())))
    }

    fn unpin(&self, _session: SessionId) {}

    fn subscribe(
        &self,
        session: SessionId,
        channel: Text,
        subscription: Subscription,
    ) -> BoxFuture<'static, Result<(), Error>> {
        self.worker.pool().subscribe(session, channel, subscription)
    }

    fn unsubscribe(&self, session: SessionId, channel: &str) {
        self.worker.pool().unsubscribe(session, channel);
    }

    fn address(&self) -> Frontend {
        self.worker.settings().frontend.clone()
    }

    fn handshake(&self, session: SessionId) -> Option<Handshake> {
        if session == self.id() { parse_handshake(&self.handshake).ok() } else { None }
    }

    fn on_close(&self, session: SessionId, callback: OnClose) -> Result<(), OnClose> {
        if session != self.id() {
            return Err(callback);
        }
        self.record.on_close(callback);
        Ok(())
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Connection").field("session", &self.id()).finish_non_exhaustive()
    }
}
