//! One connection's messages: mine or theirs, in the session's order, each answered exactly once.

use std::sync::{Arc, OnceLock, Weak};

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use smallvec::SmallVec;
use tokio::time::Instant;

use super::open::OpenRequests;
use super::{Client, Conversation, Dispatcher};
use crate::forward::{self, Dispatch, Flow, ON_DISCONNECT, Parcel, Visit, Visits};
use crate::handler::{Entry, LaneJobs, LaneTask, Turn, execute};
use crate::lanes::{LocalLane, LocalRun, Pushed};
use crate::request::{Context, Kind};
use crate::rpc::{Caller, Outcome, proto};
use crate::session::{CloseReason, Copy, Entity, Record, Session};
use crate::topology::ServerType;
use crate::wire::{Error, Message, MessageKind, Route, Text, codes};

/// The conversation of one connection. `Dialogue` is what the agent holds as `Arc<dyn Conversation>`, and what links
/// hold as `Arc<dyn Caller>` for requests in flight.
pub(super) struct Dialogue {
    dispatcher: Arc<Dispatcher>,
    record: Arc<Record>,
    entity: Arc<dyn Entity>,
    /// Made for the first message of the own type: many clients only ever speak to other types.
    local: OnceLock<Local>,
    client: Arc<dyn Client>,
    /// Itself, for the calls and tasks that outlive a message.
    this: Weak<Dialogue>,
    state: Mutex<State>,
}

/// What handling messages here takes.
struct Local {
    copy: Arc<Copy>,
    lane: Arc<LocalLane<Job>>,
}

#[derive(Default)]
struct State {
    open: OpenRequests,
    flows: Vec<Flow>,
    visited: Visits,
    /// No more messages are taken.
    finishing: bool,
    closed: Option<CloseReason>,
}

/// What runs in the lane of the connection's own server type.
enum Job {
    Message { slot: usize, kind: Kind, entry: Arc<Entry>, route: Text, body: Bytes, message_id: u64, deadline: Instant },
    Disconnect(CloseReason),
}

/// Answers to give once the lock is released: (client's message id, answer).
type Answers = SmallVec<[Answer; 1]>;
type Answer = (u64, Result<Bytes, Error>);

impl Dialogue {
    pub(super) fn new(
        dispatcher: Arc<Dispatcher>,
        record: Arc<Record>,
        entity: Arc<dyn Entity>,
        client: Arc<dyn Client>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            dispatcher,
            record,
            entity,
            local: OnceLock::new(),
            client,
            this: this.clone(),
            state: Mutex::default(),
        })
    }

    /// How many messages are open.
    #[cfg(test)]
    pub(super) fn open_messages(&self) -> usize {
        self.state.lock().open.len()
    }

    /// Takes a message; says whether the session may not have another one.
    fn request(&self, message: Message, now: Instant) -> bool {
        // A request with id 0 cannot be answered; existing servers run it as a notify.
        let answer = (message.kind == MessageKind::Request && message.id != 0).then_some(message.id);
        if message.kind == MessageKind::Request && message.id == 0 {
            self.dispatcher.counters.unnumbered();
        }
        self.route(answer, message, now).unwrap_or_else(|error| {
            self.dispatcher.counters.refused();
            if let Some(id) = answer {
                self.client.respond(id, Err(error));
            } else {
                tracing::debug!(code = %error.code(), error = %error.message(), "notify refused");
            }
            self.is_full()
        })
    }

    fn route(&self, answer: Option<u64>, message: Message, now: Instant) -> Result<bool, Error> {
        let route = Route::parse(&message.route).map_err(|error| Error::new(codes::BAD_REQUEST, error.to_string()))?;
        match route.server_type {
            Some(other) if other != &*self.dispatcher.parts.server_type => {
                let mut state = self.state.lock();
                let server_type = self.flow_to(&mut state, other, now)?;
                Ok(self.forward(state, answer, &server_type, message, now))
            }
            _ => {
                let parts = &self.dispatcher.parts;
                let kind = if answer.is_some() { Kind::Request } else { Kind::Notify };
                let entry = parts.registry.find(kind, &parts.server_type, route.service_method())?.clone();
                Ok(self.handle(answer, entry, message, now))
            }
        }
    }

    fn handle(&self, answer: Option<u64>, entry: Arc<Entry>, message: Message, now: Instant) -> bool {
        let deadline = now + self.dispatcher.parts.request_timeout;
        let mut state = self.state.lock();
        let slot = state.open.insert(answer, deadline, None);
        let job = Job::Message {
            slot,
            kind: if answer.is_some() { Kind::Request } else { Kind::Notify },
            entry,
            route: message.route,
            body: message.body,
            message_id: message.id,
            deadline,
        };
        let is_full = self.is_full_in(&state);
        drop(state);
        self.push(job);
        is_full
    }

    fn push(&self, job: Job) {
        if let Pushed::Start(run) = self.local().lane.push(job)
            && let Some(dialogue) = self.this.upgrade()
        {
            self.dispatcher.parts.spawner.spawn(LaneTask::new(LocalJobs { dialogue, run }));
        }
    }

    /// Sees that there is a flow to the server type of this name.
    fn flow_to(&self, state: &mut State, name: &str, now: Instant) -> Result<ServerType, Error> {
        if let Some(flow) = state.flows.iter().find(|flow| &**flow.server_type() == name) {
            return Ok(flow.server_type().clone());
        }
        let server_type = self.dispatcher.parts.router.server_type(name)?;
        state.flows.push(Flow::new(server_type.clone(), now));
        Ok(server_type)
    }

    fn forward(
        &self,
        mut state: MutexGuard<'_, State>,
        answer: Option<u64>,
        server_type: &ServerType,
        message: Message,
        now: Instant,
    ) -> bool {
        let deadline = now + self.dispatcher.parts.request_timeout;
        let slot = state.open.insert(answer, deadline, Some(server_type.clone()));
        let parcel = Parcel {
            slot,
            number: state.open.number(slot),
            kind: if answer.is_some() { proto::RequestKind::Request } else { proto::RequestKind::Notify },
            message_id: answer.unwrap_or_default(),
            route: message.route,
            body: message.body,
            deadline,
        };
        let answers = self.with_flow(&mut state, server_type, Some(now), |flow, dispatch| flow.offer(parcel, dispatch));
        let is_full = self.is_full_in(&state);
        drop(state);
        self.answer(answers);
        is_full
    }

    /// Runs `work` on the flow of `server_type`, and drops that when it is idle; gives the answers to requests that could
    /// not be sent.
    fn with_flow(
        &self,
        state: &mut State,
        server_type: &ServerType,
        now: Option<Instant>,
        work: impl FnOnce(&mut Flow, &mut Dispatch<'_>),
    ) -> Answers {
        let Some(this) = self.this.upgrade() else { return Answers::new() };
        let caller: Arc<dyn Caller> = this;
        let State { flows, visited, open, .. } = state;
        let place = flows.iter().position(|flow| flow.server_type() == server_type);
        let Some((place, flow)) = place.and_then(|place| Some((place, flows.get_mut(place)?))) else {
            return Answers::new();
        };
        let router = &self.dispatcher.parts.router;
        let mut dispatch =
            Dispatch { router, record: &self.record, caller: &caller, now, visited, failed: SmallVec::new() };
        work(flow, &mut dispatch);
        let failed = dispatch.failed;
        if flow.is_idle() && !flow.is_sticky(router) {
            flows.swap_remove(place);
        }
        failed.into_iter().filter_map(|(slot, error)| self.end(open, slot, Err(error))).collect()
    }

    /// A forwarded message has ended: gives the client's answer, if one is due. The failure of a notify leaves a trace.
    fn end(&self, open: &mut OpenRequests, slot: usize, result: Result<Bytes, Error>) -> Option<Answer> {
        if let Err(error) = &result
            && open.is_notify(slot)
        {
            self.dispatcher.counters.notify_failed();
            let server_type = open.server_type(slot);
            tracing::debug!(?server_type, code = %error.code(), error = %error.message(), "a forwarded notify failed");
        }
        open.finish(slot).map(|id| (id, result))
    }

    fn answer(&self, answers: Answers) {
        for (id, answer) in answers {
            self.client.respond(id, answer);
        }
    }

    /// The work of `slot` has ended with `result`: its answer, if nobody has given one.
    fn finish(&self, slot: usize, result: Result<Bytes, Error>) {
        let mut state = self.state.lock();
        let was_full = self.is_full_in(&state);
        let answer = state.open.finish(slot);
        state.open.shrink();
        drop(state);
        if let Some(id) = answer {
            self.client.respond(id, result);
        }
        if was_full {
            self.client.wake();
        }
    }

    fn is_full_in(&self, state: &State) -> bool {
        state.finishing || state.open.len() >= self.dispatcher.parts.session_messages
    }

    /// After a forwarded message has ended: the flow goes on, and a closed session says goodbye once nothing waits.
    fn settle(&self, slot: usize, outcome: Settled) {
        let mut state = self.state.lock();
        let Some(server_type) = state.open.server_type(slot) else { return };
        let was_full = self.is_full_in(&state);
        let number = state.open.number(slot);
        let mut answers = Answers::new();
        let next = match outcome {
            Settled::Over(result) => {
                answers.extend(self.end(&mut state.open, slot, result));
                self.with_flow(&mut state, &server_type, None, |flow, dispatch| flow.handled(number, dispatch))
            }
            Settled::NotExecuted(request) => {
                let now = Instant::now();
                let again = state.open.return_once(slot, now);
                let parcel = again.and_then(|deadline| Parcel::of(*request, slot, number, deadline));
                if parcel.is_none() {
                    let error = Error::new(codes::NOT_EXECUTED, "no server took the request; it was not executed");
                    answers.extend(self.end(&mut state.open, slot, Err(error)));
                }
                self.with_flow(&mut state, &server_type, Some(now), |flow, dispatch| flow.returned(parcel, dispatch))
            }
        };
        answers.extend(next);
        state.open.shrink();
        let farewell = Self::farewell(&mut state);
        drop(state);
        self.answer(answers);
        if let Some((visits, reason)) = farewell {
            forward::say_closed(&visits, &self.record.representation(), reason);
        }
        if was_full {
            self.client.wake();
        }
    }

    /// The servers that must hear now of the session's end: those of types that no message is on its way to, because
    /// one that comes back unexecuted may yet go to any of them. None hears of it twice.
    fn farewell(state: &mut State) -> Option<(Vec<Visit>, CloseReason)> {
        let reason = state.closed?;
        let State { visited, flows, .. } = state;
        let is_over =
            |server_type: &str| flows.iter().all(|flow| **flow.server_type() != *server_type || flow.is_idle());
        let visits = visited.take(is_over);
        (!visits.is_empty()).then_some((visits, reason))
    }

    fn begin(self: &Arc<Self>, job: Job, now: Instant) -> Turn<usize> {
        let parts = &self.dispatcher.parts;
        match job {
            Job::Message { slot, kind, entry, route, body, message_id, deadline } => {
                let context = Context::new(&parts.app, kind, route, message_id, deadline)
                    .with_session(self.session(deadline))
                    .with_body(body);
                let is_concurrent = entry.marks().concurrent;
                let execution = execute(entry, context, &parts.handlers, now);
                if !is_concurrent {
                    return Turn::Handler(execution, slot);
                }
                let this = self.clone();
                Turn::Work(parts.spawner.begin(async move { this.finish(slot, execution.await.result) }))
            }
            Job::Disconnect(reason) => {
                let deadline = now + parts.request_timeout;
                let context = Context::new(&parts.app, Kind::Disconnect, ON_DISCONNECT, 0, deadline)
                    .with_session(self.session(deadline));
                let this = self.clone();
                Turn::Work(Box::pin(async move {
                    let parts = &this.dispatcher.parts;
                    parts.registry.disconnected(context, reason, &parts.handlers).await;
                }))
            }
        }
    }

    fn local(&self) -> &Local {
        self.local.get_or_init(|| {
            let serializer = self.dispatcher.parts.app.serializer().clone();
            let copy = Copy::new(self.record.representation(), self.entity.clone(), serializer);
            Local { copy, lane: Arc::default() }
        })
    }

    fn session(&self, deadline: Instant) -> Session {
        let copy = &self.local().copy;
        copy.follow(&self.record);
        Session::new(copy.clone(), deadline)
    }
}

enum Settled {
    Over(Result<Bytes, Error>),
    NotExecuted(Box<proto::Request>),
}

/// What waits in the lane of the connection's own type.
struct LocalJobs {
    dialogue: Arc<Dialogue>,
    run: LocalRun<Job>,
}

impl LaneJobs for LocalJobs {
    /// The slot of the message.
    type Caller = usize;

    fn begin_next(&mut self, now: Instant) -> Option<Turn<usize>> {
        self.run.next().map(|job| self.dialogue.begin(job, now))
    }

    fn answer(&mut self, slot: usize, result: Result<Bytes, Error>) {
        self.dialogue.finish(slot, result);
    }
}

fn deadline_passed() -> Error {
    Error::new(codes::DEADLINE, "the deadline passed before an answer")
}

impl Conversation for Dialogue {
    fn message(&self, message: Message, now: Instant) -> bool {
        let is_full = match message.kind {
            MessageKind::Request | MessageKind::Notify | MessageKind::Push => self.request(message, now),
            MessageKind::Response => {
                let error = Error::new(codes::BAD_REQUEST, "a client sends requests and notifies, not responses");
                self.client.respond(message.id, Err(error));
                self.is_full()
            }
        };
        !is_full
    }

    fn is_full(&self) -> bool {
        self.is_full_in(&self.state.lock())
    }

    fn finish(&self) -> bool {
        let mut state = self.state.lock();
        state.finishing = true;
        state.open.owes_an_answer()
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.state.lock().open.next_deadline()
    }

    fn expire(&self, now: Instant) {
        let mut state = self.state.lock();
        let was_full = self.is_full_in(&state);
        let mut ids: SmallVec<[u64; 4]> = SmallVec::new();
        let State { open, flows, .. } = &mut *state;
        open.expire(now, |id| ids.push(id));
        for flow in flows {
            // Requests are answered above.
            flow.expire(now, |slot| drop(self.end(open, slot, Err(deadline_passed()))));
        }
        let farewell = Self::farewell(&mut state);
        drop(state);
        for id in ids {
            self.client.respond(id, Err(deadline_passed()));
        }
        if let Some((visits, reason)) = farewell {
            forward::say_closed(&visits, &self.record.representation(), reason);
        }
        if was_full {
            self.client.wake();
        }
    }

    fn close(&self, reason: CloseReason) {
        let mut state = self.state.lock();
        if state.closed.is_some() {
            return;
        }
        state.closed = Some(reason);
        for (server, pins) in self.record.forget_pins() {
            self.dispatcher.parts.router.release(&server, pins);
        }
        let farewell = Self::farewell(&mut state);
        drop(state);
        if self.dispatcher.parts.registry.has_disconnect() {
            self.push(Job::Disconnect(reason));
        }
        if let Some((visits, reason)) = farewell {
            forward::say_closed(&visits, &self.record.representation(), reason);
        }
    }
}

impl Caller for Dialogue {
    fn complete(self: Arc<Self>, token: u64, outcome: Outcome) {
        let slot = usize::try_from(token).unwrap_or(usize::MAX);
        let settled = match outcome {
            Outcome::Answered(answer) => Settled::Over(forward::result_of(answer)),
            Outcome::NotExecuted(request) => Settled::NotExecuted(request),
            Outcome::Lost => Settled::Over(Err(Error::new(
                codes::LINK_LOST,
                "the link to the server was lost after the request was sent: its outcome is unknown",
            ))),
        };
        self.settle(slot, settled);
    }
}
