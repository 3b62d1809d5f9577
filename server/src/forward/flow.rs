//! The messages of one session on their way to one server type.
//!
//! While some are in flight, the next go to the same server, because only one server can keep them in order. A new
//! choice therefore waits until none is in flight.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;
use tokio::time::Instant;

use super::visits::Visits;
use crate::router::Router;
use crate::rpc::{Caller, Kept, Link, Standing, proto};
use crate::session::Record;
use crate::topology::ServerType;
use crate::wire::{Error, Text, codes};

/// A client message that has to reach another server type.
#[derive(Debug)]
pub(crate) struct Parcel {
    /// The place of its request in the conversation's table; the token of its call.
    pub(crate) slot: usize,
    /// Its place in the order in which the client sent its messages.
    pub(crate) number: u64,
    pub(crate) kind: proto::RequestKind,
    /// The client's message id, 0 for a notify.
    pub(crate) message_id: u64,
    pub(crate) route: Text,
    pub(crate) body: Bytes,
    pub(crate) deadline: Instant,
}

impl Parcel {
    /// The message in a request that came back; `None` when its route is no text.
    pub(crate) fn of(request: proto::Request, slot: usize, number: u64, deadline: Instant) -> Option<Self> {
        let kind = request.kind();
        let route = Text::try_from(request.route).ok()?;
        Some(Self { slot, number, kind, message_id: request.message_id, route, body: request.body, deadline })
    }
}

/// What sending needs of the connection and its worker, and what it leaves behind.
pub(crate) struct Dispatch<'a> {
    pub(crate) router: &'a Router,
    pub(crate) record: &'a Record,
    pub(crate) caller: &'a Arc<dyn Caller>,
    /// The present, when somebody has asked for it already.
    pub(crate) now: Option<Instant>,
    /// Servers that have handled this session and must hear of its end.
    pub(crate) visited: &'a mut Visits,
    /// Requests that could not be sent, with the answer each gets.
    pub(crate) failed: SmallVec<[(usize, Error); 1]>,
}

impl Dispatch<'_> {
    /// The present; most answers need none.
    fn now(&mut self) -> Instant {
        *self.now.get_or_insert_with(Instant::now)
    }
}

/// One session's messages to one server type.
#[derive(Debug)]
pub(crate) struct Flow {
    server_type: ServerType,
    target: Option<Kept>,
    chosen: Instant,
    in_flight: usize,
    /// In the order of their numbers.
    waiting: VecDeque<Parcel>,
    /// The newest message that was handled, or may have been.
    handled: u64,
}

impl Flow {
    /// A flow with nothing in flight and no server chosen.
    pub(crate) fn new(server_type: ServerType, now: Instant) -> Self {
        Self { server_type, target: None, chosen: now, in_flight: 0, waiting: VecDeque::new(), handled: 0 }
    }

    /// The server type that these messages name.
    pub(crate) fn server_type(&self) -> &ServerType {
        &self.server_type
    }

    /// Whether nothing is in flight or waiting, so that only a sticky choice is worth keeping.
    pub(crate) fn is_idle(&self) -> bool {
        self.in_flight == 0 && self.waiting.is_empty()
    }

    /// Sends `parcel`, or lets it wait for a new choice, or for its turn at a server that has to be given one at a time.
    pub(crate) fn offer(&mut self, parcel: Parcel, dispatch: &mut Dispatch<'_>) {
        if !self.waiting.is_empty()
            || (self.in_flight > 0 && (self.is_serial() || self.wants_new_choice(dispatch, &parcel)))
        {
            self.waiting.push_back(parcel);
        } else if self.in_flight > 0 || self.choose(dispatch, &parcel) {
            self.send(parcel, dispatch);
        }
    }

    /// The message `number` in flight has ended: with its response, or with its link, and it may have been handled.
    pub(crate) fn handled(&mut self, number: u64, dispatch: &mut Dispatch<'_>) {
        self.handled = self.handled.max(number);
        if let Some(target) = &self.target {
            dispatch.visited.note(&self.server_type, target);
        }
        self.settled(dispatch);
    }

    /// A message in flight has ended unexecuted, for good or until it is sent again.
    pub(crate) fn returned(&mut self, parcel: Option<Parcel>, dispatch: &mut Dispatch<'_>) {
        if let Some(parcel) = parcel {
            let place = self.waiting.partition_point(|waiting| waiting.number < parcel.number);
            self.waiting.insert(place, parcel);
        }
        self.settled(dispatch);
    }

    fn settled(&mut self, dispatch: &mut Dispatch<'_>) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if self.in_flight > 0 {
            return;
        }
        while (self.in_flight == 0 || !self.is_serial())
            && let Some(parcel) = self.waiting.pop_front()
        {
            if parcel.number < self.handled {
                // It was refused while a later one was taken: sent again it would be handled after that one.
                let reason = "the server took later messages of the session and not this one";
                dispatch.failed.push((parcel.slot, not_executed(reason)));
            } else if (self.in_flight > 0 || self.choose(dispatch, &parcel)) && !self.send(parcel, dispatch) {
                return;
            }
        }
    }

    /// Removes waiting messages whose time is over; gives their slots to `expired`.
    pub(crate) fn expire(&mut self, now: Instant, mut expired: impl FnMut(usize)) {
        self.waiting.retain(|parcel| {
            let over = parcel.deadline <= now;
            if over {
                expired(parcel.slot);
            }
            !over
        });
    }

    /// Whether the choice is kept when nothing is in flight.
    pub(crate) fn is_sticky(&self, router: &Router) -> bool {
        self.target.is_some() && router.is_sticky(&self.server_type)
    }

    /// Whether the server keeps no order by itself, so that the next message waits for the end of the one in flight.
    fn is_serial(&self) -> bool {
        self.target.as_ref().is_some_and(|target| target.is_unary())
    }

    fn wants_new_choice(&mut self, dispatch: &mut Dispatch<'_>, parcel: &Parcel) -> bool {
        let Some(target) = &self.target else { return true };
        if let Some(pinned) = self.pinned(dispatch) {
            return !Arc::ptr_eq(&pinned, target);
        }
        if target.is_draining() || target.standing() == Standing::Down {
            return true;
        }
        let now = dispatch.now();
        if now.duration_since(self.chosen) < dispatch.router.reconsider() {
            return false;
        }
        self.chosen = now;
        if dispatch.router.is_sticky(&self.server_type) {
            return !dispatch.router.is_usable(&self.server_type, target);
        }
        match dispatch.router.choose(&self.server_type, dispatch.record, &parcel.route, &parcel.body) {
            Ok(preferred) => !Arc::ptr_eq(&preferred, target),
            Err(_) => false,
        }
    }

    /// The link to the server that the session is pinned to, while it lives and whatever the topology says.
    fn pinned(&self, dispatch: &Dispatch<'_>) -> Option<Arc<Link>> {
        let server = dispatch.record.pinned(&self.server_type)?;
        dispatch.router.link(&server).filter(|link| link.standing() == Standing::Live)
    }

    /// Picks the server for the next messages, `parcel` first; on failure that gets the reason and false is returned.
    fn choose(&mut self, dispatch: &mut Dispatch<'_>, parcel: &Parcel) -> bool {
        let choice = match self.pinned(dispatch) {
            Some(pinned) => Ok(pinned),
            None if self.keeps(dispatch) => return true,
            None => dispatch.router.choose(&self.server_type, dispatch.record, &parcel.route, &parcel.body),
        };
        match choice {
            Ok(link) => {
                self.target = Some(Kept::new(link));
                self.chosen = dispatch.now();
                true
            }
            Err(error) => {
                dispatch.failed.push((parcel.slot, error));
                false
            }
        }
    }

    fn keeps(&self, dispatch: &Dispatch<'_>) -> bool {
        let Some(target) = &self.target else { return false };
        dispatch.router.is_sticky(&self.server_type) && dispatch.router.is_usable(&self.server_type, target)
    }

    /// Sends to the target. False when it has to wait: nothing behind it may be sent then.
    fn send(&mut self, parcel: Parcel, dispatch: &mut Dispatch<'_>) -> bool {
        let Some(target) = &self.target else { return true };
        let now = dispatch.now();
        let representation = dispatch.record.representation();
        let pinned = dispatch.record.pinned(&self.server_type).is_some_and(|server| server == *target.server());
        let request = proto::Request {
            id: 0,
            kind: parcel.kind.into(),
            route: parcel.route.into_bytes(),
            body: parcel.body,
            session: Some(proto::Session {
                id: representation.id.get(),
                uid: representation.uid.into_bytes(),
                data: representation.data,
                version: representation.version,
            }),
            timeout_micros: u64::try_from(parcel.deadline.duration_since(now).as_micros()).unwrap_or(u64::MAX),
            message_id: parcel.message_id,
            pinned,
            trace: Bytes::new(),
        };
        let Err(request) = target.call(request, dispatch.caller.clone(), parcel.slot as u64) else {
            self.in_flight += 1;
            return true;
        };
        let is_down = target.standing() == Standing::Down;
        if !is_down
            && self.in_flight > 0
            && let Some(parcel) = Parcel::of(request, parcel.slot, parcel.number, parcel.deadline)
        {
            // The end of one that is in flight makes the next attempt, so that a burst of large messages waits.
            self.waiting.push_front(parcel);
            return false;
        }
        let reason = if is_down { "the server is not reachable" } else { "the link to the server is full" };
        dispatch.failed.push((parcel.slot, not_executed(reason)));
        true
    }
}

fn not_executed(reason: &str) -> Error {
    Error::new(codes::NOT_EXECUTED, format!("{reason}; the request was not executed"))
}
