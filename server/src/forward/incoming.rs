//! Requests from other servers: client messages in their session's lane, and user RPC beside them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::answer::response;
use super::call::Call;
use super::pins::Pins;
use super::pitaya::{PitayaAgent, UnaryCall};
use super::remote_agent::{RemoteAgent, representation_of};
use super::remote_jobs::RemoteJobs;
use crate::handler::{LaneTask, Registry, Runtime, execute};
use crate::lanes::{Busy, LaneRun, Lanes, Placement, Pushed, Spawner};
use crate::request::{App, Context, Kind};
use crate::rpc::proto::refusal::Reason;
use crate::rpc::{Link, Requests, proto};
use crate::session::{CloseReason, Copy, Representation};
use crate::topology::ServerType;
use crate::wire::{Error, Route, Serializer, Text, codes};

/// The lane of a session that another server holds: its process, and the id there.
pub(crate) type LaneKey = (u64, i64);

/// All lanes of sessions that other servers hold; one for the process, so that a message on a new link queues behind a
/// handler that still runs.
pub(crate) type RemoteLanes = Lanes<LaneKey, Arc<RemoteSession>, Job>;

/// The right to run one of them.
pub(super) type RemoteRun = LaneRun<LaneKey, Arc<RemoteSession>, Job>;

/// What a lane keeps while it lives.
pub(crate) struct RemoteSession {
    pub(super) agent: RemoteEnd,
    pub(super) copy: Arc<Copy>,
}

/// The other end of a lane's session.
pub(super) enum RemoteEnd {
    /// A frontend that opened a link.
    Link(Arc<RemoteAgent>),
    /// One that makes unary calls.
    Pitaya(Arc<PitayaAgent>),
}

impl RemoteEnd {
    /// A job has its turn: the session is where it came from.
    pub(super) fn follow(&self, work: &mut Work) {
        match (self, work) {
            (Self::Link(agent), Work::Message { origin: Origin::Link(call), .. }) => agent.follow(call.link()),
            (Self::Link(agent), Work::Disconnect { link, .. }) => agent.follow(link),
            (Self::Pitaya(agent), Work::Message { origin: Origin::Unary(call), .. }) => call.follow(agent),
            // The two kinds of frontends have no key in common.
            _ => {}
        }
    }
}

/// Where a message came from, and its answer goes.
pub(super) enum Origin {
    Link(Call),
    Unary(UnaryCall),
}

impl Origin {
    /// Answers the message.
    pub(super) fn answer(self, result: Result<Bytes, Error>) {
        match self {
            Self::Link(call) => call.answer(result),
            Self::Unary(call) => call.answer(result),
        }
    }
}

/// One piece of work in a lane.
pub(crate) struct Job {
    /// The session as its frontend knew it when it sent this.
    pub(super) session: Representation,
    pub(super) work: Work,
}

/// What a job does.
pub(super) enum Work {
    /// Handle a client's message and answer it where it came from.
    Message { origin: Origin, kind: proto::RequestKind, route: Text, body: Bytes, message_id: u64, deadline: Instant },
    /// Tell the services that the session has ended.
    Disconnect { link: Arc<Link>, reason: CloseReason },
}

/// What [`Incoming`] is made of, for one worker.
pub(crate) struct IncomingParts {
    /// This server's type.
    pub(crate) server_type: ServerType,
    /// The handlers of this server.
    pub(crate) registry: Arc<Registry>,
    /// Where and how handlers run.
    pub(crate) handlers: Arc<Runtime>,
    /// The handle for user code, by worker.
    pub(crate) apps: Arc<[App]>,
    /// Lanes of the whole process.
    pub(crate) lanes: Arc<RemoteLanes>,
    /// The sessions that stay here.
    pub(crate) pins: Arc<Pins>,
    /// Where lanes may start, by worker.
    pub(crate) spawners: Arc<[Spawner]>,
    /// How busy the workers are with lanes.
    pub(crate) placement: Arc<Placement>,
    /// The worker whose links these are.
    pub(crate) worker: usize,
    /// How many requests one link may have in lanes.
    pub(crate) requests_per_link: usize,
    /// How many batches of lanes may be on their way to other workers.
    pub(crate) hand_overs: usize,
    /// Counts clients' messages with a bad route, or without a handler.
    pub(crate) refused: AtomicU64,
}

/// The backend's half of forwarding, for the links of one worker.
pub(crate) struct Incoming {
    pub(super) parts: Arc<IncomingParts>,
    /// Lanes to start when the batch has been read.
    starts: Mutex<Vec<RemoteRun>>,
    /// User calls that run, for `Cancel`: by link and call.
    calls: Arc<Mutex<Calls>>,
    /// Batches of lanes on their way to other workers.
    moving: Arc<AtomicUsize>,
}

/// What cancels each user call that runs.
type Calls = FxHashMap<(usize, u64), CancellationToken>;

/// A call's entry among those that can be cancelled; it goes with the call, also when that is dropped.
struct Cancellable {
    calls: Arc<Mutex<Calls>>,
    key: (usize, u64),
}

impl Drop for Cancellable {
    fn drop(&mut self) {
        self.calls.lock().remove(&self.key);
    }
}

impl Incoming {
    /// Takes the requests of one worker's links.
    pub(crate) fn new(parts: IncomingParts) -> Self {
        Self { parts: Arc::new(parts), starts: Mutex::default(), calls: Arc::default(), moving: Arc::default() }
    }

    /// How many batches of lanes are on their way to other workers.
    pub(crate) fn moving(&self) -> usize {
        self.moving.load(Ordering::Relaxed)
    }

    /// How many user calls run that can be cancelled.
    #[cfg(test)]
    pub(super) fn cancellable(&self) -> usize {
        self.calls.lock().len()
    }

    fn enqueue(&self, link: &Arc<Link>, session: Representation, work: Work) {
        let key = (link.incarnation(), session.id.get());
        let open = |job: &Job| {
            let agent = Arc::new(RemoteAgent::new(link.clone(), key, self.parts.pins.clone()));
            let copy = Copy::new(job.session.clone(), agent.clone(), self.serializer());
            Arc::new(RemoteSession { copy, agent: RemoteEnd::Link(agent) })
        };
        // A lane that exists takes the newer session when its turn comes, not while another message is handled.
        if let Pushed::Start(run) = self.parts.lanes.push(key, Job { session, work }, open) {
            self.starts.lock().push(run);
        }
    }

    /// Queues a message of a session at a frontend that makes unary calls; `open` makes the session's other end.
    pub(super) fn enqueue_unary(
        &self,
        key: LaneKey,
        session: Representation,
        work: Work,
        open: impl FnOnce() -> Arc<PitayaAgent>,
    ) {
        let open = |job: &Job| {
            let agent = open();
            let copy = Copy::new(job.session.clone(), agent.clone(), self.serializer());
            agent.attach(&copy);
            Arc::new(RemoteSession { copy, agent: RemoteEnd::Pitaya(agent) })
        };
        if let Pushed::Start(run) = self.parts.lanes.push(key, Job { session, work }, open) {
            let worker = self.place();
            self.start(worker, vec![(run, self.parts.placement.started(worker))]);
        }
    }

    /// How many clients' messages had a bad route, or no handler.
    pub(crate) fn refused(&self) -> u64 {
        self.parts.refused.load(Ordering::Relaxed)
    }

    fn client_message(&self, call: Call, request: proto::Request, route: Text, deadline: Instant) {
        let session = request.session.ok_or_else(|| Error::new(codes::BAD_REQUEST, "the request carries no session"));
        match session.and_then(representation_of) {
            Ok(session) => {
                let (kind, link) = (call.kind(), call.link().clone());
                let (origin, body, message_id) = (Origin::Link(call), request.body, request.message_id);
                self.enqueue(&link, session, Work::Message { origin, kind, route, body, message_id, deadline });
            }
            Err(error) => call.answer(Err(error)),
        }
    }

    fn user_call(&self, call: Call, request: proto::Request, route: Text, deadline: Instant) {
        let entry =
            Route::parse(&route).map_err(|error| Error::new(codes::BAD_REQUEST, error.to_string())).and_then(|route| {
                self.parts.registry.find(Kind::Remote, &self.parts.server_type, route.service_method()).cloned()
            });
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => return call.answer(Err(error)),
        };
        let (Some(app), Some(spawner)) = (self.parts.apps.get(self.parts.worker), self.spawner()) else { return };
        let context = Context::new(app, Kind::Remote, route, request.id, deadline).with_body(request.body);
        let key = (Arc::as_ptr(call.link()) as usize, request.id);
        self.calls.lock().insert(key, context.cancellation().clone());
        let cancellable = Cancellable { calls: self.calls.clone(), key };
        let handlers = self.parts.handlers.clone();
        spawner.spawn(async move {
            let ended = execute(entry, context, &handlers, Instant::now()).await;
            drop(cancellable);
            call.answer(ended.result);
        });
    }

    fn serializer(&self) -> Arc<Serializer> {
        self.parts.apps.get(self.parts.worker).map_or_else(Arc::default, |app| app.serializer().clone())
    }

    fn spawner(&self) -> Option<&Spawner> {
        self.parts.spawners.get(self.parts.worker)
    }

    /// The worker that a lane starts on: this one while too many are on their way to others.
    fn place(&self) -> usize {
        let worker = self.parts.placement.choose(self.parts.worker);
        if self.moving() >= self.parts.hand_overs { self.parts.worker } else { worker }
    }

    /// Starts lanes on `worker`; one wake for all of them.
    fn start(&self, worker: usize, runs: Vec<(RemoteRun, Busy)>) {
        let parts = &self.parts;
        let (Some(spawner), Some(app)) = (parts.spawners.get(worker), parts.apps.get(worker)) else { return };
        if worker == parts.worker {
            return start_lanes(parts, app, spawner, runs);
        }
        let (parts, app, there) = (parts.clone(), app.clone(), spawner.clone());
        let moving = self.moving.clone();
        moving.fetch_add(1, Ordering::Relaxed);
        spawner.spawn(async move {
            moving.fetch_sub(1, Ordering::Relaxed);
            start_lanes(&parts, &app, &there, runs);
        });
    }
}

fn start_lanes(parts: &Arc<IncomingParts>, app: &App, spawner: &Spawner, runs: Vec<(RemoteRun, Busy)>) {
    for (run, busy) in runs {
        let jobs = RemoteJobs::new(parts.clone(), app.clone(), spawner.clone(), run, busy);
        spawner.spawn(LaneTask::new(jobs));
    }
}

impl Requests for Incoming {
    fn request(&self, link: &Arc<Link>, mut request: proto::Request, now: Instant) {
        let id = request.id;
        if link.is_drained() && !request.pinned {
            return link.refuse(id, Reason::Draining);
        }
        if link.admitted().load(Ordering::Relaxed) >= self.parts.requests_per_link {
            return link.refuse(id, Reason::Full);
        }
        let Ok(route) = Text::try_from(std::mem::take(&mut request.route)) else {
            return link.send(response(id, Err(Error::new(codes::BAD_REQUEST, "the route is not UTF-8"))));
        };
        let deadline = now + Duration::from_micros(request.timeout_micros).min(MAX_TIMEOUT);
        let call = Call::admit(link, &request);
        if call.kind() == proto::RequestKind::User {
            self.user_call(call, request, route, deadline);
        } else {
            self.client_message(call, request, route, deadline);
        }
    }

    fn cancel(&self, link: &Arc<Link>, id: u64) {
        if let Some(token) = self.calls.lock().get(&(Arc::as_ptr(link) as usize, id)) {
            token.cancel();
        }
    }

    fn closed(&self, link: &Arc<Link>, closed: proto::Closed) {
        let Some(session) = closed.session else { return };
        self.parts.pins.remove_all((link.incarnation(), session.id));
        if !self.parts.registry.has_disconnect() {
            return;
        }
        let reason = CloseReason::from_number(closed.reason).unwrap_or(CloseReason::ConnectionLost);
        match representation_of(session) {
            Ok(session) => self.enqueue(link, session, Work::Disconnect { link: link.clone(), reason }),
            Err(error) => tracing::warn!(peer = %link.server(), %error, "the end of a session is not told to handlers"),
        }
    }

    fn batch_done(&self, _link: &Arc<Link>) {
        let starts = std::mem::take(&mut *self.starts.lock());
        if starts.is_empty() {
            return;
        }
        let mut elsewhere: Vec<Vec<(RemoteRun, Busy)>> = Vec::new();
        let mut here = Vec::with_capacity(starts.len());
        for run in starts {
            let worker = self.place();
            // Counted from now on, so that the next lane of this batch is placed knowing of this one.
            let busy = self.parts.placement.started(worker);
            if worker == self.parts.worker {
                here.push((run, busy));
            } else {
                elsewhere.resize_with(elsewhere.len().max(worker + 1), Vec::new);
                if let Some(runs) = elsewhere.get_mut(worker) {
                    runs.push((run, busy));
                }
            }
        }
        self.start(self.parts.worker, here);
        for (worker, runs) in elsewhere.into_iter().enumerate().filter(|(_, runs)| !runs.is_empty()) {
            self.start(worker, runs);
        }
    }
}

/// A request's remaining time is cut to a day: nobody waits longer, and an instant cannot overflow by it.
pub(super) const MAX_TIMEOUT: Duration = Duration::from_hours(24);
